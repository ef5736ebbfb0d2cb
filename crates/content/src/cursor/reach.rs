//! How far ahead of a reader is fetched: what it proved to need, within its share of the memory.

use std::ops::Range;
use std::time::Duration;

use debridfs_base::media::COPY_RATE;
use tokio::time::Instant;

use super::Cursor;
use crate::config::ContentConfig;
use crate::pattern::Class;
use crate::tuning::cursor::{
    FIRST_FETCH, GREEDY_RANGES, LEAST_AHEAD, LEAST_GREEDY, RATE_OVER, RATE_WITHIN, SEEMS_TO_PLAY,
};

/// Bytes a second that the reader takes when it need not wait.
#[derive(Debug)]
pub(super) struct BitRate {
    known: Option<f64>,
    since: Instant,
    run: u64,
    waited: Duration,
}

impl BitRate {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            known: None,
            since: now,
            run: 0,
            waited: Duration::ZERO,
        }
    }
}

impl Cursor {
    /// Takes note of a read by a reader of class `class`. `starved` = it has to wait although others came before it: only then more is fetched ahead. Returns
    /// whether the budget was short.
    pub(crate) fn read(
        &mut self,
        range: &Range<u64>,
        starved: bool,
        class: Class,
        config: &ContentConfig,
    ) -> bool {
        self.class = class;
        if range.end > self.read_to {
            self.run += range.end - self.read_to;
            self.read_to = range.end;
        }
        if matches!(class, Class::Playback | Class::Copy) || self.run > SEEMS_TO_PLAY {
            self.grant.plays();
        }
        if starved {
            if self.ahead == 0 {
                if range.end > self.target {
                    self.ahead = FIRST_FETCH;
                    self.grown_at = range.end;
                }
            } else if self.read_to >= self.grown_at + self.ahead {
                self.ahead *= 2;
                self.grown_at = self.read_to;
            }
        }
        self.ahead = self.ahead.min(config.read_ahead.0);
        self.target = self.target.max(range.end);
        if starved {
            self.decide(Instant::now());
        }
        self.take_rate();
        self.plan(config)
    }

    /// Learns the reader's bit rate from times in which it hardly waited, and forgets it in times in which it mostly did.
    fn take_rate(&mut self) {
        let now = Instant::now();
        let length = now.saturating_duration_since(self.rate.since);
        if length < RATE_OVER {
            return;
        }
        let total = self.crew.waited(now);
        let waited = total.saturating_sub(self.rate.waited);
        if waited * 2 > length {
            self.rate.known = None;
        } else if waited * 10 < length && length < RATE_WITHIN {
            let newest = (self.run - self.rate.run) as f64 / length.as_secs_f64();
            self.rate.known = Some(match self.rate.known {
                Some(known) => known + (newest - known) / 4.0,
                None => newest,
            });
        }
        self.rate = BitRate {
            known: self.rate.known,
            since: now,
            run: self.run,
            waited: total,
        };
    }

    /// How far ahead of the reader may be fetched: what it proved to need, bounded by the setting, by the seconds of its bit rate,
    /// by its share of the memory, and by what the reader is taken for.
    fn reach(&self, share: u64, config: &ContentConfig) -> u64 {
        if self.ahead == 0 {
            return 0;
        }
        let mut reach = self.ahead;
        if self.crew.allowed() > 1 {
            // Every connection has its range, and the next one waits for none of them.
            reach = reach.max((self.crew.allowed() as u64 + 1) * self.segment());
        }
        let mut allowed = self.class.read_ahead(self.run);
        if self.crew.allowed() > 1 {
            // One connection is slower than the reader, who is served badly enough.
            allowed = allowed.saturating_mul(2);
        }
        let useful = match self.rate.known {
            Some(rate) if rate < COPY_RATE as f64 => {
                ((rate * config.read_ahead_seconds as f64) as u64).max(SEEMS_TO_PLAY)
            }
            _ => (GREEDY_RANGES * self.crew.allowed() as u64 * self.segment()).max(LEAST_GREEDY),
        };
        reach = reach.min(useful);
        reach
            .min(config.read_ahead.0)
            .min(share.max(LEAST_AHEAD))
            .max(LEAST_AHEAD.min(config.read_ahead.0))
            .min(allowed)
    }

    /// Moves the window on and takes the budget for it. Returns whether the budget was short.
    pub(super) fn plan(&mut self, config: &ContentConfig) -> bool {
        let share = self.grant.fair_share();
        let keep = config.keep_behind.0.min(share / 8);
        let reach = self.reach(share.saturating_sub(keep), config);
        if reach > 0 {
            self.target = self.target.max(self.read_to + reach);
        }
        self.target = self.target.min(self.file_size);
        let first_wanted = self.waiters.iter().map(|waiter| waiter.range.start).min();
        let first_wanted = first_wanted.unwrap_or(u64::MAX).min(self.read_to);
        self.window
            .trim(first_wanted.min(self.read_to.saturating_sub(keep)));
        let wish = self.target.max(self.window.last()) - self.window.start();
        if self.grant.try_grow(wish) {
            self.grant.shrink(wish);
            return false;
        }
        self.window.trim(first_wanted);
        let last_wanted = self.waiters.iter().map(|waiter| waiter.range.end).max();
        let needed = last_wanted.unwrap_or(0).max(self.window.last()) - self.window.start();
        self.grant.force(needed);
        self.target = self
            .target
            .min(self.window.start() + self.grant.bytes())
            .max(self.window.last());
        true
    }

    pub(super) fn segment(&self) -> u64 {
        let fitting = self.host.as_ref().map_or(0, |host| host.pace.segment());
        fitting.max(1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::budget::Budget;

    /// How far is fetched ahead of somebody who had to wait for long, and now reads `rate` bytes a second without.
    async fn ahead_of(rate: u64) -> u64 {
        const READ: u64 = 128 << 10;
        let config = ContentConfig::default();
        let grant = Budget::new(config.memory.0).grant();
        let mut cursor = Cursor::new(1, &(0..READ), 8 << 30, grant);
        let mut at = 0;
        let mut read = |starved| {
            cursor.read(&(at..at + READ), starved, Class::Playback, &config);
            let bytes = Bytes::from_static(&[0; READ as usize]);
            cursor.window.push(at, bytes);
            at += READ;
            cursor.target - at
        };
        let mut ahead = 0;
        for _ in 0..2 * config.read_ahead.0 / READ {
            ahead = read(true);
        }
        assert_eq!(ahead, LEAST_GREEDY);
        tokio::time::advance(RATE_WITHIN).await;
        read(false);
        let begun = Instant::now();
        while begun.elapsed() < RATE_OVER * 2 {
            tokio::time::advance(Duration::from_secs(READ) / rate as u32).await;
            ahead = read(false);
        }
        ahead
    }

    #[tokio::test(start_paused = true)]
    async fn seconds_of_its_rate_are_only_for_who_may_be_watching() {
        assert_eq!(ahead_of(4_000_000).await >> 20, 30);
        for nobody_watches_so_fast in [COPY_RATE + COPY_RATE / 10, 200_000_000] {
            assert_eq!(ahead_of(nobody_watches_so_fast).await, LEAST_GREEDY);
        }
    }
}
