//! The files of one class: which there are, and reading them.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::disk::Dir;
use crate::entry::{Entry, Files, Judgement, Look, Stamp};
use crate::file::FileId;
use crate::map::{GRANULE, granule_sum};
use crate::pool::Pool;
use crate::stats::{Counters, add};
use crate::tuning::reading::{ATTEMPTS, OPEN_FILES};

/// The files of one class.
pub(crate) struct Store {
    pub(crate) dir: OnceLock<Dir>,
    pub(crate) counters: Arc<Counters>,
    pool: Arc<Pool>,
    index: RwLock<HashMap<u64, Arc<Entry>>>,
    /// Bytes that all files take on disk.
    pub(crate) allocated: AtomicU64,
    /// Files with something to be synced.
    unsynced: Mutex<BTreeSet<u64>>,
    opened: Mutex<VecDeque<Weak<Entry>>>,
    /// The file system cannot read without waiting.
    must_wait: AtomicBool,
}

/// What a read from disk came to.
pub(crate) enum Answer {
    Bytes(Bytes),
    Absent,
    Failed(io::Error),
}

impl Store {
    pub(crate) fn new(pool: Arc<Pool>, counters: Arc<Counters>) -> Self {
        Self {
            dir: OnceLock::new(),
            counters,
            pool,
            index: RwLock::default(),
            allocated: AtomicU64::new(0),
            unsynced: Mutex::default(),
            opened: Mutex::default(),
            must_wait: AtomicBool::new(false),
        }
    }

    /// The entry of `file`, if it is of the same content.
    pub(crate) fn entry(&self, file: FileId) -> Option<Arc<Entry>> {
        let entry = self.by_id(file.id)?;
        (entry.size == file.size).then_some(entry)
    }

    pub(crate) fn by_id(&self, id: u64) -> Option<Arc<Entry>> {
        let index = self.index.read();
        index.get(&id).cloned()
    }

    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        let index = self.index.read();
        index.values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        let index = self.index.read();
        index.len()
    }

    pub(crate) fn insert(&self, entry: Arc<Entry>) {
        let mut index = self.index.write();
        index.insert(entry.id, entry);
    }

    pub(crate) fn forget(&self, id: u64) {
        let mut index = self.index.write();
        index.remove(&id);
    }

    /// The files take so much more on disk, or less.
    pub(crate) fn add_allocated(&self, change: i64) {
        // Sums of i64s never leave the range, and the order of two changes is of no matter.
        self.allocated.fetch_add(change as u64, Ordering::Relaxed);
    }

    /// Notes that `id` has something to be synced.
    pub(crate) fn mark_unsynced(&self, id: u64) {
        let mut unsynced = self.unsynced.lock();
        unsynced.insert(id);
    }

    pub(crate) fn take_unsynced(&self) -> BTreeSet<u64> {
        std::mem::take(&mut *self.unsynced.lock())
    }

    /// The open files of `entry`, made if they are missing and that is asked. The file opened longest ago gives its descriptors back when there are many.
    pub(crate) fn files(&self, entry: &Arc<Entry>, make: bool) -> io::Result<Arc<Files>> {
        if let Some(files) = entry.files() {
            return Ok(files);
        }
        let dir = self.dir.get().ok_or(io::ErrorKind::NotConnected)?;
        let files = entry
            .set_files(dir.open_files(&entry.header(), make)?)
            .ok_or(io::ErrorKind::NotFound)?;
        let mut opened = self.opened.lock();
        opened.push_back(Arc::downgrade(entry));
        // One round at most: those with unsynced data stay.
        for _ in 0..opened.len().saturating_sub(OPEN_FILES) {
            if let Some(weak) = opened.pop_front()
                && let Some(oldest) = weak.upgrade()
                && !oldest.close_files()
            {
                opened.push_back(weak);
            }
        }
        Ok(files)
    }

    /// The bytes of `range` if they are in the page cache and were checked. Never waits for the disk.
    pub(crate) fn try_read(&self, file: FileId, range: &Range<u64>) -> Option<Bytes> {
        if self.must_wait.load(Ordering::Relaxed) {
            return None;
        }
        let entry = self.entry(file)?;
        let ticket = entry.ticket(range)?;
        let mut buffer = self.pool.take((range.end - range.start) as usize);
        let mut done = 0;
        while done < buffer.as_mut().len() {
            let mut parts = [IoSliceMut::new(&mut buffer.as_mut()[done..])];
            let at = range.start + done as u64;
            match preadv2(&ticket.files.data, &mut parts, at, ReadWriteFlags::NOWAIT) {
                Ok(0) => return None,
                Ok(read) => done += read,
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP) => {
                    self.must_wait.store(true, Ordering::Relaxed);
                    return None;
                }
                // EAGAIN: not in memory.
                Err(_) => return None,
            }
        }
        let seen = Stamp::of(&ticket.files.data).ok()?;
        entry.holds(&ticket, seen).then(|| buffer.freeze())
    }

    /// The bytes of `range` from disk. All granules of it are read whole and checked, as nobody knows what the disk made of them.
    pub(crate) fn read(&self, file: FileId, range: &Range<u64>) -> Answer {
        let Some(entry) = self.entry(file) else {
            return Answer::Absent;
        };
        for _ in 0..ATTEMPTS {
            let Some(look) = entry.look(range) else {
                return Answer::Absent;
            };
            let start = look.first * GRANULE;
            let end = (start + look.granules.len() as u64 * GRANULE).min(file.size);
            let bytes = match self.read_at(&entry, start, end) {
                Ok(bytes) => bytes,
                Err(error) => {
                    entry.drop_granules(&look);
                    self.mark_unsynced(entry.id);
                    return Answer::Failed(error);
                }
            };
            match entry.judge(&look, &right_ones(entry.id, &look, &bytes)) {
                Judgement::Right => {
                    let (from, to) = (range.start - start, range.end - start);
                    return Answer::Bytes(bytes.slice(from as usize..to as usize));
                }
                Judgement::Again => {}
                Judgement::Damaged(granules) => {
                    tracing::warn!(
                        file = entry.id,
                        granules,
                        "the cache holds damaged bytes; they are fetched again"
                    );
                    add(&self.counters.damaged, granules);
                    self.mark_unsynced(entry.id);
                    return Answer::Absent;
                }
            }
        }
        Answer::Absent
    }

    /// As many bytes as there are; what is missing is zeros, and has the wrong sum.
    fn read_at(&self, entry: &Arc<Entry>, start: u64, end: u64) -> io::Result<Bytes> {
        let files = self.files(entry, false)?;
        let mut buffer = self.pool.take((end - start) as usize);
        let bytes = buffer.as_mut();
        let mut done = 0;
        while done < bytes.len() {
            match files.data.read_at(&mut bytes[done..], start + done as u64) {
                Ok(0) => {
                    bytes[done..].fill(0);
                    break;
                }
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(buffer.freeze())
    }
}

fn right_ones(id: u64, look: &Look, bytes: &[u8]) -> Vec<bool> {
    let granules = look.granules.iter().zip(bytes.chunks(GRANULE as usize));
    granules
        .enumerate()
        .map(|(at, (granule, bytes))| {
            granule_sum(id, look.first + at as u64, granule.mask, bytes) == granule.sum
        })
        .collect()
}
