//! Which torrent's info call is next: those somebody waits for, then the newest.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use debridfs_base::Backoff;
use debridfs_provider::{Priority, TorrentId};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Waits after failures of a torrent's call.
const WAITS: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(600));

/// Info calls owed to one provider.
#[derive(Debug, Default)]
pub(crate) struct InfoQueue {
    inner: Mutex<Inner>,
    /// Told when there is something to do.
    pub(crate) wake: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    items: HashMap<TorrentId, Item>,
    demanded: VecDeque<TorrentId>,
    /// Newest first.
    ready: BTreeSet<(Reverse<Timestamp>, TorrentId)>,
    later: BTreeSet<(Instant, TorrentId)>,
}

#[derive(Debug)]
struct Item {
    added: Timestamp,
    place: Place,
    failures: u32,
    /// Somebody waits for the answer.
    wanted: bool,
}

#[derive(Debug)]
enum Place {
    Demanded,
    Ready,
    Later(Instant),
    Flying {
        priority: Priority,
        cancel: CancellationToken,
    },
}

/// A call to make.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: TorrentId,
    pub(crate) priority: Priority,
    /// Cancelled when the call is wanted with a higher priority.
    pub(crate) cancel: CancellationToken,
}

impl InfoQueue {
    /// Owes a call; no change if it is owed already.
    pub(crate) fn push(&self, id: &TorrentId, added: Timestamp) {
        let mut inner = self.inner.lock();
        if inner.items.contains_key(id) {
            return;
        }
        inner.ready.insert((Reverse(added), id.clone()));
        let item = Item {
            added,
            place: Place::Ready,
            failures: 0,
            wanted: false,
        };
        inner.items.insert(id.clone(), item);
        drop(inner);
        self.wake.notify_one();
    }

