//! The kernel's second try of a failed read.
//!
//! When read-ahead fails, a buffered read asks for its page once more by itself before it gives up (`filemap_read_folio`). After a read that
//! used up its deadline this would make the caller wait for two deadlines; so the second try is answered at once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use debridfs_vfs::{
    Answer, Attr, DirEntry, Error, ErrorKind, NodeId, ReadOut, ReadRequest, StatFs, Vfs,
};
use futures_util::FutureExt;
use parking_lot::{Mutex, MutexGuard};

use crate::rollout::noted;

/// The second try comes as soon as the caller runs again; anything later is somebody's new read.
const SOON: Duration = Duration::from_millis(100);

struct Failed {
    id: NodeId,
    start: u64,
    end: u64,
    at: Instant,
}

/// A library that answers second tries by itself, and whose failures are told from those of backends
/// during a rollout. It stands before all backends, so that one that takes another's place knows of
/// its failed reads.
pub(crate) struct SecondTryVfs {
    vfs: Arc<dyn Vfs>,
    tries: Arc<SecondTries>,
}

/// Why a second try fails.
#[derive(Debug)]
pub(crate) struct FailedBefore;

impl fmt::Display for FailedBefore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("it failed a moment ago")
    }
}

impl std::error::Error for FailedBefore {}

impl SecondTryVfs {
    pub(crate) fn new(vfs: Arc<dyn Vfs>) -> Self {
        let tries = Arc::default();
        Self { vfs, tries }
    }
}

impl Vfs for SecondTryVfs {
    fn lookup(&self, parent: NodeId, name: &[u8]) -> Answer<Attr> {
        noted(self.vfs.lookup(parent, name))
    }

    fn attr(&self, id: NodeId) -> Answer<Attr> {
        noted(self.vfs.attr(id))
    }

    fn open(&self, id: NodeId) -> Answer<u64> {
        noted(self.vfs.open(id))
    }

    fn release(&self, handle: u64) {
        self.vfs.release(handle);
    }

    fn read(&self, request: ReadRequest) -> Answer<ReadOut> {
        if self.tries.is_one(request) {
            return noted(Answer::Now(Err(Error::new(
                ErrorKind::Unavailable,
                FailedBefore,
            ))));
        }
        noted(match self.vfs.read(request) {
            Answer::Later(answer) => {
                let (tries, started) = (Arc::clone(&self.tries), Instant::now());
                let noted = answer.inspect(move |answer| {
                    if answer.is_err() {
                        tries.note(request, started.elapsed());
                    }
                });
                Answer::Later(noted.boxed())
            }
            now => now,
        })
    }

    fn read_dir(&self, id: NodeId, cookie: u64, max: usize) -> Answer<Vec<DirEntry>> {
        noted(self.vfs.read_dir(id, cookie, max))
    }

    fn xattr(&self, id: NodeId, name: &[u8]) -> Answer<Vec<u8>> {
        noted(self.vfs.xattr(id, name))
    }

    fn xattrs(&self, id: NodeId) -> Answer<Vec<String>> {
        noted(self.vfs.xattrs(id))
    }

    fn statfs(&self) -> StatFs {
        self.vfs.statfs()
    }

    fn root(&self) -> Attr {
        self.vfs.root()
    }
}

/// Reads that failed a moment ago, at the end of their deadlines.
#[derive(Default)]
struct SecondTries {
    /// As many as `recent` holds: spares the lock while nothing fails.
    count: AtomicUsize,
    recent: Mutex<VecDeque<Failed>>,
}

impl SecondTries {
    /// Notes a read that failed after `took`, if that was its whole deadline.
    fn note(&self, read: ReadRequest, took: Duration) {
        if took < read.deadline.mul_f32(0.9) {
            return;
        }
        let mut recent = self.recent();
        recent.push_back(Failed {
            id: read.id,
            start: read.offset,
            end: read.offset.saturating_add(u64::from(read.size)),
            at: Instant::now(),
        });
        self.count.store(recent.len(), Relaxed);
    }

    /// Whether this read asks again for what just failed.
    fn is_one(&self, read: ReadRequest) -> bool {
        self.count.load(Relaxed) > 0
            && self.recent().iter().any(|failed| {
                failed.id == read.id && (failed.start..failed.end).contains(&read.offset)
            })
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Failed>> {
        let mut recent = self.recent.lock();
        while recent
            .front()
            .is_some_and(|failed| failed.at.elapsed() > SOON)
        {
            recent.pop_front();
        }
        self.count.store(recent.len(), Relaxed);
        recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(id: u64, offset: u64) -> ReadRequest {
        let deadline = Duration::from_secs(30);
        ReadRequest {
            id: NodeId(id),
            handle: 0,
            offset,
            size: 4096,
            deadline,
            client: debridfs_vfs::Client::Own,
        }
    }

    #[test]
    fn only_the_same_bytes_after_a_whole_deadline_are_a_second_try() {
        let tries = SecondTries::default();
        tries.note(read(2, 8192), Duration::from_secs(1));
        assert!(
            !tries.is_one(read(2, 8192)),
            "failed early: worth another try"
        );
        tries.note(read(2, 8192), Duration::from_secs(30));
        assert!(tries.is_one(read(2, 8192)));
        assert!(tries.is_one(read(2, 12287)));
        assert!(!tries.is_one(read(2, 12288)));
        assert!(!tries.is_one(read(3, 8192)));
    }
}
