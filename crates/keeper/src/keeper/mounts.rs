use std::time::{Duration, Instant};

/// Pause between attempts to mount again.
const RETRY: Duration = Duration::from_millis(250);

/// The mounts of this keeper, one after the other, and the attempts to make the next.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// Number of the last one, whether it was made or taken over; 0 before the first.
    pub number: u64,
    /// Before this none is tried.
    pub next_attempt: Option<Instant>,
    trouble: String,
}

impl Mounts {
    /// An attempt failed. Returns whether it did so for another reason than the one before.
    pub fn failed(&mut self, reason: &str, now: Instant) -> bool {
        self.next_attempt = Some(now + RETRY);
        let new = self.trouble != reason;
        reason.clone_into(&mut self.trouble);
        new
    }

    pub fn succeeded(&mut self) {
        self.trouble.clear();
    }
}
