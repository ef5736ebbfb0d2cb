//! What the threads of the cache share: its state, and reading from it.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use debridfs_base::volume::Volume;
use parking_lot::{Condvar, Mutex};

use crate::config::CacheConfig;
use crate::file::{CacheClass, FileId};
use crate::intake::Intake;
use crate::pool::Pool;
use crate::readers::Readers;
use crate::stats::{Counters, add};
use crate::store::{Answer, Store};
use crate::syncer;
use crate::tuning::reading::{FAILURES, PIECES, SICK_FOR};
use crate::writer::Command;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    Waiting,
    Ready,
    Closed,
}

/// What the threads share.
pub(crate) struct Shared {
    pub(crate) root: PathBuf,
    pub(crate) config: CacheConfig,
    /// Notes when the threads touch the disk, and whether it answers; they are the cache's own.
    pub(crate) volume: Volume,
    stores: [Store; 2],
    pub(crate) intake: Intake<Command>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) counters: Arc<Counters>,
    readiness: Mutex<Readiness>,
    changed: Condvar,
    pub(crate) usable: AtomicBool,
    /// Held during a round of syncs, so that who waits for one waits for one that has begun as well.
    pub(crate) round: Mutex<syncer::Round>,
    pub(crate) limit: AtomicU64,
    failures: AtomicU32,
    sick_until: Mutex<Option<Instant>>,
}

impl Shared {
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new(root: PathBuf, config: CacheConfig) -> io::Result<Self> {
        let counters = Arc::new(Counters::default());
        let pool = Arc::new(Pool::default());
        Ok(Self {
            root,
            limit: AtomicU64::new(config.size.0),
            config,
            volume: Volume::new("cache"),
            stores: CacheClass::ALL.map(|_| Store::new(pool.clone(), counters.clone())),
            intake: Intake::new(),
            pool,
            readers: Readers::start()?,
            counters,
            readiness: Mutex::new(Readiness::Waiting),
            changed: Condvar::new(),
            usable: AtomicBool::new(false),
            round: Mutex::default(),
            failures: AtomicU32::new(0),
            sick_until: Mutex::new(None),
        })
    }

    pub(crate) fn store(&self, class: CacheClass) -> &Store {
        &self.stores[class as usize]
    }

    pub(crate) fn set_readiness(&self, readiness: Readiness) {
        *self.readiness.lock() = readiness;
        self.usable
            .store(readiness == Readiness::Ready, Ordering::Release);
        self.changed.notify_all();
    }

    /// Waits until the writer has ended, up to `limit`. Returns whether it has.
    pub(crate) fn wait_closed(&self, limit: Duration) -> bool {
        let mut readiness = self.readiness.lock();
        self.changed
            .wait_while_for(&mut readiness, |now| *now != Readiness::Closed, limit);
        *readiness == Readiness::Closed
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Acquire) && !self.readers.is_stuck() && !self.is_sick()
    }

    pub(crate) fn is_sick(&self) -> bool {
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

    pub(crate) fn note_failure(&self, error: &io::Error) {
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
    pub(crate) fn next(
        &self,
        file: FileId,
        range: &Range<u64>,
    ) -> (Option<CacheClass>, Range<u64>) {
        let mut absent_to = range.end;
        for class in CacheClass::ALL {
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
    pub(crate) fn plan(
        &self,
        file: FileId,
        range: &Range<u64>,
    ) -> Option<Vec<(CacheClass, Range<u64>)>> {
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

    pub(crate) fn read(&self, file: FileId, range: &Range<u64>) -> Option<Vec<Bytes>> {
        let _at_work = self.volume.enter(&self.root);
        let mut out = Vec::new();
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
