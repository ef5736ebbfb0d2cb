//! What Debrid-Link remembers of an account's calls.

use std::collections::{HashMap, VecDeque};

use super::Endpoint;
use super::settings::DebridLinkSettings;
use crate::random::Id13;

const MINUTE_MS: i64 = 60_000;

/// Calls counted, endpoints that are closed, and direct links.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    endpoints: HashMap<Endpoint, Window>,
    /// The day, and what was added on it.
    day: (String, u32),
    /// The direct link of each file, by the file's id.
    pub(super) direct: HashMap<Id13, Id13>,
}

#[derive(Debug, Default)]
struct Window {
    calls: VecDeque<i64>,
    closed_until_ms: i64,
}

impl Memory {
    /// Counts a call; false if its endpoint is closed, or is closed by it.
    pub(super) fn admit(
        &mut self,
        endpoint: Endpoint,
        now_ms: i64,
        settings: &DebridLinkSettings,
    ) -> bool {
        let window = self.endpoints.entry(endpoint).or_default();
        if now_ms < window.closed_until_ms {
            return false;
        }
        let old = |at: &i64| now_ms - at >= MINUTE_MS;
        while window.calls.front().is_some_and(old) {
            window.calls.pop_front();
        }
        let limit = settings.flood_calls as usize;
        if limit > 0 && window.calls.len() >= limit {
            window.calls.clear();
            window.closed_until_ms = now_ms + i64::from(settings.flood_s) * 1000;
            return false;
        }
        window.calls.push_back(now_ms);
        true
    }

    /// What was added on `day`.
    pub(super) fn added(&self, day: &str) -> u32 {
        if self.day.0 == day { self.day.1 } else { 0 }
    }

    /// Counts an addition on `day`.
    pub(super) fn add(&mut self, day: String) {
        let added = self.added(&day) + 1;
        self.day = (day, added);
    }
}
