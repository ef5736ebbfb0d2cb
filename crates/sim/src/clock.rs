//! The simulation's clock: a wall time at the start, plus tokio's time since then, plus what somebody advanced by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// A clock that pausing tokio's time stops, and that [`SimClock::advance`] moves.
#[derive(Debug)]
pub struct SimClock {
    base_ms: i64,
    started: tokio::time::Instant,
    advanced_ms: AtomicI64,
    zone: TimeZone,
}

impl SimClock {
    /// A clock that shows `base` now.
    pub fn starting_at(base: Timestamp) -> Self {
        Self {
            base_ms: base.as_millisecond(),
            started: tokio::time::Instant::now(),
            advanced_ms: AtomicI64::new(0),
            // The vendor tells local times of France; a machine without a time zone database gets winter time.
            zone: TimeZone::get("Europe/Paris")
                .unwrap_or_else(|_| TimeZone::fixed(Offset::constant(1))),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.base_ms
            .saturating_add(elapsed)
            .saturating_add(self.advanced_ms.load(Ordering::Relaxed))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        timestamp(self.now_ms())
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        // Saturating, so that no request can turn the clock round; the bound is the last time `jiff` can tell.
        let _ = self
            .advanced_ms
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
                let room = Timestamp::MAX.as_millisecond() / 2 - self.base_ms;
                Some(old.saturating_add(by).min(room))
            });
    }

    pub(crate) fn local(&self, ms: i64) -> jiff::Zoned {
        timestamp(ms).to_zoned(self.zone.clone())
    }

    /// The vendor's local day, `YYYY-MM-DD`: traffic is counted by it and starts anew at its midnight.
    pub(crate) fn day(&self, ms: i64) -> String {
        self.local(ms).strftime("%Y-%m-%d").to_string()
    }

    /// Seconds until that day ends, but for a day whose clock is changed.
    pub(crate) fn left_of_day_s(&self, ms: i64) -> i64 {
        let time = self.local(ms).time();
        let (hour, minute) = (i64::from(time.hour()), i64::from(time.minute()));
        86_400 - hour * 3600 - minute * 60 - i64::from(time.second())
    }
}

/// `ms` as a timestamp; out of range gives the nearest possible.
pub(crate) fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// The vendor's way to write a date: `2026-01-02T03:04:05.000Z`.
pub(crate) fn iso(ms: i64) -> String {
    timestamp(ms).strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}
