//! The numbers of fetching. Each is described as `what [unit; source]`: a source `00NN` is a decision in
//! `docs/decisions`, `bench NAME` a section of `docs/benchmarks.md`, `test NAME` a test of the behaviour it gives.
//! "Chosen" means that nobody measured it, and that half or twice as much would do as well.

use std::time::Duration;

use debridfs_base::Backoff;

/// `body.rs`: a body that comes slowly.
pub(crate) mod body {
    use super::*;

    /// A body that somebody waits for is looked at this often [seconds; 0007].
    pub(crate) const LOOK: Duration = Duration::from_secs(1);
    /// Or after this many times to the first byte, if that is longer: a second answer would have begun [factor; 0007].
    pub(crate) const LOOK_FIRST_BYTES: u32 = 4;
}

/// `check.rs`: whether a file can be read at all.
pub(crate) mod check {
    use super::*;

    /// What has to come [bytes; chosen: more than an error page has].
    pub(crate) const SAMPLE: u64 = 16 << 10;
    /// What is compared of a file's head, and of its tail [bytes; as much as a fail-over has to repeat, 0044].
    pub(crate) const END: u64 = super::copies::OVERLAP;
    /// The answer may take this long to begin, and stand still for this long [seconds; chosen: nobody waits].
    pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
}

/// `copies.rs`: which copies of a file have the same bytes.
pub(crate) mod copies {
    /// What another copy has to repeat of what was read just before its turn [bytes; 0044].
    pub(crate) const OVERLAP: u64 = 64 << 10;
    /// What is kept of a file for a copy whose turn comes elsewhere [bytes; chosen: 8 MB of memory for all].
    pub(crate) const SAMPLE: usize = 32 << 10;
    /// Fewer prove nothing [bytes; chosen].
    pub(crate) const LEAST_SAMPLE: usize = 1 << 10;
    /// Files of several copies that are remembered [files; chosen].
    pub(crate) const MOST_FILES: usize = 256;
    /// Links of second copies that are made ahead of their need at once [links; chosen].
    pub(crate) const STANDING_BY: usize = 4;
}

/// `standing.rs`: providers that are left alone while others have the same bytes.
pub(crate) mod standing {
    use super::*;

    /// Somebody looks after this time, doubled with each look in vain, whether a provider is well again [seconds; chosen].
    pub(crate) const SHORTEST: Duration = Duration::from_secs(2);
    /// The longest of these times [seconds; chosen].
    pub(crate) const LONGEST: Duration = Duration::from_secs(60);
    /// Falls older than this do not make them longer [seconds; chosen].
    pub(crate) const FORGOTTEN: Duration = Duration::from_secs(300);
    /// A look takes no longer [seconds; chosen].
    pub(crate) const LIMIT: Duration = Duration::from_secs(20);
}

/// `error.rs`: what a refusal means.
pub(crate) mod error {
    use super::*;

    /// A refusal for at least this long sends a reader to another copy at once [seconds; test `copies`].
    pub(crate) const LONG_REFUSAL: Duration = Duration::from_secs(1);
}

/// `events.rs`: the histories of files.
pub(crate) mod events {
    use super::*;

    /// Events of one file; older ones are dropped [events; chosen: what `why` prints on one screen].
    pub(crate) const EVENTS_PER_FILE: usize = 32;
    /// Files with events; those that were quiet longest are dropped [files; chosen: 20 MB of memory at most].
    pub(crate) const MOST_FILES: usize = 2048;
    /// Text of one event [characters; chosen].
    pub(crate) const LONGEST_DETAIL: usize = 300;
    /// An event is on disk after this time at the latest [seconds; chosen: a kill loses that much].
    pub(crate) const DELAY: Duration = Duration::from_secs(1);
    /// A file of events is replaced at this size; two exist at most [bytes; chosen].
    pub(crate) const LONGEST_FILE: u64 = 1 << 20;
}

/// `fetch.rs` and `trouble.rs`: attempts in a row.
pub(crate) mod trouble {
    use super::*;

