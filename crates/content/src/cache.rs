//! The cache on disk: what was fetched once is read from there, after a restart and on another machine as well.
//!
//! One sparse file of data for each media file, and a side file that says which of its blocks are there and what their sums are ([`map`]). The page
//! cache of the kernel is the tier in memory: bytes in it are answered on the thread that asks, without waiting. Nothing here can fail a read: whatever
//! goes wrong, the bytes come from the network.

mod config;
mod disk;
mod entry;
mod intake;
mod map;
mod order;
mod pool;
mod readers;
mod stats;
mod store;
mod syncer;
mod writer;

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::file::{FileRef, ReadOut};
use crate::stats::add;
use intake::Intake;
use pool::Pool;
use readers::Readers;
use stats::Counters;
use store::{Answer, Store};
use writer::Command;

pub use config::CacheConfig;
pub use stats::CacheStats;

/// The disk has so long for a read; a healthy one needs a hundredth of it, and what remains of the read's deadline belongs to the network.
const READ_LIMIT: Duration = Duration::from_secs(1);
/// After so many failed reads in a row the cache is passed by for a while.
const FAILURES: u32 = 3;
const SICK_FOR: Duration = Duration::from_secs(10);
/// Pieces that one answer is put together from, at most: heads may lie apart from the rest.
const PIECES: usize = 8;

/// Why bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// They were played or copied.
    Playback,
    /// They belong to a head or tail that scanners look at. They have a limit of their own.
    Probe,
}

impl Class {
    pub(crate) const ALL: [Self; 2] = [Self::Playback, Self::Probe];

    /// The word for it, also the name of its directory.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Playback => "playback",
            Self::Probe => "probe",
        }
    }
}

/// A file in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedFile {
    /// Identity, as in [`FileRef`].
    pub id: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of it that are cached in this class.
    pub bytes: u64,
    /// Why.
    pub class: Class,
    /// Whether it is never evicted.
    pub pinned: bool,
    /// When it was used last, in seconds of Unix time; to the minute.
    pub used: u64,
}

/// Where the next bytes of a range are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supply {
    /// In the cache.
    Cached(Range<u64>),
    /// They have to be fetched.
    Absent(Range<u64>),
}

/// Why a command to the cache failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CacheError {
    /// Another process has it, its disk does not answer, or it is closed.
    #[error("the cache cannot be used now")]
    Unusable,
    /// More would be pinned than nine tenths of the cache.
    #[error("{needed} bytes would be pinned, and {limit} may be (nine tenths of the cache's size)")]
    DoesNotFit {
        /// Bytes of all pinned files together.
        needed: u64,
        /// Bytes that may be pinned.
        limit: u64,
    },
    /// The disk said no.
    #[error("the cache's disk: {0}")]
    Disk(Arc<io::Error>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    Waiting,
    Ready,
    Closed,
}

/// The cache. Dropping it ends its threads after they have written what waits.
pub struct Cache {
    shared: Arc<Shared>,
}

/// What the threads share.
pub(crate) struct Shared {
    root: PathBuf,
    config: CacheConfig,
    stores: [Store; 2],
    intake: Intake<Command>,
    pool: Arc<Pool>,
    readers: Arc<Readers>,
    counters: Arc<Counters>,
    readiness: Mutex<Readiness>,
    changed: Condvar,
    usable: std::sync::atomic::AtomicBool,
    /// Held during a round of syncs, so that who waits for one waits for one that has begun as well.
    round: Mutex<syncer::Round>,
    limit: AtomicU64,
    failures: AtomicU32,
    sick_until: Mutex<Option<Instant>>,
}

impl Shared {
    fn store(&self, class: Class) -> &Store {
        &self.stores[class as usize]
    }

    fn set_readiness(&self, readiness: Readiness) {
        *self.readiness.lock() = readiness;
        self.usable
            .store(readiness == Readiness::Ready, Ordering::Release);
        self.changed.notify_all();
    }

