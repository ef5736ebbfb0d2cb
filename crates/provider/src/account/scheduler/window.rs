//! The arithmetic of the limit, free of waiting: how many calls count now, and when the next may
//! go.
//!
//! A server counts a call when it arrives, which is somewhere between our sending it and its
//! answer. So a call counts here from the moment it is granted until the window's length and
//! [`MARGIN`] after its answer: whatever the delays on the way, no window at the server holds more
//! calls than were allowed.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// For clocks that run at different speeds, and for rounding.
const MARGIN: Duration = Duration::from_millis(250);

/// When a call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ready {
    /// At once.
    Now,
    /// Not before this moment; ask again then.
    At(Instant),
    /// When a call in flight has ended.
    OnAnswer,
}

/// The calls that count.
#[derive(Debug)]
pub(super) struct Window {
    /// How long an answered call goes on counting.
    charge: Duration,
    /// When calls that have ended were answered, oldest first.
    settled: VecDeque<Instant>,
    in_flight: usize,
}

impl Window {
    /// For the provider's window of length `per`.
    pub(super) fn new(per: Duration) -> Self {
        Self {
            charge: per.saturating_add(MARGIN),
            settled: VecDeque::new(),
            in_flight: 0,
        }
    }

    /// How long an answered call goes on counting.
    pub(super) fn charge(&self) -> Duration {
        self.charge
    }

    /// Calls that count at `now`.
    pub(super) fn used(&mut self, now: Instant) -> usize {
        let charge = self.charge;
        while self.settled.front().is_some_and(|at| *at + charge <= now) {
            self.settled.pop_front();
        }
        self.settled.len() + self.in_flight
    }

    /// When a call may go if at most `cap` may count and `ahead` calls go before it.
    pub(super) fn ready(&mut self, cap: usize, ahead: usize, now: Instant) -> Ready {
        let used = self.used(now) + ahead;
        if used < cap {
            return Ready::Now;
        }
        match self.settled.get(used - cap) {
            Some(at) => Ready::At(*at + self.charge),
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
