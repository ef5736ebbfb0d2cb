//! The numbers of reading. Each is described as `what [unit; source]`: a source `00NN` is a decision in
//! `docs/decisions`, `bench NAME` a section of `docs/benchmarks.md`, `test NAME` a test of the behaviour it gives.
//! "Chosen" means that nobody measured it, and that half or twice as much would do as well.

use std::time::Duration;

/// `content.rs`, `budget.rs` and `config.rs`: all readers together.
pub(crate) mod content {
    use super::*;

    /// Idle readers are looked for this often [seconds; chosen].
    pub(crate) const SWEEP: Duration = Duration::from_secs(1);
    /// When memory is short, readers that did nothing for this long lose theirs [seconds; test `memory`].
    pub(crate) const IDLE_UNDER_PRESSURE: Duration = Duration::from_secs(1);
    /// And no sooner than this after the last time [milliseconds; chosen].
    pub(crate) const PRESSURE_INTERVAL: Duration = Duration::from_millis(100);
    /// Nobody waits longer, whatever was asked [seconds; chosen: beyond every front's own limit].
    pub(crate) const LONGEST_DEADLINE: Duration = Duration::from_secs(3600);
    /// The cache's disk has this part of a read's time, so that enough is left for the network [1 / n; chosen].
    pub(crate) const DISK_SHARE: u32 = 4;
    /// Places of a file that are kept for one handle: where it plays, and the head or tail it looked at
    /// [places; test `reading`].
    pub(crate) const CURSORS_PER_HANDLE: usize = 2;
    /// And for all readers without a handle [places; chosen].
    pub(crate) const CURSORS_WITHOUT_HANDLE: usize = 8;
    /// Readers that look and scan have this part of the memory [1 / n; 0012].
    pub(crate) const LOOKING_SHARE: u64 = 4;
    /// A shorter time-out in the configuration would give up every connection [milliseconds; chosen].
    pub(crate) const LEAST_TIMEOUT: Duration = Duration::from_millis(100);
}

/// `crew.rs`: how many connections one reader has.
pub(crate) mod crew {
    use super::*;

    /// The most: a vendor allows about 32 of one user, and there are other readers [connections; 0007].
    pub(crate) const MOST_LANES: usize = 8;
    /// A connection that brings more, a gigabit line, is not what a reader waits for [bytes a second; 0007].
    pub(crate) const FAST: f64 = 100e6;
    /// What more connections have to bring to be kept [factor; 0007].
    pub(crate) const GAIN: f64 = 1.2;
    /// Rates are taken over this time [milliseconds; 0007].
    pub(crate) const EPOCH: Duration = Duration::from_millis(200);
    /// Or over this many times to the first byte, if that is longer [factor; 0007].
    pub(crate) const EPOCH_FIRST_BYTES: u32 = 3;
    /// The first wait for the only connection may be shorter: what more of them bring is judged with care
    /// [milliseconds; 0007].
    pub(crate) const FIRST_EPOCH: Duration = Duration::from_millis(100);
    /// After a step that brought nothing no other is tried for this long; doubled each time [seconds; 0007].
    pub(crate) const HOLD: Duration = Duration::from_secs(5);
    /// And at most this long [seconds; 0007].
    pub(crate) const LONGEST_HOLD: Duration = Duration::from_secs(120);
    /// A reader that did not wait for this long needs fewer connections [seconds; chosen].
    pub(crate) const CALM: Duration = Duration::from_secs(5);
}

/// `cursor.rs` and below: what one reader has asked for, and what it asks for next.
pub(crate) mod cursor {
    use super::*;

