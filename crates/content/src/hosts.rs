//! When a CDN host may be asked: a back-off that all readers share, and the number of transfers it was seen to allow.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use debridfs_provider::{OLDEST_EVERY, Priority};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::error::Cause;
use crate::pace::Pace;

/// First pause after a refusal; doubled up to [`LONGEST_BACK_OFF`], so that reading goes on within a second of the host's recovery.
const FIRST_BACK_OFF: Duration = Duration::from_millis(200);
const LONGEST_BACK_OFF: Duration = Duration::from_millis(700);
/// A longer `Retry-After` is cut: the host may be well again sooner, and one request a second of all readers together hurts nobody.
const LONGEST_RETRY_AFTER: Duration = Duration::from_millis(900);
/// Those who have the bytes elsewhere as well stay away for as long as it asked, up to this.
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);
/// How long a learnt number of transfers stands before one more is tried; doubled each time that it was refused.
const LIMIT_STEP: Duration = Duration::from_secs(3);
const LONGEST_LIMIT_STEP: Duration = Duration::from_secs(60);
/// Where there are not so many for each, each has one: they would come to have one or two by chance.
const FEWEST_EACH: usize = 3;
/// Where somebody waited for a connection so lately, somebody will again.
const OF_LATE: Duration = Duration::from_secs(2);
/// Connections to a host that its sequential readers share evenly, beyond one for each. The providers' default is 28 per host: the rest
/// is for seeks and probes.
const SHARED_LANES: usize = 20;

/// All hosts met so far.
#[derive(Default)]
pub(crate) struct Hosts {
    /// Fetches that waited long: it may be a provider's limit of all connections that holds them up.
    pub(crate) crowd: Arc<Crowd>,
    hosts: Mutex<HashMap<(String, u16), Arc<Host>>>,
    latest: Mutex<Option<Arc<Host>>>,
}

/// One CDN host.
#[derive(Debug, Default)]
pub(crate) struct Host {
    state: Mutex<State>,
    /// Fetches that wait for this host.
    pub(crate) crowd: Arc<Crowd>,
    /// How quick it was.
    pub(crate) pace: Pace,
    /// Those who read from it in sequence.
    sequential: AtomicUsize,
}

/// Counts one who reads in sequence as long as it lives.
#[derive(Debug)]
pub(crate) struct Sequential {
    host: Arc<Host>,
}

/// Fetches that wait for a connection, so that one that has enough for now gives its connection up.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    waiting: AtomicUsize,
    arrived: Notify,
    /// When somebody came or went last.
    latest: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct State {
    /// Those who wait, the most urgent first, otherwise in order of arrival; one at a time may be admitted.
    queue: VecDeque<Turn>,
    arrivals: u64,
    admitted: usize,
    /// Passes given out.
    passes: usize,
    /// Passes whose request was answered with data.
    transfers: usize,
    /// Transfers that the host was seen to allow.
    limit: Option<Limit>,
    /// Not to be asked before this.
    blocked: Option<Instant>,
    /// It asked for a long pause until then, for this reason.
    absent: Option<(Instant, Cause)>,
    /// Refusals in a row; while there are any, one request at a time tries.
    refusals: u32,
    trying: bool,
    last_success: Option<Instant>,
}

/// A learnt number of transfers.
#[derive(Debug, Clone, Copy)]
struct Limit {
    most: usize,
    /// When it was changed last.
    since: Instant,
    /// One more is tried after so long.
    step: Duration,
    /// It was raised, and nothing was refused since.
    raised: bool,
}

/// Somebody in the queue.
#[derive(Debug)]
struct Turn {
    priority: Priority,
    arrival: u64,
    notify: Arc<Notify>,
}

/// Leave to send one request; given back when dropped.
pub(crate) struct Pass {
    host: Arc<Host>,
    trying: bool,
    transfer: bool,
}

/// Counts its fetch among those who wait.
pub(crate) struct Waiting {
    crowd: Arc<Crowd>,
}

impl Hosts {
    pub(crate) fn get(&self, name: &str, port: u16) -> Arc<Host> {
        let mut hosts = self.hosts.lock();
        hosts.entry((name.to_owned(), port)).or_default().clone()
    }

    /// Bytes came from `host`.
    pub(crate) fn served(&self, host: &Arc<Host>) {
        let mut latest = self.latest.lock();
        if !latest
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, host))
        {
            *latest = Some(host.clone());
        }
    }

    /// The host that served last: the one to expect before a link is known.
    pub(crate) fn latest(&self) -> Option<Arc<Host>> {
        let latest = self.latest.lock();
        latest.clone()
    }
}

