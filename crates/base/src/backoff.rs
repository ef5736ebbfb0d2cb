//! Waits that grow with failures.

use std::time::Duration;

/// Doubling waits between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Backoff {
    /// Waits from `first` up to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The wait after `failures` failures in a row (1 for the first one; 0 counts as 1).
    pub fn after(self, failures: u32) -> Duration {
        let factor = 1u32 << failures.saturating_sub(1).min(30);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_millis(700));
        let waits = [0, 1, 2, 3, 1000, u32::MAX].map(|failures| backoff.after(failures));
        assert_eq!(
            waits.map(|wait| wait.as_millis()),
            [200, 200, 400, 700, 700, 700]
        );
        let long = Backoff::new(Duration::from_secs(1), Duration::MAX);
        assert_eq!(long.after(u32::MAX), Duration::from_secs(1 << 30));
    }
}
