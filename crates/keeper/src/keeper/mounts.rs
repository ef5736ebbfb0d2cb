use std::time::{Duration, Instant};

use debridfs_base::{Backoff, with_causes};
use debridfs_handover::MountTrouble;

use crate::KeeperError;
use crate::connection::unix_millis;

/// Pauses between attempts to mount. A device that appears is found within the longest; an attempt
/// costs root a few system calls, and a user one start of `fusermount3`.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(2));

/// The mounts of this keeper, one after the other, and the attempts to make the next.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// Number of the last one, whether it was made or taken over; 0 before the first.
    pub number: u64,
    /// Before this none is tried.
    pub next_attempt: Option<Instant>,
    failures: u32,
    trouble: Option<MountTrouble>,
}

impl Mounts {
    /// Why the last attempt failed; `None` before it and after one that succeeded.
    pub fn trouble(&self) -> Option<&MountTrouble> {
        self.trouble.as_ref()
    }

    /// An attempt failed. Returns the words for it if it failed for another reason than the one
    /// before.
    pub fn failed(&mut self, error: &KeeperError, now: Instant) -> Option<String> {
        self.failures = self.failures.saturating_add(1);
        self.next_attempt = Some(now + PAUSES.after(self.failures));
        let (reason, help) = (with_causes(error), error.help());
        let former = self.trouble.as_ref();
        if former.is_some_and(|former| former.reason == reason) {
            return None;
        }
        let since = former.map_or_else(unix_millis, |former| former.since);
        let words = format!("{reason}; {help}");
        self.trouble = Some(MountTrouble {
            reason,
            help: help.to_owned(),
            since,
        });
        Some(words)
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.next_attempt = None;
        self.trouble = None;
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_reason_is_told_once_and_attempts_get_rarer_up_to_two_seconds() {
        let mut mounts = Mounts::default();
        let now = Instant::now();
        let missing = KeeperError::NoDevice(io::Error::from_raw_os_error(libc::ENOENT));
        let refused = KeeperError::NoDevice(io::Error::from_raw_os_error(libc::EPERM));
        let words = mounts.failed(&missing, now).unwrap();
        assert!(
            words.contains("/dev/fuse") && words.contains("os error 2"),
            "{words}"
        );
        let since = mounts.trouble().unwrap().since;
        let pauses: Vec<u128> = (0..5)
            .map(|_| {
                assert_eq!(mounts.failed(&missing, now), None);
                (mounts.next_attempt.unwrap() - now).as_millis()
            })
            .collect();
        assert_eq!(pauses, [500, 1000, 2000, 2000, 2000]);
        assert!(mounts.failed(&refused, now).unwrap().contains("os error 1"));
        assert_eq!(mounts.trouble().unwrap().since, since);
        mounts.succeeded();
        assert_eq!((mounts.trouble(), mounts.next_attempt), (None, None));
    }
}
