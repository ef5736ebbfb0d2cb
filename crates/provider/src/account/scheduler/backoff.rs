//! What a refusal for too many calls does: a cool-down for all calls of the budget, careful first
//! calls after it, and a lower rate that grows back.
//!
//! A cool-down is never longer than the vendor declares ([`Refusals`]), and where refusals are
//! harmless a call for playback may try meanwhile: whoever asked for the pause may have been a proxy,
//! or wrong. An answer to it ends the pause for all.

use std::time::Duration;

use debridfs_base::Backoff;
use tokio::time::Instant;

use super::window::Ready;
use crate::Refusals;

/// Cool-downs when the provider names none are no longer than this, or than the first one if that is declared longer.
const LONGEST_UNNAMED: Duration = Duration::from_secs(300);
/// Between two trials of playback during a cool-down: as long as a reader waits (the default of
/// `mount.read_deadline`), so that each of them has one.
const TRIAL_SPACING: Duration = Duration::from_secs(30);
/// After a cool-down one call at a time feels its way, the next one after this long if there is no
/// answer yet.
const FEELER_SPACING: Duration = Duration::from_secs(2);
/// A refusal multiplies the rate by this…
const DECREASE: f64 = 0.7;
/// …down to this share of the limit,
const LOWEST_SHARE: f64 = 0.1;
/// and a minute without a refusal gives back this share of the limit.
const INCREASE_PER_MINUTE: f64 = 0.05;

/// The state of back-off.
#[derive(Debug)]
pub(super) struct BackOff {
    limit: f64,
    refusals: Refusals,
    /// The rate at `rate_since`; it grows from there.
    rate: f64,
    rate_since: Option<Instant>,
    cooldown_until: Option<Instant>,
    /// When a call for playback may try although calls cool down.
    trial_at: Option<Instant>,
    /// Calls granted up to this moment say nothing new when they are refused.
    last_refusal: Option<Instant>,
    refusals_in_a_row: u32,
    /// After a cool-down, until an answer that is not a refusal.
    feeling: bool,
    last_grant: Option<Instant>,
}

impl BackOff {
    pub(super) fn new(limit: u32, refusals: Refusals) -> Self {
        Self {
            limit: f64::from(limit),
            refusals,
            rate: f64::from(limit),
            rate_since: None,
            cooldown_until: None,
            trial_at: None,
            last_refusal: None,
            refusals_in_a_row: 0,
            feeling: false,
            last_grant: None,
        }
    }

    /// Calls allowed a minute at `now`: at least 1, at most the limit.
    pub(super) fn allowed(&self, now: Instant) -> usize {
        let grown = self.rate_since.map_or(0.0, |since| {
            now.saturating_duration_since(since).as_secs_f64() / 60.0
                * INCREASE_PER_MINUTE
                * self.limit
        });
        (self.rate + grown).clamp(1.0, self.limit) as usize
    }

    /// When back-off lets a call go, for `playback` or not.
    pub(super) fn ready(&self, playback: bool, in_flight: usize, now: Instant) -> Ready {
        if let Some(until) = self.held_until(playback, now) {
            return Ready::At(until);
        }
        if self.feeling && in_flight > 0 {
            let next = self.last_grant.map_or(now, |at| at + FEELER_SPACING);
            if next > now {
                return Ready::At(next);
            }
        }
        Ready::Now
    }

    /// When a cool-down lets a call go that it holds back now.
    pub(super) fn held_until(&self, playback: bool, now: Instant) -> Option<Instant> {
        let end = self.cooldown_end(now)?;
        let trial = self.trial_at.filter(|_| playback);
        let until = trial.map_or(end, |trial| trial.min(end));
        (until > now).then_some(until)
    }

    pub(super) fn granted(&mut self, now: Instant) {
        self.last_grant = Some(now);
        if self.cooldown_end(now).is_some() {
            self.trial_at = Some(now + TRIAL_SPACING);
        }
    }

    /// The call granted at `granted_at` was answered otherwise than by "too many". Whether that ended
    /// a cool-down.
    pub(super) fn answered(&mut self, granted_at: Instant, now: Instant) -> bool {
        if self.last_refusal.is_some_and(|at| granted_at <= at) {
            return false;
        }
        self.feeling = false;
        self.refusals_in_a_row = 0;
        self.end_cooldown(now)
    }

    /// Ends the cool-down, if there is one; what comes next still feels its way.
    pub(super) fn end_cooldown(&mut self, now: Instant) -> bool {
        let ended = self.cooldown_end(now).is_some();
        if ended {
            self.cooldown_until = None;
            self.rate_since = Some(now);
        }
        ended
    }

    /// The call granted at `granted_at` was refused, while `used` calls counted.
    pub(super) fn refused(
        &mut self,
        granted_at: Instant,
        retry_after: Option<Duration>,
        used: usize,
        now: Instant,
    ) {
        let news = self.last_refusal.is_none_or(|at| granted_at > at);
        if news {
            let rate = (self.allowed(now) as f64).min(used as f64) * DECREASE;
            self.rate = rate.max(self.limit * LOWEST_SHARE).clamp(1.0, self.limit);
            self.refusals_in_a_row = self.refusals_in_a_row.saturating_add(1);
            self.last_refusal = Some(now);
        }
        let first = self.refusals.first_pause;
        let unnamed = Backoff::new(first, first.max(LONGEST_UNNAMED));
        let wait = retry_after.unwrap_or_else(|| unnamed.after(self.refusals_in_a_row));
        if news || retry_after.is_some() {
            self.cool_down(wait, now);
        }
    }

    /// No call goes for `wait`, or for the longest pause there is, nor before a later end that was
    /// set already.
    pub(super) fn cool_down(&mut self, wait: Duration, now: Instant) {
        if self.cooldown_end(now).is_none() {
            self.trial_at = self.refusals.harmless.then_some(now + TRIAL_SPACING);
        }
        let until = now + wait.min(self.refusals.longest_pause);
        let until = self.cooldown_until.map_or(until, |old| old.max(until));
        self.cooldown_until = Some(until);
        self.rate_since = Some(until);
        self.feeling = true;
    }

    pub(super) fn cooldown_end(&self, now: Instant) -> Option<Instant> {
        self.cooldown_until.filter(|until| *until > now)
    }

    pub(super) fn last_refusal(&self) -> Option<Instant> {
        self.last_refusal
    }
}
