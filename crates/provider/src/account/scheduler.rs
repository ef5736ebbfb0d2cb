//! The one scheduler: every call to a provider waits here for its turn.
//!
//! **The limit is strict.** No 60 seconds at the provider ever hold more than `calls_per_minute` calls of ours, refused ones included,
//! whatever the network delays ([`window`]) and over restarts ([`Scheduler::with_call_log`]).
//!
//! **The most urgent goes first**, within a [`Priority`] who came first. `Refresh`, `Probe` and `Repair` together get at most
//! [`BACKGROUND_SHARE`] of the limit, and past [`BURST_SHARE`] of it they are spread evenly, so that a first sync of thousands of
//! torrents never stands in the way of a reader.
//!
//! **A refusal cools everybody down** ([`backoff`]): nobody calls before the cool-down is over, then one call feels its way, and the
//! rate grows back slowly.

mod backoff;
mod call_log;
mod window;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::backoff::BackOff;
use self::call_log::CallLog;
use self::window::{CHARGE, MINUTE, Ready, Window};
use crate::Priority;
use debridfs_base::WallClock;

/// The share of the limit that background calls can use.
pub const BACKGROUND_SHARE: f64 = 0.85;

/// The share of the limit up to which background calls go at once; beyond it they are spread.
pub const BURST_SHARE: f64 = 0.5;

/// How a call that had its turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer of any kind but "too many calls".
    Answered,
    /// No answer (network, time-out): says nothing about the limit.
    NoAnswer,
    /// Refused for too many calls, with the wait that the provider asked for.
    Refused {
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
}

/// What the scheduler says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SchedulerStatus {
    /// Calls that an urgent caller may make at once.
    pub budget_left: u32,
    /// Calls allowed a minute now; below the limit for a while after a refusal.
    pub allowed_per_minute: u32,
    /// Callers that wait.
    pub waiting: usize,
    /// Calls on their way.
    pub in_flight: usize,
    /// The rest of the cool-down.
    pub cooldown: Option<Duration>,
}

/// Hands out turns. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

struct Shared {
    limit: u32,
    clock: Arc<dyn WallClock>,
    state: Mutex<State>,
}

struct State {
    window: Window,
    backoff: BackOff,
    /// By urgency, then arrival.
    queue: BTreeMap<(Priority, u64), Arc<Notify>>,
    arrivals: u64,
    last_background: Option<Instant>,
    log: Option<CallLog>,
}

impl Scheduler {
    /// A scheduler that allows `calls_per_minute` (at least 1).
    pub fn new(calls_per_minute: u32, clock: Arc<dyn WallClock>) -> Self {
        let limit = calls_per_minute.max(1);
        Self {
            shared: Arc::new(Shared {
                limit,
                clock,
                state: Mutex::new(State {
                    window: Window::default(),
                    backoff: BackOff::new(limit),
                    queue: BTreeMap::new(),
                    arrivals: 0,
                    last_background: None,
                    log: None,
                }),
            }),
        }
    }

