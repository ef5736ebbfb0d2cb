//! The arithmetic of the limit, free of waiting: how many calls count now, and when the next may go.
//!
//! A server counts a call when it arrives, which is somewhere between our sending it and its answer. So a call counts here from the
//! moment it is granted until [`MINUTE`] + [`MARGIN`] after its answer: whatever the delays on the way, no 60 s at the server hold more
//! calls than were allowed.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The provider's window.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// For clocks that run at different speeds, and for rounding.
pub(super) const MARGIN: Duration = Duration::from_millis(250);

/// How long an answered call goes on counting.
pub(super) const CHARGE: Duration = MINUTE.saturating_add(MARGIN);

/// When a call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// At once.
    Now,
    /// Not before this moment; ask again then.
    At(Instant),
    /// When a call in flight has ended.
    OnAnswer,
}

/// The calls that count.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// When calls that have ended were answered, oldest first.
    settled: VecDeque<Instant>,
    in_flight: usize,
}

impl Window {
    /// Calls that count at `now`.
    pub(super) fn used(&mut self, now: Instant) -> usize {
        while self.settled.front().is_some_and(|at| *at + CHARGE <= now) {
            self.settled.pop_front();
        }
        self.settled.len() + self.in_flight
    }

    /// When a call may go if at most `cap` may count.
    pub(super) fn ready(&mut self, cap: usize, now: Instant) -> Ready {
        let used = self.used(now);
        if used < cap {
            return Ready::Now;
        }
        match self.settled.get(used - cap) {
            Some(at) => Ready::At(*at + CHARGE),
            None => Ready::OnAnswer,
        }
    }

    /// Counts a call that is about to go.
    pub(super) fn grant(&mut self) {
        self.in_flight += 1;
    }

    /// Takes back a grant that was not used.
    pub(super) fn refund(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A call in flight was answered, or given up, at `now`.
    pub(super) fn settle(&mut self, now: Instant) {
        self.refund();
        self.insert(now);
    }

    /// Counts a call of an earlier process, answered at `at`.
    pub(super) fn insert(&mut self, at: Instant) {
        let place = self.settled.partition_point(|other| *other <= at);
        self.settled.insert(place, at);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }
}
