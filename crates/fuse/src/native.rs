//! The backend `native`: our own codec in front of a [`Vfs`].

mod directory;
mod read;

use std::sync::Arc;

use debridfs_vfs::{Answer, Client, NodeId, Vfs};

use crate::backend::{Backend, Call, Outcome};
use crate::errno::{self, Failure};
use crate::policy::{GRACE, NAME_MAX, OPEN_FLAGS, writes};
use crate::wire::{
    Answerer, DirectoryFormat, Opcode, Operation, Reply, Request, attr_out, entry_out, open_out,
    size_out, statfs_out,
};

/// Answers requests from a [`Vfs`] with our own codec.
pub struct Native {
    vfs: Arc<dyn Vfs>,
}

/// What a failure is logged about.
#[derive(Debug, Clone, Copy)]
struct Subject {
    opcode: u32,
    node: u64,
}

impl Native {
    /// A backend in front of `vfs`.
    pub fn new(vfs: Arc<dyn Vfs>) -> Self {
        Self { vfs }
    }
}

impl Backend for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn answer(&self, call: Call<'_>, reply: &mut Reply) -> Outcome {
        reply.mark(Answerer::Native);
        let request = match Request::decode(call.request) {
            Ok(request) => request,
            Err(error) => {
                let subject = Subject { opcode: 0, node: 0 };
                subject.fail(reply, errno::of_malformed(error), &error);
                return Outcome::Ready;
            }
        };
        let node = NodeId(request.header.node);
        let subject = Subject {
            opcode: request.header.opcode,
            node: node.0,
        };
        match request.operation {
            Operation::Lookup { name } if name.len() > NAME_MAX => {
                subject.fail_kind(reply, debridfs_vfs::ErrorKind::NameTooLong);
                Outcome::Ready
            }
            Operation::Lookup { name } => {
                subject.finish(self.vfs.lookup(node, name), reply, |attr, reply| {
                    entry_out(reply.body(), &attr);
                    Ok(())
                })
            }
            Operation::GetAttr { .. } => {
                subject.finish(self.vfs.attr(node), reply, |attr, reply| {
                    attr_out(reply.body(), &attr);
                    Ok(())
                })
            }
            Operation::Open { flags } if writes(flags) => {
                subject.fail(reply, errno::READ_ONLY, &"open for writing");
                Outcome::Ready
            }
            Operation::Open { .. } => {
                subject.finish(self.vfs.open(node), reply, |handle, reply| {
                    open_out(reply.body(), handle, OPEN_FLAGS);
                    Ok(())
                })
            }
            Operation::Read {
                handle,
                offset,
                size,
                ..
            } => {
                let wanted = debridfs_vfs::ReadRequest {
                    id: node,
                    handle,
                    offset,
                    size,
                    deadline: call.left.saturating_sub(GRACE),
                    client: Client::Process(request.header.pid),
                };
                read::read(&self.vfs, subject, wanted, reply)
            }
            Operation::ReadDir { cookie, size, .. } => {
                let place = directory::Place { node, cookie };
                directory::list(
                    &self.vfs,
                    subject,
                    place,
                    DirectoryFormat::Plain,
                    size,
                    reply,
                )
            }
            Operation::ReadDirPlus { cookie, size, .. } => {
                let place = directory::Place { node, cookie };
                directory::list(
                    &self.vfs,
                    subject,
                    place,
                    DirectoryFormat::Plus,
                    size,
                    reply,
                )
            }
            Operation::StatFs => {
                statfs_out(reply.body(), &self.vfs.statfs());
                Outcome::Ready
            }
            Operation::Release { handle, .. } => {
                self.vfs.release(handle);
                Outcome::Ready
            }
            Operation::ReleaseDir { .. } => Outcome::Ready,
            Operation::Access { mask } => {
                if mask & libc::W_OK as u32 != 0 {
                    subject.fail(reply, errno::READ_ONLY, &"access for writing");
                }
                // Permissions are checked by the kernel (default_permissions).
                Outcome::Ready
            }
            Operation::GetXattr { name, size } => {
                subject.finish(self.vfs.xattr(node, name), reply, move |value, reply| {
                    sized(&value, size, reply)
                })
            }
            Operation::ListXattr { size } => {
                subject.finish(self.vfs.xattrs(node), reply, move |names, reply| {
                    let mut list =
                        Vec::with_capacity(names.iter().map(|name| name.len() + 1).sum());
                    for name in names {
                        list.extend_from_slice(name.as_bytes());
                        list.push(0);
                    }
                    sized(&list, size, reply)
                })
            }
            // The loop answers the others; should one come here, it is answered the same.
            _ => {
                let refusal = Opcode::from_number(subject.opcode).and_then(errno::of_refused);
                let refusal = refusal.unwrap_or(errno::of_kind(debridfs_vfs::ErrorKind::Invalid));
                subject.fail(reply, refusal, &"not answered by a backend");
                Outcome::Ready
            }
        }
    }
}

/// The answer to a call that asks for a value or, with `size` 0, for its length.
fn sized(value: &[u8], size: u32, reply: &mut Reply) -> Result<(), Failure> {
    let length = u32::try_from(value.len()).map_err(|_| errno::RANGE)?;
    if size == 0 {
        size_out(reply.body(), length);
    } else if length > size {
        return Err(errno::RANGE);
    } else {
        reply.body().extend_from_slice(value);
    }
    Ok(())
}

impl Subject {
    /// Turns an answer of the file system into a reply, now or later.
    fn finish<T: Send + 'static>(
        self,
        answer: Answer<T>,
        reply: &mut Reply,
        encode: impl FnOnce(T, &mut Reply) -> Result<(), Failure> + Send + 'static,
    ) -> Outcome {
        match answer {
            Answer::Now(result) => {
                self.encode(result, reply, encode);
                Outcome::Ready
            }
            Answer::Later(future) => Outcome::Later(Box::pin(async move {
                let result = future.await;
                let mut reply = Reply::new();
                self.encode(result, &mut reply, encode);
                reply
            })),
        }
    }

    fn encode<T>(
        self,
        result: debridfs_vfs::Result<T>,
        reply: &mut Reply,
        encode: impl FnOnce(T, &mut Reply) -> Result<(), Failure>,
    ) {
        match result {
            Ok(value) => {
                if let Err(failure) = encode(value, reply) {
                    self.fail(reply, failure, &"refused");
                }
            }
            Err(error) => self.fail_with(reply, &error),
        }
    }

    fn fail_with(self, reply: &mut Reply, error: &debridfs_vfs::Error) {
        self.fail(reply, errno::of(error), error);
    }

    fn fail_kind(self, reply: &mut Reply, kind: debridfs_vfs::ErrorKind) {
        self.fail(reply, errno::of_kind(kind), &"refused");
    }

    fn fail(self, reply: &mut Reply, failure: Failure, why: &dyn std::fmt::Display) {
        reply.fail(failure.errno);
        failure.log(self.opcode, self.node, why);
    }
}
