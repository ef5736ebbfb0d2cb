//! The one scheduler: every call with a key waits here for its turn.
//!
//! **Every limit is strict.** No window at the provider ever holds more calls of ours than its
//! [`Budget`] allows, refused ones included, whatever the network delays ([`window`]) and over
//! restarts ([`Scheduler::with_call_log`]). All calls pass the key's calls per minute; a call that
//! carries a word passes the budgets of that word as well, and one that waits for such a budget
//! holds up only calls of the same word.
//!
//! **The most urgent goes first**, within a [`Priority`] who came first. `Refresh`, `Probe` and
//! `Repair` together get at most a share of a budget, and past a smaller share they are spread
//! evenly ([`meter`]), so that a first sync of thousands of torrents never stands in the way of a
//! reader.
//!
//! **A refusal pauses all calls** ([`backoff`]), for no longer than the vendor declares: then one
//! call feels its way, and the rate grows back slowly. Before that, playback alone may try now and
//! then, where the vendor's refusals do no harm.

mod backoff;
mod call_log;
mod meter;
mod window;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::meter::{Granted, Meter};
use self::window::Ready;
use crate::{Budget, BudgetUse, Priority};
use debridfs_base::WallClock;

/// A call that would have to wait longer than this for the budget of its word is refused a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

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
    clock: Arc<dyn WallClock>,
    state: Mutex<State>,
}

struct State {
    /// The first one is for all calls.
    meters: Vec<Meter>,
    queues: BTreeMap<Word, Queue>,
    arrivals: u64,
}

/// What a call carries, and by which budgets are chosen.
type Word = Option<&'static str>;
/// By urgency, then arrival.
type Place = (Priority, u64);
type Queue = BTreeMap<Place, Arc<Notify>>;

impl Scheduler {
    /// A scheduler that allows `calls_per_minute` (at least 1).
    pub fn new(calls_per_minute: u32, clock: Arc<dyn WallClock>) -> Self {
        Self::with_budgets(Budget::per_minute(calls_per_minute), &[], clock)
    }

    /// A scheduler that allows what `all` allows to all calls, and `more` besides.
    pub fn with_budgets(all: Budget, more: &[Budget], clock: Arc<dyn WallClock>) -> Self {
        let budgets = std::iter::once(all).chain(more.iter().copied());
        Self {
            shared: Arc::new(Shared {
                clock,
                state: Mutex::new(State {
                    meters: budgets.map(Meter::new).collect(),
                    queues: BTreeMap::new(),
                    arrivals: 0,
                }),
            }),
        }
    }

    /// Notes every call in the file at `path` from now on (8 KiB or so, one small write a call),
    /// and counts those that an earlier process noted there: so an engine killed at any moment, any
    /// number of times, keeps to the limit. The budget of a word has its own file, `path@WORD`,
    /// another one of all calls `path@1000ms` by its window, a further one of a word
    /// `path@WORD-30000ms`.
    ///
    /// A file that is not a call log is moved aside. The scheduler works without a file that it
    /// cannot open (mode, disk full or read-only), and [`Self::open_call_log`] tries again.
    pub fn with_call_log(self, path: &Path) -> Self {
        if let Err(error) = self.open_call_log(path) {
            tracing::warn!(%error, "no call log; a restart may forget calls");
        }
        self
    }

    /// Opens those files of [`Self::with_call_log`] that are not open. Calls of the time before are
    /// not noted in them.
    ///
    /// # Errors
    /// Of the file system, with the path: that file cannot be opened now.
    pub fn open_call_log(&self, path: &Path) -> io::Result<()> {
        let now = Instant::now();
        let unix_ms = self.shared.unix_ms();
        let mut state = self.shared.lock();
        let mut opened = Ok(());
        let mut words = Vec::new();
        for (number, meter) in state.meters.iter_mut().enumerate() {
            let path = match (number, meter.budget.word) {
                (0, _) => path.to_owned(),
                (_, Some(word)) if words.contains(&word) => {
                    suffixed(path, &format!("{word}-{}ms", meter.budget.per.as_millis()))
                }
                (_, Some(word)) => {
                    words.push(word);
                    suffixed(path, word)
                }
                // Of a second too: an engine that was killed is followed by the next within 0.1 s.
                (_, None) => suffixed(path, &format!("{}ms", meter.budget.per.as_millis())),
            };
            if !meter.has_log()
                && let Err(error) = meter.open_log(&path, unix_ms, now)
            {
                let words = format!("{}: {error}", path.display());
                opened = Err(io::Error::new(error.kind(), words));
            }
        }
        opened
    }