    /// Somebody waits for this one: it is next, whatever failed before.
    pub(crate) fn demand(&self, id: &TorrentId, added: Timestamp) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let item = inner.items.entry(id.clone()).or_insert(Item {
            added,
            place: Place::Ready,
            failures: 0,
            wanted: false,
        });
        item.wanted = true;
        match &item.place {
            Place::Demanded => return,
            Place::Flying { priority, cancel } => {
                // It may be waiting in the scheduler behind everything else.
                if *priority > Priority::User {
                    cancel.cancel();
                }
                return;
            }
            Place::Ready => {
                inner.ready.remove(&(Reverse(item.added), id.clone()));
            }
            Place::Later(at) => {
                inner.later.remove(&(*at, id.clone()));
            }
        }
        item.place = Place::Demanded;
        inner.demanded.push_back(id.clone());
        drop(guard);
        self.wake.notify_one();
    }

    /// The next call; with `only_demanded` one that somebody waits for.
    pub(crate) fn next(&self, now: Instant, only_demanded: bool) -> Option<Job> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        while let Some((at, id)) = inner.later.first().cloned() {
            if at > now {
                break;
            }
            inner.later.remove(&(at, id.clone()));
            if let Some(item) = inner.items.get_mut(&id) {
                item.place = Place::Ready;
                inner.ready.insert((Reverse(item.added), id));
            }
        }
        let (id, priority) = if let Some(id) = inner.demanded.pop_front() {
            (id, Priority::User)
        } else if only_demanded {
            return None;
        } else {
            (inner.ready.pop_first()?.1, Priority::Refresh)
        };
        let cancel = CancellationToken::new();
        if let Some(item) = inner.items.get_mut(&id) {
            item.place = Place::Flying {
                priority,
                cancel: cancel.clone(),
            };
        }
        Some(Job {
            id,
            priority,
            cancel,
        })
    }

    /// Owes calls that were on their way once more: whoever made them is gone.
    pub(crate) fn owe_flying(&self) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        for (id, item) in &mut inner.items {
            if matches!(item.place, Place::Flying { .. }) {
                item.place = if item.wanted {
                    inner.demanded.push_back(id.clone());
                    Place::Demanded
                } else {
                    inner.ready.insert((Reverse(item.added), id.clone()));
                    Place::Ready
                };
            }
        }
    }

    /// When something waiting becomes due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.inner.lock().later.first().map(|(at, _)| *at)
    }

    /// The call was answered, or nobody wants it any more.
    pub(crate) fn done(&self, id: &TorrentId) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        if let Some(item) = inner.items.remove(id) {
            match item.place {
                Place::Demanded => inner.demanded.retain(|waiting| waiting != id),
                Place::Ready => {
                    inner.ready.remove(&(Reverse(item.added), id.clone()));
                }
                Place::Later(at) => {
                    inner.later.remove(&(at, id.clone()));
                }
                Place::Flying { .. } => {}
            }
        }
    }

    /// The call was given up for a more urgent one, or ended without an answer: it is owed again at once.
    pub(crate) fn again(&self, id: &TorrentId) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        if let Some(item) = inner.items.get_mut(id) {
            if item.wanted {
                item.place = Place::Demanded;
                inner.demanded.push_back(id.clone());
            } else {
                item.place = Place::Ready;
                inner.ready.insert((Reverse(item.added), id.clone()));
            }
        }
        drop(guard);
        self.wake.notify_one();
    }

    /// The call is to be made again after `wait`.
    pub(crate) fn postpone(&self, id: &TorrentId, wait: Duration, now: Instant) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        if let Some(item) = inner.items.get_mut(id) {
            let at = now + wait;
            item.wanted = false;
            item.place = Place::Later(at);
            inner.later.insert((at, id.clone()));
        }
    }

    /// The call failed; each failure doubles the wait. Returns how often it did.
    pub(crate) fn failed(&self, id: &TorrentId, now: Instant) -> u32 {
        let failures = {
            let mut inner = self.inner.lock();
            let Some(item) = inner.items.get_mut(id) else {
                return 0;
            };
            item.failures = item.failures.saturating_add(1);
            item.failures
        };
        self.postpone(id, WAITS.after(failures), now);
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> TorrentId {
        TorrentId(name.to_owned())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn demanded_first_then_newest() {
        let queue = InfoQueue::default();
        for (name, added) in [("a", 1), ("b", 3), ("c", 2)] {
            queue.push(&id(name), at(added));
        }
        queue.demand(&id("a"), at(1));
        let now = Instant::now();
        let order: Vec<_> = std::iter::from_fn(|| queue.next(now, false))
            .map(|job| (job.id.0, job.priority))
            .collect();
        assert_eq!(
            order,
            [
                ("a".to_owned(), Priority::User),
                ("b".to_owned(), Priority::Refresh),
                ("c".to_owned(), Priority::Refresh)
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_each_time_and_are_never_forgotten() {
        let queue = InfoQueue::default();
        queue.push(&id("a"), at(1));
        for expected in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            let now = Instant::now();
            assert!(queue.next(now, false).is_some());
            queue.failed(&id("a"), now);
            assert_eq!(queue.next_due(), Some(now + Duration::from_secs(expected)));
            assert!(queue.next(now, false).is_none());
            tokio::time::advance(Duration::from_secs(expected)).await;
        }
        assert_eq!(queue.inner.lock().items.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_demand_does_not_wait_for_the_back_off() {
        let queue = InfoQueue::default();
        queue.push(&id("a"), at(1));
        let now = Instant::now();
        queue.next(now, false).unwrap();
        queue.failed(&id("a"), now);
        queue.demand(&id("a"), at(1));
        assert_eq!(queue.next(now, true).unwrap().priority, Priority::User);
    }

    #[tokio::test(start_paused = true)]
    async fn a_demand_takes_a_waiting_call_over() {
        let queue = InfoQueue::default();
        queue.push(&id("a"), at(1));
        let now = Instant::now();
        let job = queue.next(now, false).unwrap();
        queue.demand(&id("a"), at(1));
        assert!(job.cancel.is_cancelled());
        queue.again(&id("a"));
        assert_eq!(queue.next(now, false).unwrap().priority, Priority::User);
    }
}
