//! Which request gets the next connection: one queue for every host, with the limits of the accounts that ask it.

use std::array;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use debridfs_provider::{CdnLimits, Priority};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::allowance::{Admission, Allowance, Attempt};
use super::crowd::Crowd;
use super::urgency::Urgency;
use crate::error::Cause;
use crate::tuning::hosts::{BACKGROUND_SHARE, OLDEST_EVERY};

const BACKGROUND: usize = Priority::Refresh as usize;
const PRIORITIES: usize = Priority::Repair as usize + 1;

/// All that wait and all that are connected, at all hosts: an account's limit of all its connections holds across them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

/// Where a request waits: at a host, for an account's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Where {
    pub(super) host: usize,
    pub(super) account: usize,
}

#[derive(Debug, Default)]
struct State {
    hosts: Vec<Host>,
    /// Numbers of those that are gone.
    free: Vec<usize>,
    accounts: Vec<Account>,
    /// Those where a request waits or is connected.
    lines: BTreeMap<Where, Line>,
    /// Requests that have not taken their connection yet, by number.
    turns: HashMap<u64, Turn>,
    /// Those of them that were granted one.
    untaken: BTreeSet<u64>,
    arrivals: u64,
}

#[derive(Debug)]
struct Host {
    allowance: Allowance,
    granted: usize,
    waiting: usize,
    crowd: Arc<Crowd>,
    /// The request that sleeps until the host may be asked again, and until when.
    alarm: Option<(u64, Instant)>,
}

#[derive(Debug)]
struct Account {
    limits: CdnLimits,
    open: Count,
    granted: usize,
    /// Requests that wait for a connection anywhere.
    crowd: Arc<Crowd>,
}

/// One account at one host.
#[derive(Debug)]
struct Line {
    open: Count,
    /// The numbers of those who wait, by priority.
    waiting: [BTreeSet<u64>; PRIORITIES],
}

#[derive(Debug)]
struct Turn {
    at: Where,
    priority: Priority,
    /// It has a connection and does not know yet.
    granted: Option<Attempt>,
    notify: Arc<Notify>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    all: usize,
    background: usize,
}

/// A connection that may be opened; given back with [`Queue::leave`].
#[derive(Debug)]
pub(super) struct Granted {
    at: Where,
    priority: Priority,
    attempt: Attempt,
}

impl Queue {
    /// Adds a host; its number.
    pub(super) fn add_host(&self, crowd: Arc<Crowd>) -> usize {
        let state = &mut *self.state.lock();
        let host = Host {
            allowance: Allowance::default(),
            granted: 0,
            waiting: 0,
            crowd,
            alarm: None,
        };
        match state.free.pop() {
            Some(number) => {
                state.hosts[number] = host;
                number
            }
            None => {
                state.hosts.push(host);
                state.hosts.len() - 1
            }
        }
    }

    /// Nobody waits at this host, is connected to it, or will be: its number goes to another.
    pub(super) fn remove_host(&self, number: usize) {
        self.state.lock().free.push(number);
    }

    /// Hosts that are or were there at the same time.
    #[cfg(test)]
    pub(super) fn most_hosts(&self) -> usize {
        self.state.lock().hosts.len()
    }

    /// Adds an account; its number.
    pub(super) fn add_account(&self, limits: CdnLimits, crowd: Arc<Crowd>) -> usize {
        let accounts = &mut self.state.lock().accounts;
        accounts.push(Account {
            limits,
            open: Count::default(),
            granted: 0,
            crowd,
        });
        accounts.len() - 1
    }

    /// Waits for a connection. Dropping the future gives up the place in the queue.
    pub(super) async fn enter(&self, at: Where, urgency: &Urgency) -> Granted {
        let ticket = Ticket::take(self, at, urgency.priority());
        loop {
            let again = match ticket.look() {
                Ok(granted) => return granted,
                Err(again) => again,
            };
            let alarm = async {
                match again {
                    Some(instant) => sleep_until(instant).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ticket.notify.notified() => {}
                () = urgency.changed() => ticket.change(urgency.priority()),
                () = alarm => self.state.lock().settle(Instant::now()),
            }
        }
    }

    /// A connection, if it need not be waited for.
    pub(super) fn enter_now(&self, at: Where, priority: Priority) -> Option<Granted> {
        Ticket::take(self, at, priority).look().ok()
    }

    /// The host of `granted` answered with data.
    pub(super) fn succeeded(&self, granted: &mut Granted) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let host = &mut state.hosts[granted.at.host];
        host.allowance.succeeded(&mut granted.attempt, now);
        state.settle(now);
    }

