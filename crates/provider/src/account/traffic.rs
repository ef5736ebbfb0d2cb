//! Bytes fetched with a key since the provider's midnight, and what may still be fetched.
//!
//! Every byte from a CDN is counted here as it comes. What other programs fetch with the same
//! account is learnt from the provider's own counter ([`KeyTraffic::provider_said`]). Counts
//! outlive the process ([`ledger`]).

mod ledger;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

pub(crate) use self::ledger::TrafficLedger;
use crate::{KeyId, Priority};
use debridfs_base::{Backoff, WallClock};

/// A key that is said to be out of traffic may be tried again immediately if there is no other:
/// perhaps a CDN server said so, and the API knows better. After the next such answer it is left
/// alone for this long, as its traffic may be reset at another time than expected.
const TRIALS: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(15 * 60));

/// What the configuration allows a key to fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TrafficLimits {
    /// Bytes a day; `None` = only the provider limits.
    pub(crate) daily: Option<u64>,
    /// The last share of `daily`, in percent (0 to 100), that is kept for playback.
    pub(crate) reserve_percent: u8,
}

impl TrafficLimits {
    /// From so many bytes on, only playback may fetch.
    fn playback_only_from(self) -> Option<u64> {
        let kept = u64::from(100 - self.reserve_percent.min(100));
        // Percent first: a limit near 2^64 must not overflow.
        self.daily
            .map(|daily| daily / 100 * kept + daily % 100 * kept / 100)
    }
}

/// Why a key may fetch nothing now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// The provider said so.
    #[error("the provider says that the traffic of key {key} is used up; it resets at {until}")]
    UsedUp {
        /// Which key.
        key: KeyId,
        /// The provider's next midnight.
        until: Timestamp,
    },
    /// The configured limit of a day is reached.
    #[error("the configured daily_traffic of key {key} is used up; it resets at {until}")]
    Limit {
        /// Which key.
        key: KeyId,
        /// The provider's next midnight.
        until: Timestamp,
    },
    /// What is left of the day is kept for playback.
    #[error(
        "what is left of the daily_traffic of key {key} is kept for playback; it resets at {until}"
    )]
    Reserve {
        /// Which key.
        key: KeyId,
        /// The provider's next midnight.
        until: Timestamp,
    },
}

impl Shortage {
    /// When it is over at the latest.
    pub fn until(&self) -> Timestamp {
        match self {
            Self::UsedUp { until, .. }
            | Self::Limit { until, .. }
            | Self::Reserve { until, .. } => *until,
        }
    }
}

/// A key's day, for `status` and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TrafficStatus {
    /// Bytes this program fetched since the provider's midnight.
    pub counted: u64,
    /// Bytes fetched in all, other programs' included as far as the provider told.
    pub used: u64,
    /// The configured limit of a day.
    pub limit: Option<u64>,
    /// Only playback may fetch.
    pub playback_only: bool,
    /// Nothing may be fetched before `resets`.
    pub used_up: bool,
    /// The provider's next midnight.
    pub resets: Timestamp,
}

/// Counts and judges one key's traffic. Clones share everything.
#[derive(Clone)]
pub struct KeyTraffic {
    shared: Arc<Shared>,
}

struct Shared {
    key: KeyId,
    limits: TrafficLimits,
    clock: Arc<dyn WallClock>,
    zone: TimeZone,
    ledger: Option<TrafficLedger>,
    state: Mutex<State>,
}

/// One day of a key, as it is kept in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Day {
    /// In the provider's zone.
    date: Date,
    /// Bytes counted here.
    counted: u64,
    /// Bytes that others fetched with the key.
    #[serde(default)]
    others: u64,
    /// The provider said that there is no more.
    #[serde(default)]
    used_up: bool,
}

struct State {
    day: Day,
    ends: Timestamp,
    next_trial: Timestamp,
    /// Refusals without a byte in between.
    refusals: u32,
    /// `counted` when the provider was asked last; `None` = not yet.
    asked_at: Option<u64>,
}

impl KeyTraffic {
    /// The traffic of `key`, from what `ledger` remembers of today. `zone` is where the provider's
    /// days begin at midnight.
    pub(crate) fn new(
        key: KeyId,
        limits: TrafficLimits,
        clock: Arc<dyn WallClock>,
        zone: TimeZone,
        ledger: Option<TrafficLedger>,
    ) -> Self {
        let now = clock.now();
        let (today, ends) = day_of(now, &zone);
        let day = ledger
            .as_ref()
            .and_then(|ledger| ledger.day(&key))
            .filter(|day| day.date == today)
            .unwrap_or_else(|| Day::new(today));
        let state = Mutex::new(State {
            day,
            ends,
            // A restart is no reason to ask a provider again that refused a moment ago.
            next_trial: now.saturating_add(TRIALS.first).unwrap_or(now),
            refusals: 0,
            asked_at: None,
        });
        Self {
            shared: Arc::new(Shared {
                key,
                limits,
                clock,
                zone,
                ledger,
                state,
            }),
        }
    }

    /// Which key this is.
    pub fn key(&self) -> &KeyId {
        &self.shared.key
    }