impl Host {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The refusal that keeps everybody from this host now, if it asked for a long pause.
    pub(crate) fn long_refusal(&self) -> Option<Cause> {
        let state = self.lock();
        let (until, cause) = state.absent.as_ref()?;
        (*until > Instant::now()).then(|| cause.clone())
    }

    /// Whether it refused nobody of late and is not known to allow only so many transfers.
    pub(crate) fn is_generous(&self) -> bool {
        let state = self.lock();
        state.refusals == 0 && state.limit.is_none() && !self.crowd.is_waiting()
    }

    /// Whether its connections go from reader to reader: somebody waited for one of late, or there are more who read in sequence than have one each.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowd.was_waiting() || self.sequential.load(Ordering::Relaxed) > SHARED_LANES
    }

    /// Counts the caller among those who read in sequence, until the result is dropped.
    pub(crate) fn sequential(self: &Arc<Self>) -> Sequential {
        self.sequential.fetch_add(1, Ordering::Relaxed);
        Sequential { host: self.clone() }
    }

    /// Whether the `bytes` at the start of a file are better asked for over several connections at once: one takes long for them, more of them are not
    /// known to bring no more, and they take nothing from anybody.
    pub(crate) fn opens_wide(&self, bytes: u64) -> bool {
        self.pace.is_long(bytes)
            && self.is_generous()
            && !self.is_crowded()
            && self.lanes_each() > 1
    }

    /// Connections that each sequential reader may have.
    pub(crate) fn lanes_each(&self) -> usize {
        let readers = self.sequential.load(Ordering::Relaxed);
        let limit = self.lock().limit.map_or(SHARED_LANES, |limit| limit.most);
        match limit.min(SHARED_LANES) / readers.max(1) {
            0..FEWEST_EACH => 1,
            each => each,
        }
    }

    /// Waits until the host may be asked, the most urgent first and otherwise in the order of arrival.
    pub(crate) async fn enter(self: &Arc<Self>, priority: Priority) -> Pass {
        let ticket = Ticket::take(self, priority);
        loop {
            let again_at = {
                let mut state = self.lock();
                match state.admit(&ticket.turn) {
                    Admission::Now { trying } => {
                        state.passes += 1;
                        state.admitted += 1;
                        state.trying |= trying;
                        return Pass {
                            host: self.clone(),
                            trying,
                            transfer: false,
                        };
                    }
                    Admission::At(instant) => Some(instant),
                    Admission::InTurn => None,
                }
            };
            match again_at {
                None => ticket.turn.notified().await,
                Some(instant) => tokio::select! {
                    () = ticket.turn.notified() => {}
                    () = sleep_until(instant) => {}
                },
            }
        }
    }
}

impl Crowd {
    /// Whether anybody waits.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether somebody waits, or did of late.
    fn was_waiting(&self) -> bool {
        let latest = *self.latest.lock();
        self.is_waiting() || latest.is_some_and(|latest| latest.elapsed() < OF_LATE)
    }

    fn note(&self) {
        *self.latest.lock() = Some(Instant::now());
    }

    /// Resolves when somebody waits, for one of those who ask.
    pub(crate) async fn arrival(&self) {
        while !self.is_waiting() {
            self.arrived.notified().await;
        }
    }

    /// Counts the caller among those who wait, until the result is dropped.
    pub(crate) fn join(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.note();
        self.arrived.notify_one();
        Waiting {
            crowd: self.clone(),
        }
    }
}

enum Admission {
    Now { trying: bool },
    At(Instant),
    InTurn,
}

impl State {
    fn admit(&mut self, turn: &Arc<Notify>) -> Admission {
        if !self
            .first()
            .is_some_and(|first| Arc::ptr_eq(&first.notify, turn))
        {
            return Admission::InTurn;
        }
        let now = Instant::now();
        if let Some(until) = self.blocked
            && until > now
        {
            return Admission::At(until);
        }
        if self.refusals > 0 && self.trying {
            return Admission::InTurn;
        }
        if let Some(limit) = &mut self.limit
            && self.passes >= limit.most
        {
            let next_step = limit.since + limit.step;
            if now < next_step {
                return Admission::At(next_step);
            }
            if limit.raised {
                limit.step = LIMIT_STEP;
            }
            (limit.most, limit.since, limit.raised) = (limit.most + 1, now, true);
        }
        Admission::Now {
            trying: self.refusals > 0,
        }
    }