    /// The host of `granted` refused.
    pub(super) fn refused(&self, granted: &Granted, cause: &Cause) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let host = &mut state.hosts[granted.at.host];
        host.allowance.refused(cause, now);
        state.settle(now);
    }

    /// Gives a connection back.
    pub(super) fn leave(&self, granted: &Granted) {
        self.state.lock().leave(granted);
    }

    /// What a host was seen to allow.
    pub(super) fn allowance<T>(&self, host: usize, ask: impl FnOnce(&Allowance) -> T) -> T {
        ask(&self.state.lock().hosts[host].allowance)
    }

    /// Connections given out, and requests that wait for one.
    pub(super) fn count(&self) -> (usize, usize) {
        let state = self.state.lock();
        let open = state.accounts.iter().map(|account| account.open.all);
        let waiting = state.hosts.iter().map(|host| host.waiting);
        (open.sum(), waiting.sum())
    }
}

impl State {
    /// Hands out every connection that may be had, and tells those who have one how many wait.
    fn settle(&mut self, now: Instant) {
        while let Some(number) = self.next(now) {
            self.grant(number, now);
        }
        self.tell(now);
    }

    /// The request that gets the next connection, if there is one for any.
    fn next(&self, now: Instant) -> Option<u64> {
        let firsts = self.lines.iter().filter_map(|(at, line)| {
            let (host, account) = (&self.hosts[at.host], &self.accounts[at.account]);
            if line.is_empty() || host.allowance.admission(now) != Admission::Now {
                return None;
            }
            let is_due = |granted: usize| (granted + 1).is_multiple_of(OLDEST_EVERY);
            let scarce = account.open.all + 1 >= account.limits.total;
            let oldest = is_due(host.granted) || (scarce && is_due(account.granted));
            let mut firsts = line
                .waiting
                .iter()
                .enumerate()
                .filter(|(rank, _)| account.has_room(*rank) && line.has_room(account, *rank))
                .filter_map(|(rank, numbers)| Some((rank, *numbers.first()?)));
            let (rank, number) = if oldest {
                (0, firsts.map(|(_, number)| number).min()?)
            } else {
                firsts.next()?
            };
            Some((!oldest, rank, number))
        });
        firsts.min().map(|(_, _, number)| number)
    }

    fn grant(&mut self, number: u64, now: Instant) {
        let Some(turn) = self.turns.get_mut(&number) else {
            return;
        };
        let host = &mut self.hosts[turn.at.host];
        turn.granted = Some(host.allowance.enter(now));
        host.granted += 1;
        let account = &mut self.accounts[turn.at.account];
        account.open.add(turn.priority);
        account.granted += 1;
        if let Some(line) = self.lines.get_mut(&turn.at) {
            line.open.add(turn.priority);
        }
        turn.notify.notify_one();
        let (at, priority) = (turn.at, turn.priority);
        self.untaken.insert(number);
        self.forget(number, at, priority);
    }

    /// Takes back what was granted and not taken: a request that is more urgent may have come meanwhile. A lane that plays and ends one
    /// request would else lose its connection to a look before it asks for the next.
    fn recall(&mut self) {
        for number in std::mem::take(&mut self.untaken) {
            let Some(turn) = self.turns.get_mut(&number) else {
                continue;
            };
            let (at, priority) = (turn.at, turn.priority);
            if let Some(attempt) = turn.granted.take() {
                let host = &mut self.hosts[at.host];
                host.allowance.left(&attempt);
                host.granted -= 1;
                host.waiting += 1;
                let account = &mut self.accounts[at.account];
                account.open.remove(priority);
                account.granted -= 1;
                if let Some(line) = self.lines.get_mut(&at) {
                    line.open.remove(priority);
                    line.waiting[priority as usize].insert(number);
                }
            }
        }
    }

    /// A request waits no longer.
    fn forget(&mut self, number: u64, at: Where, priority: Priority) {
        if let Some(line) = self.lines.get_mut(&at) {
            line.waiting[priority as usize].remove(&number);
        }
        let host = &mut self.hosts[at.host];
        host.waiting -= 1;
        host.alarm = host.alarm.filter(|(watching, _)| *watching != number);
    }

    /// Tells those who are connected how many wait for what they have, and one who waits at a host when that may be asked again.
    fn tell(&mut self, now: Instant) {
        let mut short = vec![0; self.accounts.len()];
        for (at, line) in &self.lines {
            let (host, account) = (&self.hosts[at.host], &self.accounts[at.account]);
            host.crowd.set(host.waiting);
            if line.is_empty() {
                continue;
            }
            match host.allowance.admission(now) {
                Admission::Now => {
                    let ranks = line.waiting.iter().enumerate();
                    let kept_out = ranks.filter(|(rank, _)| line.has_room(account, *rank));
                    short[at.account] += kept_out.map(|(_, them)| them.len()).sum::<usize>();
                }
                Admission::At(instant) => {
                    let watching = host.alarm.filter(|(_, set)| *set > instant);
                    let watching = watching.map(|(watching, _)| watching);
                    let first = line.waiting.iter().find_map(BTreeSet::first).copied();
                    let watching = watching.or(first.filter(|_| host.alarm.is_none()));
                    if let Some(turn) = watching.and_then(|number| self.turns.get(&number)) {
                        turn.notify.notify_one();
                    }
                }
                Admission::Later => {}
            }
        }
        for (account, short) in self.accounts.iter().zip(short) {
            account.crowd.set(short);
        }
        self.lines
            .retain(|_, line| line.open.all > 0 || !line.is_empty());
    }

