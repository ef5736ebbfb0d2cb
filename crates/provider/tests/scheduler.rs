//! The scheduler under a paused clock: never above the limit, the most urgent first, one cool-down for all, nothing lost by
//! cancelling or by a kill.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/clock.rs"]
mod clock;
#[path = "support/server.rs"]
mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::{clock, paused};
use debridfs_provider::{Outcome, Priority, Scheduler};
use proptest::prelude::*;
use server::Server;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const PRIORITIES: [Priority; 6] = [
    Priority::Playback,
    Priority::Import,
    Priority::User,
    Priority::Refresh,
    Priority::Probe,
    Priority::Repair,
];

/// A call with `out` on the way there and `back` on the way back.
async fn call(
    scheduler: &Scheduler,
    server: &Server,
    priority: Priority,
    out: Duration,
    back: Duration,
) -> bool {
    let mut turn = scheduler.turn(priority).await;
    turn.start();
    sleep(out).await;
    let answered = server.arrive();
    sleep(back).await;
    turn.finish(match answered {
        true => Outcome::Answered,
        false => Outcome::Refused { retry_after: None },
    });
    answered
}

async fn fill(scheduler: &Scheduler, calls: u32) {
    for _ in 0..calls {
        let mut turn = scheduler.turn(Priority::User).await;
        turn.start();
        turn.finish(Outcome::Answered);
    }
}

#[derive(Debug, Clone)]
struct Wish {
    at_ms: u64,
    priority: usize,
    out_ms: u64,
    back_ms: u64,
    /// Gives up after so long, wherever it is then.
    patience_ms: Option<u64>,
}

