//! One budget at work: the calls that count, the back-off after refusals, and the log of both.
#![allow(
    clippy::disallowed_methods,
    reason = "the log is opened where the account is made"
)]

use std::io;
use std::path::Path;
use std::time::Duration;

use debridfs_base::state_file;
use jiff::Timestamp;
use tokio::time::Instant;

use super::Outcome;
use super::backoff::BackOff;
use super::call_log::CallLog;
use super::window::{Ready, Window};
use crate::{Budget, Priority};

/// The share of a budget that background calls can use.
const BACKGROUND_SHARE: f64 = 0.85;

/// The share of a budget up to which background calls go at once; beyond it they are spread.
const BURST_SHARE: f64 = 0.5;

/// A call that was granted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted {
    pub(super) at: Instant,
    /// Its slot in the log.
    slot: Option<u64>,
}

pub(super) struct Meter {
    pub(super) budget: Budget,
    window: Window,
    pub(super) backoff: BackOff,
    last_background: Option<Instant>,
    log: Option<CallLog>,
}

impl Meter {
    pub(super) fn new(budget: Budget) -> Self {
        let calls = budget.calls.max(1);
        Self {
            budget: Budget { calls, ..budget },
            window: Window::new(budget.per),
            backoff: BackOff::new(calls, budget.refusals),
            last_background: None,
            log: None,
        }
    }

    /// Whether calls are noted in a file.
    pub(super) fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Notes calls in the file at `path` from now on, and counts those that it holds.
    pub(super) fn open_log(&mut self, path: &Path, unix_ms: u64, now: Instant) -> io::Result<()> {
        let slots = u64::from(self.budget.calls)
            .saturating_mul(4)
            .clamp(64, 65_536);
        let open = || CallLog::open(path, slots, unix_ms, self.budget.per);
        let (log, remembered) = match open() {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let now = Timestamp::from_millisecond(unix_ms.cast_signed()).unwrap_or_default();
                state_file::move_aside(path, &[], &error, now)?;
                open()?
            }
            opened => opened?,
        };
        for at in remembered.calls {
            // A call that no longer counts may be as old as it likes; a monotonic clock does not
            // reach far back.
            let age = Duration::from_millis(unix_ms.saturating_sub(at)).min(self.window.charge());
            self.window.insert(now.checked_sub(age).unwrap_or(now));
        }
        let rest = Duration::from_millis(remembered.cooldown_until.saturating_sub(unix_ms));
        if !rest.is_zero() {
            self.backoff.cool_down(rest, now);
        }
        self.log = Some(log);
        Ok(())
    }

    /// When this budget lets a call go.
    pub(super) fn ready(&mut self, priority: Priority, now: Instant) -> Ready {
        let playback = priority == Priority::Playback;
        let background = is_background(priority);
        match self.backoff.ready(playback, self.window.in_flight(), now) {
            Ready::Now => {}
            later => return later,
        }
        if self.window.in_flight() >= self.budget.in_flight.max(1) as usize {
            return Ready::OnAnswer;
        }
        let cap = self.cap(background, now);
        match self.window.ready(cap, 0, now) {
            Ready::Now if background => {}
            other => return other,
        }
        let burst = ((f64::from(self.budget.calls) * BURST_SHARE) as usize).min(cap);
        if self.window.used(now) < burst {
            return Ready::Now;
        }
        let spacing = self.budget.per.div_f64(cap as f64);
        match self.last_background.map(|at| at + spacing) {
            Some(next) if next > now => Ready::At(next),
            _ => Ready::Now,
        }
    }

    /// How long a call would wait for this budget, with `ahead` calls before it, as far as is
    /// known.
    pub(super) fn wait(&mut self, priority: Priority, ahead: usize, now: Instant) -> Duration {
        let playback = priority == Priority::Playback;
        if let Some(until) = self.backoff.held_until(playback, now) {
            return until - now;
        }
        let cap = self.cap(is_background(priority), now);
        match self.window.ready(cap, ahead, now) {
            Ready::Now => Duration::ZERO,
            Ready::At(at) => at - now,
            Ready::OnAnswer => self.budget.per,
        }
    }

    /// Calls that may count: for background callers a share, and at least 1.
    fn cap(&self, background: bool, now: Instant) -> usize {
        let allowed = self.backoff.allowed(now);
        match background {
            true => ((allowed as f64 * BACKGROUND_SHARE) as usize).max(1),
            false => allowed,
        }
    }

    pub(super) fn grant(&mut self, priority: Priority, now: Instant, unix_ms: u64) -> Granted {
        self.window.grant();
        self.backoff.granted(now);
        if is_background(priority) {
            self.last_background = Some(now);
        }
        let slot = self.log.as_mut().map(|log| log.begin(unix_ms));
        Granted { at: now, slot }
    }

    /// The call was not made.
    pub(super) fn refund(&mut self, call: Granted) {
        self.window.refund();
        if let (Some(slot), Some(log)) = (call.slot, self.log.as_mut()) {
            log.forget(slot);
        }
    }

    /// The call has ended. A refusal is held against this budget if it is `blamed`.
    pub(super) fn settle(
        &mut self,
        call: Granted,
        outcome: Outcome,
        blamed: bool,
        now: Instant,
        unix_ms: u64,
    ) {
        let used = self.window.used(now);
        self.window.settle(now);
        if let (Some(slot), Some(log)) = (call.slot, self.log.as_mut()) {
            log.end(slot, unix_ms);
        }
        match outcome {
            Outcome::Answered => {
                if self.backoff.answered(call.at, now) {
                    self.note_cooldown(0);
                }
            }
            Outcome::NoAnswer => {}
            Outcome::Refused { .. } if !blamed => {}
            Outcome::Refused { retry_after } => {
                self.backoff.refused(call.at, retry_after, used, now);
                if let Some(until) = self.backoff.cooldown_end(now) {
                    let rest = u64::try_from((until - now).as_millis()).unwrap_or(u64::MAX);
                    self.note_cooldown(unix_ms.saturating_add(rest));
                }
            }
        }
    }

    /// Ends the cool-down, if there is one.
    pub(super) fn end_cooldown(&mut self, now: Instant) -> bool {
        let ended = self.backoff.end_cooldown(now);
        if ended {
            self.note_cooldown(0);
        }
        ended
    }

    /// A next process keeps to the cool-down until then, in Unix milliseconds; 0 for none.
    fn note_cooldown(&mut self, until_ms: u64) {
        if let Some(log) = self.log.as_mut() {
            log.cool_down(until_ms);
        }
    }

    /// Calls that count.
    pub(super) fn used(&mut self, now: Instant) -> usize {
        self.window.used(now)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.window.in_flight()
    }
}

/// Calls that get a share of a budget, so that nobody waits because of them.
fn is_background(priority: Priority) -> bool {
    match priority {
        Priority::Playback | Priority::Import | Priority::User => false,
        Priority::Refresh | Priority::Probe | Priority::Repair => true,
    }
}