    /// Waits until the writer has ended, up to `limit`. Returns whether it has.
    fn wait_closed(&self, limit: Duration) -> bool {
        let mut readiness = self.readiness.lock();
        self.changed
            .wait_while_for(&mut readiness, |now| *now != Readiness::Closed, limit);
        *readiness == Readiness::Closed
    }

    fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Acquire) && !self.readers.is_stuck() && !self.is_sick()
    }

    fn is_sick(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) < FAILURES {
            return false;
        }
        let mut until = self.sick_until.lock();
        match *until {
            Some(end) if Instant::now() >= end => {
                // One more failure makes it sick again.
                *until = None;
                self.failures.store(FAILURES - 1, Ordering::Relaxed);
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    fn note_failure(&self, error: &io::Error) {
        add(&self.counters.errors, 1);
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            let mut until = self.sick_until.lock();
            if until.is_none() {
                tracing::warn!(%error, "the cache cannot be read; it is passed by for {SICK_FOR:?}");
                *until = Some(Instant::now() + SICK_FOR);
            }
        }
    }

    /// The next bytes of `range` that are in one place, and where.
    fn next(&self, file: &FileRef, range: &Range<u64>) -> (Option<Class>, Range<u64>) {
        let mut absent_to = range.end;
        for class in Class::ALL {
            if let Some(entry) = self.store(class).entry(file) {
                match entry.run(range.start, range.end) {
                    (true, end) => return (Some(class), range.start..end),
                    (false, end) => absent_to = absent_to.min(end),
                }
            }
        }
        (None, range.start..absent_to)
    }

    /// From which stores `range` is read; `None` unless all of it is present.
    fn plan(&self, file: &FileRef, range: &Range<u64>) -> Option<Vec<(Class, Range<u64>)>> {
        let mut plan = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (class, part) = self.next(file, &(at..range.end));
            at = part.end;
            plan.push((class?, part));
            if plan.len() > PIECES {
                return None;
            }
        }
        Some(plan)
    }

    fn read(&self, file: &FileRef, range: &Range<u64>) -> Option<ReadOut> {
        let mut out = ReadOut::new();
        for (class, part) in self.plan(file, range)? {
            match self.store(class).read(file, &part) {
                Answer::Bytes(bytes) => {
                    self.failures.store(0, Ordering::Relaxed);
                    out.push(bytes);
                }
                Answer::Absent => return None,
                Answer::Failed(error) => {
                    self.note_failure(&error);
                    return None;
                }
            }
        }
        Some(out)
    }
}

