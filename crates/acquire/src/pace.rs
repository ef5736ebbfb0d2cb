//! How many files are downloaded at a time and how fast, all of them together.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Files being fetched at a time, of all jobs.
pub(crate) const FILES: usize = 3;

/// A limit of bytes a second.
#[derive(Debug)]
pub(crate) struct Pace {
    /// 0 = none.
    rate: u64,
    /// When what was let pass so far is over.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(rate: u64) -> Self {
        Self {
            rate,
            next: Mutex::new(None),
        }
    }

    /// Waits until `bytes` more may be fetched.
    pub(crate) async fn take(&self, bytes: u64) {
        if self.rate == 0 {
            return;
        }
        let time = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        let start = {
            let mut next = self.next.lock();
            let now = Instant::now();
            let start = next.map_or(now, |next| next.max(now));
            *next = Some(start + time);
            start
        };
        sleep_until(start).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_by_all_together() {
        let pace = Pace::new(1000);
        let started = Instant::now();
        let one = async {
            for _ in 0..10 {
                pace.take(500).await;
            }
        };
        let other = async {
            for _ in 0..10 {
                pace.take(500).await;
            }
        };
        tokio::join!(one, other);
        // The first passes at once: 19 halves of a second lie between it and the last.
        let took = started.elapsed().as_secs_f64();
        assert!((9.4..9.7).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nobody_waits_and_none_is_saved_up() {
        let started = Instant::now();
        Pace::new(0).take(u64::MAX).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        let pace = Pace::new(100);
        pace.take(100).await;
        tokio::time::advance(Duration::from_secs(1000)).await;
        let started = Instant::now();
        pace.take(100).await;
        pace.take(100).await;
        assert_eq!(started.elapsed().as_millis() / 10, 100);
    }
}