    /// The host wants fewer transfers. How many it allows is known when it refuses one more than it allowed before; the first time it
    /// is what is open now.
    fn allow_fewer(&mut self, now: Instant) {
        let (most, step) = match self.limit {
            None => (self.transfers, LIMIT_STEP),
            Some(limit) => {
                let step = match limit.raised {
                    true => (limit.step * 2).min(LONGEST_LIMIT_STEP),
                    false => limit.step,
                };
                (limit.most.min(self.passes).saturating_sub(1), step)
            }
        };
        self.limit = Some(Limit {
            most: most.max(self.transfers).max(1),
            since: now,
            step,
            raised: false,
        });
    }

    /// Whose turn it is: the most urgent one's, and every [`OLDEST_EVERY`]th time that of the one who waits longest.
    fn first(&self) -> Option<&Turn> {
        if (self.admitted + 1).is_multiple_of(OLDEST_EVERY) {
            self.queue.iter().min_by_key(|turn| turn.arrival)
        } else {
            self.queue.front()
        }
    }

    fn wake_first(&self) {
        if let Some(first) = self.first() {
            first.notify.notify_one();
        }
    }
}

/// A place in the queue; left when dropped.
struct Ticket {
    host: Arc<Host>,
    turn: Arc<Notify>,
}

impl Ticket {
    fn take(host: &Arc<Host>, priority: Priority) -> Self {
        let turn = Arc::new(Notify::new());
        let mut state = host.lock();
        state.arrivals += 1;
        let place = state
            .queue
            .partition_point(|other| other.priority <= priority);
        let entry = Turn {
            priority,
            arrival: state.arrivals,
            notify: turn.clone(),
        };
        state.queue.insert(place, entry);
        drop(state);
        Self {
            host: host.clone(),
            turn,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.host.lock();
        state
            .queue
            .retain(|turn| !Arc::ptr_eq(&turn.notify, &self.turn));
        state.wake_first();
    }
}

impl Pass {
    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The host answered with data.
    pub(crate) fn succeeded(&mut self) {
        let mut state = self.host.lock();
        if !std::mem::replace(&mut self.transfer, true) {
            state.transfers += 1;
        }
        state.refusals = 0;
        state.blocked = None;
        state.absent = None;
        state.last_success = Some(Instant::now());
        if std::mem::replace(&mut self.trying, false) {
            state.trying = false;
        }
        state.wake_first();
    }

