//! CDN hosts, and leave to ask them.
//!
//! | question | where |
//! |---|---|
//! | which request is next | `hosts/queue.rs` |
//! | how urgent is a request | `hosts/urgency.rs` |
//! | what does a host allow, and when after a refusal | `hosts/allowance.rs` |
//! | do others wait for a connection | `hosts/crowd.rs` |

mod allowance;
mod crowd;
mod queue;
#[cfg(test)]
mod tests;
mod urgency;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use debridfs_provider::{CdnLimits, Priority};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use self::allowance::Allowance;
use self::crowd::Crowd;
use self::queue::{Granted, Queue, Where};
pub use self::urgency::{Need, Urgency};
use crate::error::Cause;
use crate::pace::Pace;
use crate::tuning::hosts::{FEWEST_EACH, MOST_HOSTS, SHARED_LANES, WARM};

/// The hosts met so far.
#[derive(Default)]
pub struct Hosts {
    queue: Arc<Queue>,
    hosts: Mutex<HashMap<(String, u16), Arc<Host>>>,
    latest: Mutex<Option<Arc<Host>>>,
}

/// One CDN host.
#[derive(Debug)]
pub struct Host {
    queue: Arc<Queue>,
    number: usize,
    /// Requests that wait for this host.
    crowd: Arc<Crowd>,
    /// How quick it was.
    pub pace: Pace,
    /// Those who read from it in sequence.
    sequential: AtomicUsize,
    /// When it answered last with data.
    answered: Mutex<Option<Instant>>,
    /// Told of each refusal.
    refuses: Notify,
}

/// The connections that an account allows.
#[derive(Debug)]
pub(crate) struct Connections {
    number: usize,
    /// Requests that would have a connection to their host if the account allowed more in all.
    crowd: Arc<Crowd>,
}

/// Counts one who reads in sequence as long as it lives.
#[derive(Debug)]
pub struct Sequential {
    host: Arc<Host>,
}

/// Where a connection leads, and whose it is.
#[derive(Debug, Clone)]
pub struct Lead {
    /// The host.
    pub host: Arc<Host>,
    connections: Arc<Connections>,
}

/// Leave to send one request at a time; given back when dropped.
pub(crate) struct Pass {
    lead: Lead,
    granted: Granted,
}

impl Hosts {
    /// The host of this name at this port.
    pub fn get(&self, name: &str, port: u16) -> Arc<Host> {
        let mut hosts = self.hosts.lock();
        if hosts.len() >= MOST_HOSTS {
            hosts.retain(|_, host| Arc::strong_count(host) > 1);
        }
        let host = hosts.entry((name.to_owned(), port)).or_insert_with(|| {
            let crowd = Arc::<Crowd>::default();
            Arc::new(Host {
                number: self.queue.add_host(crowd.clone()),
                queue: self.queue.clone(),
                crowd,
                pace: Pace::default(),
                sequential: AtomicUsize::default(),
                answered: Mutex::default(),
                refuses: Notify::new(),
            })
        });
        host.clone()
    }

    /// The connections of an account that allows as many as `limits` says.
    pub(crate) fn connections(&self, limits: CdnLimits) -> Arc<Connections> {
        let crowd = Arc::<Crowd>::default();
        Arc::new(Connections {
            number: self.queue.add_account(limits, crowd.clone()),
            crowd,
        })
    }

    /// Bytes came from `host`.
    pub(crate) fn served(&self, host: &Arc<Host>) {
        *host.answered.lock() = Some(Instant::now());
        let mut latest = self.latest.lock();
        if !latest
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, host))
        {
            *latest = Some(host.clone());
        }
    }

    /// Whether a connection to the host of this name at this port is open, as far as that is known: a request needs no handshake then.
    pub(crate) fn is_warm(&self, name: &str, port: u16) -> bool {
        let hosts = self.hosts.lock();
        let host = hosts.get(&(name.to_owned(), port));
        let answered = host.and_then(|host| *host.answered.lock());
        answered.is_some_and(|at| at.elapsed() < WARM)
    }

    /// The host that served last: the one to expect before a link is known.
    pub(crate) fn latest(&self) -> Option<Arc<Host>> {
        let latest = self.latest.lock();
        latest.clone()
    }

    /// Connections in use, and requests that wait for one.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.queue.count()
    }
}

