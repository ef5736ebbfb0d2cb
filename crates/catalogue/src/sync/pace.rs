//! How fast a count grows, as measured.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What is older says nothing about now. Longer than the window in which providers count calls, which go out in bursts.
const WINDOW: Duration = Duration::from_secs(120);
/// Least time between two measurements that are kept.
const EVERY: Duration = Duration::from_secs(1);
/// Least time to tell anything from.
const LEAST: Duration = Duration::from_secs(5);

/// Measurements of one count, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Pace(VecDeque<(Instant, usize)>);

impl Pace {
    /// Notes that the count is `done` now.
    pub(crate) fn note(&mut self, done: usize, now: Instant) {
        while self.0.len() > 1 && now.duration_since(self.0[1].0) >= WINDOW {
            self.0.pop_front();
        }
        let fresh = |(at, _): &(Instant, usize)| now.duration_since(*at) < EVERY;
        // The first one stays: time is counted from it.
        if self.0.len() > 1 && self.0.back().is_some_and(fresh) {
            self.0.pop_back();
        }
        self.0.push_back((now, done));
    }

    /// Seconds until `left` more are done; `None` while nothing can be told.
    pub(crate) fn seconds_left(&self, left: usize, now: Instant) -> Option<u64> {
        let ((began, first), (_, last)) = (self.0.front()?, self.0.back()?);
        let took = now.duration_since(*began);
        let grown = last.checked_sub(*first).filter(|grown| *grown > 0)?;
        (took >= LEAST).then(|| (took.as_secs_f64() * left as f64 / grown as f64).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_measured() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        assert_eq!(pace.seconds_left(10, at(0)), None);
        pace.note(100, at(0));
        pace.note(100, at(30));
        assert_eq!(pace.seconds_left(10, at(30)), None, "nothing was done yet");
        let mut pace = Pace::default();
        pace.note(100, at(0));
        pace.note(110, at(1));
        assert_eq!(pace.seconds_left(10, at(1)), None, "too early to tell");
        for second in 2..=600 {
            pace.note(100 + second as usize, at(second));
        }
        assert_eq!(pace.seconds_left(300, at(600)), Some(300));
        // It stands still: the rest takes longer and longer.
        let later = pace.seconds_left(300, at(1800)).unwrap();
        assert!(later > 1000, "{later}");
        assert!(pace.0.len() < 130);
    }

    #[test]
    fn a_burst_is_no_pace() {
        let start = Instant::now();
        let mut pace = Pace::default();
        // 250 in the first seconds of each minute.
        for minute in 0..3u64 {
            for step in 0..25u64 {
                let at = start + Duration::from_millis(minute * 60_000 + step * 400);
                pace.note((minute * 250 + (step + 1) * 10) as usize, at);
            }
        }
        let now = start + Duration::from_secs(175);
        let left = pace.seconds_left(2500, now).unwrap();
        assert!((400..=900).contains(&left), "{left}: 600 s at 250 a minute");
    }
}