fn wish() -> impl Strategy<Value = Wish> {
    let patience = proptest::option::weighted(0.3, 0u64..90_000);
    (
        0u64..100_000,
        0usize..6,
        0u64..20_000,
        0u64..5_000,
        patience,
    )
        .prop_map(|(at_ms, priority, out_ms, back_ms, patience_ms)| Wish {
            at_ms,
            priority,
            out_ms,
            back_ms,
            patience_ms,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn never_above_the_limit_whatever_the_delays(
        limit in 1u32..40,
        wishes in prop::collection::vec(wish(), 1..150),
    ) {
        paused(async move {
            let scheduler = Scheduler::new(limit, clock());
            let server = Arc::new(Server::new(limit as usize));
            let mut calls = JoinSet::new();
            for wish in wishes {
                let (scheduler, server) = (scheduler.clone(), Arc::clone(&server));
                calls.spawn(async move {
                    sleep(Duration::from_millis(wish.at_ms)).await;
                    let call = call(
                        &scheduler,
                        &server,
                        PRIORITIES[wish.priority],
                        Duration::from_millis(wish.out_ms),
                        Duration::from_millis(wish.back_ms),
                    );
                    match wish.patience_ms {
                        Some(patience) => drop(timeout(Duration::from_millis(patience), call).await),
                        None => drop(call.await),
                    }
                });
            }
            // All end: 150 calls of 25 s, one a minute at worst.
            timeout(Duration::from_secs(150 * 90), async {
                while let Some(ended) = calls.join_next().await {
                    ended.unwrap();
                }
            })
            .await
            .expect("somebody waits for ever");
            assert_eq!(server.refused(), 0, "{} calls in a minute, limit {limit}", server.most());
            assert_eq!(scheduler.status().waiting, 0);
            assert_eq!(scheduler.status().in_flight, 0);
        });
    }

    #[test]
    fn the_most_urgent_first_and_then_who_came_first(
        order in prop::collection::vec(0usize..6, 1..40),
    ) {
        paused(async move {
            let scheduler = Scheduler::new(40, clock());
            fill(&scheduler, 40).await;
            let served = Arc::new(Mutex::new(Vec::new()));
            let mut calls = JoinSet::new();
            for (number, priority) in order.iter().copied().enumerate() {
                let (scheduler, served) = (scheduler.clone(), Arc::clone(&served));
                calls.spawn(async move {
                    let mut turn = scheduler.turn(PRIORITIES[priority]).await;
                    served.lock().unwrap().push((priority, number));
                    turn.start();
                    turn.finish(Outcome::Answered);
                });
                tokio::task::yield_now().await;
            }
            while let Some(ended) = calls.join_next().await {
                ended.unwrap();
            }
            let served = served.lock().unwrap();
            let mut wanted = served.clone();
            wanted.sort_unstable();
            assert_eq!(*served, wanted);
        });
    }
}

#[test]
fn fifty_clients_for_an_hour() {
    paused(async {
        let scheduler = Scheduler::new(250, clock());
        let server = Arc::new(Server::new(250));
        let end = Instant::now() + Duration::from_secs(3600);
        let mut clients = JoinSet::new();
        for number in 0..50u64 {
            let (scheduler, server) = (scheduler.clone(), Arc::clone(&server));
            clients.spawn(async move {
                let mut step = number;
                while Instant::now() < end {
                    step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let priority = PRIORITIES[(step >> 33) as usize % 6];
                    let out = Duration::from_millis((step >> 40) % 400);
                    assert!(call(&scheduler, &server, priority, out, out / 3).await);
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        assert_eq!(server.refused(), 0);
        assert!(server.most() <= 250, "{}", server.most());
        // The limit is used, not just kept: clients that wait in the background bring it down to their share.
        assert!(
            server.calls() > 3600 / 60 * 250 * 83 / 100,
            "{}",
            server.calls()
        );
    });
}

#[test]
fn a_first_sync_ends_in_time_and_leaves_room() {
    paused(async {
        const TORRENTS: usize = 3000;
        let scheduler = Scheduler::new(250, clock());
        let server = Arc::new(Server::new(250));
        let begun = Instant::now();
        let mut sync = JoinSet::new();
        for _ in 0..TORRENTS {
            let (scheduler, server) = (scheduler.clone(), Arc::clone(&server));
            sync.spawn(async move {
                let way = Duration::from_millis(100);
                assert!(call(&scheduler, &server, Priority::Refresh, way, way).await);
            });
        }
        // Meanwhile somebody plays something every 10 s.
        let player = tokio::spawn({
            let (scheduler, server) = (scheduler.clone(), Arc::clone(&server));
            async move {
                let mut longest = Duration::ZERO;
                for _ in 0..60 {
                    sleep(Duration::from_secs(10)).await;
                    let asked = Instant::now();
                    call(
                        &scheduler,
                        &server,
                        Priority::Playback,
                        Duration::ZERO,
                        Duration::ZERO,
                    )
                    .await;
                    longest = longest.max(asked.elapsed());
                }
                longest
            }
        });
        let mut first = None;
        while let Some(ended) = sync.join_next().await {
            ended.unwrap();
            first.get_or_insert(begun.elapsed());
        }
        let limit_time = TORRENTS as f64 * 60.0 / 250.0;
        let took = begun.elapsed().as_secs_f64();
        assert!(
            took <= 1.3 * limit_time,
            "{took} s, the limit allows {limit_time} s"
        );
        assert!(first.unwrap() < Duration::from_secs(1));
        let longest = player.await.unwrap();
        assert!(
            longest < Duration::from_millis(10),
            "a player waited {longest:?}"
        );
        assert_eq!(server.refused(), 0);
    });
}

#[test]
fn background_is_spread_so_that_turns_come_back_one_by_one() {
    paused(async {
        let scheduler = Scheduler::new(250, clock());
        for _ in 0..1000 {
            let scheduler = scheduler.clone();
            tokio::spawn(async move {
                let mut turn = scheduler.turn(Priority::Probe).await;
                turn.start();
                turn.finish(Outcome::Answered);
            });
        }
        // Past the first minutes, when the burst at the beginning has been smoothed out.
        sleep(Duration::from_secs(190)).await;
        // An urgent crowd uses the reserve up and goes on: nobody of it waits for long.
        let reserve = scheduler.status().budget_left;
        assert!(reserve >= 37, "{reserve}");
        let begun = Instant::now();
        fill(&scheduler, reserve + 20).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}");
    });
}

#[test]
fn a_refusal_cools_everybody_down() {
    paused(async {
        let scheduler = Scheduler::new(250, clock());
        let mut refused = scheduler.turn(Priority::Refresh).await;
        refused.start();
        let mut late = scheduler.turn(Priority::Refresh).await;
        late.start();
        refused.finish(Outcome::Refused {
            retry_after: Some(Duration::from_secs(7)),
        });
        let begun = Instant::now();
        let status = scheduler.status();
        assert_eq!(status.budget_left, 0);
        assert_eq!(status.cooldown, Some(Duration::from_secs(7)));
        // A refusal of a call that was under way already is no news, but what it asks for is kept.
        late.finish(Outcome::Refused {
            retry_after: Some(Duration::from_secs(9)),
        });
        let allowed = scheduler.status().allowed_per_minute;
        assert!(allowed < 250);
        let granted = Arc::new(Mutex::new(Vec::new()));
        let mut calls = JoinSet::new();
        for number in 0..20 {
            let (scheduler, granted) = (scheduler.clone(), Arc::clone(&granted));
            calls.spawn(async move {
                let mut turn = scheduler.turn(PRIORITIES[number % 6]).await;
                turn.start();
                granted.lock().unwrap().push(begun.elapsed());
                sleep(Duration::from_millis(500)).await;
                turn.finish(Outcome::Answered);
            });
        }
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }
        let granted = granted.lock().unwrap().clone();
        assert!(granted[0] >= Duration::from_secs(9), "{granted:?}");
        assert!(granted[0] < Duration::from_millis(9100), "{granted:?}");
        // One feels the way; the others follow its answer.
        assert!(granted[1] >= Duration::from_millis(9500), "{granted:?}");
        // The rate grows back.
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(scheduler.status().allowed_per_minute, 250);
    });
}

#[test]
fn adapts_to_others_who_use_the_account() {
    paused(async {
        // Another program takes 150 of the 250.
        let server = Arc::new(Server::new(250));
        let other = tokio::spawn({
            let server = Arc::clone(&server);
            async move {
                loop {
                    server.arrive();
                    sleep(Duration::from_millis(400)).await;
                }
            }
        });
        let scheduler = Scheduler::new(250, clock());
        let end = Instant::now() + Duration::from_secs(3600);
        let mut clients = JoinSet::new();
        for _ in 0..20 {
            let (scheduler, server) = (scheduler.clone(), Arc::clone(&server));
            clients.spawn(async move {
                let mut refused = 0;
                let way = Duration::from_millis(50);
                while Instant::now() < end {
                    let answered = call(&scheduler, &server, Priority::Refresh, way, way).await;
                    refused += u32::from(!answered);
                }
                refused
            });
        }
        let mut refused = 0;
        while let Some(ended) = clients.join_next().await {
            refused += ended.unwrap();
        }
        other.abort();
        // Without adaptation some 110 calls a minute would be.
        assert!(refused < 250, "{refused} calls refused in an hour");
    });
}

#[test]
fn cancelling_gives_the_turn_back() {
    paused(async {
        let scheduler = Scheduler::new(3, clock());
        // Granted and never started.
        for _ in 0..100 {
            drop(scheduler.turn(Priority::User).await);
        }
        assert_eq!(scheduler.status().budget_left, 3);
        // Given up in the queue, the first one included, which held the timer.
        fill(&scheduler, 3).await;
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let scheduler = scheduler.clone();
                tokio::spawn(async move { scheduler.turn(Priority::Playback).await })
            })
            .collect();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(scheduler.status().waiting, 5);
        let last = tokio::spawn({
            let scheduler = scheduler.clone();
            async move { scheduler.turn(Priority::User).await }
        });
        sleep(Duration::from_secs(1)).await;
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        let turn = timeout(Duration::from_secs(60), last)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(scheduler.status().waiting, 0);
        drop(turn);
        // Started and abandoned: it counts.
        let mut turn = scheduler.turn(Priority::User).await;
        let left = scheduler.status().budget_left;
        turn.start();
        drop(turn);
        assert_eq!(scheduler.status().budget_left, left);
        assert_eq!(scheduler.status().in_flight, 0);
    });
}

#[test]
fn an_urgent_caller_passes_a_waiting_crowd() {
    paused(async {
        let scheduler = Scheduler::new(100, clock());
        for _ in 0..500 {
            let scheduler = scheduler.clone();
            tokio::spawn(async move {
                let mut turn = scheduler.turn(Priority::Repair).await;
                turn.start();
                turn.finish(Outcome::Answered);
            });
        }
        sleep(Duration::from_secs(30)).await;
        let begun = Instant::now();
        fill(&scheduler, 10).await;
        assert!(
            begun.elapsed() < Duration::from_millis(10),
            "{:?}",
            begun.elapsed()
        );
    });
}

/// An engine that is killed: nothing of it says goodbye.
async fn engine_until_killed(scheduler: Scheduler, server: Arc<Server>, life: Duration) {
    let end = Instant::now() + life;
    let mut turns = Vec::new();
    while let Ok(mut turn) = tokio::time::timeout_at(end, scheduler.turn(Priority::User)).await {
        turn.start();
        assert!(server.arrive(), "refused: {} in a minute", server.most());
        // Every third is still on its way when the end comes.
        match turns.len() % 3 {
            0 => turns.push(Some(turn)),
            _ => {
                turn.finish(Outcome::Answered);
                turns.push(None);
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    turns.into_iter().for_each(std::mem::forget);
    std::mem::forget(scheduler);
}

#[test]
fn three_kills_in_a_minute_do_not_exceed_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rd.calls");
    paused(async {
        let server = Arc::new(Server::new(250));
        let clock = clock();
        for life in [3, 1, 20, 15, 90] {
            let scheduler = Scheduler::new(250, Arc::clone(&clock)).with_call_log(&path);
            let life = Duration::from_secs(life);
            engine_until_killed(scheduler, Arc::clone(&server), life).await;
        }
        assert_eq!(server.refused(), 0);
        assert!(server.calls() > 250, "{}", server.calls());
    });
}

#[test]
fn works_without_a_log_where_none_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing/rd.calls");
    paused(async {
        let scheduler = Scheduler::new(10, clock()).with_call_log(&missing);
        fill(&scheduler, 3).await;
        assert_eq!(scheduler.status().budget_left, 7);
    });
}

#[test]
fn a_damaged_log_is_moved_aside_and_another_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rd.calls");
    std::fs::write(&path, "damaged beyond the magic").unwrap();
    paused(async {
        let clock = clock();
        let open = || Scheduler::new(10, Arc::clone(&clock)).with_call_log(&path);
        let scheduler = open();
        fill(&scheduler, 3).await;
        std::mem::forget(scheduler);
        assert_eq!(open().status().budget_left, 7);
    });
    let aside = debridfs_base::state_file::moved_aside_in(dir.path());
    assert_eq!(aside.len(), 1);
    assert_eq!(
        std::fs::read(&aside[0]).unwrap(),
        b"damaged beyond the magic"
    );
}

#[test]
fn a_log_that_can_be_opened_later_counts_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rd.calls");
    paused(async {
        let clock = clock();
        let before = Scheduler::new(10, Arc::clone(&clock)).with_call_log(&path);
        fill(&before, 3).await;
        std::mem::forget(before);
        let was = dir.path().join("was");
        std::fs::rename(&path, &was).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", &path).unwrap();
        let scheduler = Scheduler::new(10, Arc::clone(&clock)).with_call_log(&path);
        assert_eq!(scheduler.status().budget_left, 10);
        let error = scheduler.open_call_log(&path).unwrap_err().to_string();
        assert!(
            error.contains("rd.calls: it is a link to nowhere"),
            "{error}"
        );
        std::fs::rename(&was, &path).unwrap();
        scheduler.open_call_log(&path).unwrap();
        assert_eq!(scheduler.status().budget_left, 7);
        fill(&scheduler, 2).await;
        scheduler.open_call_log(&path).unwrap();
        std::mem::forget(scheduler);
        let after = Scheduler::new(10, clock).with_call_log(&path);
        assert_eq!(after.status().budget_left, 5);
    });
}

#[test]
fn a_cooldown_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rd.calls");
    paused(async {
        let clock = clock();
        let open = || Scheduler::new(250, Arc::clone(&clock)).with_call_log(&path);
        let scheduler = open();
        let mut turn = scheduler.turn(Priority::User).await;
        turn.start();
        turn.finish(Outcome::Refused {
            retry_after: Some(Duration::from_secs(50)),
        });
        std::mem::forget(scheduler);
        sleep(Duration::from_secs(20)).await;
        let rest = open().status().cooldown.unwrap();
        assert!(
            rest > Duration::from_secs(28) && rest <= Duration::from_secs(31),
            "{rest:?}"
        );
    });
}
