//! Budgets beside the calls per minute: kept, over restarts as well, and in no other call's way.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/clock.rs"]
mod clock;

use std::sync::Arc;
use std::time::Duration;

use clock::{clock, paused};
use debridfs_provider::{Budget, Outcome, Priority, Refusals, Scheduler};
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const HOUR: Duration = Duration::from_secs(3600);
const CREATE: Option<&str> = Some("create");

/// 4 calls an hour that carry the word `create`.
const CREATES: Budget = Budget {
    of_account: false,
    word: CREATE,
    calls: 4,
    per: HOUR,
    in_flight: 2,
    pauses_alone: false,
    refusals: Refusals {
        longest_pause: HOUR,
        ..Refusals::CAUTIOUS
    },
};

fn scheduler(budgets: &[Budget]) -> Scheduler {
    Scheduler::with_budgets(Budget::per_minute(250), budgets, clock())
}

/// A call that is answered at once; how long it would have to wait if it gets no turn.
async fn call(
    scheduler: &Scheduler,
    word: Option<&'static str>,
    outcome: Outcome,
) -> Result<(), Duration> {
    let mut turn = scheduler.turn_of(Priority::User, word).await?;
    turn.start();
    turn.finish(outcome);
    Ok(())
}

/// Whether a call with `word` gets its turn without waiting.
async fn is_free(scheduler: &Scheduler, word: Option<&'static str>) -> bool {
    let call = call(scheduler, word, Outcome::Answered);
    matches!(timeout(Duration::from_millis(1), call).await, Ok(Ok(())))
}

#[test]
fn a_spent_budget_refuses_its_own_calls_and_no_others() {
    paused(async {
        let scheduler = scheduler(&[CREATES]);
        for _ in 0..4 {
            call(&scheduler, CREATE, Outcome::Answered).await.unwrap();
            sleep(Duration::from_secs(60)).await;
        }
        let wait = call(&scheduler, CREATE, Outcome::Answered)
            .await
            .unwrap_err();
        assert!((3355..=3361).contains(&wait.as_secs()), "{wait:?}");
        for _ in 0..100 {
            assert!(is_free(&scheduler, None).await);
        }
        sleep(wait).await;
        assert!(is_free(&scheduler, CREATE).await);
        assert!(!is_free(&scheduler, CREATE).await);
        // They count among all calls as well.
        assert_eq!(scheduler.status().budget_left, 249);
    });
}

#[test]
fn waiting_for_a_budget_holds_up_no_other_call() {
    paused(async {
        let spaced = Budget {
            calls: 2,
            per: Duration::from_secs(20),
            ..CREATES
        };
        let scheduler = scheduler(&[spaced]);
        for _ in 0..2 {
            assert!(is_free(&scheduler, CREATE).await);
        }
        let mut waiting = JoinSet::new();
        for priority in [Priority::Repair, Priority::Playback] {
            let scheduler = scheduler.clone();
            waiting.spawn(async move {
                let mut turn = scheduler.turn_of(priority, CREATE).await.unwrap();
                turn.start();
                priority
            });
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        assert!(is_free(&scheduler, None).await);
        // The more urgent of the two goes first.
        let first = waiting.join_next().await.unwrap().unwrap();
        assert_eq!(first, Priority::Playback);
        assert!(begun.elapsed() >= Duration::from_secs(20));
        waiting.join_next().await.unwrap().unwrap();
    });
}

#[test]
fn calls_on_their_way_at_the_same_time_are_bounded() {
    paused(async {
        let scheduler = scheduler(&[CREATES]);
        let mut first = scheduler.turn_of(Priority::User, CREATE).await.unwrap();
        first.start();
        let _second = scheduler.turn_of(Priority::User, CREATE).await.unwrap();
        assert!(!is_free(&scheduler, CREATE).await);
        assert!(is_free(&scheduler, None).await);
        first.finish(Outcome::Answered);
        assert!(is_free(&scheduler, CREATE).await);
    });
}

#[test]
fn a_refusal_pauses_all_calls_unless_it_is_declared_to_be_about_one_budget() {
    let refused = || Outcome::Refused {
        retry_after: Some(HOUR),
    };
    for alone in [false, true] {
        paused(async {
            let budget = Budget {
                pauses_alone: alone,
                ..CREATES
            };
            let scheduler = scheduler(&[budget]);
            call(&scheduler, CREATE, refused()).await.unwrap();
            // Each believes as much as is declared for it.
            let minute = Refusals::CAUTIOUS.longest_pause;
            assert_eq!(scheduler.status().cooldown, (!alone).then_some(minute));
            assert_eq!(is_free(&scheduler, None).await, alone);
            assert!(!is_free(&scheduler, CREATE).await);
            assert!(scheduler.last_refusal().is_some());
            // The refused call itself counts a moment longer.
            sleep(HOUR + Duration::from_secs(1)).await;
            assert!(is_free(&scheduler, CREATE).await);
            assert!(is_free(&scheduler, None).await);
        });
    }
}

#[test]
fn a_budget_of_an_hour_survives_kills() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls");
    paused(async {
        let clock = clock();
        let open = || {
            let scheduler =
                Scheduler::with_budgets(Budget::per_minute(250), &[CREATES], Arc::clone(&clock));
            scheduler.with_call_log(&path)
        };
        let mut made = 0;
        for _ in 0..6 {
            let scheduler = open();
            made += usize::from(is_free(&scheduler, CREATE).await);
            std::mem::forget(scheduler);
            sleep(Duration::from_secs(300)).await;
        }
        assert_eq!(made, 4);
        sleep(HOUR).await;
        assert!(is_free(&open(), CREATE).await);
    });
}