impl Cache {
    /// The cache in directory `root`, which is made if missing. Returns at once: until its side files have been read, and while another process has the
    /// directory, it answers and takes nothing.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open(root: PathBuf, config: CacheConfig) -> io::Result<Arc<Self>> {
        let counters = Arc::new(Counters::default());
        let pool = Arc::new(Pool::default());
        let shared = Arc::new(Shared {
            root,
            limit: AtomicU64::new(config.size.0),
            config,
            stores: Class::ALL.map(|_| Store::new(pool.clone(), counters.clone())),
            intake: Intake::new(),
            pool,
            readers: Readers::start()?,
            counters,
            readiness: Mutex::new(Readiness::Waiting),
            changed: Condvar::new(),
            usable: std::sync::atomic::AtomicBool::new(false),
            round: Mutex::default(),
            failures: AtomicU32::new(0),
            sick_until: Mutex::new(None),
        });
        // From here on its drop ends what was started.
        let cache = Arc::new(Self {
            shared: shared.clone(),
        });
        let thread = |name: &str, body: fn(&Arc<Shared>)| {
            let shared = shared.clone();
            let named = std::thread::Builder::new().name(name.into());
            named.spawn(move || body(&shared)).map(drop)
        };
        thread("cache-write", writer::run)?;
        thread("cache-sync", syncer::run)?;
        Ok(cache)
    }

    /// Whether it can be used now.
    pub fn is_usable(&self) -> bool {
        self.shared.is_usable()
    }

    /// The bytes of `range`, if all are present, known to be right, and in the page cache. Never waits, so a transport thread may call it.
    pub fn try_read(&self, file: &FileRef, range: &Range<u64>) -> Option<ReadOut> {
        let shared = &self.shared;
        if !shared.is_usable() {
            return None;
        }
        let mut out = ReadOut::new();
        for (class, part) in shared.plan(file, range)? {
            out.push(shared.store(class).try_read(file, &part)?);
        }
        shared.counters.hit(range);
        Some(out)
    }

    /// The bytes of `range` from the disk, if all are present and right. Waits for `limit` at most, and never more than a second: then the bytes have
    /// to come from elsewhere.
    pub async fn read(
        &self,
        file: &FileRef,
        range: &Range<u64>,
        limit: Duration,
    ) -> Option<ReadOut> {
        let shared = &self.shared;
        if !shared.is_usable() {
            add(&shared.counters.bypasses, 1);
            return None;
        }
        let present = shared.plan(file, range).is_some();
        let out = if present {
            let (file, range, job) = (file.clone(), range.clone(), shared.clone());
            let limit = limit.min(READ_LIMIT);
            shared
                .readers
                .run(limit, move || job.read(&file, &range))
                .await
                .flatten()
        } else {
            None
        };
        match &out {
            Some(_) => shared.counters.hit(range),
            None => add(&shared.counters.misses, 1),
        }
        out
    }

    /// Offers bytes of `file` to be kept. Never waits: what cannot be taken now is left out.
    pub fn put(&self, class: Class, file: &FileRef, offset: u64, bytes: &Bytes) {
        let shared = &self.shared;
        let room = file.size.saturating_sub(offset);
        let bytes = bytes.slice(..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        let range = offset..offset + bytes.len() as u64;
        if bytes.is_empty() {
            return;
        }
        let known = |class| {
            let entry = shared.store(class).entry(file);
            entry.is_some_and(|entry| entry.covers(&range))
        };
        if known(class) || known(Class::Probe) {
            return;
        }
        let len = bytes.len() as u64;
        let usable = shared.usable.load(Ordering::Acquire);
        if !usable || !shared.intake.put(class, file, offset, bytes) {
            add(&shared.counters.skipped_bytes, len);
        }
    }

    /// Waits, `limit` at most, until the byte at `offset` of `file` can be read, if it is only on its way to the disk. Returns whether it waited.
    pub(crate) async fn arrival(&self, file: &FileRef, offset: u64, limit: Duration) -> bool {
        let comes = self.shared.is_usable() && self.shared.intake.holds(file, offset);
        comes && matches!(timeout(limit, self.settle()).await, Ok(Ok(())))
    }

    /// Says that a body of `file` ended before `end`: what was put of it is written without waiting for more.
    pub(crate) fn ended(&self, file: &FileRef, end: u64) {
        self.shared.intake.ended(file.id, end);
    }

    /// Where the next bytes of `range`, which must not be empty, are.
    pub fn supply(&self, file: &FileRef, range: &Range<u64>) -> Supply {
        if !self.shared.is_usable() {
            return Supply::Absent(range.clone());
        }
        let mut end = range.start;
        let mut first = None;
        while end < range.end {
            let (class, part) = self.shared.next(file, &(end..range.end));
            if *first.get_or_insert(class.is_some()) != class.is_some() {
                break;
            }
            end = part.end;
        }
        match first {
            Some(true) => Supply::Cached(range.start..end),
            _ => Supply::Absent(range.start..end),
        }
    }

    /// Whether all of `range` is present.
    pub fn covers(&self, file: &FileRef, range: &Range<u64>) -> bool {
        self.absent(file, range).is_none()
    }

    /// The first part of `range` that is absent.
    pub fn absent(&self, file: &FileRef, range: &Range<u64>) -> Option<Range<u64>> {
        let mut at = range.start;
        while at < range.end {
            match self.supply(file, &(at..range.end)) {
                Supply::Cached(part) => at = part.end,
                Supply::Absent(part) => return Some(part),
            }
        }
        None
    }

    /// Waits until what was put before can be read, as far as it could be taken; it need not be synced yet.
    ///
    /// # Errors
    /// [`CacheError::Unusable`] when there is no disk to write to.
    pub async fn settle(&self) -> Result<(), CacheError> {
        self.command(Command::Settle).await
    }

    /// Waits until what was put before is written, synced and told to the side files.
    ///
    /// # Errors
    /// [`CacheError::Unusable`] when there is no disk to write to.
    pub async fn flush(&self) -> Result<(), CacheError> {
        self.command(Command::Flush).await
    }

    /// Removes these files, or all. Returns how many there were and what they took on disk.
    ///
    /// # Errors
    /// [`CacheError`] when the disk refuses.
    pub async fn purge(&self, ids: Option<HashSet<u64>>) -> Result<(u64, u64), CacheError> {
        self.command(|reply| Command::Purge(ids, reply)).await
    }

    /// What came of the file of this id since `begun` was copied and not played: it takes an eighth of the size from what was played, and no more, and goes
    /// first; what is used again later counts as played. Never waits.
    pub fn copied(&self, id: u64, begun: Instant) {
        self.shared.intake.remark(Command::Copied(id, begun));
    }

    /// Keeps these files, given by id and size, whatever comes, or no longer. Survives restarts. Nothing is fetched by it.
    ///
    /// # Errors
    /// [`CacheError::DoesNotFit`] when more than nine tenths of the cache would be pinned; then nothing is.
    pub async fn pin(&self, files: Vec<(u64, u64)>, pinned: bool) -> Result<(), CacheError> {
        self.command(|reply| Command::Pin(files, pinned, reply))
            .await
    }

    async fn command<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, CacheError>>) -> Command,
    ) -> Result<T, CacheError> {
        let (reply, answer) = oneshot::channel();
        self.shared.intake.command(make(reply));
        answer.await.unwrap_or(Err(CacheError::Unusable))
    }

    /// What is in it, by class and id.
    pub fn list(&self) -> Vec<CachedFile> {
        let mut files = Vec::new();
        for class in Class::ALL {
            for entry in self.shared.store(class).entries() {
                let header = entry.header();
                files.push(CachedFile {
                    id: header.id,
                    size: header.size,
                    bytes: entry.bytes(),
                    class,
                    pinned: header.pinned,
                    used: header.used,
                });
            }
        }
        files.sort_by_key(|file| (file.class as u8, file.id));
        files
    }

    /// Counters and what is held now.
    pub fn stats(&self) -> CacheStats {
        let shared = &self.shared;
        let taken = |class| shared.store(class).allocated.load(Ordering::Relaxed);
        CacheStats {
            usable: self.is_usable(),
            files: self.files(),
            bytes: taken(Class::Playback),
            limit: shared.limit.load(Ordering::Relaxed),
            probe_bytes: taken(Class::Probe),
            probe_limit: shared.config.probe_size.0,
            waiting_bytes: shared.intake.waiting(),
            spare_bytes: shared.pool.spare_bytes(),
            ..shared.counters.snapshot()
        }
    }

    fn files(&self) -> u64 {
        let files = Class::ALL.map(|class| self.shared.store(class).len() as u64);
        files.iter().sum()
    }

    /// Writes what waits and lets go of the directory, within `limit`. Returns whether it was in time.
    pub fn close(&self, limit: Duration) -> bool {
        self.shared.intake.end();
        self.shared.wait_closed(limit)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.shared.intake.end();
        self.shared.readers.end();
    }
}
