//! The cache as others see it.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use debridfs_base::volume::Volume;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::CacheConfig;
use crate::error::CacheError;
use crate::file::{CacheClass, CachedFile, FileId, Supply};
use crate::shared::Shared;
use crate::stats::{CacheStats, add};
use crate::syncer;
use crate::tuning::reading::READ_LIMIT;
use crate::writer::{self, Command};

/// The cache. Dropping it ends its threads after they have written what waits.
pub struct Cache {
    shared: Arc<Shared>,
}

impl Cache {
    /// The cache in directory `root`, which is made if missing. Returns at once: until its side files have been read, and while another process has the
    /// directory, it answers and takes nothing.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open(root: PathBuf, config: CacheConfig) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared::new(root, config)?);
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

    /// The volume it lies on, which its own threads touch.
    pub fn volume(&self) -> &Volume {
        &self.shared.volume
    }

    /// The bytes of `range`, if all are present, known to be right, and in the page cache. Never waits, so a transport thread may call it.
    pub fn try_read(&self, file: FileId, range: &Range<u64>) -> Option<Vec<Bytes>> {
        let shared = &self.shared;
        if !shared.is_usable() {
            return None;
        }
        let mut out = Vec::new();
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
        file: FileId,
        range: &Range<u64>,
        limit: Duration,
    ) -> Option<Vec<Bytes>> {
        let shared = &self.shared;
        if !shared.is_usable() {
            add(&shared.counters.bypasses, 1);
            return None;
        }
        let present = shared.plan(file, range).is_some();
        let out = if present {
            let (range, job) = (range.clone(), shared.clone());
            let limit = limit.min(READ_LIMIT);
            shared
                .readers
                .run(limit, move || job.read(file, &range))
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
    pub fn put(&self, class: CacheClass, file: FileId, offset: u64, bytes: &Bytes) {
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
        if known(class) || known(CacheClass::Probe) {
            return;
        }
        let len = bytes.len() as u64;
        let usable = shared.usable.load(Ordering::Acquire);
        if !usable || !shared.intake.put(class, file, offset, bytes) {
            add(&shared.counters.skipped_bytes, len);
        }
    }

    /// Waits, `limit` at most, until the byte at `offset` of `file` can be read, if it is only on its way to the disk. Returns whether it waited.
    pub async fn arrival(&self, file: FileId, offset: u64, limit: Duration) -> bool {
        let comes = self.shared.is_usable() && self.shared.intake.holds(file, offset);
        comes && matches!(timeout(limit, self.settle()).await, Ok(Ok(())))
    }

    /// Says that a body of `file` ended before `end`: what was put of it is written without waiting for more.
    pub fn ended(&self, file: FileId, end: u64) {
        self.shared.intake.ended(file.id, end);
    }

    /// Where the next bytes of `range`, which must not be empty, are.
    pub fn supply(&self, file: FileId, range: &Range<u64>) -> Supply {
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
    pub fn covers(&self, file: FileId, range: &Range<u64>) -> bool {
        self.absent(file, range).is_none()
    }

    /// The first part of `range` that is absent.
    pub fn absent(&self, file: FileId, range: &Range<u64>) -> Option<Range<u64>> {
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

    /// Keeps these files whatever comes, or no longer. Survives restarts. Nothing is fetched by it.
    ///
    /// # Errors
    /// [`CacheError::DoesNotFit`] when more than nine tenths of the cache would be pinned; then nothing is.
    pub async fn pin(&self, files: Vec<FileId>, pinned: bool) -> Result<(), CacheError> {
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
        for class in CacheClass::ALL {
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
            bytes: taken(CacheClass::Playback),
            limit: shared.limit.load(Ordering::Relaxed),
            probe_bytes: taken(CacheClass::Probe),
            probe_limit: shared.config.probe_size.0,
            waiting_bytes: shared.intake.waiting(),
            spare_bytes: shared.pool.spare_bytes(),
            ..shared.counters.snapshot()
        }
    }

    fn files(&self) -> u64 {
        let files = CacheClass::ALL.map(|class| self.shared.store(class).len() as u64);
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
