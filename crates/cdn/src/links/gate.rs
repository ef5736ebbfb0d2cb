//! Who may ask a provider that is not well: one at a time, about once a second, whatever it says about how long it will take. So its
//! recovery is noticed within a second, and a thousand readers are no storm.

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::error::Cause;
use crate::tuning::links::{TRIAL_INTERVAL, TRIAL_PATIENCE};

/// One provider's gate.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Why it is closed.
    trouble: Option<Cause>,
    next_trial: Option<Instant>,
    trying: Option<Instant>,
}

/// What a caller may do.
#[derive(Debug)]
pub(super) enum Asked {
    /// Ask the provider; [`Gate::open`] or [`Gate::close`] tells how it went.
    Go,
    /// Somebody tries just now: wait for [`Gate::opening`].
    Trying,
    /// The provider is not to be asked before `until`.
    Closed { cause: Cause, until: Instant },
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether the provider is not well.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().trouble.is_some()
    }

    /// Asks for leave.
    pub(super) fn ask(&self) -> Asked {
        let mut state = self.lock();
        let Some(cause) = state.trouble.clone() else {
            return Asked::Go;
        };
        let now = Instant::now();
        match (state.trying, state.next_trial) {
            (Some(since), _) if now < since + TRIAL_PATIENCE => Asked::Trying,
            // A trial that takes long is left to itself; it was the one of this interval.
            (_, Some(until)) if now < until => Asked::Closed { cause, until },
            (Some(_), _) => Asked::Closed {
                cause,
                until: now + TRIAL_INTERVAL,
            },
            (None, _) => {
                state.trying = Some(now);
                state.next_trial = Some(now + TRIAL_INTERVAL);
                Asked::Go
            }
        }
    }

    /// Resolves when a trial has ended, or has taken too long to be waited for.
    pub(super) fn opening(&self) -> impl Future<Output = ()> + '_ {
        let changed = self.changed.notified();
        async move {
            // Either way the gate is asked again.
            let _ = timeout(TRIAL_PATIENCE, changed).await;
        }
    }

    /// The provider answered. Returns whether it was not well before.
    pub(super) fn open(&self) -> bool {
        let before = std::mem::take(&mut *self.lock());
        self.changed.notify_waiters();
        before.trouble.is_some()
    }

    /// The provider is not well.
    pub(super) fn close(&self, cause: Cause) {
        let mut state = self.lock();
        state.trouble = Some(cause);
        state.trying = None;
        state.next_trial = Some(Instant::now() + TRIAL_INTERVAL);
        drop(state);
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn trouble() -> Cause {
        Cause::Transport("down".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn one_tries_and_all_go_on_when_it_is_well() {
        let gate = Gate::default();
        assert!(matches!(gate.ask(), Asked::Go));
        gate.close(trouble());
        let Asked::Closed { until, .. } = gate.ask() else {
            panic!("closed");
        };
        assert!(until <= Instant::now() + Duration::from_secs(1));
        tokio::time::sleep_until(until).await;
        assert!(matches!(gate.ask(), Asked::Go));
        let opening = gate.opening();
        assert!(matches!(gate.ask(), Asked::Trying));
        gate.open();
        let begun = Instant::now();
        opening.await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(matches!(gate.ask(), Asked::Go) && matches!(gate.ask(), Asked::Go));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_without_end_is_not_waited_for() {
        let gate = Gate::default();
        gate.close(trouble());
        tokio::time::sleep(TRIAL_INTERVAL).await;
        assert!(matches!(gate.ask(), Asked::Go));
        gate.opening().await;
        assert!(matches!(gate.ask(), Asked::Closed { .. }));
    }
}