    /// The host refused. When it serves others at the same time it wants fewer transfers (429), or only this file is
    /// not well; otherwise nobody asks for a while.
    pub(crate) fn refused(&self, cause: &Cause) {
        let Cause::Status {
            status,
            retry_after,
            ..
        } = cause
        else {
            return;
        };
        let mut state = self.host.lock();
        let now = Instant::now();
        if *status == 429 && state.transfers > 0 {
            // It serves others meanwhile: this was one too many, and all need not wait as long as it asks.
            state.allow_fewer(now);
            return;
        }
        let well = state
            .last_success
            .is_some_and(|last| now.duration_since(last) < LONGEST_BACK_OFF);
        if retry_after.is_none() && (well || state.transfers > 0) {
            return;
        }
        state.refusals += 1;
        let pause = match retry_after {
            Some(wish) => (*wish).clamp(FIRST_BACK_OFF, LONGEST_RETRY_AFTER),
            None => (FIRST_BACK_OFF * (1 << (state.refusals - 1).min(4))).min(LONGEST_BACK_OFF),
        };
        state.blocked = state.blocked.max(Some(now + pause));
        if cause.is_long_refusal() {
            let absence = retry_after.unwrap_or(LONGEST_ABSENCE).min(LONGEST_ABSENCE);
            state.absent = Some((now + absence, cause.clone()));
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.host.lock();
        state.passes -= 1;
        if self.transfer {
            state.transfers -= 1;
        }
        if self.trying {
            state.trying = false;
        }
        state.wake_first();
    }
}

impl Drop for Sequential {
    fn drop(&mut self) {
        self.host.sequential.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.crowd.waiting.fetch_sub(1, Ordering::Relaxed);
        self.crowd.note();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYBACK: Priority = Priority::Playback;

    fn refusal(status: u16, retry_after: Option<Duration>) -> Cause {
        Cause::Status {
            status,
            x_error: None,
            retry_after,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_holds_everybody_back_and_one_tries_first() {
        let hosts = Hosts::default();
        let host = hosts.get("cdn", 443);
        let pass = host.enter(PLAYBACK).await;
        pass.refused(&refusal(503, Some(Duration::from_secs(3))));
        drop(pass);
        let begun = Instant::now();
        // Those who have another source stay away as long as they were asked to.
        assert!(host.long_refusal().is_some());
        let first = host.enter(PLAYBACK).await;
        assert_eq!(begun.elapsed(), LONGEST_RETRY_AFTER);
        // While the first one tries, the second waits for its outcome.
        let other = {
            let host = host.clone();
            tokio::spawn(async move { host.enter(PLAYBACK).await })
        };
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!other.is_finished());
        let mut first = first;
        assert!(!host.is_generous());
        first.succeeded();
        other.await.unwrap();
        assert!(host.long_refusal().is_none() && host.is_generous());
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_transfers_is_learnt_from_429() {
        let hosts = Hosts::default();
        let host = hosts.get("cdn", 443);
        let mut transfers = Vec::new();
        for _ in 0..4 {
            let mut pass = host.enter(PLAYBACK).await;
            pass.succeeded();
            transfers.push(pass);
        }
        let refused = host.enter(PLAYBACK).await;
        refused.refused(&refusal(429, None));
        drop(refused);
        let fifth = {
            let host = host.clone();
            tokio::spawn(async move { host.enter(PLAYBACK).await })
        };
        tokio::time::sleep(LIMIT_STEP / 2).await;
        assert!(!fifth.is_finished());
        transfers.pop();
        fifth.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_is_tried_ever_more_seldom_and_its_refusal_takes_nothing_away() {
        let hosts = Hosts::default();
        let host = hosts.get("cdn", 443);
        let mut transfers = Vec::new();
        for _ in 0..4 {
            let mut pass = host.enter(PLAYBACK).await;
            pass.succeeded();
            transfers.push(pass);
        }
        let too_many = refusal(429, Some(Duration::from_secs(1)));
        host.enter(PLAYBACK).await.refused(&too_many);
        // It serves others: nobody has to stay away.
        assert_eq!(host.lock().blocked, None);
        // Two of them are between two requests when the next one is tried and refused.
        transfers.truncate(2);
        let mut step = LIMIT_STEP;
        for _ in 0..7 {
            let waiting = [host.enter(PLAYBACK).await, host.enter(PLAYBACK).await];
            let begun = Instant::now();
            let fifth = host.enter(PLAYBACK).await;
            assert_eq!(begun.elapsed(), step);
            fifth.refused(&too_many);
            drop((fifth, waiting));
            step = (step * 2).min(LONGEST_LIMIT_STEP);
            assert_eq!(host.lock().limit.unwrap().most, 4);
        }
    }

    /// The order in which those are let in who arrive as `waiting` says at a host that allows one transfer, which another has.
    async fn let_in(waiting: impl IntoIterator<Item = Priority>) -> Vec<Priority> {
        let hosts = Hosts::default();
        let host = hosts.get("cdn", 443);
        let mut only = host.enter(PLAYBACK).await;
        only.succeeded();
        host.enter(PLAYBACK).await.refused(&refusal(429, None));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut all = Vec::new();
        for priority in waiting {
            let (host, order) = (host.clone(), order.clone());
            all.push(tokio::spawn(async move {
                let mut pass = host.enter(priority).await;
                pass.succeeded();
                order.lock().push(priority);
            }));
            tokio::task::yield_now().await;
        }
        drop(only);
        for one in all {
            one.await.unwrap();
        }
        let order = order.lock();
        order.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_longest_is_let_in_now_and_then() {
        let urgent = [PLAYBACK; 2 * OLDEST_EVERY];
        let order = let_in([Priority::Probe].into_iter().chain(urgent)).await;
        let place = order.iter().position(|one| *one == Priority::Probe);
        assert!(place.is_some_and(|place| place < OLDEST_EVERY), "{order:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_sick_file_does_not_stop_the_host() {
        let hosts = Hosts::default();
        let host = hosts.get("cdn", 443);
        let mut well = host.enter(PLAYBACK).await;
        well.succeeded();
        host.enter(PLAYBACK).await.refused(&refusal(503, None));
        assert_eq!(host.lock().blocked, None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_plays_does_not_queue_behind_those_who_look() {
        let order = let_in([Priority::Probe; 5].into_iter().chain([PLAYBACK])).await;
        assert_eq!(order[..2], [PLAYBACK, Priority::Probe]);
    }
}