    /// Wrong answers, failed connections or forbidden addresses in a row after which a link is made anew [failures; test `faults`].
    pub(crate) const FAILURES_PER_LINK: u32 = 2;
    /// Failures in a row at one copy, each of which could be chance, after which another one is tried [failures; 0044].
    pub(crate) const FAILURES_PER_SOURCE: u32 = 2;
    /// The provider of one copy has this long to give a link before another one is tried [seconds; chosen: an account
    /// that answers at all takes a fifth of it].
    pub(crate) const LINK_PATIENCE: Duration = Duration::from_secs(4);
    /// A reader of a copy that is not the first choice looks this often whether that is well again [seconds; chosen].
    pub(crate) const LOOK_BACK: Duration = Duration::from_secs(1);
    /// Pauses between attempts and after refusals: the first and the longest, which keeps reading within a second of a
    /// host's recovery [milliseconds; bench `faults`].
    pub(crate) const BACK_OFF: Backoff =
        Backoff::new(Duration::from_millis(200), Duration::from_millis(700));
    /// The least pause after every copy was asked for a link in vain [milliseconds; chosen].
    pub(crate) const LEAST_PAUSE: Duration = Duration::from_millis(100);
}

/// `hosts.rs` and below: connections, and what a host allows.
pub(crate) mod hosts {
    use super::*;

    /// Hosts in memory. The provider chooses the names, without end; beyond this those that nobody uses go, with how
    /// quick they were [hosts; chosen: one for each link in memory, `links::MOST_ENTRIES`].
    pub(crate) const MOST_HOSTS: usize = super::links::MOST_ENTRIES;
    /// A host that answered within this has a connection open [seconds; the time that an unused one is kept].
    pub(crate) const WARM: Duration = Duration::from_secs(60);
    /// A longer `Retry-After` of a CDN is cut: one request a second of all readers together hurts no host, which may
    /// be well again sooner [milliseconds; bench `faults`].
    pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_millis(900);
    /// Readers that have the bytes elsewhere stay away for as long as it asked, up to this [seconds; test `copies`].
    pub(crate) const LONGEST_ABSENCE: Duration = Duration::from_secs(30);
    /// A learnt number of transfers stands for this long before one more is tried; doubled at each refusal
    /// [seconds; test `lanes`].
    pub(crate) const LIMIT_STEP: Duration = Duration::from_secs(3);
    /// And at most this long [seconds; chosen].
    pub(crate) const LONGEST_LIMIT_STEP: Duration = Duration::from_secs(60);
    /// Where a request waited for a connection within this time, another one will [seconds; chosen].
    pub(crate) const LATELY: Duration = Duration::from_secs(2);
    /// Of an account's connections, callers in the background (`Refresh`, `Probe`, `Repair`) hold this share at most:
    /// a reader finds one free [share; 0012].
    pub(crate) const BACKGROUND_SHARE: f64 = 0.75;
    /// One connection of this many goes to the request that waits longest, whatever its priority: no request waits for
    /// ever, and those before it lose little [connections; test `hosts`].
    pub(crate) const OLDEST_EVERY: usize = 4;
    /// Sequential readers share this many connections of a host evenly, which leaves 8 of 28 to seeks
    /// [connections; 0007].
    pub(crate) const SHARED_LANES: usize = 20;
    /// Where a share would be fewer than this, each has one [connections; 0007].
    pub(crate) const FEWEST_EACH: usize = 3;
}

/// `links.rs` and below: direct links.
pub(crate) mod links {
    use super::*;

