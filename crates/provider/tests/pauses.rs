//! Pauses after a refusal: as long as the vendor declares and no longer, ended by an answer or by a person, kept over a kill.
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
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// A scheduler of a vendor that declares this of its refusals.
fn declared(longest_pause: Duration, harmless: bool) -> Scheduler {
    let all = Budget {
        refusals: Refusals {
            longest_pause,
            harmless,
            ..Refusals::CAUTIOUS
        },
        ..Budget::per_minute(250)
    };
    Scheduler::with_budgets(all, &[], clock())
}

/// One call that is refused with this `Retry-After`.
async fn refuse(scheduler: &Scheduler, priority: Priority, retry_after: u64) {
    let mut turn = scheduler.turn(priority).await;
    turn.start();
    // An answer takes its time: a call granted later is news.
    sleep(Duration::from_millis(10)).await;
    turn.finish(Outcome::Refused {
        retry_after: Some(Duration::from_secs(retry_after)),
    });
}

/// How long a call waits that is answered.
async fn answered_after(scheduler: &Scheduler, priority: Priority) -> Duration {
    let begun = Instant::now();
    let mut turn = scheduler.turn(priority).await;
    let waited = begun.elapsed();
    turn.start();
    turn.finish(Outcome::Answered);
    waited
}

#[test]
fn a_pause_is_no_longer_than_declared_whatever_is_asked() {
    for asked in [61, 3600, 99_999_999_999, u64::MAX] {
        paused(async {
            let scheduler = Scheduler::new(250, clock());
            refuse(&scheduler, Priority::Refresh, asked).await;
            let minute = Duration::from_secs(60);
            assert_eq!(scheduler.status().cooldown, Some(minute));
            // Refusals may cost something here: playback waits as all do.
            let waited = answered_after(&scheduler, Priority::Playback).await;
            assert_eq!(waited, minute);
        });
    }
}

#[test]
fn playback_tries_every_half_minute_and_an_answer_ends_the_pause_for_all() {
    paused(async {
        let half = Duration::from_secs(30);
        let scheduler = declared(half * 10, true);
        refuse(&scheduler, Priority::Refresh, 3600).await;
        let import = tokio::spawn({
            let scheduler = scheduler.clone();
            async move { answered_after(&scheduler, Priority::Import).await }
        });
        let begun = Instant::now();
        for trial in 1..=3 {
            refuse(&scheduler, Priority::Playback, 3600).await;
            let waited = begun.elapsed();
            assert!(waited >= half * trial && waited < half * trial + half / 10);
        }
        // A crowd of readers has one trial, and its answer lets everybody go.
        let mut crowd = JoinSet::new();
        for _ in 0..10 {
            let scheduler = scheduler.clone();
            crowd.spawn(async move { answered_after(&scheduler, Priority::Playback).await });
        }
        let waited = crowd.join_all().await;
        assert!(waited.iter().all(|waited| *waited <= half), "{waited:?}");
        assert!(begun.elapsed() < half * 4 + half / 10);
        assert!(import.await.unwrap() < half * 4 + half / 10);
        assert_eq!(scheduler.status().cooldown, None);
    });
}

#[test]
fn a_trial_without_an_answer_leaves_the_pause_as_it_is() {
    paused(async {
        let half = Duration::from_secs(30);
        let scheduler = declared(half * 10, true);
        refuse(&scheduler, Priority::Playback, 3600).await;
        let mut lost = scheduler.turn(Priority::Playback).await;
        lost.start();
        // A second one is not let go while it is on its way, nor for its sake when it is lost.
        sleep(Duration::from_secs(5)).await;
        lost.finish(Outcome::NoAnswer);
        assert!(scheduler.status().cooldown.is_some());
        let waited = answered_after(&scheduler, Priority::Playback).await;
        assert_eq!(waited, Duration::from_secs(25));
    });
}

#[test]
fn a_pause_ends_when_somebody_says_so() {
    paused(async {
        let scheduler = Scheduler::new(250, clock());
        assert!(!scheduler.end_pauses());
        refuse(&scheduler, Priority::Refresh, 60).await;
        let waiting = tokio::spawn({
            let scheduler = scheduler.clone();
            async move { answered_after(&scheduler, Priority::Refresh).await }
        });
        sleep(Duration::from_secs(1)).await;
        assert!(scheduler.end_pauses());
        assert_eq!(waiting.await.unwrap(), Duration::from_secs(1));
        assert_eq!(scheduler.status().cooldown, None);
    });
}

#[test]
fn a_stored_pause_is_cut_and_one_that_ended_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rd.calls");
    paused(async {
        let clock = clock();
        let open = |longest_pause: u64| {
            let all = Budget {
                refusals: Refusals {
                    longest_pause: Duration::from_secs(longest_pause),
                    harmless: true,
                    ..Refusals::CAUTIOUS
                },
                ..Budget::per_minute(250)
            };
            Scheduler::with_budgets(all, &[], Arc::clone(&clock)).with_call_log(&path)
        };
        // As a program wrote it that believed an hour.
        let scheduler = open(3600);
        refuse(&scheduler, Priority::Refresh, 3600).await;
        std::mem::forget(scheduler);
        let scheduler = open(60);
        assert_eq!(scheduler.status().cooldown, Some(Duration::from_secs(60)));
        let waited = answered_after(&scheduler, Priority::Playback).await;
        assert_eq!(waited, Duration::from_secs(30));
        std::mem::forget(scheduler);
        assert_eq!(open(60).status().cooldown, None);
        let scheduler = open(3600);
        refuse(&scheduler, Priority::Refresh, 3600).await;
        scheduler.end_pauses();
        std::mem::forget(scheduler);
        assert_eq!(open(3600).status().cooldown, None);
    });
}

#[test]
fn cooldowns_double_and_an_answer_ends_the_series() {
    paused(async {
        let scheduler = declared(Duration::from_secs(3600), false);
        let refuse = || async {
            let mut turn = scheduler.turn(Priority::User).await;
            turn.start();
            sleep(Duration::from_millis(10)).await;
            turn.finish(Outcome::Refused { retry_after: None });
            scheduler.status().cooldown.unwrap().as_secs()
        };
        assert_eq!(refuse().await, 10);
        assert_eq!(refuse().await, 20);
        assert_eq!(refuse().await, 40);
        for _ in 0..10 {
            refuse().await;
        }
        assert_eq!(refuse().await, 300);
        answered_after(&scheduler, Priority::User).await;
        assert_eq!(refuse().await, 10);
    });
}