    /// Waits for the turn of a call without a word. Dropping the future gives up the place in the
    /// queue; dropping the turn before [`Turn::start`] gives it back.
    pub async fn turn(&self, priority: Priority) -> Turn {
        self.wait(priority, None).await
    }

    /// As [`Self::turn`], for a call that carries `word`.
    ///
    /// # Errors
    /// The budget of `word` has nothing left for more than a minute: how long to wait.
    pub async fn turn_of(&self, priority: Priority, word: Word) -> Result<Turn, Duration> {
        match self.shared.wait_of(priority, word) {
            Some(wait) if wait > LONGEST_WAIT => Err(wait),
            _ => Ok(self.wait(priority, word).await),
        }
    }

    /// Whether a call that carries `word` would have to wait for the budgets of it.
    pub(crate) fn would_wait(&self, priority: Priority, word: Word) -> bool {
        let wait = self.shared.wait_of(priority, word);
        wait.is_some_and(|wait| !wait.is_zero())
    }

    async fn wait(&self, priority: Priority, word: Word) -> Turn {
        let (place, notify) = self.shared.enqueue(priority, word);
        let mut waiting = Waiting {
            shared: &self.shared,
            word,
            place,
            granted: false,
        };
        loop {
            match self.shared.try_grant(word, place) {
                Attempt::Granted(grants) => {
                    waiting.granted = true;
                    return Turn {
                        shared: Arc::clone(&self.shared),
                        word,
                        grants,
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
        let waiting = state.queues.values().map(BTreeMap::len).sum();
        let all = state.all();
        let allowed = all.backoff.allowed(now);
        let used = all.used(now);
        let cooldown = all.backoff.cooldown_end(now);
        let left = match cooldown {
            Some(_) => 0,
            None => allowed.saturating_sub(used),
        };
        SchedulerStatus {
            budget_left: u32::try_from(left).unwrap_or(u32::MAX),
            allowed_per_minute: u32::try_from(allowed).unwrap_or(u32::MAX),
            waiting,
            in_flight: all.in_flight(),
            cooldown: cooldown.map(|until| until - now),
        }
    }

    /// The limit.
    pub fn calls_per_minute(&self) -> u32 {
        self.shared.lock().all().budget.calls
    }

    /// What is used of each budget, that of all calls first.
    pub fn budgets(&self) -> Vec<BudgetUse> {
        let now = Instant::now();
        let mut state = self.shared.lock();
        let meters = state.meters.iter_mut().map(|meter| BudgetUse {
            word: meter.budget.word,
            used: u32::try_from(meter.used(now)).unwrap_or(u32::MAX),
            calls: meter.budget.calls,
            per: meter.budget.per,
        });
        meters.collect()
    }

    /// Ends the pauses after refusals now: the next call feels its way. Whether there was one.
    pub fn end_pauses(&self) -> bool {
        let now = Instant::now();
        let mut state = self.shared.lock();
        let mut ended = false;
        for meter in &mut state.meters {
            ended |= meter.end_cooldown(now);
        }
        state.wake_first();
        ended
    }

    /// When the provider last refused a call for being one too many.
    pub fn last_refusal(&self) -> Option<Instant> {
        let mut state = self.shared.lock();
        let meters = state.meters.iter_mut();
        meters
            .filter_map(|meter| meter.backoff.last_refusal())
            .max()
    }
}

fn suffixed(path: &Path, word: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(format!("@{word}"));
    path.into()
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Scheduler")
            .field("limit", &self.calls_per_minute())
            .field("status", &self.status())
            .finish()
    }
}

/// What became of an attempt to get a turn.
enum Attempt {
    Granted(Vec<Granted>),
    /// First in the queue; try again then, or when told.
    WaitUntil(Instant),
    /// Another is first, or an answer has to come in: try again when told.
    Wait,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock()
    }

    fn enqueue(&self, priority: Priority, word: Word) -> (Place, Arc<Notify>) {
        let notify = Arc::new(Notify::new());
        let mut state = self.lock();
        state.arrivals += 1;
        let place = (priority, state.arrivals);
        let queue = state.queues.entry(word).or_default();
        queue.insert(place, Arc::clone(&notify));
        (place, notify)
    }

    /// How long a call that carries `word` would wait for the budgets of its word.
    fn wait_of(&self, priority: Priority, word: Word) -> Option<Duration> {
        word?;
        let now = Instant::now();
        let mut state = self.lock();
        let ahead = state.queues.get(&word).map_or(0, BTreeMap::len);
        let meters = state.meters.iter_mut();
        let own = meters.filter(|meter| meter.budget.word == word);
        own.map(|meter| meter.wait(priority, ahead, now)).max()
    }

    fn try_grant(&self, word: Word, place: Place) -> Attempt {
        let now = Instant::now();
        let mut state = self.lock();
        if !state.is_first(word, place, now) {
            return Attempt::Wait;
        }
        match state.ready(word, place.0, now) {
            Ready::At(at) => return Attempt::WaitUntil(at),
            Ready::OnAnswer => return Attempt::Wait,
            Ready::Now => {}
        }
        state.remove(word, place);
        let unix_ms = self.unix_ms();
        let passed = state.passed(word);
        let grants = passed
            .map(|meter| meter.grant(place.0, now, unix_ms))
            .collect();
        state.wake_first();
        Attempt::Granted(grants)
    }

    fn unix_ms(&self) -> u64 {
        u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0)
    }
}

impl State {
    /// The budget of all calls.
    fn all(&mut self) -> &mut Meter {
        &mut self.meters[0]
    }