    fn leave(&mut self, granted: &Granted) {
        let Where { host, account } = granted.at;
        self.hosts[host].allowance.left(&granted.attempt);
        self.accounts[account].open.remove(granted.priority);
        if let Some(line) = self.lines.get_mut(&granted.at) {
            line.open.remove(granted.priority);
        }
        self.settle(Instant::now());
    }
}

impl Account {
    fn has_room(&self, rank: usize) -> bool {
        self.open.has_room(self.limits.total, rank)
    }
}

impl Line {
    fn new() -> Self {
        Self {
            open: Count::default(),
            waiting: array::from_fn(|_| BTreeSet::new()),
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.iter().all(BTreeSet::is_empty)
    }

    fn has_room(&self, account: &Account, rank: usize) -> bool {
        self.open.has_room(account.limits.per_host, rank)
    }
}

impl Count {
    fn has_room(self, limit: usize, rank: usize) -> bool {
        let background_limit = ((limit as f64 * BACKGROUND_SHARE) as usize).max(1);
        self.all < limit && (rank < BACKGROUND || self.background < background_limit)
    }

    fn add(&mut self, priority: Priority) {
        self.all += 1;
        self.background += usize::from(priority as usize >= BACKGROUND);
    }

    fn remove(&mut self, priority: Priority) {
        self.all -= 1;
        self.background -= usize::from(priority as usize >= BACKGROUND);
    }
}

/// A place in the queue; left when dropped.
struct Ticket<'a> {
    queue: &'a Queue,
    number: u64,
    notify: Arc<Notify>,
}

impl<'a> Ticket<'a> {
    fn take(queue: &'a Queue, at: Where, priority: Priority) -> Self {
        let notify = Arc::new(Notify::new());
        let mut state = queue.state.lock();
        state.arrivals += 1;
        let number = state.arrivals;
        let line = state.lines.entry(at).or_insert_with(Line::new);
        line.waiting[priority as usize].insert(number);
        state.hosts[at.host].waiting += 1;
        let turn = Turn {
            at,
            priority,
            granted: None,
            notify: notify.clone(),
        };
        state.turns.insert(number, turn);
        state.recall();
        state.settle(Instant::now());
        drop(state);
        Self {
            queue,
            number,
            notify,
        }
    }

    /// The connection; or when to look again at the latest, if it is this request that has to.
    fn look(&self) -> Result<Granted, Option<Instant>> {
        let mut state = self.queue.state.lock();
        let state = &mut *state;
        let Some(turn) = state.turns.get_mut(&self.number) else {
            return Err(None);
        };
        if let Some(attempt) = turn.granted.take() {
            let (at, priority) = (turn.at, turn.priority);
            state.turns.remove(&self.number);
            state.untaken.remove(&self.number);
            return Ok(Granted {
                at,
                priority,
                attempt,
            });
        }
        let host = &mut state.hosts[turn.at.host];
        let mine = host.alarm.is_none_or(|(number, _)| number == self.number);
        let Admission::At(instant) = host.allowance.admission(Instant::now()) else {
            host.alarm = host.alarm.filter(|_| !mine);
            return Err(None);
        };
        if mine {
            host.alarm = Some((self.number, instant));
        }
        Err(mine.then_some(instant))
    }

    /// The request became more or less urgent; its time of arrival stays.
    fn change(&self, priority: Priority) {
        let mut state = self.queue.state.lock();
        let state = &mut *state;
        state.recall();
        if let Some(turn) = state.turns.get_mut(&self.number) {
            let before = std::mem::replace(&mut turn.priority, priority);
            if let Some(line) = state.lines.get_mut(&turn.at) {
                line.waiting[before as usize].remove(&self.number);
                line.waiting[priority as usize].insert(self.number);
            }
        }
        state.settle(Instant::now());
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        let Some(turn) = state.turns.remove(&self.number) else {
            return;
        };
        let (at, priority) = (turn.at, turn.priority);
        state.untaken.remove(&self.number);
        match turn.granted {
            Some(attempt) => state.leave(&Granted {
                at,
                priority,
                attempt,
            }),
            None => {
                state.forget(self.number, at, priority);
                state.settle(Instant::now());
            }
        }
    }
}
