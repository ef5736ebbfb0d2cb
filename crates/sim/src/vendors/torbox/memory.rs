//! What TorBox remembers of an account's calls.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::settings::TorBoxSettings;
use crate::library::Service;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Lists told before, and calls counted.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// When a list, or the one entry of an id, was read last, and what it was.
    pub(super) lists: HashMap<(Service, Option<u64>), (i64, Vec<Value>)>,
    creates: Window,
    uncached: Window,
    links: Window,
    locked_until_ms: i64,
}

/// A limit of calls that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limited {
    /// So many a minute.
    Minute(u32),
    /// So many an hour.
    Hour(u32),
    /// The account is locked for so many more seconds.
    Locked(u32),
}

impl Memory {
    /// The lock that is on the account.
    pub(super) fn lock(&self, now_ms: i64) -> Option<Limited> {
        let left = u64::try_from(self.locked_until_ms - now_ms).unwrap_or(0);
        (left > 0).then(|| Limited::Locked(u32::try_from(left.div_ceil(1000)).unwrap_or(u32::MAX)))
    }

    /// Counts a create.
    pub(super) fn create(&mut self, now_ms: i64, settings: &TorBoxSettings) -> Option<Limited> {
        let limit = settings.creates_per_minute;
        let admitted = self.creates.admit(now_ms, limit, MINUTE_MS);
        (!admitted).then_some(Limited::Minute(limit))
    }

    /// Counts a create of what is not cached.
    pub(super) fn uncached(&mut self, now_ms: i64, settings: &TorBoxSettings) -> Option<Limited> {
        let limit = settings.creates_per_hour;
        let admitted = self.uncached.admit(now_ms, limit, HOUR_MS);
        (!admitted).then_some(Limited::Hour(limit))
    }

    /// Counts a call of `requestdl`; one too many locks the account.
    pub(super) fn link(&mut self, now_ms: i64, settings: &TorBoxSettings) -> Option<Limited> {
        let limit = settings.links_per_5_minutes;
        if self.links.admit(now_ms, limit, 5 * MINUTE_MS) {
            return None;
        }
        self.locked_until_ms = now_ms + i64::from(settings.lock_s) * 1000;
        self.lock(now_ms)
    }
}

/// The last calls, those that were refused left out.
#[derive(Debug, Default)]
struct Window(VecDeque<i64>);

impl Window {
    fn admit(&mut self, now_ms: i64, limit: u32, window_ms: i64) -> bool {
        if limit == 0 {
            return true;
        }
        while self.0.front().is_some_and(|at| now_ms - at >= window_ms) {
            self.0.pop_front();
        }
        let admitted = self.0.len() < limit as usize;
        if admitted {
            self.0.push_back(now_ms);
        }
        admitted
    }
}
