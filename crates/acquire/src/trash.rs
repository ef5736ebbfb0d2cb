//! Torrents that are to be deleted from accounts, and when.
//!
//! The time until then is counted while the program runs, by a clock that nobody sets. The time of day takes no part: a machine that
//! boots with a wrong one would delete at once what was to be kept for days. What is left is stored now and then.

use std::time::Duration;

use debridfs_provider::{InfoHash, TorrentId};
use jiff::Timestamp;
use tokio::time::Instant;

/// How often what is left is stored: a restart counts so much again at most.
const STORED_EVERY: Duration = Duration::from_secs(3600);

/// A torrent that is to be deleted from an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deletion {
    pub(crate) provider: String,
    pub(crate) torrent: TorrentId,
    pub(crate) hash: InfoHash,
    /// When it is due if the time of day is right: for versions before this one, which know nothing else.
    pub(crate) due: Timestamp,
    /// How long it is kept from `counted` on.
    left: Duration,
    counted: Instant,
}

impl Deletion {
    /// To be deleted `left` from `now`.
    pub(crate) fn new(
        (provider, torrent): (String, TorrentId),
        hash: InfoHash,
        left: Duration,
        now: Timestamp,
    ) -> Self {
        let due = now.saturating_add(left).unwrap_or(Timestamp::MAX);
        Self {
            left,
            ..Self::stored((provider, torrent), hash, due, None)
        }
    }

    /// As it was stored; with `left` unknown it is kept until [`Self::at_most`] says how long.
    pub(crate) fn stored(
        (provider, torrent): (String, TorrentId),
        hash: InfoHash,
        due: Timestamp,
        left: Option<Duration>,
    ) -> Self {
        Self {
            provider,
            torrent,
            hash,
            due,
            left: left.unwrap_or(Duration::MAX),
            counted: Instant::now(),
        }
    }

    /// To be kept no longer than `time` from now on.
    pub(crate) fn at_most(mut self, time: Duration) -> Self {
        self.left = self.left.min(time);
        self
    }

    /// How long it is still to be kept.
    pub(crate) fn left(&self) -> Duration {
        self.left.saturating_sub(self.counted.elapsed())
    }

    /// The same with what was counted, if that is worth storing; it is `now`.
    pub(crate) fn recounted(&self, now: Timestamp) -> Option<Self> {
        let at = (self.provider.clone(), self.torrent.clone());
        let worth = !self.left.is_zero() && self.counted.elapsed() >= STORED_EVERY;
        worth.then(|| Self::new(at, self.hash, self.left(), now))
    }
}
