//! How quick a host was so far, and what follows from it: how far ahead waiting beats a new request, how large a range is worth a
//! request, and when an answer is late.

use std::collections::VecDeque;
use std::time::Duration;

use crate::tuning::pace::{
    ENOUGH, HEDGES_EARNED, LARGEST_SEGMENT, LEAST_HEDGE, LEAST_LONG, LEAST_MOVED, LEAST_SEGMENT,
    LEAST_SOON, LONG, LONGEST_PATIENCE, MOST_HEDGES, NEWEST, REMEMBERED, SEGMENT_OVER_LATENCY,
    SLOW, UNKNOWN_RATE,
};
use parking_lot::{Mutex, MutexGuard};

/// Measurements of one host.
#[derive(Debug, Default)]
pub struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Average time to the first byte in seconds.
    first_byte: Option<f64>,
    /// Average bytes a second of one transfer.
    rate: Option<f64>,
    /// The last times to the first byte.
    recent: VecDeque<Duration>,
    /// Second requests that may be sent.
    hedges: f64,
    /// Whether several connections brought more than one when that was tried last.
    parallel: Option<bool>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            first_byte: None,
            rate: None,
            recent: VecDeque::new(),
            hedges: 1.0,
            parallel: None,
        }
    }
}

fn average(known: Option<f64>, newest: f64) -> Option<f64> {
    Some(known.map_or(newest, |known| known + NEWEST * (newest - known)))
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// An answer began so long after its request.
    pub fn answered(&self, after: Duration) {
        let mut state = self.lock();
        state.first_byte = average(state.first_byte, after.as_secs_f64());
        if state.recent.len() == REMEMBERED {
            state.recent.pop_front();
        }
        state.recent.push_back(after);
        state.hedges = (state.hedges + HEDGES_EARNED).min(MOST_HEDGES);
    }

    /// A transfer that nothing held up on our side brought `bytes` in `time`.
    pub fn moved(&self, bytes: u64, time: Duration) {
        if bytes >= LEAST_MOVED && !time.is_zero() {
            let mut state = self.lock();
            state.rate = average(state.rate, bytes as f64 / time.as_secs_f64());
        }
    }

    /// The usual time to the first byte; zero when nothing is known.
    pub fn first_byte(&self) -> Duration {
        Duration::from_secs_f64(self.lock().first_byte.unwrap_or_default())
    }

    /// Whether a transfer that brought `bytes` in `time` is far below the usual one.
    pub(crate) fn is_slow(&self, bytes: u64, time: Duration) -> bool {
        let usual = self.lock().rate.unwrap_or(UNKNOWN_RATE);
        (bytes as f64) < usual * SLOW * time.as_secs_f64()
    }

    /// Whether a connection brings so many bytes in no more time than a new answer takes to begin. What is left of a body that is given up is
    /// for nothing: most of it has been sent.
    pub fn is_soon(&self, bytes: u64) -> bool {
        let time = self.patient_for().as_secs_f64();
        (bytes as f64) <= self.lock().rate.unwrap_or(UNKNOWN_RATE) * time
    }

    /// It was tried whether several connections bring more than one.
    pub fn judged(&self, parallel: bool) {
        self.lock().parallel = Some(parallel);
    }

    /// Whether one connection takes long to bring so many bytes, beside the time that the answer takes to begin, and several may be quicker.
    pub(crate) fn is_long(&self, bytes: u64) -> bool {
        let state = self.lock();
        let (Some(rate), Some(first_byte)) = (state.rate, state.first_byte) else {
            return false;
        };
        let least = (first_byte * LONG).max(LEAST_LONG.as_secs_f64());
        state.parallel != Some(false) && bytes as f64 > rate * least
    }

    /// How long a body that nobody waits for is let go on for the sake of its connection: as a new answer takes to begin.
    pub(crate) fn patient_for(&self) -> Duration {
        self.first_byte().max(LEAST_SOON)
    }

    /// Bytes that one connection brings in the time an answer takes to begin.
    fn latency_bytes(&self) -> u64 {
        let state = self.lock();
        (state.rate.unwrap_or_default() * state.first_byte.unwrap_or_default()) as u64
    }

    /// So many bytes come sooner over a connection that is bringing them than over a new one.
    pub fn patience(&self) -> u64 {
        self.latency_bytes().min(LONGEST_PATIENCE)
    }

    /// Bytes of one range when several are fetched at once.
    pub fn segment(&self) -> u64 {
        let wish = self.latency_bytes() as f64 * SEGMENT_OVER_LATENCY;
        (wish as u64).clamp(LEAST_SEGMENT, LARGEST_SEGMENT)
    }

    /// An answer that takes longer than 99 of 100 did is late; `None` as long as too little is known.
    pub(crate) fn late(&self) -> Option<Duration> {
        let state = self.lock();
        if state.recent.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<_> = state.recent.iter().copied().collect();
        sorted.sort_unstable();
        let slowest = sorted[(sorted.len() * 99).div_ceil(100) - 1];
        Some(slowest.max(LEAST_HEDGE))
    }

    /// Takes leave for one second request, if any was earned: one of twenty requests at most.
    pub(crate) fn take_hedge(&self) -> bool {
        let mut state = self.lock();
        let granted = state.hedges >= 1.0;
        if granted {
            state.hedges -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_and_ranges_follow_from_rate_and_latency() {
        let pace = Pace::default();
        assert_eq!((pace.patience(), pace.segment()), (0, LEAST_SEGMENT));
        pace.answered(Duration::from_millis(200));
        pace.moved(10_000_000, Duration::from_secs(1));
        assert_eq!((pace.patience(), pace.segment()), (2_000_000, 4_000_000));
        pace.moved(100, Duration::from_secs(100));
        assert_eq!(pace.patience(), 2_000_000);
        assert!(pace.is_soon(2_000_000) && !pace.is_soon(2_100_000));
        let second = Duration::from_secs(1);
        assert!(pace.is_slow(1_000_000, second) && !pace.is_slow(1_500_000, second));
        for _ in 0..100 {
            pace.moved(10_000_000_000, Duration::from_secs(1));
        }
        assert_eq!(
            (pace.patience(), pace.segment()),
            (LONGEST_PATIENCE, LARGEST_SEGMENT)
        );
    }

    #[test]
    fn a_start_is_long_where_one_connection_is_slow_and_more_may_help() {
        let pace = Pace::default();
        assert!(!pace.is_long(u64::MAX));
        pace.answered(Duration::from_millis(80));
        pace.moved(20_000_000, Duration::from_secs(1));
        assert!(pace.is_long(1_000_000) && !pace.is_long(400_000));
        pace.judged(false);
        assert!(!pace.is_long(1_000_000));
        pace.judged(true);
        assert!(pace.is_long(1_000_000));
        let near = Pace::default();
        near.answered(Duration::from_millis(1));
        near.moved(200_000_000, Duration::from_secs(1));
        assert!(!near.is_long(1_000_000));
    }

    #[test]
    fn second_requests_are_one_of_twenty_at_most() {
        let pace = Pace::default();
        let mut hedges = 0;
        for request in 1..=400 {
            pace.answered(Duration::from_millis(request % 100));
            hedges += u32::from(pace.take_hedge());
        }
        assert!((19..=21).contains(&hedges), "{hedges}");
        assert!(pace.late().unwrap() >= Duration::from_millis(97));
        let quick = Pace::default();
        quick.answered(Duration::from_millis(1));
        assert_eq!(quick.late(), None);
    }
}
