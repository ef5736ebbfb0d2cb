//! The backend `fbrs`: the codec of fuse-backend-rs in front of a [`Vfs`], written by others and sharing no code with ours.
//!
//! That library is synchronous: it decodes a request, calls a file system, and writes the reply. What
//! has to wait is therefore answered in passes. The first pass notes what it waits for and its
//! reply is thrown away; the next one runs with the answer at hand. No thread waits.

mod answers;
mod filesystem;
mod room;

use std::fs::File;
use std::io;
use std::sync::Arc;

use debridfs_vfs::Vfs;
use futures_util::future::BoxFuture;

use crate::backend::{Backend, Call, Outcome};
use crate::errno;
use crate::given::Given;
use crate::wire::{Answerer, Reply};
use answers::Answers;
use filesystem::{End, Pass};
use fuse_backend_rs::api::server::Server;
use room::{Room, null_device};

/// Answers requests from a [`Vfs`] with the codec of fuse-backend-rs.
pub struct Fbrs(Arc<Inner>);

struct Inner {
    vfs: Arc<dyn Vfs>,
    /// Where the library's own writes of replies go: it insists on making some.
    null: &'static File,
}

/// Why this backend cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FbrsError {
    /// fuse-backend-rs writes some replies to a descriptor; they must not reach the kernel twice.
    #[error("/dev/null cannot be opened for writing, which the backend fbrs needs")]
    NoNullDevice(#[source] io::Error),
}

/// What one pass came to.
enum Passed {
    /// The reply is complete.
    Done,
    /// What the next pass needs: the answers so far, and the one that is waited for.
    Waits(Answers, BoxFuture<'static, Given>),
}

impl Fbrs {
    /// A backend in front of `vfs`.
    ///
    /// # Errors
    /// When `/dev/null` cannot be opened.
    pub fn new(vfs: Arc<dyn Vfs>) -> Result<Self, FbrsError> {
        Ok(Self(Arc::new(Inner {
            vfs,
            null: null_device().map_err(FbrsError::NoNullDevice)?,
        })))
    }
}

impl Backend for Fbrs {
    fn name(&self) -> &'static str {
        "fbrs"
    }

    fn answer(&self, call: Call<'_>, reply: &mut Reply) -> Outcome {
        reply.mark(Answerer::Fbrs);
        match self.0.pass(call, Answers::default(), reply) {
            Passed::Done => Outcome::Ready,
            Passed::Waits(answers, waited_for) => {
                let (inner, request) = (Arc::clone(&self.0), call.request.to_vec());
                let left = call.left;
                Outcome::Later(Box::pin(async move {
                    let mut reply = Reply::new();
                    let (mut answers, mut waited_for) = (answers, waited_for);
                    loop {
                        answers.keep(waited_for.await);
                        let request = &request;
                        match inner.pass(Call { request, left }, answers, &mut reply) {
                            Passed::Done => return reply,
                            Passed::Waits(more, next) => (answers, waited_for) = (more, next),
                        }
                    }
                }))
            }
        }
    }
}

impl Inner {
    /// Runs the library once over the request, with these answers of earlier passes.
    fn pass(&self, call: Call<'_>, answers: Answers, reply: &mut Reply) -> Passed {
        reply.clear();
        let pass = Pass::new(&self.vfs, call.left, answers);
        let server = Server::new(&pass);
        let result = Room::with(|room| {
            let answered = room.handle(&server, call.request, self.null)?;
            if answered.errno != 0 {
                reply.fail(answered.errno);
            } else if !pass.is_read() {
                reply.body().extend_from_slice(answered.body);
            }
            Ok::<_, fuse_backend_rs::Error>(())
        });
        let read = pass.is_read();
        let End { answers, waits } = pass.end();
        if let Some(waited_for) = waits {
            reply.clear();
            return Passed::Waits(answers, waited_for);
        }
        match result {
            // The bytes go to the kernel from where they are.
            Ok(()) if read => reply.set_spans(answers.into_read().unwrap_or_default()),
            Ok(()) => {}
            Err(error) => malformed(reply, call.request, &error),
        }
        Passed::Done
    }
}

/// The request could not be taken apart.
fn malformed(reply: &mut Reply, request: &[u8], error: &dyn std::fmt::Display) {
    let failure = errno::of_malformed(crate::wire::DecodeError::TooShort);
    reply.fail(failure.errno);
    let header = crate::wire::InHeader::decode(request);
    let (opcode, node) = header.map_or((0, 0), |header| (header.opcode, header.node));
    failure.log(opcode, node, error);
}
