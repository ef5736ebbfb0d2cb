//! Counters for metrics and `status`.

use std::sync::atomic::{AtomicU64, Ordering};

use debridfs_cache::CacheStats;
use serde::Serialize;

use crate::pattern::Class;

/// hyper reads so far ahead of us on a connection at most (the default of its `max_buf_size`: 8 KiB and 100 pages; reqwest has no setting for it).
const CLIENT_BUFFER: u64 = (8 << 10) + 100 * (4 << 10);

/// What the reader did since the start, and holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ContentStats {
    /// Bytes taken from CDNs.
    pub bytes_fetched: u64,
    /// Bytes handed to readers.
    pub bytes_served: u64,
    /// Ranged requests sent.
    pub requests: u64,
    /// Attempts that failed and were, or may have been, made again.
    pub retries: u64,
    /// Answers refused because they were not the asked part of the file.
    pub wrong_answers: u64,
    /// Connections given up because nothing came.
    pub stalls: u64,
    /// Second requests sent because the first was late or slow.
    pub hedges: u64,
    /// Direct links asked of providers.
    pub link_resolutions: u64,
    /// Direct links taken from the store.
    pub links_loaded: u64,
    /// Direct links dropped because they were refused.
    pub links_refused: u64,
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
    /// Bytes that the HTTP client may have read ahead, besides `bytes_reserved`, on connections with a body under way: 408 KiB each.
    pub client_bytes: u64,
    /// Connections with a body under way now.
    pub open_connections: usize,
    /// Fetches that wait for leave to connect now.
    pub waiting_for_connection: usize,
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
    pub(crate) bytes_fetched: AtomicU64,
    pub(crate) bytes_served: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) wrong_answers: AtomicU64,
    pub(crate) stalls: AtomicU64,
    pub(crate) hedges: AtomicU64,
    pub(crate) link_resolutions: AtomicU64,
    pub(crate) links_loaded: AtomicU64,
    pub(crate) links_refused: AtomicU64,
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

    /// The counters' part of the statistics, and that of so many connections in use and waited for.
    pub(crate) fn snapshot(&self, (open, waiting): (usize, usize)) -> ContentStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ContentStats {
            classes: Class::ALL.map(|class| ClassStats {
                readers: 0,
                bytes_read: load(&self.class(class).read),
                bytes_fetched: load(&self.class(class).fetched),
            }),
            bytes_fetched: load(&self.bytes_fetched),
            bytes_served: load(&self.bytes_served),
            requests: load(&self.requests),
            retries: load(&self.retries),
            wrong_answers: load(&self.wrong_answers),
            stalls: load(&self.stalls),
            hedges: load(&self.hedges),
            link_resolutions: load(&self.link_resolutions),
            links_loaded: load(&self.links_loaded),
            links_refused: load(&self.links_refused),
            reads_failed: load(&self.reads_failed),
            files_filled: load(&self.files_filled),
            files_unfilled: load(&self.files_unfilled),
            open_connections: open,
            client_bytes: open as u64 * CLIENT_BUFFER,
            waiting_for_connection: waiting,
            ..ContentStats::default()
        }
    }
}