    /// Notes every call in the file at `path` from now on (8 KiB or so, one small write a call), and counts those that an earlier
    /// process noted there: so an engine killed at any moment, as often as you like, keeps to the limit.
    ///
    /// A file that cannot be opened or written (disk full or read-only) is said in the log, and the scheduler works without it.
    ///
    /// # Errors
    /// The file is not a call log.
    pub fn with_call_log(self, path: &Path) -> io::Result<Self> {
        let now = Instant::now();
        let slots = u64::from(self.shared.limit)
            .saturating_mul(4)
            .clamp(64, 65_536);
        let (log, remembered) = match CallLog::open(path, slots, self.shared.unix_ms(now)) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(error),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "no call log; a restart may forget calls");
                return Ok(self);
            }
        };
        let mut state = self.shared.lock();
        for at in &remembered.calls {
            let at = self.shared.instant_of(*at, now);
            state.window.insert(at);
        }
        self.shared
            .restore_cooldown(&mut state, remembered.cooldown_until, now);
        state.log = Some(log);
        drop(state);
        Ok(self)
    }

    /// Waits for a turn. Dropping the future gives up the place in the queue; dropping the turn before [`Turn::start`] gives it back.
    pub async fn turn(&self, priority: Priority) -> Turn {
        let (key, notify) = self.shared.enqueue(priority);
        let mut place = Place {
            shared: &self.shared,
            key,
            granted: false,
        };
        loop {
            match self.shared.try_grant(key) {
                Attempt::Granted { slot, at } => {
                    place.granted = true;
                    return Turn {
                        shared: Arc::clone(&self.shared),
                        granted_at: at,
                        slot,
                        started: false,
                        ended: false,
                    };
                }
                Attempt::WaitUntil(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = notify.notified() => {}
                    }
                }
                Attempt::Wait => notify.notified().await,
            }
        }
    }

    /// Budget, queue and cool-down.
    pub fn status(&self) -> SchedulerStatus {
        let now = Instant::now();
        let mut state = self.shared.lock();
        let allowed = state.backoff.allowed(now);
        let used = state.window.used(now);
        let cooldown = state.backoff.cooldown_end(now);
        let left = match cooldown {
            Some(_) => 0,
            None => allowed.saturating_sub(used),
        };
        SchedulerStatus {
            budget_left: u32::try_from(left).unwrap_or(u32::MAX),
            allowed_per_minute: u32::try_from(allowed).unwrap_or(u32::MAX),
            waiting: state.queue.len(),
            in_flight: state.window.in_flight(),
            cooldown: cooldown.map(|until| until - now),
        }
    }

    /// The limit.
    pub fn calls_per_minute(&self) -> u32 {
        self.shared.limit
    }

    /// When the provider last refused a call for being one too many.
    pub fn last_refusal(&self) -> Option<Instant> {
        self.shared.lock().backoff.last_refusal()
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Scheduler")
            .field("limit", &self.shared.limit)
            .field("status", &self.status())
            .finish()
    }
}

/// What became of an attempt to get a turn.
enum Attempt {
    Granted {
        slot: Option<u64>,
        at: Instant,
    },
    /// First in the queue; try again then, or when told.
    WaitUntil(Instant),
    /// Somebody else is first, or an answer has to come in: try again when told.
    Wait,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock()
    }

    fn enqueue(&self, priority: Priority) -> ((Priority, u64), Arc<Notify>) {
        let notify = Arc::new(Notify::new());
        let mut state = self.lock();
        state.arrivals += 1;
        let key = (priority, state.arrivals);
        state.queue.insert(key, Arc::clone(&notify));
        (key, notify)
    }

    fn try_grant(&self, key: (Priority, u64)) -> Attempt {
        let now = Instant::now();
        let mut state = self.lock();
        if state.queue.first_key_value().map(|(first, _)| *first) != Some(key) {
            return Attempt::Wait;
        }
        match state.ready(key.0, self.limit, now) {
            Ready::At(at) => return Attempt::WaitUntil(at),
            Ready::OnAnswer => return Attempt::Wait,
            Ready::Now => {}
        }
        state.queue.remove(&key);
        state.window.grant();
        state.backoff.granted(now);
        if is_background(key.0) {
            state.last_background = Some(now);
        }
        let unix_ms = self.unix_ms(now);
        let slot = state.log.as_mut().map(|log| log.begin(unix_ms));
        state.wake_first();
        Attempt::Granted { slot, at: now }
    }

    fn unix_ms(&self, at: Instant) -> u64 {
        let now = Instant::now();
        let wall = self.clock.now().as_millisecond();
        let offset = match at.checked_duration_since(now) {
            Some(ahead) => i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX),
            None => -i64::try_from((now - at).as_millis()).unwrap_or(i64::MAX),
        };
        u64::try_from(wall.saturating_add(offset)).unwrap_or(0)
    }

    /// The moment of `unix_ms`, which is not after `now`.
    fn instant_of(&self, unix_ms: u64, now: Instant) -> Instant {
        let age = self.unix_ms(now).saturating_sub(unix_ms);
        // What no longer counts may be as old as it likes; a monotonic clock does not reach far back.
        let age = Duration::from_millis(age).min(CHARGE);
        now.checked_sub(age).unwrap_or(now)
    }

    fn restore_cooldown(&self, state: &mut State, until_unix_ms: u64, now: Instant) {
        let rest = until_unix_ms.saturating_sub(self.unix_ms(now));
        if rest > 0 {
            // An hour is the longest that is ever set; more means that the clock was changed.
            let rest = Duration::from_millis(rest).min(Duration::from_secs(3600));
            state.backoff.cool_down_until(now + rest);
        }
    }
}

