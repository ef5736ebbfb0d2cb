//! The vendor's limit of calls, in which refused calls count too.

use std::collections::VecDeque;

const WINDOW_MS: i64 = 60_000;
/// How long after a refusal the vendor may answer 35 to what is no infringement.
const PENALTY_MS: i64 = 30_000;

/// A sliding window over the last calls.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// Times of the last calls, no more than the limit.
    calls: VecDeque<i64>,
    refused_ms: Option<i64>,
}

impl Limiter {
    /// Counts a call; false if it is above `limit` calls in 60 s. `limit` 0 = no limit.
    pub(crate) fn admit(&mut self, now_ms: i64, limit: u32) -> bool {
        if limit == 0 {
            return true;
        }
        let limit = limit as usize;
        while self.calls.len() > limit {
            self.calls.pop_front();
        }
        let full = self.calls.len() == limit;
        let admitted = !full
            || self
                .calls
                .front()
                .is_none_or(|oldest| now_ms - oldest >= WINDOW_MS);
        if full {
            self.calls.pop_front();
        }
        self.calls.push_back(now_ms);
        if !admitted {
            self.refused_ms = Some(now_ms);
        }
        admitted
    }

    pub(crate) fn in_penalty(&self, now_ms: i64) -> bool {
        self.refused_ms.is_some_and(|at| now_ms - at < PENALTY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_minute_holds_so_many_calls_and_refused_ones_count() {
        let mut limiter = Limiter::default();
        for i in 0..250 {
            assert!(limiter.admit(i * 10, 250), "{i}");
        }
        assert!(!limiter.admit(59_999, 250));
        assert!(limiter.in_penalty(60_000));
        // The first call has left the window, but the refused one has come in.
        assert!(limiter.admit(60_010, 250));
        // Hammering keeps the account shut.
        let mut limiter = Limiter::default();
        for i in 0..10_000 {
            let admitted = limiter.admit(i * 100, 250);
            assert_eq!(admitted, i < 250, "{i}");
        }
        assert!(limiter.admit(10_000 * 100 + WINDOW_MS, 250));
    }
}
