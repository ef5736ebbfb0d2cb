//! Counters of the cache.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// What the cache did since the start, and holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CacheStats {
    /// Whether it can be used now.
    pub usable: bool,
    /// Reads answered from it.
    pub hits: u64,
    /// Reads that it could not answer.
    pub misses: u64,
    /// Bytes of the reads answered.
    pub hit_bytes: u64,
    /// Bytes written into it.
    pub written_bytes: u64,
    /// Bytes evicted.
    pub evicted_bytes: u64,
    /// Bytes that were offered to it and not taken, as the disk was too slow, full or unusable.
    pub skipped_bytes: u64,
    /// Reads that passed it by, as its volume did not answer.
    pub bypasses: u64,
    /// Errors of its disk.
    pub errors: u64,
    /// Granules (128 KiB) that were damaged on disk, and are fetched again.
    pub damaged: u64,
    /// Files in it.
    pub files: u64,
    /// Bytes it takes on disk for what was played.
    pub bytes: u64,
    /// Limit of `bytes`: the configured size, or less when the disk is short of room.
    pub limit: u64,
    /// Bytes it takes on disk for heads and tails.
    pub probe_bytes: u64,
    /// Limit of `probe_bytes`.
    pub probe_limit: u64,
    /// Bytes in memory that wait for the disk: 16 MiB at most.
    pub waiting_bytes: u64,
    /// Bytes of spare buffers for what is read: 20 MiB at most.
    pub spare_bytes: u64,
}

/// The counters behind [`CacheStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) hit_bytes: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) evicted_bytes: AtomicU64,
    pub(crate) skipped_bytes: AtomicU64,
    pub(crate) bypasses: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) damaged: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

impl Counters {
    /// A read of `range` was answered.
    pub(crate) fn hit(&self, range: &Range<u64>) {
        add(&self.hits, 1);
        add(&self.hit_bytes, range.end - range.start);
    }

    pub(crate) fn snapshot(&self) -> CacheStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: load(&self.hits),
            misses: load(&self.misses),
            hit_bytes: load(&self.hit_bytes),
            written_bytes: load(&self.written_bytes),
            evicted_bytes: load(&self.evicted_bytes),
            skipped_bytes: load(&self.skipped_bytes),
            bypasses: load(&self.bypasses),
            errors: load(&self.errors),
            damaged: load(&self.damaged),
            ..CacheStats::default()
        }
    }
}
