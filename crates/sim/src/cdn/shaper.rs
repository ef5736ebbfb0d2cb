//! Bandwidth: a rate that many transfers share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets bytes pass at a rate. Nothing is saved up over idle times.
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
        let rate = self.rate();
        if rate == 0 {
            return;
        }
        let until = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let start = free.map_or(now, |free| free.max(now));
            let until = start + Duration::from_secs_f64(bytes as f64 / rate as f64);
            *free = Some(until);
            until
        };
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time() {
        let shaper = Shaper::new(1000);
        let start = Instant::now();
        tokio::join!(shaper.pass(1000), shaper.pass(2000));
        assert_eq!(start.elapsed().as_millis(), 3000);
        shaper.set_rate(0);
        shaper.pass(1 << 40).await;
        assert_eq!(start.elapsed().as_millis(), 3000);
    }
}
