//! Who is connected to one listener, and who has to go when it is full.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::activity::{Activity, Claim, Ended, GRACE};
use crate::{Limits, Network};

/// What happened to connections of a listener since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) made_room: AtomicU64,
    pub(crate) idle: AtomicU64,
    pub(crate) slow: AtomicU64,
    pub(crate) errors: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Connections of one listener.
#[derive(Debug)]
pub(crate) struct Crowd {
    limits: Limits,
    members: Mutex<HashMap<u64, Member>>,
    next: AtomicU64,
    pub(crate) counters: Counters,
}

#[derive(Debug)]
struct Member {
    network: Option<Network>,
    activity: Arc<Activity>,
}

/// A connection that was let in; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    id: u64,
    pub(crate) activity: Arc<Activity>,
}

/// What becomes of a new connection.
#[derive(Debug)]
pub(crate) enum Entry {
    /// It is let in.
    In(Seat),
    /// All are new: one of them can make room at this time, soon.
    Later(Instant),
    /// All are being answered.
    Full,
}

impl Crowd {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            members: Mutex::default(),
            next: AtomicU64::new(0),
            counters: Counters::default(),
        })
    }

    /// Connections that are open now.
    pub(crate) fn len(&self) -> usize {
        self.members.lock().len()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Lets in a connection from `network`. Where there are too many the one goes that has done
    /// nothing for longest: of the same network if that has its share, otherwise of all.
    pub(crate) fn enter(self: &Arc<Self>, network: Option<Network>) -> Entry {
        let mut members = self.members.lock();
        let apart = network.filter(|network| !network.is_loopback());
        if let Some(network) = apart {
            let is_own = |member: &Member| member.network == Some(network);
            let own = members.values().filter(|member| is_own(member)).count();
            // Nobody waits for one that has its share.
            if own >= self.limits.per_address && !self.make_room(&mut members, is_own).is_made() {
                return Entry::Full;
            }
        }
        if members.len() >= self.limits.connections {
            match self.make_room(&mut members, |_| true) {
                Room::Made => {}
                Room::Soon(at) => return Entry::Later(at),
                Room::None => return Entry::Full,
            }
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let activity = Activity::new();
        members.insert(
            id,
            Member {
                network,
                activity: activity.clone(),
            },
        );
        count(&self.counters.accepted);
        Entry::In(Seat {
            crowd: self.clone(),
            id,
            activity,
        })
    }

    /// Gives a descriptor back, if one is held for nothing.
    pub(crate) fn shrink(&self) {
        self.make_room(&mut self.members.lock(), |_| true);
    }

    fn make_room(
        &self,
        members: &mut HashMap<u64, Member>,
        among: impl Fn(&Member) -> bool,
    ) -> Room {
        let now = Instant::now();
        let claims = members
            .iter()
            .filter(|(_, member)| among(member))
            .map(|(id, member)| (member.activity.claim(now), *id));
        match claims.min() {
            Some((Claim::Now(..), id)) => {
                if let Some(member) = members.remove(&id) {
                    member.activity.evicted.notify_one();
                    count(&self.counters.made_room);
                }
                Room::Made
            }
            Some((Claim::Later(at), _)) if at <= now + GRACE => Room::Soon(at),
            _ => Room::None,
        }
    }
}

enum Room {
    Made,
    Soon(Instant),
    None,
}

impl Room {
    fn is_made(&self) -> bool {
        matches!(self, Self::Made)
    }
}

impl Seat {
    /// Returns when the connection has to end.
    pub(crate) async fn ended(&self) -> Ended {
        let counters = &self.crowd.counters;
        let ended = tokio::select! {
            biased;
            () = self.activity.evicted.notified() => return Ended::MadeRoom,
            ended = self.activity.overdue(&self.crowd.limits.times) => ended,
        };
        count(match ended {
            Ended::Idle | Ended::MadeRoom => &counters.idle,
            Ended::SlowBody | Ended::SlowWrite => &counters.slow,
        });
        ended
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // It is not there any more if it had to make room.
        self.crowd.members.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn crowd(connections: usize, per_address: usize) -> Arc<Crowd> {
        Crowd::new(Limits {
            connections,
            per_address,
            ..Limits::default()
        })
    }

    fn from(text: &str) -> Option<Network> {
        Some(Network::of(text.parse().unwrap()))
    }

    fn seat(entry: Entry) -> Seat {
        match entry {
            Entry::In(seat) => seat,
            other => panic!("{other:?}"),
        }
    }

    async fn was_evicted(seat: &Seat) -> bool {
        let wait = Duration::from_millis(1);
        let ended = tokio::time::timeout(wait, seat.activity.evicted.notified()).await;
        ended.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_has_done_nothing_for_longest_makes_room() {
        let crowd = crowd(3, 3);
        let old = seat(crowd.enter(from("192.0.2.1")));
        let _busy = old.activity.begin();
        tokio::time::advance(GRACE).await;
        let idle = seat(crowd.enter(from("192.0.2.2")));
        tokio::time::advance(GRACE).await;
        let newer = seat(crowd.enter(from("192.0.2.3")));
        tokio::time::advance(GRACE).await;
        let last = seat(crowd.enter(from("192.0.2.4")));
        assert!(was_evicted(&idle).await && !was_evicted(&old).await);
        assert!(!was_evicted(&newer).await);
        assert_eq!(crowd.len(), 3);
        drop(idle);
        assert_eq!(crowd.len(), 3, "it had left already");
        drop(last);
        assert_eq!(crowd.len(), 2);
        assert_eq!(crowd.counters.made_room.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_have_just_come_may_first_say_something() {
        let crowd = crowd(1, 1);
        let first = seat(crowd.enter(from("127.0.0.1")));
        let now = Instant::now();
        match crowd.enter(from("127.0.0.1")) {
            Entry::Later(at) => assert_eq!(at, now + GRACE),
            other => panic!("{other:?}"),
        }
        tokio::time::advance(GRACE).await;
        let busy = seat(crowd.enter(from("127.0.0.1")));
        assert!(was_evicted(&first).await);
        let _busy = busy.activity.begin();
        tokio::time::advance(GRACE).await;
        assert!(matches!(crowd.enter(from("127.0.0.1")), Entry::Full));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_share_and_this_machine_is_none() {
        let crowd = crowd(10, 2);
        let enter = |text: &str| crowd.enter(from(text));
        let first = seat(enter("2001:db8::1"));
        let mut others = vec![seat(enter("2001:db8::2"))];
        assert!(
            matches!(enter("2001:db8::3"), Entry::Full),
            "not waited for"
        );
        others.push(seat(enter("192.0.2.1")));
        tokio::time::advance(GRACE).await;
        others.push(seat(enter("2001:db8::3")));
        assert!(was_evicted(&first).await, "one of its own");
        assert_eq!(crowd.len(), 3);
        others.extend((0..5).map(|_| seat(enter("127.0.0.1"))));
        assert_eq!(crowd.len(), 8);
        // On a unix socket there is no address.
        others.push(seat(crowd.enter(None)));
        others.push(seat(crowd.enter(None)));
        assert_eq!(crowd.len(), 10);
    }
}
