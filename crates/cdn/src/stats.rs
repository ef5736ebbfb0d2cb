//! Counters for metrics and `status`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::tuning::http::CLIENT_BUFFER;
use serde::Serialize;

/// What fetching did since the start, and holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CdnStats {
    /// Bytes taken from CDNs.
    pub bytes_fetched: u64,
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
    /// Readers that went on with another copy.
    pub fail_overs: u64,
    /// Copies whose bytes were found to differ from what was read before.
    pub copies_differing: u64,
    /// Providers that were looked for after a fall and found well.
    pub returns: u64,
    /// Bytes that the HTTP client may have read ahead on connections with a body under way: 408 KiB each.
    pub client_bytes: u64,
    /// Connections with a request or a body under way now.
    pub open_connections: usize,
    /// Requests that wait for leave to connect now.
    pub waiting_for_connection: usize,
}

/// The counters behind [`CdnStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_fetched: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) wrong_answers: AtomicU64,
    pub(crate) stalls: AtomicU64,
    pub(crate) hedges: AtomicU64,
    pub(crate) link_resolutions: AtomicU64,
    pub(crate) links_loaded: AtomicU64,
    pub(crate) links_refused: AtomicU64,
    pub(crate) fail_overs: AtomicU64,
    pub(crate) copies_differing: AtomicU64,
    pub(crate) returns: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

impl Counters {
    /// The statistics, with `open` connections in use and requests `waiting` for one.
    pub(crate) fn snapshot(&self, (open, waiting): (usize, usize)) -> CdnStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CdnStats {
            bytes_fetched: load(&self.bytes_fetched),
            requests: load(&self.requests),
            retries: load(&self.retries),
            wrong_answers: load(&self.wrong_answers),
            stalls: load(&self.stalls),
            hedges: load(&self.hedges),
            link_resolutions: load(&self.link_resolutions),
            links_loaded: load(&self.links_loaded),
            links_refused: load(&self.links_refused),
            fail_overs: load(&self.fail_overs),
            copies_differing: load(&self.copies_differing),
            returns: load(&self.returns),
            client_bytes: open as u64 * CLIENT_BUFFER,
            open_connections: open,
            waiting_for_connection: waiting,
        }
    }
}