    /// The budgets that a call with `word` passes.
    fn passed(&mut self, word: Word) -> impl Iterator<Item = &mut Meter> {
        let meters = self.meters.iter_mut();
        meters.filter(move |meter| meter.budget.word.is_none_or(|own| word == Some(own)))
    }

    /// Whether no other call goes before the one at `place`: none of its word, and none of another
    /// word unless that one waits for a budget that this one does not need.
    fn is_first(&mut self, word: Word, place: Place, now: Instant) -> bool {
        let mut others = Vec::new();
        for (other, queue) in &self.queues {
            match queue.first_key_value() {
                Some((first, _)) if *first < place && *other == word => return false,
                Some((first, _)) if *first < place => others.push((*other, first.0)),
                _ => {}
            }
        }
        others.into_iter().all(|(other, priority)| {
            let meters = self.meters.iter_mut();
            let mut own =
                meters.filter(|meter| meter.budget.word.is_some() && meter.budget.word == other);
            own.any(|meter| meter.ready(priority, now) != Ready::Now)
        })
    }

    /// When every budget lets a call with `word` go.
    fn ready(&mut self, word: Word, priority: Priority, now: Instant) -> Ready {
        let each = self.passed(word).map(|meter| meter.ready(priority, now));
        each.max().unwrap_or(Ready::Now)
    }

    fn remove(&mut self, word: Word, place: Place) {
        if let Some(queue) = self.queues.get_mut(&word) {
            queue.remove(&place);
            if queue.is_empty() {
                self.queues.remove(&word);
            }
        }
    }

    /// Lets the first of each word look again: only they keep timers.
    fn wake_first(&self) {
        for queue in self.queues.values() {
            if let Some((_, notify)) = queue.first_key_value() {
                notify.notify_one();
            }
        }
    }
}

/// A place in the queue, given up when its future is dropped.
struct Waiting<'a> {
    shared: &'a Shared,
    word: Word,
    place: Place,
    granted: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.granted {
            let mut state = self.shared.lock();
            state.remove(self.word, self.place);
            // It may have been first, or have been told and not looked.
            state.wake_first();
        }
    }
}

/// Leave to make one call.
#[must_use = "a turn that is dropped unused goes back"]
pub struct Turn {
    shared: Arc<Shared>,
    word: Word,
    /// One for each budget that it passed.
    grants: Vec<Granted>,
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
        let unix_ms = self.shared.unix_ms();
        let mut state = self.shared.lock();
        let alone = state
            .passed(self.word)
            .any(|meter| meter.budget.pauses_alone);
        let grants = std::mem::take(&mut self.grants);
        for (number, (meter, call)) in state.passed(self.word).zip(grants).enumerate() {
            if self.started {
                let blamed = match alone {
                    true => meter.budget.pauses_alone,
                    false => number == 0,
                };
                meter.settle(call, outcome, blamed, now, unix_ms);
            } else {
                meter.refund(call);
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
