//! How quick a host was so far, and what follows from it: how far ahead waiting beats a new request, and how large a range is
//! worth one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Weight of the newest measurement in the averages.
const NEWEST: f64 = 0.25;
/// A transfer of fewer bytes says little about the rate: it came out of buffers.
const LEAST_MOVED: u64 = 512 << 10;
/// The longest way forward that is waited for (hf-mount's and mountpoint-s3's constant).
const LONGEST_PATIENCE: u64 = 16 << 20;
/// One range of several that are fetched at once.
const LEAST_SEGMENT: u64 = 1 << 20;
const LARGEST_SEGMENT: u64 = 4 << 20;
/// A range is so many times what one connection brings in the time an answer takes to begin, so that waiting for answers takes less
/// than half of a connection's time.
const SEGMENT_OVER_LATENCY: f64 = 1.25;

/// Measurements of one host.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Average time to the first byte in seconds.
    first_byte: Option<f64>,
    /// Average bytes a second of one transfer.
    rate: Option<f64>,
}

fn average(known: Option<f64>, newest: f64) -> Option<f64> {
    Some(known.map_or(newest, |known| known + NEWEST * (newest - known)))
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer began so long after its request.
    pub(crate) fn answered(&self, after: Duration) {
        let mut state = self.lock();
        state.first_byte = average(state.first_byte, after.as_secs_f64());
    }

    /// A transfer that nothing held up on our side brought `bytes` in `time`.
    pub(crate) fn moved(&self, bytes: u64, time: Duration) {
        if bytes >= LEAST_MOVED && !time.is_zero() {
            let mut state = self.lock();
            state.rate = average(state.rate, bytes as f64 / time.as_secs_f64());
        }
    }

    /// The usual time to the first byte; zero when nothing is known.
    pub(crate) fn first_byte(&self) -> Duration {
        Duration::from_secs_f64(self.lock().first_byte.unwrap_or_default())
    }

    /// Bytes that one connection brings in the time an answer takes to begin.
    fn latency_bytes(&self) -> u64 {
        let state = self.lock();
        (state.rate.unwrap_or_default() * state.first_byte.unwrap_or_default()) as u64
    }

    /// So many bytes come sooner over a connection that is bringing them than over a new one.
    pub(crate) fn patience(&self) -> u64 {
        self.latency_bytes().min(LONGEST_PATIENCE)
    }

    /// Bytes of one range when several are fetched at once.
    pub(crate) fn segment(&self) -> u64 {
        let wish = self.latency_bytes() as f64 * SEGMENT_OVER_LATENCY;
        (wish as u64).clamp(LEAST_SEGMENT, LARGEST_SEGMENT)
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
        assert_eq!((pace.patience(), pace.segment()), (2_000_000, 2_500_000));
        pace.moved(100, Duration::from_secs(100));
        assert_eq!(pace.patience(), 2_000_000);
        for _ in 0..100 {
            pace.moved(10_000_000_000, Duration::from_secs(1));
        }
        assert_eq!(
            (pace.patience(), pace.segment()),
            (LONGEST_PATIENCE, LARGEST_SEGMENT)
        );
    }
}
