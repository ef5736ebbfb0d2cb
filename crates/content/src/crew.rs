//! How many connections fetch for one cursor: one, unless the reader waits for it all the time and more of them bring more.

use std::time::Duration;

use crate::tuning::crew::{
    CALM, EPOCH, EPOCH_FIRST_BYTES, FAST, FIRST_EPOCH, GAIN, HOLD, LONGEST_HOLD, MOST_LANES,
};
use tokio::time::Instant;

/// The number of connections of one cursor, found by trying.
#[derive(Debug)]
pub(crate) struct Crew {
    allowed: usize,
    /// The step that is being judged: the number before it, and the rate.
    trial: Option<(usize, f64)>,
    /// How the last trial ended, until somebody asks.
    gained: Option<bool>,
    hold_until: Option<Instant>,
    hold: Duration,
    /// What was seen since `since`, which may be in the future while new connections are made.
    since: Instant,
    bytes: u64,
    paused: bool,
    waited: Waited,
    waited_before: Duration,
}

/// How long somebody waited in all.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Waited {
    begun: Option<Instant>,
    before: Duration,
}

impl Waited {
    /// Somebody waits from now on, or nobody.
    pub(crate) fn set(&mut self, waiting: bool, now: Instant) {
        match (self.begun, waiting) {
            (None, true) => self.begun = Some(now),
            (Some(begun), false) => {
                self.before += now.saturating_duration_since(begun);
                self.begun = None;
            }
            _ => {}
        }
    }

    pub(crate) fn total(&self, now: Instant) -> Duration {
        let open = self
            .begun
            .map(|begun| now.saturating_duration_since(begun))
            .unwrap_or_default();
        self.before + open
    }
}

