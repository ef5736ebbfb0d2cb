//! The numbers of the cache, but for those of its format on disk, which are in `map.rs`. Each is described as
//! `what [unit; source]`: a source `00NN` is a decision in `docs/decisions`, `test NAME` a test of the behaviour it
//! gives. "Chosen" means that nobody measured it, and that half or twice as much would do as well.

use std::time::Duration;

/// `cache.rs`, `readers.rs`, `shared.rs` and `store.rs`: reading.
pub(crate) mod reading {
    use super::*;

    /// The disk has this long for a read. A healthy one needs a hundredth of it, and the rest of the read's deadline
    /// belongs to the network [seconds; 0011].
    pub(crate) const READ_LIMIT: Duration = Duration::from_secs(1);
    /// Threads that read; one that hangs in the disk holds up no reader [threads; 0011].
    pub(crate) const THREADS: usize = 4;
    /// Reads that may wait for a thread [reads; chosen].
    pub(crate) const QUEUE: usize = 256;
    /// After this many failed reads in a row the cache is passed by [reads; test `volume`].
    pub(crate) const FAILURES: u32 = 3;
    /// And for this long [seconds; chosen].
    pub(crate) const SICK_FOR: Duration = Duration::from_secs(10);
    /// Pieces that one answer is put together from at most: heads may lie apart from the rest [pieces; chosen].
    pub(crate) const PIECES: usize = 8;
    /// A read that meets changes this often in a row is left to the network [attempts; test `model`].
    pub(crate) const ATTEMPTS: usize = 3;
    /// Files whose descriptors are kept, two each [files; chosen: a quarter of a limit of 1024].
    pub(crate) const OPEN_FILES: usize = 128;
    /// Sizes of buffers: what the kernel reads ahead by default, and the most it asks for [bytes; 0018].
    pub(crate) const SIZES: [usize; 2] = [128 << 10, 1 << 20];
    /// Spare buffers of each size [buffers; chosen: 20 MiB together].
    pub(crate) const SPARE: [usize; 2] = [32, 16];
}

/// `intake.rs`, `writer.rs` and `syncer.rs`: writing.
pub(crate) mod writing {
    use super::*;

    /// What may wait to be written [bytes; 0011].
    pub(crate) const LIMIT: usize = 16 << 20;
    /// Places where bytes come in at the same time [places; chosen].
    pub(crate) const PLACES: usize = 256;
    /// Bytes that nothing joined for this long are written as they are [milliseconds; test `scans`].
    pub(crate) const IDLE: Duration = Duration::from_millis(500);
    /// A lock that another process has is tried again after this [milliseconds; 0011: an upgrade].
    pub(crate) const LOCK_RETRY: Duration = Duration::from_millis(100);
    /// A disk that cannot be used is tried again after this [seconds; chosen].
    pub(crate) const DISK_RETRY: Duration = Duration::from_secs(10);
    /// Nothing is written for this long after an error or on a full disk [seconds; test `volume`].
    pub(crate) const STEP_BACK: Duration = Duration::from_secs(5);
    /// What a write may take on disk beyond its bytes: a block of each file's tree, a page of the side file
    /// [bytes; test `limits`].
    pub(crate) const MARGIN: u64 = 64 << 10;
    /// Syncs are this far apart: what a kill costs at most [seconds; 0011].
    pub(crate) const EVERY: Duration = Duration::from_secs(1);
    /// Every this many of them all files are looked at, as reading changes when they were used last and nobody tells
    /// [syncs; chosen].
    pub(crate) const ALL_EVERY: u32 = 60;
}

/// `entry.rs` and `writer.rs`: what goes when room is needed.
pub(crate) mod eviction {
    use super::*;

    /// Reads this close together are one use of a segment: playing it once, not returning to it [seconds; 0011].
    pub(crate) const ONE_USE: Duration = Duration::from_secs(30);
    /// Uses that count [uses; 0011].
    pub(crate) const MOST_HITS: u8 = 3;
    /// Segments that go for one write at most: if the disk is no emptier then, the write is left out
    /// [segments; test `volume`].
    pub(crate) const EVICTIONS: usize = 4;
    /// Copies take no more than this part of the room [1 / n; 0023].
    pub(crate) const COPY_SHARE: u64 = 8;
}

/// `by_hand.rs`: what people ask for.
pub(crate) mod by_hand {
    use super::*;

    /// Files that are removed at once: each takes three changes of a directory, and the disk may be a slow one
    /// [files; chosen].
    pub(crate) const PURGED_AT_ONCE: usize = 16;
    /// Between looks at whether the cache can be used [milliseconds; chosen].
    pub(crate) const LOOKS_APART: Duration = Duration::from_millis(50);
}
