//! Permits for connections to the CDN: per host and in all, the most urgent first, cancel-safe.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use debridfs_provider::{CdnConnections, OLDEST_EVERY, Priority};
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

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
