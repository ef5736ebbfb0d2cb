//! Failed logins by caller, so that guessing is slow: one table for all fronts.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::Network;
use crate::recent::{Lines, Recent};
use crate::secret::{Digest32, digest};

/// Failures of one caller before it has to wait (qBittorrent's `web_ui_max_auth_fail_count`).
const FAILURES: u32 = 5;
/// How long it waits then. All users behind one gateway share an address, so it is short; guessing
/// is hopeless all the same.
const BAN: Duration = Duration::from_secs(60);
/// Callers whose failures are remembered, 1 MiB of them. Beyond it the oldest failure is forgotten:
/// nobody who did nothing is kept out, and whoever guesses now is counted.
const CALLERS: usize = 10_000;
/// Letters of a key that nobody guesses, however fast: 80 bits of hexadecimal digits.
const LONG: usize = 20;
/// Pairs of a caller and what it showed that was right; the one that was used longest ago goes.
const KNOWN: usize = 1000;

/// There were too many failures: this try is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// Failed logins, and what is told of them.
#[derive(Debug)]
pub struct Attempts {
    /// Failures in a row.
    failures: Mutex<Recent<Network, u32>>,
    /// What was right lately, and from where.
    known: Mutex<Recent<(Network, Digest32), ()>>,
    lines: Lines,
    failed: AtomicU64,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            failures: Mutex::new(Recent::new(CALLERS)),
            known: Mutex::new(Recent::new(KNOWN)),
            lines: Lines::default(),
            failed: AtomicU64::new(0),
        }
    }
}

impl Attempts {
    /// Counts a try as failed, before what it shows is compared: otherwise as many guesses could be
    /// made at one time as there are connections. [`Self::forgive`] takes it back.
    ///
    /// # Errors
    /// The caller has to wait. This try does not count, or one guesser would keep out everybody
    /// who shares the address.
    pub fn begin(&self, peer: Option<IpAddr>) -> Result<(), TooMany> {
        let Some(peer) = peer.map(Network::of) else {
            return Ok(());
        };
        let mut failures = self.failures.lock();
        failures.forget(BAN);
        let count = failures.get(&peer).copied().unwrap_or(0);
        if count >= FAILURES {
            return Err(TooMany);
        }
        failures.put(peer, count + 1);
        Ok(())
    }

    /// Whether the caller has to wait, so that a try would not be looked at.
    pub fn has_to_wait(&self, peer: Option<IpAddr>) -> bool {
        let Some(peer) = peer.map(Network::of) else {
            return false;
        };
        let mut failures = self.failures.lock();
        failures.forget(BAN);
        failures.get(&peer).is_some_and(|count| *count >= FAILURES)
    }

    /// The login was good.
    pub fn forgive(&self, peer: Option<IpAddr>) {
        if let Some(peer) = peer {
            self.failures.lock().remove(&Network::of(peer));
        }
    }

    /// The login to `front` was not: tells the log, once a minute for each caller.
    pub fn failed(&self, peer: Option<IpAddr>, front: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        if self.may_tell(peer) {
            tracing::warn!(
                ?peer,
                front,
                "a login failed; further failures of this caller are not logged for a minute"
            );
        }
    }

    /// Whether what a caller shows is right, as `is_good` finds out. `key` is what it shows if that
    /// is a key or a token, which comes with every call.
    ///
    /// A key that was right before from this address is looked at even while the address has to
    /// wait: somebody else behind the same gateway keeps nobody out who was in. That holds for keys
    /// that nobody guesses, so for none of under 20 letters, and for no password.
    ///
    /// # Errors
    /// The caller has to wait: `is_good` was not asked.
    pub fn judge(
        &self,
        peer: Option<IpAddr>,
        front: &str,
        key: Option<&str>,
        is_good: impl FnOnce() -> bool,
    ) -> Result<bool, TooMany> {
        let key = key.filter(|key| key.len() >= LONG);
        let shown = peer.zip(key);
        let shown = shown.map(|(peer, key)| (Network::of(peer), digest(key)));
        let known = shown.filter(|shown| self.known.lock().get(shown).is_some());
        if known.is_none() {
            self.begin(peer)?;
        }
        let good = is_good();
        if !good {
            if let Some(known) = known {
                // It was taken back: from now on it counts as any other.
                self.known.lock().remove(&known);
            }
            self.failed(peer, front);
            return Ok(false);
        }
        // What others at this address guessed is not forgiven for one that is known: its calls would
        // allow them any number.
        if known.is_none() {
            self.forgive(peer);
        }
        if let Some(shown) = shown {
            self.known.lock().put(shown, ());
        }
        Ok(true)
    }

