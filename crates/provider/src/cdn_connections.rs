//! How many connections to a CDN may be open: per host and in all, the most urgent first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::{CdnPermit, Priority};

/// The share of connections that background callers (`Refresh`, `Probe`, `Repair`) can hold, so that a reader finds one free.
const BACKGROUND_SHARE: f64 = 0.75;

/// Each so many permits one goes to the caller who waits longest, whatever its priority: where connections are always short nobody waits for
/// ever, and those before it lose little.
pub const OLDEST_EVERY: usize = 4;

/// Hands out permits. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct CdnConnections {
    shared: Arc<Shared>,
}

struct Shared {
    per_host: usize,
    total: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Count,
    hosts: HashMap<String, Count>,
    queue: BTreeMap<(Priority, u64), Waiter>,
    arrivals: u64,
    granted: usize,
}

#[derive(Default, Clone, Copy)]
struct Count {
    all: usize,
    background: usize,
}

struct Waiter {
    host: String,
    granted: bool,
    notify: Arc<Notify>,
}

impl CdnConnections {
    /// At most `per_host` connections to one host and `total` to all (both at least 1).
    pub fn new(per_host: usize, total: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                per_host: per_host.max(1),
                total: total.max(1),
                state: Mutex::default(),
            }),
        }
    }

    /// Waits for leave to hold a connection to `host`. Dropping the future gives up the place in the queue.
    pub async fn permit(&self, host: &str, priority: Priority) -> CdnPermit {
        let (key, notify) = self.shared.enqueue(host, priority);
        let place = Place {
            shared: &self.shared,
            key,
        };
        loop {
            if let Some(waiter) = place.shared.take_granted(key) {
                return CdnPermit::new(Held {
                    shared: Arc::clone(&self.shared),
                    host: waiter.host,
                    priority,
                });
            }
            notify.notified().await;
        }
    }

    /// Connections held now.
    pub fn open(&self) -> usize {
        self.shared.lock().open.all
    }

    /// Callers that wait.
    pub fn waiting(&self) -> usize {
        let state = self.shared.lock();
        state
            .queue
            .values()
            .filter(|waiter| !waiter.granted)
            .count()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock()
    }

    fn enqueue(&self, host: &str, priority: Priority) -> ((Priority, u64), Arc<Notify>) {
        let notify = Arc::new(Notify::new());
        let mut state = self.lock();
        state.arrivals += 1;
        let key = (priority, state.arrivals);
        state.queue.insert(
            key,
            Waiter {
                host: host.to_owned(),
                granted: false,
                notify: Arc::clone(&notify),
            },
        );
        self.grant_all(&mut state);
        (key, notify)
    }

    /// Takes the waiter out of the queue if it may go; it holds its connection from here on.
    fn take_granted(&self, key: (Priority, u64)) -> Option<Waiter> {
        let mut state = self.lock();
        state.queue.get(&key).filter(|waiter| waiter.granted)?;
        state.queue.remove(&key)
    }

    fn grant_all(&self, state: &mut State) {
        while let Some(key) = self.next(state) {
            let State {
                open, hosts, queue, ..
            } = state;
            let Some(waiter) = queue.get_mut(&key) else {
                return;
            };
            open.add(key.0);
            hosts.entry(waiter.host.clone()).or_default().add(key.0);
            waiter.granted = true;
            waiter.notify.notify_one();
            state.granted += 1;
        }
    }

    /// Who is to have the next permit, if there is one for anybody.
    fn next(&self, state: &State) -> Option<(Priority, u64)> {
        if state.open.all >= self.total {
            return None;
        }
        let mut may = state.queue.iter().filter_map(|(key, waiter)| {
            let host = state.hosts.get(&waiter.host).copied().unwrap_or_default();
            let room =
                state.open.has_room(self.total, key.0) && host.has_room(self.per_host, key.0);
            (room && !waiter.granted).then_some(*key)
        });
        if (state.granted + 1).is_multiple_of(OLDEST_EVERY) {
            may.min_by_key(|(_, arrival)| *arrival)
        } else {
            may.next()
        }
    }

    fn release(&self, host: &str, priority: Priority) {
        let mut state = self.lock();
        state.open.remove(priority);
        if let Some(count) = state.hosts.get_mut(host) {
            count.remove(priority);
            if count.all == 0 {
                state.hosts.remove(host);
            }
        }
        self.grant_all(&mut state);
    }
}

impl Count {
    fn has_room(self, limit: usize, priority: Priority) -> bool {
        let background_limit = ((limit as f64 * BACKGROUND_SHARE) as usize).max(1);
        self.all < limit && (priority < Priority::Refresh || self.background < background_limit)
    }

    fn add(&mut self, priority: Priority) {
        self.all += 1;
        if priority >= Priority::Refresh {
            self.background += 1;
        }
    }

    fn remove(&mut self, priority: Priority) {
        self.all = self.all.saturating_sub(1);
        if priority >= Priority::Refresh {
            self.background = self.background.saturating_sub(1);
        }
    }
}

/// A place in the queue, given up when its future is dropped.
struct Place<'a> {
    shared: &'a Shared,
    key: (Priority, u64),
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let left = self.shared.lock().queue.remove(&self.key);
        if let Some(waiter) = left.filter(|waiter| waiter.granted) {
            self.shared.release(&waiter.host, self.key.0);
        }
    }
}

/// One connection held.
struct Held {
    shared: Arc<Shared>,
    host: String,
    priority: Priority,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.release(&self.host, self.priority);
    }
}