impl Crew {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            allowed: 1,
            trial: None,
            gained: None,
            hold_until: None,
            hold: HOLD,
            since: now,
            bytes: 0,
            paused: false,
            waited: Waited::default(),
            waited_before: Duration::ZERO,
        }
    }

    /// How many connections may fetch.
    pub(crate) fn allowed(&self) -> usize {
        self.allowed
    }

    /// Somebody waits from now on, or nobody.
    pub(crate) fn waiting(&mut self, waiting: bool, now: Instant) {
        self.waited.set(waiting, now);
    }

    pub(crate) fn waited(&self, now: Instant) -> Duration {
        self.waited.total(now)
    }

    /// Whether more connections brought more, when that was judged since the last call.
    pub(crate) fn gained(&mut self) -> Option<bool> {
        self.gained.take()
    }

    /// So many bytes came.
    pub(crate) fn moved(&mut self, bytes: u64, now: Instant) {
        if now >= self.since {
            self.bytes += bytes;
        }
    }

    /// A connection had to wait for the reader.
    pub(crate) fn paused(&mut self) {
        self.paused = true;
    }

    /// One of the connections was refused: there are not to be more than the others.
    pub(crate) fn refused(&mut self, others: usize, now: Instant) {
        self.allowed = self.allowed.min(others.max(1));
        self.hold(now);
        self.restart(now);
    }

    fn hold(&mut self, now: Instant) {
        self.trial = None;
        self.hold_until = Some(now + self.hold);
        self.hold = (self.hold * 2).min(LONGEST_HOLD);
    }

    fn restart(&mut self, since: Instant) {
        self.since = since;
        self.bytes = 0;
        self.paused = false;
        self.waited_before = self.waited.total(since);
    }

    /// Judges the time since the last judgement, if it was long enough, and sets the number for the next. `first_byte`: the usual time
    /// to it; `most`: what the host has for each reader.
    pub(crate) fn decide(&mut self, now: Instant, first_byte: Duration, most: usize) {
        let most = most.clamp(1, MOST_LANES);
        if self.allowed > most {
            self.allowed = most;
            self.trial = None;
            self.restart(now);
            return;
        }
        let length = now.saturating_duration_since(self.since);
        let enough = match self.allowed {
            1 if self.trial.is_none() => FIRST_EPOCH.max(first_byte),
            _ => EPOCH.max(first_byte * EPOCH_FIRST_BYTES),
        };
        if length < enough {
            return;
        }
        let waited = self.waited.total(now).saturating_sub(self.waited_before);
        let rate = self.bytes as f64 / length.as_secs_f64();
        let starved = !self.paused && waited * 2 >= length;
        if let Some((before, rate_before)) = self.trial.take() {
            let gained = rate >= rate_before * GAIN;
            if starved {
                self.gained = Some(gained);
            }
            if starved && !gained {
                self.allowed = before.min(most);
                self.hold(now);
                self.restart(now);
                return;
            }
            self.hold = HOLD;
        }
        let held = self.hold_until.is_some_and(|until| now < until);
        let slow = rate < FAST * self.allowed as f64;
        if starved && slow && !held && self.bytes > 0 && self.allowed < most {
            self.trial = Some((self.allowed, rate));
            // One connection to four, then eight: each step costs the time to judge it.
            self.allowed = (self.allowed * 2).max(4).min(most);
            self.restart(now + first_byte * 3 / 2);
            return;
        }
        if waited * 10 < length && self.allowed > 1 {
            if length < CALM {
                return;
            }
            self.allowed /= 2;
        }
        self.restart(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST_BYTE: Duration = Duration::from_millis(50);

    /// Runs a crew for `seconds` on a line where `rate(lanes)` bytes a second come; returns the numbers of lanes it went through.
    fn run(seconds: u64, starving: bool, most: usize, rate: impl Fn(usize) -> f64) -> Vec<usize> {
        let begun = Instant::now();
        let mut crew = Crew::new(begun);
        crew.waiting(starving, begun);
        let mut seen = vec![crew.allowed()];
        for step in 0..seconds * 100 {
            let now = begun + Duration::from_millis(step * 10);
            crew.moved((rate(crew.allowed()) / 100.0) as u64, now);
            crew.decide(now, FIRST_BYTE, most);
            if seen.last() != Some(&crew.allowed()) {
                seen.push(crew.allowed());
            }
        }
        seen
    }

    #[test]
    fn more_connections_are_kept_when_they_bring_more() {
        assert_eq!(run(5, true, 8, |lanes| lanes as f64 * 10e6), [1, 4, 8]);
        assert_eq!(run(5, true, 3, |lanes| lanes as f64 * 10e6), [1, 3]);
    }

    #[test]
    fn a_line_that_is_full_gets_one_trial_now_and_then() {
        let seen = run(60, true, 8, |_| 10e6);
        // After 0, 5, 10, 20 … seconds.
        assert!(seen.starts_with(&[1, 4, 1]) && seen.len() <= 9, "{seen:?}");
        assert_eq!(
            run(5, true, 8, |lanes| 40e6_f64.min(lanes as f64 * 10e6)),
            [1, 4, 8, 4]
        );
    }

    #[test]
    fn a_fast_line_and_a_calm_reader_have_one() {
        assert_eq!(run(60, true, 8, |_| 500e6), [1]);
        assert_eq!(run(60, false, 8, |lanes| lanes as f64 * 3e6), [1]);
    }

    #[test]
    fn a_refusal_holds_and_calm_gives_back() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let mut crew = Crew::new(begun);
        crew.waiting(true, begun);
        crew.moved(2_000_000, at(100));
        crew.decide(at(300), FIRST_BYTE, 8);
        assert_eq!(crew.allowed(), 4);
        crew.refused(2, at(310));
        for step in 32..400 {
            crew.moved(1_000_000, at(step * 10));
            crew.decide(at(step * 10), FIRST_BYTE, 8);
            assert_eq!(crew.allowed(), 2);
        }
        crew.waiting(false, at(4000));
        for step in 0..1300 {
            crew.decide(at(4000 + step * 10), FIRST_BYTE, 8);
        }
        assert_eq!(crew.allowed(), 1);
    }
}
