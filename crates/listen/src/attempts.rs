//! Failed logins by address, so that guessing is slow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Failures from one address before it has to wait (qBittorrent's `web_ui_max_auth_fail_count`).
const FAILURES: u32 = 5;
/// How long it waits then. All users behind one gateway share an address, so it is short; guessing
/// is hopeless all the same.
const BAN: Duration = Duration::from_secs(60);
/// Addresses whose failures are remembered.
const ADDRESSES: usize = 10_000;

/// There were too many failures: this try is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// The failures of one front.
#[derive(Debug, Default)]
pub struct Attempts {
    /// Failures in a row by address, with the last one.
    failures: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

impl Attempts {
    /// Counts a try as failed, before what it shows is compared: otherwise as many guesses could be
    /// made at one time as there are connections. [`Self::forgive`] takes it back.
    ///
    /// # Errors
    /// The address has to wait. This try does not count, or one guesser would keep out everybody
    /// who shares the address.
    pub fn begin(&self, peer: Option<IpAddr>) -> Result<(), TooMany> {
        let Some(peer) = peer else { return Ok(()) };
        let now = Instant::now();
        let mut failures = self.failures.lock();
        failures.retain(|_, (_, last)| now - *last < BAN);
        let known = failures.len();
        match failures.get_mut(&peer) {
            Some((count, _)) if *count >= FAILURES => Err(TooMany),
            Some(failed) => {
                *failed = (failed.0 + 1, now);
                Ok(())
            }
            None if known < ADDRESSES => {
                failures.insert(peer, (1, now));
                Ok(())
            }
            None => Err(TooMany),
        }
    }

    /// The login was good.
    pub fn forgive(&self, peer: Option<IpAddr>) {
        if let Some(peer) = peer {
            self.failures.lock().remove(&peer);
        }
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
    async fn a_full_table_lets_no_new_address_guess() {
        let attempts = Attempts::default();
        for number in 0..u32::try_from(ADDRESSES).unwrap() {
            assert_eq!(attempts.begin(address(number)), Ok(()));
        }
        assert_eq!(attempts.begin(address(1 << 20)), Err(TooMany));
        assert_eq!(attempts.begin(address(7)), Ok(()), "a known one may go on");
        tokio::time::advance(BAN).await;
        assert_eq!(attempts.begin(address(1 << 20)), Ok(()));
    }
}