    /// Links in memory. Those used longest ago go first, and cost no call, as the store has them [links; chosen: 2 MB].
    pub(crate) const MOST_ENTRIES: usize = 4096;
    /// The store holds up a read no longer than this [seconds; test `openings`].
    pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(1);
    /// A resolution that hangs is given up after this, and the next read starts another [seconds; an account that
    /// pauses is tried every 30 s, and its answer may take `first_byte_timeout`, 15 s, to begin].
    pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(45);
    /// What an account said about a link holds for this long at most: a hiccup is no verdict [seconds; chosen].
    pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
    /// A verdict on the file holds for this long: a scan opens each file several times and comes back soon, and a link
    /// that was mended is seen after it at the latest [seconds; 0034].
    pub(crate) const VERDICT_KEPT: Duration = Duration::from_secs(180);
    /// A link that never worked, and was not refused either, is made anew after this [seconds; chosen].
    pub(crate) const DISTRUST_AFTER: Duration = Duration::from_secs(60);
    /// A link that worked and is refused is replaced at once, but no more often than this [seconds; test `faults`].
    pub(crate) const LINK_INTERVAL: Duration = Duration::from_secs(1);
    /// Between two trials of an account in trouble [milliseconds; test `faults`: reads go on a second after it].
    pub(crate) const TRIAL_INTERVAL: Duration = Duration::from_millis(800);
    /// Other readers wait this long for the outcome of a trial before they look elsewhere [milliseconds; chosen: half
    /// of the interval].
    pub(crate) const TRIAL_PATIENCE: Duration = Duration::from_millis(400);
}

/// `pace.rs`: how quick a host is, and what follows from it.
pub(crate) mod pace {
    use super::*;

    /// Weight of the newest measurement in an average [share; chosen].
    pub(crate) const NEWEST: f64 = 0.25;
    /// A transfer of fewer bytes came out of buffers and says nothing about the rate [bytes; a socket's buffer].
    pub(crate) const LEAST_MOVED: u64 = 512 << 10;
    /// The longest way forward that is waited for [bytes; hf-mount and mountpoint-s3 have the same].
    pub(crate) const LONGEST_PATIENCE: u64 = 16 << 20;
    /// A body is slow below this part of its host's usual rate [share; 0007].
    pub(crate) const SLOW: f64 = 1.0 / 8.0;
    /// The rate of a host of which none is known [bytes a second; chosen: a tenth of a slow debrid CDN].
    pub(crate) const UNKNOWN_RATE: f64 = 512.0 * 1024.0;
    /// The shortest range of several that are fetched at once [bytes; 0007].
    pub(crate) const LEAST_SEGMENT: u64 = 1 << 20;
    /// The longest one [bytes; 0007].
    pub(crate) const LARGEST_SEGMENT: u64 = 4 << 20;
    /// A range is this many times what one connection brings while an answer begins: a third of its time is waiting
    /// [factor; 0007].
    pub(crate) const SEGMENT_OVER_LATENCY: f64 = 2.0;
    /// Times to the first byte that are remembered [answers; 0007].
    pub(crate) const REMEMBERED: usize = 128;
    /// And needed to speak of the slowest hundredth [answers; chosen].
    pub(crate) const ENOUGH: usize = 20;
    /// Less than this is soon everywhere [milliseconds; bench `seeks`: a new answer takes 80 to 200].
    pub(crate) const LEAST_SOON: Duration = Duration::from_millis(100);
    /// No answer is called late sooner [milliseconds; chosen].
    pub(crate) const LEAST_HEDGE: Duration = Duration::from_millis(50);
    /// Second requests that each request earns [requests; 0007].
    pub(crate) const HEDGES_EARNED: f64 = 0.05;
    /// Second requests that are saved up at most [requests; 0007].
    pub(crate) const MOST_HEDGES: f64 = 3.0;
    /// Bytes that take more than this part of the time to the first one are long in coming [share; 0024].
    pub(crate) const LONG: f64 = 0.25;
    /// But not in less time than this [milliseconds; 0024].
    pub(crate) const LEAST_LONG: Duration = Duration::from_millis(10);
}

/// `request.rs` and `stats.rs`: HTTP.
pub(crate) mod http {
    /// Redirects that are followed before a link counts as broken [redirects; chosen].
    pub(crate) const MOST_REDIRECTS: usize = 4;
    /// What the HTTP client reads ahead of us on one connection at most [bytes; hyper's default `max_buf_size`, 8 KiB
    /// and 100 pages, for which reqwest has no setting].
    pub(crate) const CLIENT_BUFFER: u64 = (8 << 10) + 100 * (4 << 10);
}
