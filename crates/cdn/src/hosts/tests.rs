//! Leave to ask hosts: per host and in all, the most urgent first, cancel-safe, and after refusals.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use debridfs_provider::{CdnLimits, Priority};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use super::{Connections, Hosts, Need, Pass, Urgency};
use crate::error::Cause;
use crate::tuning::hosts::{MOST_HOSTS, OLDEST_EVERY};

const PLAYBACK: Priority = Priority::Playback;

/// One account and its hosts.
#[derive(Clone)]
struct CdnConnections {
    hosts: Arc<Hosts>,
    account: Arc<Connections>,
}

impl CdnConnections {
    fn new(per_host: usize, total: usize) -> Self {
        let hosts = Arc::new(Hosts::default());
        let account = hosts.connections(CdnLimits { per_host, total });
        Self { hosts, account }
    }

    fn unlimited() -> Self {
        Self::new(usize::MAX, usize::MAX)
    }

    async fn permit(&self, host: &str, priority: Priority) -> Pass {
        self.wait(host, &Urgency::new(priority, Need::Ahead)).await
    }

    async fn wait(&self, host: &str, urgency: &Urgency) -> Pass {
        let host = self.hosts.get(host, 443);
        host.enter(&self.account, urgency).await
    }

    fn open(&self) -> usize {
        self.hosts.count().0
    }

    fn waiting(&self) -> usize {
        self.hosts.count().1
    }
}

async fn is_free(connections: &CdnConnections, host: &str, priority: Priority) -> bool {
    timeout(Duration::from_millis(1), connections.permit(host, priority))
        .await
        .is_ok()
}

#[tokio::test(start_paused = true)]
async fn keeps_both_limits_and_a_reserve_for_readers() {
    let connections = CdnConnections::new(4, 6);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connections.permit("a", Priority::Probe).await);
    }
    assert!(!is_free(&connections, "a", Priority::Probe).await);
    held.push(connections.permit("a", Priority::Playback).await);
    assert!(!is_free(&connections, "a", Priority::Playback).await);
    held.push(connections.permit("b", Priority::Playback).await);
    held.push(connections.permit("c", Priority::Playback).await);
    assert!(!is_free(&connections, "d", Priority::Playback).await);
    assert_eq!((connections.open(), connections.waiting()), (6, 0));
    held.clear();
    assert_eq!(connections.open(), 0);
    assert!(is_free(&connections, "d", Priority::Repair).await);
}

#[tokio::test(start_paused = true)]
async fn a_full_host_does_not_hold_up_another() {
    let connections = CdnConnections::new(1, 10);
    let _held = connections.permit("a", Priority::Playback).await;
    let waiting = tokio::spawn({
        let connections = connections.clone();
        async move { connections.permit("a", Priority::Playback).await }
    });
    sleep(Duration::from_millis(1)).await;
    assert!(is_free(&connections, "b", Priority::Repair).await);
    waiting.abort();
    let _ = waiting.await;
    assert_eq!((connections.open(), connections.waiting()), (1, 0));
}

/// A provider names another host in each link, and in each redirect.
#[tokio::test(start_paused = true)]
async fn hosts_without_end_are_forgotten_and_those_in_use_are_not() {
    let connections = CdnConnections::new(1, usize::MAX);
    let held = connections.permit("held", PLAYBACK).await;
    let waiting = tokio::spawn({
        let connections = connections.clone();
        async move { connections.permit("held", PLAYBACK).await }
    });
    sleep(Duration::from_millis(1)).await;
    for number in 0..3 * MOST_HOSTS {
        assert!(is_free(&connections, &format!("{number}.example"), PLAYBACK).await);
    }
    assert!(connections.hosts.hosts.lock().len() <= MOST_HOSTS);
    assert!(connections.hosts.queue.most_hosts() <= MOST_HOSTS);
    let known = connections.hosts.get("held", 443);
    assert!(Arc::ptr_eq(&known, &held.lead().host));
    assert_eq!((connections.open(), connections.waiting()), (1, 1));
    // A number that was another's is that of a host of its own.
    let first = connections.permit("new", PLAYBACK).await;
    assert!(!is_free(&connections, "new", PLAYBACK).await);
    drop(first);
    drop(held);
    drop(waiting.await.unwrap());
    assert_eq!(connections.open(), 0);
}

/// The order in which those are served who arrive as `waiting` says where there is one connection, which another has.
async fn served(waiting: impl IntoIterator<Item = Priority>) -> Vec<Priority> {
    let connections = CdnConnections::new(1, 1);
    let held = connections.permit("a", Priority::Playback).await;
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for priority in waiting {
        let (connections, served) = (connections.clone(), Arc::clone(&served));
        tasks.spawn(async move {
            let _permit = connections.permit("a", priority).await;
            served.lock().unwrap().push(priority);
        });
        tokio::task::yield_now().await;
    }
    drop(held);
    while tasks.join_next().await.is_some() {}
    let served = served.lock().unwrap();
    served.clone()
}