    /// Whether the log may have a line about this caller now; for refusals of any kind.
    pub fn may_tell(&self, peer: Option<IpAddr>) -> bool {
        self.lines.may_tell(peer.map(Network::of))
    }

    /// Logins that failed since the start.
    pub fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(number).into())
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_make_one_address_wait_a_minute() {
        let attempts = Attempts::default();
        for _ in 0..FAILURES {
            assert_eq!(attempts.begin(address(1)), Ok(()));
        }
        assert_eq!(attempts.begin(address(1)), Err(TooMany));
        assert_eq!(attempts.begin(address(2)), Ok(()));
        tokio::time::advance(BAN / 2).await;
        assert_eq!(attempts.begin(address(1)), Err(TooMany));
        // What was refused did not make it longer.
        tokio::time::advance(BAN / 2).await;
        assert_eq!(attempts.begin(address(1)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_well_is_forgotten() {
        let attempts = Attempts::default();
        for _ in 0..3 * FAILURES {
            assert_eq!(attempts.begin(address(1)), Ok(()));
            attempts.forgive(address(1));
        }
        // On a unix socket there is nobody to count.
        for _ in 0..3 * FAILURES {
            assert_eq!(attempts.begin(None), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_one_ipv6_network_share_their_failures() {
        let attempts = Attempts::default();
        let at = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for last in 1..=FAILURES {
            let peer = at(&format!("2001:db8::{last}"));
            assert_eq!(attempts.begin(peer), Ok(()));
        }
        assert_eq!(attempts.begin(at("2001:db8::ffff")), Err(TooMany));
        assert_eq!(attempts.begin(at("2001:db8:0:1::1")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_table_keeps_nobody_out_and_goes_on_counting() {
        let attempts = Attempts::default();
        for number in 0..u32::try_from(CALLERS).unwrap() {
            assert_eq!(attempts.begin(address(number)), Ok(()));
        }
        let new = address(1 << 20);
        for _ in 0..FAILURES {
            assert_eq!(attempts.begin(new), Ok(()), "who did nothing may try");
        }
        assert_eq!(attempts.begin(new), Err(TooMany), "and is counted");
        assert_eq!(
            attempts.failures.lock().get(&Network::of(new.unwrap())),
            Some(&FAILURES)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_right_before_is_looked_at_whatever_others_there_guess() {
        const KEY: &str = "0123456789abcdef0123456789abcdef";
        let attempts = Attempts::default();
        let judge = |shown: &str| attempts.judge(address(1), "x", Some(shown), || shown == KEY);
        assert_eq!(judge(KEY), Ok(true));
        for _ in 0..FAILURES {
            assert_eq!(judge("wrong"), Ok(false));
            // It takes nothing back that others did.
            assert_eq!(judge(KEY), Ok(true));
        }
        assert_eq!(judge("wrong"), Err(TooMany));
        assert_eq!(judge(KEY), Ok(true));
        let elsewhere = attempts.judge(address(2), "x", Some("wrong"), || false);
        assert_eq!(elsewhere, Ok(false));
        // One that was taken back is looked at once more, and then counts as any other.
        let revoked = || attempts.judge(address(1), "x", Some(KEY), || false);
        assert_eq!(revoked(), Ok(false));
        assert_eq!(revoked(), Err(TooMany));
        assert_eq!(attempts.failures(), u64::from(FAILURES) + 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_be_guessed_waits_also_when_it_is_right() {
        for (key, right) in [
            (Some("hunter2"), "hunter2"),
            (None, "a password of any length"),
        ] {
            let attempts = Attempts::default();
            let judge = |shown: &str| attempts.judge(address(1), "x", key, || shown == right);
            assert_eq!(judge(right), Ok(true));
            for _ in 0..FAILURES {
                assert_eq!(judge("wrong"), Ok(false));
            }
            assert_eq!(judge(right), Err(TooMany), "or a guesser would be told");
        }
    }
}