#[test]
fn a_budget_of_a_second_survives_kills() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls");
    paused(async {
        let (clock, start) = (clock(), Instant::now());
        let burst = Budget {
            per: Duration::from_secs(1),
            ..Budget::per_minute(3)
        };
        let mut made = Vec::new();
        // An engine every 100 ms, each of which would make two calls at once.
        for _ in 0..40 {
            let all = Budget::per_minute(250);
            let scheduler = Scheduler::with_budgets(all, &[burst], Arc::clone(&clock));
            let scheduler = scheduler.with_call_log(&path);
            for _ in 0..2 {
                if is_free(&scheduler, None).await {
                    made.push(Instant::now());
                }
            }
            std::mem::forget(scheduler);
            sleep(Duration::from_millis(100)).await;
        }
        assert!(made.len() >= 6, "in {:?}: {made:?}", start.elapsed());
        assert_eq!(most(&made, Duration::from_secs(1)), 3);
    });
}

/// The most calls that any window of length `per` held.
fn most(times: &[Instant], per: Duration) -> usize {
    let within = |from: &Instant| {
        let window = times.iter().filter(|at| *at >= from && **at < *from + per);
        window.count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_budget_is_kept_whatever_comes(
        all in 1u32..30,
        burst in 1u32..5,
        creates in 1u32..5,
        wishes in prop::collection::vec((0u64..100_000, 0usize..6, any::<bool>(), 0u64..3000), 1..80),
    ) {
        const PRIORITIES: [Priority; 6] = [
            Priority::Playback,
            Priority::Import,
            Priority::User,
            Priority::Refresh,
            Priority::Probe,
            Priority::Repair,
        ];
        let second = Duration::from_secs(1);
        let minutes = Duration::from_secs(300);
        paused(async move {
            let burst_of = |calls| Budget { word: None, calls, per: second, ..CREATES };
            let budgets = [burst_of(burst), Budget { calls: creates, per: minutes, ..CREATES }];
            let scheduler = Scheduler::with_budgets(Budget::per_minute(all), &budgets, clock());
            let mut calls = JoinSet::new();
            for (at, priority, is_create, took) in wishes {
                let scheduler = scheduler.clone();
                calls.spawn(async move {
                    sleep(Duration::from_millis(at)).await;
                    let word = CREATE.filter(|_| is_create);
                    let turn = scheduler.turn_of(PRIORITIES[priority], word).await;
                    let mut turn = turn.ok()?;
                    turn.start();
                    let sent = Instant::now();
                    sleep(Duration::from_millis(took)).await;
                    turn.finish(Outcome::Answered);
                    Some((sent, is_create))
                });
            }
            // All end: 80 calls, one a minute at worst.
            let ended = timeout(Duration::from_secs(80 * 90), calls.join_all())
                .await
                .expect("a call waits for ever");
            let mut sent: Vec<_> = ended.into_iter().flatten().collect();
            sent.sort_unstable();
            let times: Vec<_> = sent.iter().map(|(at, _)| *at).collect();
            let created: Vec<_> =
                sent.iter().filter(|(_, create)| *create).map(|(at, _)| *at).collect();
            assert!(most(&times, Duration::from_secs(60)) <= all as usize);
            assert!(most(&times, second) <= burst as usize);
            assert!(most(&created, minutes) <= creates as usize);
        });
    }
}