    /// The state of today, and now.
    fn today(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let shared = &self.shared;
        let now = shared.clock.now();
        // No code that holds the lock can panic half-way through a change.
        let mut state = shared.state.lock();
        if now >= state.ends {
            let (today, ends) = day_of(now, &shared.zone);
            state.day = Day::new(today);
            state.ends = ends;
            state.refusals = 0;
            state.asked_at = None;
        }
        (state, now)
    }

    fn keep(&self, day: &Day) {
        if let Some(ledger) = &self.shared.ledger {
            ledger.keep(&self.shared.key, day.clone());
        }
    }

    /// Counts `bytes` that came; whether more may come.
    pub fn add(&self, bytes: u64) -> bool {
        let (mut state, _) = self.today();
        state.day.counted = state.day.counted.saturating_add(bytes);
        if !state.day.used_up {
            state.refusals = 0;
        }
        self.keep(&state.day);
        let used = state.day.used();
        self.shared.limits.daily.is_none_or(|daily| used < daily)
    }

    /// Whether the key may be used by a caller of this urgency.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, priority: Priority) -> Result<(), Shortage> {
        let (state, _) = self.today();
        let (key, until) = (self.shared.key.clone(), state.ends);
        let used = state.day.used();
        let limits = self.shared.limits;
        if state.day.used_up {
            Err(Shortage::UsedUp { key, until })
        } else if limits.daily.is_some_and(|daily| used >= daily) {
            Err(Shortage::Limit { key, until })
        } else if priority != Priority::Playback
            && limits.playback_only_from().is_some_and(|from| used >= from)
        {
            Err(Shortage::Reserve { key, until })
        } else {
            Ok(())
        }
    }

    /// The provider or its CDN refused: the traffic is used up.
    pub fn refused(&self) {
        let (mut state, now) = self.today();
        if !state.day.used_up {
            tracing::warn!(key = %self.shared.key, until = %state.ends, "a key is out of traffic");
        }
        state.day.used_up = true;
        let wait = match state.refusals {
            0 => Duration::ZERO,
            more => TRIALS.after(more),
        };
        state.refusals = state.refusals.saturating_add(1);
        state.next_trial = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        self.keep(&state.day);
    }

    /// Whether a key that the provider refused may be tried once now; the next trial is a while
    /// later.
    pub(crate) fn take_trial(&self) -> bool {
        let (mut state, now) = self.today();
        let due = state.day.used_up && now >= state.next_trial;
        if due {
            state.next_trial = now.saturating_add(TRIALS.first).unwrap_or(Timestamp::MAX);
        }
        due
    }

    /// The provider makes links with the key: there is traffic again.
    pub(crate) fn accepted(&self) {
        let (mut state, _) = self.today();
        if std::mem::replace(&mut state.day.used_up, false) {
            tracing::info!(key = %self.shared.key, "a key has traffic again");
            self.keep(&state.day);
        }
    }

    /// The provider's own counter stood at `bytes` for `date`, its day. It may lag behind ours,
    /// which then holds.
    pub fn provider_said(&self, date: Date, bytes: u64) {
        let (mut state, _) = self.today();
        if state.day.date == date {
            state.day.others = bytes.saturating_sub(state.day.counted);
            self.keep(&state.day);
        }
    }

    /// Today, in the provider's zone.
    pub fn date(&self) -> Date {
        self.today().0.day.date
    }

    /// Whether there is a reason to ask the provider for its counter: a limit to hold, or bytes
    /// since the last time. Counts as asked.
    pub(crate) fn wants_reading(&self) -> bool {
        let (mut state, _) = self.today();
        let counted = state.day.counted;
        let before = state.asked_at.replace(counted);
        match before {
            None => self.shared.limits.daily.is_some() || counted > 0,
            Some(before) => self.shared.limits.daily.is_some() || counted > before,
        }
    }

    /// How the day stands.
    pub fn status(&self) -> TrafficStatus {
        let (state, _) = self.today();
        let used = state.day.used();
        let limits = self.shared.limits;
        TrafficStatus {
            counted: state.day.counted,
            used,
            limit: limits.daily,
            playback_only: limits.playback_only_from().is_some_and(|from| used >= from),
            used_up: state.day.used_up || limits.daily.is_some_and(|daily| used >= daily),
            resets: state.ends,
        }
    }
}

impl Day {
    fn new(date: Date) -> Self {
        Self {
            date,
            counted: 0,
            others: 0,
            used_up: false,
        }
    }

    fn used(&self) -> u64 {
        self.counted.saturating_add(self.others)
    }
}

