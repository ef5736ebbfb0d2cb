//! How the account does: counters, the last error, and a pause after a refused token.

use std::collections::BTreeMap;
use std::time::Duration;

use debridfs_base::Backoff;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::caller::Failure;
use crate::{CallCount, Error, Verdict};

/// Repeated failed logins get an account or an address blocked: after a refused token no call is
/// made for this long.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(300));

/// The label of a call that was answered.
const ANSWERED: &str = "answered";

#[derive(Debug, Default)]
pub(crate) struct Health {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counts: BTreeMap<&'static str, u64>,
    healthy: bool,
    last_error: Option<(Timestamp, String)>,
    pause: Option<Pause>,
    refused_tokens: u32,
}

#[derive(Debug, Clone)]
struct Pause {
    until: Instant,
    error: Error,
}

/// What is told of the calls of one key.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) healthy: bool,
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) last_error: Option<(Timestamp, String)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            counts: BTreeMap::new(),
            // Nothing speaks against it yet.
            healthy: true,
            last_error: None,
            pause: None,
            refused_tokens: 0,
        }
    }
}

impl Health {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock()
    }

    pub(crate) fn answered(&self) {
        let mut state = self.lock();
        *state.counts.entry(ANSWERED).or_default() += 1;
        state.healthy = true;
        state.refused_tokens = 0;
        state.pause = None;
    }

    pub(crate) fn failed(&self, failure: &Failure, at: Timestamp) {
        let error = &failure.error;
        let mut state = self.lock();
        *state.counts.entry(error.verdict.label()).or_default() += 1;
        state.last_error = Some((at, error.message.clone()));
        match error.verdict {
            Verdict::Retry | Verdict::BackOff | Verdict::AccountRefused | Verdict::Malformed => {
                state.healthy = false
            }
            // The provider works and says no to one thing.
            Verdict::NotFound
            | Verdict::LinkBroken
            | Verdict::FileUnavailable
            | Verdict::OutOfTraffic
            | Verdict::SlotsFull
            | Verdict::AlreadyDone
            | Verdict::Infringing
            | Verdict::Rejected
            | Verdict::NotCached
            | Verdict::BadRequest
            | Verdict::Disabled => state.healthy = true,
        }
        if failure.refuses_token {
            state.refused_tokens = state.refused_tokens.saturating_add(1);
            state.pause = Some(Pause {
                until: Instant::now() + PAUSES.after(state.refused_tokens),
                error: error.clone(),
            });
        }
    }

    /// The refusal that stands, while no call should be made.
    pub(crate) fn standing_refusal(&self) -> Option<Error> {
        let state = self.lock();
        let pause = state.pause.as_ref()?;
        let rest = pause.until.checked_duration_since(Instant::now())?;
        (!rest.is_zero()).then(|| Error {
            retry_after: Some(rest),
            ..pause.error.clone()
        })
    }

    /// There is a new token: ask at once.
    pub(crate) fn end_pause(&self) {
        self.lock().pause = None;
    }

    pub(crate) fn report(&self) -> Report {
        let state = self.lock();
        let calls = state.counts.values().sum();
        let answered = state.counts.get(ANSWERED).copied().unwrap_or(0);
        Report {
            healthy: state.healthy,
            calls,
            failures: calls - answered,
            last_error: state.last_error.clone(),
        }
    }

    pub(crate) fn counts(&self) -> Vec<CallCount> {
        let state = self.lock();
        let labels = std::iter::once(ANSWERED).chain(Verdict::ALL.map(Verdict::label));
        labels
            .map(|outcome| CallCount {
                outcome,
                calls: state.counts.get(outcome).copied().unwrap_or(0),
            })
            .collect()
    }
}
