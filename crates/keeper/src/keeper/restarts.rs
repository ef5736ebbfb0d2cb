use std::time::{Duration, Instant};

use debridfs_base::Backoff;

/// Waits after engines that were of no use.
const BACK_OFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// When the next engine may be started, and why the last one ended.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// Engines in a row that were of no use.
    failures: u32,
    /// Before this none is started.
    next: Option<Instant>,
    pub last_death: Option<String>,
}

impl Restarts {
    pub fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// An engine ended, or could not be started at all. One that was of no use makes the next wait.
    pub fn ended(&mut self, reason: &str, was_of_use: bool, now: Instant) {
        self.failures = if was_of_use {
            0
        } else {
            self.failures.saturating_add(1)
        };
        self.next = Some(now + delay(self.failures));
        self.last_death = Some(reason.to_owned());
    }

    /// The next engine is another program: the failures of this one say nothing about it.
    pub fn forgive(&mut self) {
        self.failures = 0;
        self.next = None;
    }
}

fn delay(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        failures => BACK_OFF.after(failures),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_five_seconds() {
        let delays: Vec<_> = (0..9).map(|n| delay(n).as_millis()).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(delay(u32::MAX), Duration::from_secs(5));
    }
}