/// The day that `now` is in, and when the next one begins.
fn day_of(now: Timestamp, zone: &TimeZone) -> (Date, Timestamp) {
    let date = now.to_zoned(zone.clone()).date();
    let ends = date
        .tomorrow()
        .and_then(|next| next.to_zoned(zone.clone()))
        .map_or(Timestamp::MAX, |next| next.timestamp());
    (date, ends)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Hand(AtomicI64);

    impl WallClock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
        }
    }

    impl Hand {
        fn at(text: &str) -> Arc<Self> {
            let hand = Self::default();
            hand.set(text);
            Arc::new(hand)
        }
        fn set(&self, text: &str) {
            let at: Timestamp = text.parse().unwrap();
            self.0.store(at.as_second(), Ordering::Relaxed);
        }
    }

    fn traffic(clock: &Arc<Hand>, daily: Option<u64>, ledger: Option<TrafficLedger>) -> KeyTraffic {
        KeyTraffic::new(
            KeyId::of_token("T"),
            TrafficLimits {
                daily,
                reserve_percent: 10,
            },
            clock.clone(),
            TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(),
            ledger,
        )
    }

    #[test]
    fn playback_only_near_the_limit_nothing_above_and_anew_at_the_providers_midnight() {
        // Winter: midnight in Paris is 23:00 UTC.
        let clock = Hand::at("2026-11-21T22:59:00Z");
        let traffic = traffic(&clock, Some(1000), None);
        assert!(traffic.add(899));
        assert_eq!(traffic.check(Priority::Probe), Ok(()));
        assert!(traffic.add(1));
        assert!(matches!(
            traffic.check(Priority::Probe),
            Err(Shortage::Reserve { .. })
        ));
        assert_eq!(traffic.check(Priority::Playback), Ok(()));
        assert!(!traffic.add(100));
        let short = traffic.check(Priority::Playback).unwrap_err();
        assert!(matches!(short, Shortage::Limit { .. }), "{short}");
        assert_eq!(short.until().to_string(), "2026-11-21T23:00:00Z");
        clock.set("2026-11-21T23:00:00Z");
        assert_eq!(traffic.check(Priority::Probe), Ok(()));
        let status = traffic.status();
        assert_eq!((status.used, status.used_up), (0, false));
        assert_eq!(status.resets.to_string(), "2026-11-22T23:00:00Z");
        // Summer: 22:00 UTC.
        clock.set("2026-07-01T21:59:59Z");
        let summer = self::traffic(&clock, None, None);
        assert_eq!(summer.status().resets.to_string(), "2026-07-01T22:00:00Z");
    }

    #[test]
    fn what_others_fetch_counts_and_a_lagging_counter_does_not_undo_ours() {
        let clock = Hand::at("2026-11-21T12:00:00Z");
        let traffic = traffic(&clock, Some(1000), None);
        traffic.add(300);
        traffic.provider_said(traffic.date(), 200);
        assert_eq!(traffic.status().used, 300);
        traffic.provider_said(traffic.date(), 700);
        traffic.add(100);
        let status = traffic.status();
        assert_eq!((status.counted, status.used), (400, 800));
        traffic.provider_said("2026-11-20".parse().unwrap(), 5000);
        assert_eq!(traffic.status().used, 800);
    }

    #[test]
    fn a_key_called_empty_is_tried_again_rarely_and_is_well_when_it_works() {
        let clock = Hand::at("2026-11-21T12:00:00Z");
        let traffic = traffic(&clock, None, None);
        traffic.refused();
        assert!(matches!(
            traffic.check(Priority::Playback),
            Err(Shortage::UsedUp { .. })
        ));
        assert!(traffic.take_trial());
        assert!(!traffic.take_trial());
        // The API made a link, but the CDN refused again.
        for seconds in [10, 20, 40, 80, 160, 320, 640, 900, 900] {
            traffic.accepted();
            traffic.refused();
            let from = clock.0.load(Ordering::Relaxed);
            clock.0.store(from + seconds - 1, Ordering::Relaxed);
            assert!(!traffic.take_trial(), "{seconds}");
            clock.0.store(from + seconds, Ordering::Relaxed);
            assert!(traffic.take_trial(), "{seconds}");
        }
        traffic.accepted();
        assert_eq!(traffic.check(Priority::Playback), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn counts_outlive_the_process_and_yesterdays_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("traffic");
        let clock = Hand::at("2026-11-21T12:00:00Z");
        let open = || Some(TrafficLedger::open(&path, Timestamp::UNIX_EPOCH));
        // Written soon after a change, without a goodbye.
        let written = async |text: &str| {
            while !std::fs::read_to_string(&path).is_ok_and(|found| found.contains(text)) {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let first = traffic(&clock, None, open());
        first.add(1234);
        written("1234").await;
        let second = traffic(&clock, None, open());
        assert_eq!(second.status().counted, 1234);
        second.refused();
        written("true").await;
        let third = traffic(&clock, None, open());
        assert!(third.status().used_up);
        clock.set("2026-11-22T12:00:00Z");
        let next_day = traffic(&clock, None, open());
        let status = next_day.status();
        assert_eq!((status.counted, status.used_up), (0, false));
    }

    #[test]
    fn limits_are_exact_and_do_not_overflow() {
        let from = |daily, reserve_percent| {
            let limits = TrafficLimits {
                daily: Some(daily),
                reserve_percent,
            };
            limits.playback_only_from().unwrap()
        };
        assert_eq!(from(1000, 10), 900);
        assert_eq!(from(99, 50), 49);
        assert_eq!(from(u64::MAX, 0), u64::MAX);
        assert_eq!(from(u64::MAX, 100), 0);
        assert_eq!(from(7, 200), 0);
    }
}