impl Host {
    /// The refusal that keeps everybody from this host now, if it asked for a long pause.
    pub(crate) fn long_refusal(&self) -> Option<Cause> {
        let now = Instant::now();
        self.queue
            .allowance(self.number, |host| host.long_refusal(now))
    }

    /// The refusal for which it is not asked now, or by one request at a time.
    pub(crate) fn refusal(&self) -> Option<Cause> {
        let now = Instant::now();
        self.queue.allowance(self.number, |host| host.refusal(now))
    }

    /// Resolves when it refuses next.
    pub(crate) fn refusal_to_come(&self) -> Notified<'_> {
        self.refuses.notified()
    }

    /// Whether it refused nothing lately, is not known to limit transfers, and is not waited for.
    pub(crate) fn is_generous(&self) -> bool {
        !self.crowd.is_waiting() && self.queue.allowance(self.number, Allowance::is_generous)
    }

    /// Whether requests wait for it.
    pub fn is_waited_for(&self) -> bool {
        self.crowd.is_waiting()
    }

    /// Whether its connections go from reader to reader: a request waited for one lately, or there are more who read in sequence than have
    /// one each.
    pub fn is_crowded(&self) -> bool {
        self.crowd.was_waiting() || self.sequential.load(Ordering::Relaxed) > SHARED_LANES
    }

    /// Counts the caller among those who read in sequence, until the result is dropped.
    pub fn sequential(self: &Arc<Self>) -> Sequential {
        self.sequential.fetch_add(1, Ordering::Relaxed);
        Sequential { host: self.clone() }
    }

    /// Whether the `bytes` at the start of a file are better asked for over several connections at once: one takes long for them, more of them are not
    /// known to bring no more, and they take nothing from anybody.
    pub fn opens_wide(&self, bytes: u64) -> bool {
        self.pace.is_long(bytes)
            && self.is_generous()
            && !self.is_crowded()
            && self.lanes_each() > 1
    }

    /// Connections that each sequential reader may have.
    pub fn lanes_each(&self) -> usize {
        let readers = self.sequential.load(Ordering::Relaxed);
        let limit = self.queue.allowance(self.number, Allowance::limit);
        let limit = limit.unwrap_or(SHARED_LANES);
        match limit.min(SHARED_LANES) / readers.max(1) {
            0..FEWEST_EACH => 1,
            each => each,
        }
    }

    /// Waits until the host may be asked over one of `connections`: the most urgent first, otherwise in the order of arrival.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        connections: &Arc<Connections>,
        urgency: &Urgency,
    ) -> Pass {
        let granted = self.queue.enter(self.at(connections), urgency).await;
        self.pass(connections, granted)
    }

    /// As [`Self::enter`], if there is nothing to wait for.
    pub(crate) fn enter_now(
        self: &Arc<Self>,
        connections: &Arc<Connections>,
        priority: Priority,
    ) -> Option<Pass> {
        let granted = self.queue.enter_now(self.at(connections), priority)?;
        Some(self.pass(connections, granted))
    }

    fn at(&self, connections: &Connections) -> Where {
        Where {
            host: self.number,
            account: connections.number,
        }
    }

    fn pass(self: &Arc<Self>, connections: &Arc<Connections>, granted: Granted) -> Pass {
        let lead = Lead {
            host: self.clone(),
            connections: connections.clone(),
        };
        Pass { lead, granted }
    }
}

impl Pass {
    pub(crate) fn lead(&self) -> &Lead {
        &self.lead
    }

    /// The host answered with data.
    pub(crate) fn succeeded(&mut self) {
        self.lead.host.queue.succeeded(&mut self.granted);
    }

    /// The host refused.
    pub(crate) fn refused(&self, cause: &Cause) {
        let host = &self.lead.host;
        host.queue.refused(&self.granted, cause);
        host.refuses.notify_waiters();
    }
}

impl Lead {
    /// Whether requests wait that could have this connection.
    pub fn is_waited_for(&self) -> bool {
        self.host.crowd.is_waiting() || self.connections.crowd.is_waiting()
    }

    /// Resolves when a request waits that could have this connection, for one of those who ask.
    pub async fn arrival(&self) {
        tokio::select! {
            () = self.host.crowd.arrival() => {}
            () = self.connections.crowd.arrival() => {}
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.queue.remove_host(self.number);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.lead.host.queue.leave(&self.granted);
    }
}

impl Drop for Sequential {
    fn drop(&mut self) {
        self.host.sequential.fetch_sub(1, Ordering::Relaxed);
    }
}