impl State {
    fn ready(&mut self, priority: Priority, limit: u32, now: Instant) -> Ready {
        match self.backoff.ready(self.window.in_flight(), now) {
            Ready::Now => {}
            later => return later,
        }
        let allowed = self.backoff.allowed(now);
        if !is_background(priority) {
            return self.window.ready(allowed, now);
        }
        let cap = background_cap(allowed);
        match self.window.ready(cap, now) {
            Ready::Now => {}
            later => return later,
        }
        let burst = ((f64::from(limit) * BURST_SHARE) as usize).min(cap);
        if self.window.used(now) < burst {
            return Ready::Now;
        }
        let spacing = MINUTE.div_f64(cap as f64);
        match self.last_background.map(|at| at + spacing) {
            Some(next) if next > now => Ready::At(next),
            _ => Ready::Now,
        }
    }

    /// Lets the first in the queue look again: only it keeps a timer.
    fn wake_first(&self) {
        if let Some((_, notify)) = self.queue.first_key_value() {
            notify.notify_one();
        }
    }
}

fn is_background(priority: Priority) -> bool {
    match priority {
        Priority::Playback | Priority::Import | Priority::User => false,
        Priority::Refresh | Priority::Probe | Priority::Repair => true,
    }
}

/// Calls that background callers may have in the window: at least 1.
fn background_cap(allowed: usize) -> usize {
    ((allowed as f64 * BACKGROUND_SHARE) as usize).max(1)
}

/// A place in the queue, given up when its future is dropped.
struct Place<'a> {
    shared: &'a Shared,
    key: (Priority, u64),
    granted: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.granted {
            let mut state = self.shared.lock();
            state.queue.remove(&self.key);
            // It may have been first, or have been told and not looked.
            state.wake_first();
        }
    }
}

/// Leave to make one call.
#[must_use = "a turn that is dropped unused goes back"]
pub struct Turn {
    shared: Arc<Shared>,
    granted_at: Instant,
    slot: Option<u64>,
    started: bool,
    ended: bool,
}

impl Turn {
    /// The request is about to be sent: from here on the call counts, whatever becomes of it.
    pub fn start(&mut self) {
        self.started = true;
    }

    /// The call has ended.
    pub fn finish(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = Instant::now();
        let mut state = self.shared.lock();
        if !self.started {
            state.window.refund();
            if let (Some(slot), Some(log)) = (self.slot, state.log.as_mut()) {
                log.forget(slot);
            }
            state.wake_first();
            return;
        }
        let used = state.window.used(now);
        state.window.settle(now);
        if let (Some(slot), Some(log)) = (self.slot, state.log.as_mut()) {
            log.end(slot, self.shared.unix_ms(now));
        }
        match outcome {
            Outcome::Answered => state.backoff.answered(self.granted_at),
            Outcome::NoAnswer => {}
            Outcome::Refused { retry_after } => {
                state
                    .backoff
                    .refused(self.granted_at, retry_after, used, now);
                if let Some(until) = state.backoff.cooldown_end(now) {
                    let until = self.shared.unix_ms(until);
                    if let Some(log) = state.log.as_mut() {
                        log.cool_down(until);
                    }
                }
            }
        }
        state.wake_first();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end(Outcome::NoAnswer);
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Turn")
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}