    /// The first fetch at a file's start, and the first step of read-ahead: a read of 1 MiB and the 128 KiB that Linux
    /// reads ahead of it, so that it needs no second request [bytes; 0018, mountpoint-s3 has the same].
    pub(crate) const FIRST_FETCH: u64 = (1 << 20) + (128 << 10);
    /// A first read up to here may belong to a sequential reader whose reads the kernel sent out of order
    /// [bytes; 0018].
    pub(crate) const NEAR_START: u64 = 128 << 10;
    /// A read this far ahead of what is ordered for a sequential reader waits for the bytes between [bytes; 0018].
    pub(crate) const OUT_OF_ORDER: u64 = 512 << 10;
    /// A transfer that nobody needs any more may finish with this much to bring: its connection is warm for the next
    /// one [bytes; 0024].
    pub(crate) const LARGEST_REST: u64 = FIRST_FETCH;
    /// After this much in sequence one request goes up to the end of the file [bytes; 0007].
    pub(crate) const LONG_RUN: u64 = 32 << 20;
    /// A file's first fetch comes in this many parts where one connection is slow [parts; 0024].
    pub(crate) const PARTS: usize = 3;
    /// If it has at least this size [bytes; 0024].
    pub(crate) const LEAST_DIVIDED: u64 = 512 << 10;
    /// The least read-ahead of a sequential reader, however many share the memory [bytes; test `memory`].
    pub(crate) const LEAST_AHEAD: u64 = 256 << 10;
    /// Who takes all it gets is fetched ahead of by this many ranges of each connection: more come no sooner, and are
    /// for nothing where it stops [ranges; 0007].
    pub(crate) const GREEDY_RANGES: u64 = 4;
    /// And by no less than this [bytes; 0007].
    pub(crate) const LEAST_GREEDY: u64 = 4 << 20;
    /// Who read this much in sequence has a player's part of memory and connections; once its bit rate is known, this
    /// is also the least that is fetched ahead of it [bytes; bench `streams`].
    pub(crate) const SEEMS_TO_PLAY: u64 = 2 * FIRST_FETCH;
    /// The bit rate is taken over this time [seconds; chosen].
    pub(crate) const RATE_OVER: Duration = Duration::from_secs(2);
    /// And over no longer than this: then the reader paused [seconds; chosen].
    pub(crate) const RATE_WITHIN: Duration = Duration::from_secs(20);
}

/// `pattern.rs` and `watch.rs`: what a reader is taken for.
pub(crate) mod pattern {
    use super::*;

    /// More than this in sequence is no look: with the kernel's read-ahead ffprobe reads 6 MB of a file without an
    /// index, mediainfo 13 MB of a Matroska, `file` 15 MB of anything [bytes; 0012].
    pub(crate) const PROVEN: u64 = 16 << 20;
    /// The most that is fetched ahead of a reader that may still be looking: four connections with ranges of 1 MiB,
    /// and one more [bytes; 0012].
    pub(crate) const LOOK_AHEAD: u64 = 5 << 20;
    /// Places amid a file, none read on from, that make a scan. Resuming a film is one, an index in a place of its own
    /// another [places; 0012].
    pub(crate) const SCATTERED: u32 = 3;
    /// The same for a reader that played before: people look for a scene [places; chosen].
    pub(crate) const SCATTERED_AFTER_PLAYBACK: u32 = 12;
    /// A read this far beyond the last one, or before its end, goes on from it: the kernel's read-ahead comes out of
    /// order, and players skip a track they do not show [bytes; 0012].
    pub(crate) const GAP: u64 = 512 << 10;
    /// Places that are followed at once: a badly interleaved film is read at two in turn [places; test `traces`].
    pub(crate) const STREAMS: usize = 8;
    /// A rate is measured for at least this long: a player that fills its buffer is no copy [seconds; 0023].
    pub(crate) const MEASURE: Duration = Duration::from_secs(4);
    /// Who would be through the file in less time is not watching it [seconds; 0023].
    pub(crate) const SHORTEST_FILM: Duration = Duration::from_secs(300);
    /// Nobody is a copy below this rate, however small the file [bytes a second; 0023].
    pub(crate) const LEAST_COPY_RATE: u64 = 1_000_000;
    /// A scan has to read this much in sequence before anything is fetched ahead of it [bytes; 0012].
    pub(crate) const SCAN_STRETCH: u64 = 1 << 20;
    /// A reader that did nothing for this long begins anew: longer than a player keeps its connection in a pause, and
    /// short enough that fronts without handles leave nothing behind [seconds; chosen].
    pub(crate) const FORGOTTEN: Duration = Duration::from_secs(600);
    /// A reader that read within this time is shown as reading [seconds; chosen: a player fills its buffer less often].
    pub(crate) const SHOWN: Duration = Duration::from_secs(60);
    /// The cache is told this often that what it gets is a copy [bytes; 0023].
    pub(crate) const TELL: u64 = 8 << 20;
}

