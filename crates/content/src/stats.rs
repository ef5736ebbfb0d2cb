//! Counters for metrics and `status`.

use std::sync::atomic::{AtomicU64, Ordering};

use debridfs_cache::CacheStats;
use debridfs_cdn::CdnStats;
use serde::Serialize;

use crate::pattern::Class;

/// What the reader did since the start, and holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ContentStats {
    /// What was fetched.
    #[serde(flatten)]
    pub cdn: CdnStats,
    /// Bytes handed to readers.
    pub bytes_served: u64,
    /// Reads of [`Content::read`](crate::Content::read) that failed.
    pub reads_failed: u64,
    /// New files whose head and tail were fetched before anybody read them.
    pub files_filled: u64,
    /// New files of which head or tail could not be fetched: they are left to whoever reads them.
    pub files_unfilled: u64,
    /// Readers known now, and what each class read and had fetched; in the order of [`Class::ALL`].
    pub classes: [ClassStats; Class::ALL.len()],
    /// Readers that hold memory or may.
    pub readers: usize,
    /// Windows held now.
    pub windows: usize,
    /// Bytes that windows hold or may fill now.
    pub bytes_reserved: u64,
    /// Limit of `bytes_reserved`.
    pub bytes_limit: u64,
    /// The cache on disk, if there is one.
    pub cache: Option<CacheStats>,
}

/// What readers of one class do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ClassStats {
    /// Readers taken for it now.
    pub readers: usize,
    /// Bytes asked for by readers that were taken for it then.
    pub bytes_read: u64,
    /// Bytes fetched for readers that were taken for it then.
    pub bytes_fetched: u64,
}

/// The counters behind [`ClassStats`].
#[derive(Debug, Default)]
pub(crate) struct ClassCounters {
    pub(crate) read: AtomicU64,
    pub(crate) fetched: AtomicU64,
}

/// The counters behind [`ContentStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) classes: [ClassCounters; Class::ALL.len()],
    pub(crate) bytes_served: AtomicU64,
    pub(crate) reads_failed: AtomicU64,
    pub(crate) files_filled: AtomicU64,
    pub(crate) files_unfilled: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn class(&self, class: Class) -> &ClassCounters {
        &self.classes[class as usize]
    }

    /// The counters' part of the statistics.
    pub(crate) fn snapshot(&self) -> ContentStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ContentStats {
            classes: Class::ALL.map(|class| ClassStats {
                readers: 0,
                bytes_read: load(&self.class(class).read),
                bytes_fetched: load(&self.class(class).fetched),
            }),
            bytes_served: load(&self.bytes_served),
            reads_failed: load(&self.reads_failed),
            files_filled: load(&self.files_filled),
            files_unfilled: load(&self.files_unfilled),
            ..ContentStats::default()
        }
    }
}
