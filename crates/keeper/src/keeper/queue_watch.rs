use std::time::{Duration, Instant};

use crate::connection::{Connection, Queue};

/// Requests that wait for this long, while the engine takes none, are taken by the stand-in.
pub(super) const STALL: Duration = Duration::from_millis(30);

/// How often requests are looked at for their age.
const EXPIRY: Duration = Duration::from_millis(250);

/// How often refused requests are told of. On a node without an engine they never end, and the log
/// has room for a line a second in all.
const TOLD: Duration = Duration::from_secs(60);

/// Whether the requests that the kernel has are taken.
#[derive(Debug, Default)]
pub(super) struct QueueWatch {
    stall: Option<Stall>,
    /// Since when no engine takes requests.
    unserved: Option<Instant>,
    next_expiry: Option<Instant>,
    /// Requests that were refused and not told of yet, and when they are.
    refused: usize,
    next_told: Option<Instant>,
}

/// The queue isn't empty and the engine takes nothing.
#[derive(Clone, Copy, Debug)]
struct Stall {
    since: Instant,
    taken: u64,
    heartbeat: u64,
}

impl QueueWatch {
    /// Another engine comes, or another connection.
    pub fn start_again(&mut self) {
        self.stall = None;
    }

    /// True while requests wait in the queue and the engine takes none of them.
    pub fn is_stalled(&mut self, connection: &Connection, now: Instant) -> bool {
        let taken = connection.journal.taken();
        let heartbeat = connection.journal.heartbeat();
        let waiting = connection.queue() == Queue::Waiting;
        // Once the stand-in empties the queue, only the heartbeat tells that the engine is back.
        let moved =
            |stall: &Stall| stall.taken != taken || (!waiting && stall.heartbeat != heartbeat);
        if self.stall.as_ref().is_some_and(moved) {
            self.stall = None;
        }
        if waiting {
            self.stall.get_or_insert(Stall {
                since: now,
                taken,
                heartbeat,
            });
        }
        self.stall.is_some_and(|stall| now - stall.since >= STALL)
    }

    /// How long no engine has taken requests; `served` tells whether one does now.
    pub fn unserved_for(&mut self, served: bool, now: Instant) -> Duration {
        if served {
            self.unserved = None;
            return Duration::ZERO;
        }
        now - *self.unserved.get_or_insert(now)
    }

    /// True when it is time to look for requests that have waited too long.
    pub fn expiry_is_due(&mut self, now: Instant) -> bool {
        let due = self.next_expiry.is_none_or(|next| now >= next);
        if due {
            self.next_expiry = Some(now + EXPIRY);
        }
        due
    }

    /// Counts refused requests. How many there are to tell of, if it is time to.
    pub fn refused(&mut self, count: usize, now: Instant) -> Option<usize> {
        self.refused += count;
        if self.refused == 0 || self.next_told.is_some_and(|next| now < next) {
            return None;
        }
        self.next_told = Some(now + TOLD);
        Some(std::mem::take(&mut self.refused))
    }
}
