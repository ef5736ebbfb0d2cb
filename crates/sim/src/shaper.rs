//! Bandwidth: a rate that many transfers share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How much of the time that went by unused is made good: what a timer fires late, and the scheduler of a busy machine adds, so that the
/// rate is kept on average.
const MADE_GOOD: Duration = Duration::from_millis(50);

/// Lets bytes pass at a rate. No more than [`MADE_GOOD`] is saved up over idle times.
#[derive(Debug, Default)]
pub(crate) struct Shaper {
    /// Bytes a second; 0 = no limit.
    rate: AtomicU64,
    /// When the line is free again.
    free: Mutex<Option<Instant>>,
}

impl Shaper {
    pub(crate) fn new(rate: u64) -> Self {
        Self {
            rate: AtomicU64::new(rate),
            free: Mutex::default(),
        }
    }

    pub(crate) fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Relaxed);
    }

    pub(crate) fn rate(&self) -> u64 {
        self.rate.load(Relaxed)
    }

    /// Waits until `bytes` have passed.
    pub(crate) async fn pass(&self, bytes: u64) {
        if let Some(until) = self.take(bytes) {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Takes the line for `bytes`; when they have passed, if that takes any time.
    pub(crate) fn take(&self, bytes: u64) -> Option<Instant> {
        let rate = self.rate();
        if rate == 0 {
            return None;
        }
        let mut free = self.free.lock();
        let now = Instant::now();
        let earliest = now.checked_sub(MADE_GOOD).unwrap_or(now);
        let start = free.map_or(now, |free| free.max(earliest));
        let until = start + Duration::from_secs_f64(bytes as f64 / rate as f64);
        *free = Some(until);
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_late_timer_costs_no_rate() {
        let shaper = Shaper::new(1_000_000);
        let start = Instant::now();
        for _ in 0..100 {
            shaper.pass(10_000).await;
            // The task runs 3 ms later than it was told to; 10 ms were the block's.
            tokio::time::advance(Duration::from_millis(3)).await;
        }
        assert!(start.elapsed().as_millis() <= 1003, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time() {
        let shaper = Shaper::new(1000);
        let start = Instant::now();
        tokio::join!(shaper.pass(1000), shaper.pass(2000));
        assert_eq!(start.elapsed().as_millis(), 3000);
        // Time that nobody used is lost but for a little.
        tokio::time::advance(Duration::from_secs(10)).await;
        let start = Instant::now();
        shaper.pass(1000).await;
        assert_eq!(start.elapsed().as_millis(), 950);
        let start = Instant::now();
        shaper.set_rate(0);
        shaper.pass(1 << 40).await;
        assert_eq!(start.elapsed().as_millis(), 0);
    }
}
