//! READDIR and READDIRPLUS: as many lines as fit into what was asked for.

use std::sync::Arc;

use debridfs_vfs::{Answer, DirEntry, NodeId, Vfs};

use super::Subject;
use crate::backend::Outcome;
use crate::wire::{DirectoryFormat, DirectoryWriter, Reply};

/// Where to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) node: NodeId,
    /// Cookie of the last line that was given, 0 at the start.
    pub(super) cookie: u64,
}

pub(super) fn list(
    vfs: &Arc<dyn Vfs>,
    subject: Subject,
    mut place: Place,
    format: DirectoryFormat,
    size: u32,
    reply: &mut Reply,
) -> Outcome {
    let mut writer = DirectoryWriter::new(format, size);
    match fill(vfs.as_ref(), &mut place, &mut writer, reply) {
        Filled::Done => Outcome::Ready,
        Filled::Failed(error) => {
            subject.fail_with(reply, &error);
            Outcome::Ready
        }
        Filled::Waits(future) => {
            let vfs = Arc::clone(vfs);
            Outcome::Later(Box::pin(async move {
                let mut reply = Reply::new();
                match future.await {
                    Ok(lines) => {
                        if push(&lines, &mut place, &mut writer, &mut reply) {
                            // What comes after these lines is given if it is there; if not, it is asked for again.
                            fill(vfs.as_ref(), &mut place, &mut writer, &mut reply);
                        }
                    }
                    Err(error) => subject.fail_with(&mut reply, &error),
                }
                reply
            }))
        }
    }
}

enum Filled {
    Done,
    Failed(debridfs_vfs::Error),
    Waits(futures_util::future::BoxFuture<'static, debridfs_vfs::Result<Vec<DirEntry>>>),
}

/// Writes lines until the reply is full, the directory ends, or something must be waited for. Trouble after the first line is left to the next call.
fn fill(
    vfs: &dyn Vfs,
    place: &mut Place,
    writer: &mut DirectoryWriter,
    reply: &mut Reply,
) -> Filled {
    let empty = reply.body().len();
    loop {
        let answer = vfs.read_dir(place.node, place.cookie, writer.wanted());
        let something = reply.body().len() > empty;
        match answer {
            Answer::Now(Ok(lines)) => {
                if !push(&lines, place, writer, reply) {
                    return Filled::Done;
                }
            }
            Answer::Now(Err(_)) | Answer::Later(_) if something => return Filled::Done,
            Answer::Now(Err(error)) => return Filled::Failed(error),
            Answer::Later(future) => return Filled::Waits(future),
        }
    }
}

/// Writes lines; `false` when there are none or the reply is full.
fn push(
    lines: &[DirEntry],
    place: &mut Place,
    writer: &mut DirectoryWriter,
    reply: &mut Reply,
) -> bool {
    for line in lines {
        if !writer.push(reply.body(), line) {
            return false;
        }
        place.cookie = line.cookie;
    }
    !lines.is_empty()
}