#[tokio::test(start_paused = true)]
async fn the_most_urgent_gets_what_is_given_back() {
    let served = served([Priority::Probe, Priority::User, Priority::Playback]).await;
    assert!(served.is_sorted(), "{served:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_longest_is_served_now_and_then() {
    let urgent = [Priority::Playback; 3 * OLDEST_EVERY];
    let served = served([Priority::Probe].into_iter().chain(urgent)).await;
    let place = served.iter().position(|one| *one == Priority::Probe);
    assert!(
        place.is_some_and(|place| place < OLDEST_EVERY),
        "{served:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_nobody_takes_goes_to_the_next() {
    let connections = CdnConnections::new(1, 1);
    let held = connections.permit("a", Priority::Playback).await;
    let mut given_up = Box::pin(connections.permit("a", Priority::Playback));
    assert!(
        std::future::poll_fn(|cx| std::task::Poll::Ready(given_up.as_mut().poll(cx)))
            .await
            .is_pending()
    );
    // Granted here, and dropped before it looks.
    drop(held);
    assert_eq!(connections.open(), 1);
    drop(given_up);
    assert!(is_free(&connections, "a", Priority::Repair).await);
}

fn refusal(status: u16, retry_after: Option<Duration>) -> Cause {
    Cause::Status {
        status,
        x_error: None,
        retry_after,
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_holds_everybody_back_and_one_tries_first() {
    let connections = CdnConnections::unlimited();
    let host = connections.hosts.get("cdn", 443);
    let pass = connections.permit("cdn", PLAYBACK).await;
    pass.refused(&refusal(503, Some(Duration::from_secs(3))));
    drop(pass);
    let begun = Instant::now();
    // Those who have another source stay away as long as they were asked to.
    assert!(host.long_refusal().is_some());
    let first = connections.permit("cdn", PLAYBACK).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(900));
    // While the first one tries, the second waits for its outcome.
    let other = {
        let connections = connections.clone();
        tokio::spawn(async move { connections.permit("cdn", PLAYBACK).await })
    };
    sleep(Duration::from_secs(5)).await;
    assert!(!other.is_finished());
    let mut first = first;
    assert!(!host.is_generous());
    first.succeeded();
    other.await.unwrap();
    assert!(host.long_refusal().is_none() && host.is_generous());
}

#[tokio::test(start_paused = true)]
async fn the_number_of_transfers_is_learnt_from_429() {
    let connections = CdnConnections::unlimited();
    let mut transfers = Vec::new();
    for _ in 0..4 {
        let mut pass = connections.permit("cdn", PLAYBACK).await;
        pass.succeeded();
        transfers.push(pass);
    }
    let refused = connections.permit("cdn", PLAYBACK).await;
    refused.refused(&refusal(429, None));
    drop(refused);
    let begun = Instant::now();
    let fifth = {
        let connections = connections.clone();
        tokio::spawn(async move { connections.permit("cdn", PLAYBACK).await })
    };
    sleep(Duration::from_millis(1500)).await;
    assert!(!fifth.is_finished());
    transfers.pop();
    let fifth = fifth.await.unwrap();
    // One more is tried in time, by one of those who wait.
    let waiting = [PLAYBACK; 2].map(|priority| {
        let connections = connections.clone();
        tokio::spawn(async move { connections.permit("cdn", priority).await })
    });
    let (tried, other) = waiting.into();
    let tried = tried.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    drop((fifth, tried));
    other.await.unwrap();
}

/// The order in which those are let in who arrive as `waiting` says at a host that allows one transfer, which another has.
async fn let_in(waiting: impl IntoIterator<Item = Priority>) -> Vec<Priority> {
    let connections = CdnConnections::unlimited();
    let mut only = connections.permit("cdn", PLAYBACK).await;
    only.succeeded();
    let refused = connections.permit("cdn", PLAYBACK).await;
    refused.refused(&refusal(429, None));
    drop(refused);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut all = Vec::new();
    for priority in waiting {
        let (connections, order) = (connections.clone(), order.clone());
        all.push(tokio::spawn(async move {
            let mut pass = connections.permit("cdn", priority).await;
            pass.succeeded();
            order.lock().unwrap().push(priority);
        }));
        tokio::task::yield_now().await;
    }
    drop(only);
    for one in all {
        one.await.unwrap();
    }
    let order = order.lock().unwrap();
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
async fn who_plays_does_not_queue_behind_those_who_look() {
    let order = let_in([Priority::Probe; 5].into_iter().chain([PLAYBACK])).await;
    assert_eq!(order[..2], [PLAYBACK, Priority::Probe]);
}

#[tokio::test(start_paused = true)]
async fn who_becomes_more_urgent_passes_others_without_losing_time() {
    let connections = CdnConnections::new(1, 1);
    let held = connections.permit("a", PLAYBACK).await;
    let served = Arc::new(Mutex::new(Vec::new()));
    let ahead = Arc::new(Urgency::new(Priority::Probe, Need::Ahead));
    let urgencies = [Priority::User, Priority::User, Priority::Import];
    let urgencies = urgencies.map(|priority| Arc::new(Urgency::new(priority, Need::Ahead)));
    let mut tasks = tokio::task::JoinSet::new();
    for urgency in urgencies.iter().chain([&ahead]) {
        let (connections, served) = (connections.clone(), served.clone());
        let urgency = urgency.clone();
        tasks.spawn(async move {
            let _pass = connections.wait("a", &urgency).await;
            served.lock().unwrap().push(urgency.priority());
        });
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    ahead.set(PLAYBACK, Need::Waited);
    urgencies[2].set(Priority::Probe, Need::Ahead);
    tokio::task::yield_now().await;
    drop(held);
    while tasks.join_next().await.is_some() {}
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let expected = [PLAYBACK, Priority::User, Priority::User, Priority::Probe];
    assert_eq!(*served.lock().unwrap(), expected);
}

/// A lane that plays asks for its next range right after the last one: no look comes between, but the one whose turn it is.
#[tokio::test(start_paused = true)]
async fn what_was_granted_and_not_taken_goes_to_who_is_more_urgent() {
    let connections = CdnConnections::new(1, 1);
    let mut playing = connections.permit("a", PLAYBACK).await;
    let looks: Vec<_> = (0..4)
        .map(|_| {
            let connections = connections.clone();
            tokio::spawn(async move { drop(connections.permit("a", Priority::Probe).await) })
        })
        .collect();
    tokio::task::yield_now().await;
    let mut kept = 0;
    for _ in 0..3 {
        drop(playing);
        assert_eq!(connections.open(), 1);
        let again = connections.permit("a", PLAYBACK);
        playing = again.await;
        kept += usize::from(connections.waiting() == looks.len());
    }
    assert_eq!(kept, OLDEST_EVERY - 2);
    drop(playing);
    for look in looks {
        look.await.unwrap();
    }
    assert_eq!((connections.open(), connections.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn those_who_are_connected_hear_of_those_who_could_have_their_connection() {
    let connections = CdnConnections::new(2, 3);
    let spawn = |host: &'static str| {
        let connections = connections.clone();
        tokio::spawn(async move { connections.permit(host, PLAYBACK).await })
    };
    let a = connections.permit("a", PLAYBACK).await;
    let b = connections.permit("b", PLAYBACK).await;
    let other = connections.permit("b", PLAYBACK).await;
    assert!(!a.lead().is_waited_for() && !b.lead().is_waited_for());
    // Host `b` is full: a connection to `a` is of no use.
    let at_b = spawn("b");
    sleep(Duration::from_millis(1)).await;
    assert!(!a.lead().is_waited_for() && b.lead().is_waited_for());
    // Host `c` is not, but all connections are in use.
    let at_c = spawn("c");
    timeout(Duration::from_secs(1), a.lead().arrival())
        .await
        .unwrap();
    assert!(a.lead().is_waited_for() && b.lead().is_waited_for());
    drop(a);
    at_c.await.unwrap();
    drop(other);
    at_b.await.unwrap();
    assert!(!b.lead().is_waited_for());
}

proptest! {
    #[test]
    fn never_too_many_and_nobody_is_forgotten(
        per_host in 1usize..5,
        total in 1usize..8,
        wishes in prop::collection::vec((0usize..3, 0u64..50, 1u64..50, proptest::option::of(0u64..60), any::<bool>()), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async move {
            let connections = CdnConnections::new(per_host, total);
            let open = Arc::new(Mutex::new([0usize; 3]));
            let mut tasks = tokio::task::JoinSet::new();
            for (host, at, hold, patience, urgent) in wishes {
                let (connections, open) = (connections.clone(), Arc::clone(&open));
                tasks.spawn(async move {
                    sleep(Duration::from_millis(at)).await;
                    let priority = if urgent { Priority::Playback } else { Priority::Probe };
                    let name = ["a", "b", "c"][host];
                    let permit = connections.permit(name, priority);
                    let patience = Duration::from_millis(patience.unwrap_or(100_000));
                    let Ok(permit) = timeout(patience, permit).await else { return };
                    {
                        let mut open = open.lock().unwrap();
                        open[host] += 1;
                        assert!(open[host] <= per_host);
                        assert!(open.iter().sum::<usize>() <= total);
                    }
                    sleep(Duration::from_millis(hold)).await;
                    open.lock().unwrap()[host] -= 1;
                    drop(permit);
                });
            }
            timeout(Duration::from_secs(60), async {
                while let Some(ended) = tasks.join_next().await {
                    ended.unwrap();
                }
            })
            .await
            .expect("somebody waits for ever");
            assert_eq!((connections.open(), connections.waiting()), (0, 0));
        });
    }
}