/// `probe.rs`: heads and tails that are fetched before anybody asks.
pub(crate) mod probe {
    use super::*;

    /// Files that wait; of a library that grows by more at once the rest is kept as it is read [files; chosen].
    pub(crate) const MOST_WAITING: usize = 10_000;
    /// A file that gives nothing for this long is left to whoever reads it [seconds; chosen].
    pub(crate) const LIMIT: Duration = Duration::from_secs(60);
    /// Whether readers have the connections they want is looked at this often [milliseconds; chosen].
    pub(crate) const RETRY: Duration = Duration::from_millis(500);
    /// The disk has this long to take the bytes that somebody will ask for [seconds; chosen].
    pub(crate) const DISK_LIMIT: Duration = Duration::from_secs(5);
    /// Bytes for which the cache had no room are offered again after this [milliseconds; chosen].
    pub(crate) const AGAIN: Duration = Duration::from_millis(20);
}

/// `supply.rs`: bytes from the cache's disk on the way to a reader.
pub(crate) mod supply {
    use super::*;

    /// Taken from the disk at once [bytes; 0011].
    pub(crate) const STEP: u64 = 1 << 20;
    /// Less than this amid what has to be fetched is fetched as well: another request costs more [bytes; 0011].
    pub(crate) const WORTH_A_REQUEST: u64 = 1 << 20;
    /// Bytes on their way to the disk are waited for this long before they are fetched once more: a CDN takes about as
    /// long to begin [milliseconds; test `scans`].
    pub(crate) const SOON: Duration = Duration::from_millis(200);
    /// The disk has this long for a step; the cache's own limit is below it [seconds; 0011].
    pub(crate) const LIMIT: Duration = Duration::from_secs(1);
}

/// `trace.rs`: recordings of what is read.
pub(crate) mod trace {
    use super::*;

    /// Lines that are held for the recording program; what does not fit is counted [lines; chosen: 6 MiB].
    pub(crate) const MOST_LINES: usize = 65_536;
    /// A recording that nobody takes lines from for this long is given up [seconds; chosen].
    pub(crate) const FORGOTTEN: Duration = Duration::from_secs(30);
}

/// `transfer.rs` and `window.rs`: one range under way, and the bytes that are kept.
pub(crate) mod transfer {
    /// While others wait for the host, a transfer gives its place up after this [bytes; test `faults`].
    pub(crate) const FAIR_TRANSFER: u64 = 8 << 20;
    /// The same for one that only reads ahead [bytes; 0007].
    pub(crate) const AHEAD_TRANSFER: u64 = 1 << 20;
    /// A body that brought this much before it failed was no failure of the copy [bytes; chosen].
    pub(crate) const PROGRESS: u64 = 64 << 10;
    /// When memory is short, smaller pieces of a body are copied. hyper reads into buffers of 8 to 408 KiB and hands
    /// out what came in them, so a few bytes may hold a whole buffer; a copy of a larger piece costs more than it
    /// saves [bytes; test `memory`].
    pub(crate) const SNUG: usize = 64 << 10;
    /// Pieces are joined up to this size: a body that comes in crumbs costs no more memory than it has bytes
    /// [bytes; test `memory`].
    pub(crate) const SMALL: usize = 4096;
}
