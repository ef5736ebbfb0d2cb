//! What the kernel may have learnt from the new backend, to be taken back when it is rolled back.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};

use debridfs_vfs::{Answer, Change, Kind, NodeId, Vfs};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Nodes and names that are noted; beyond, all of the library is taken back.
const MOST: usize = 16_384;

/// Lines of a directory that are asked for at once.
const LINES: usize = 1024;

#[derive(Default)]
struct Known {
    changes: HashSet<Change>,
    /// More was touched than is noted here.
    more: bool,
}

/// What was touched, and the way to the kernel.
pub(crate) struct Touched {
    known: Mutex<Known>,
    /// Roll-backs so far.
    epoch: AtomicU64,
    tell: Mutex<UnboundedSender<Vec<Change>>>,
    /// For the first who tells the kernel.
    told: Mutex<Option<UnboundedReceiver<Vec<Change>>>>,
}

impl Default for Touched {
    fn default() -> Self {
        let (tell, told) = unbounded_channel();
        Self {
            known: Mutex::default(),
            epoch: AtomicU64::new(0),
            tell: Mutex::new(tell),
            told: Mutex::new(Some(told)),
        }
    }
}

impl Touched {
    /// Where what is taken back comes out, for the one who tells the kernel from now on.
    pub(crate) fn receiver(&self) -> UnboundedReceiver<Vec<Change>> {
        self.told.lock().take().unwrap_or_else(|| {
            let (tell, told) = unbounded_channel();
            *self.tell.lock() = tell;
            told
        })
    }

    /// Changes with each roll-back.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Acquire)
    }

    /// Notes what a reply is about.
    pub(crate) fn note(&self, changes: &[Change]) {
        let mut known = self.known.lock();
        if known.more {
            return;
        }
        known.changes.extend(changes.iter().cloned());
        if known.changes.len() > MOST {
            *known = Known {
                changes: HashSet::new(),
                more: true,
            };
        }
    }

    /// From now on more is touched than is known: an earlier engine let the same backend answer.
    pub(crate) fn is_unknown(&self) {
        self.known.lock().more = true;
    }

    /// Forgets all: the new backend is believed.
    pub(crate) fn forget(&self) {
        *self.known.lock() = Known::default();
    }

    /// Has what is noted taken back; `false` when that is not all of it.
    pub(crate) fn take_back(&self) -> bool {
        self.epoch.fetch_add(1, AcqRel);
        let known = std::mem::take(&mut *self.known.lock());
        self.tell(known.changes.into_iter().collect());
        !known.more
    }

    /// Has these taken back.
    pub(crate) fn tell(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            // Nobody listens where the kernel is not told of anything.
            let _ = self.tell.lock().send(changes);
        }
    }

    /// Has all of the library taken back.
    ///
    /// # Errors
    /// The library cannot be listed now; a part may have been taken back.
    pub(crate) async fn take_all_back(&self, vfs: &dyn Vfs) -> debridfs_vfs::Result<()> {
        self.tell(vec![Change::Node(NodeId::ROOT)]);
        let mut directories = vec![NodeId::ROOT];
        while let Some(parent) = directories.pop() {
            let mut cookie = 0;
            loop {
                let lines = match vfs.read_dir(parent, cookie, LINES) {
                    Answer::Now(lines) => lines,
                    Answer::Later(lines) => lines.await,
                };
                let lines = match lines {
                    Ok(lines) => lines,
                    // It went meanwhile, which the kernel is told of anyway.
                    Err(_) if parent != NodeId::ROOT => break,
                    Err(error) => return Err(error),
                };
                let Some(last) = lines.last() else {
                    break;
                };
                cookie = last.cookie;
                let mut changes = Vec::new();
                for line in lines {
                    if matches!(line.name.as_str(), "." | "..") {
                        continue;
                    }
                    if line.attr.kind == Kind::Directory {
                        directories.push(line.attr.id);
                    }
                    changes.push(Change::Node(line.attr.id));
                    let name = line.name;
                    changes.push(Change::Entry { parent, name });
                }
                self.tell(changes);
                // A large library is many lines at hand, one after the other.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use debridfs_vfs::MemoryVfs;

    use super::*;

    fn told(told: &mut UnboundedReceiver<Vec<Change>>) -> HashSet<Change> {
        let mut all = HashSet::new();
        while let Ok(changes) = told.try_recv() {
            all.extend(changes);
        }
        all
    }

    fn node(number: u64) -> Change {
        Change::Node(NodeId(number))
    }

    #[test]
    fn what_was_touched_is_taken_back_once() {
        let touched = Touched::default();
        drop(touched.receiver());
        let mut receiver = touched.receiver();
        touched.note(&[node(5), node(6)]);
        touched.note(&[node(5)]);
        assert!(touched.take_back());
        assert_eq!(told(&mut receiver), [node(5), node(6)].into());
        assert!(touched.take_back());
        assert_eq!(told(&mut receiver), [].into());
        touched.note(&[node(7)]);
        touched.forget();
        assert!(touched.take_back());
        assert_eq!(told(&mut receiver), [].into());
        assert_eq!(touched.epoch(), 3);
    }

    #[test]
    fn more_than_can_be_noted_is_all() {
        let touched = Touched::default();
        let all: Vec<Change> = (0..=MOST as u64).map(node).collect();
        touched.note(&all[..MOST]);
        assert!(touched.take_back());
        touched.note(&all);
        assert!(!touched.take_back());
        touched.note(&[node(5)]);
        assert!(touched.take_back(), "it begins anew");
        touched.is_unknown();
        assert!(!touched.take_back());
    }

    #[tokio::test]
    async fn all_of_a_library_is_taken_back() {
        let library = MemoryVfs::new(jiff::Timestamp::UNIX_EPOCH);
        library.add_directory(NodeId::ROOT, "films", NodeId(2));
        library.add_bytes(NodeId(2), "film.mkv", NodeId(3), Bytes::from_static(b"x"));
        let touched = Touched::default();
        let mut receiver = touched.receiver();
        touched.take_all_back(&library).await.unwrap();
        let entry = |parent, name: &str| Change::Entry {
            parent: NodeId(parent),
            name: name.to_owned(),
        };
        let expected = [
            node(1),
            node(2),
            entry(1, "films"),
            node(3),
            entry(2, "film.mkv"),
        ];
        assert_eq!(told(&mut receiver), expected.into());
    }
}
