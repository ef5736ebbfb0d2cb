//! Releases of a stranger's size, and jobs that ended an engine.

use debridfs_acquire::{Action, Selection, Step};
use serde_json::json;

use crate::support::{HASH, World, cached, hash, in_category, magnet};

/// One thread has to do for everything: what holds it up would hold up the test as well, for ever.
#[tokio::test]
#[expect(
    clippy::await_holding_lock,
    reason = "it is another thread that waits for it"
)]
async fn lists_of_a_job_are_made_beside_the_runtime() {
    let world = World::with(vec![cached(HASH, "Film.2024")], |config| {
        config.action = Action::Strm;
        config.clock = std::sync::Arc::new(debridfs_base::SystemClock);
    })
    .await;
    let api = world.api();
    // Whoever asks for the address of a file waits for this.
    let held = world.library.token.lock().unwrap();
    let added = world
        .acquire
        .add(magnet(HASH, "Film.2024"), in_category("tv"));
    added.await.unwrap();
    while world.acquire.job(hash(HASH)).unwrap().step != Step::Probed {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        assert_eq!(api.get("app/version").await.status, 200);
    }
    assert_eq!(world.acquire.job(hash(HASH)).unwrap().step, Step::Probed);
    drop(held);
    assert_eq!(world.settled_soon(hash(HASH)).await.step, Step::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ended_the_engine_twice_waits_for_somebody_who_starts_it_again() {
    let mut world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let stopped = debridfs_acquire::AddOptions {
        stopped: true,
        ..in_category("tv")
    };
    let added = world.acquire.add(magnet(HASH, "Film.2024"), stopped);
    added.await.unwrap();
    // What an engine leaves that was killed, after another one.
    let notes = world.dir.path().join("in-hand.json");
    let left = json!({ HASH: { "in_hand": 1, "deaths": 1 } });
    std::fs::write(&notes, left.to_string()).unwrap();
    world.restart(|config| config.in_hand = Some(notes)).await;
    let job = world.settled(hash(HASH)).await;
    let reason = job.reason.clone().unwrap();
    assert!(
        job.step == Step::Failed && reason.contains("ended the engine twice"),
        "{job:?}"
    );
    assert_eq!(job.evidence, None, "it is no reason to blocklist a release");
    let sab = world.sab();
    let history = sab.get("api?mode=history&apikey=0a1b2c3d4e5f").await;
    let slot = history.json()["history"]["slots"][0].clone();
    assert_eq!(
        (&slot["status"], &slot["fail_message"]),
        (&json!("Failed"), &json!(reason))
    );
    world.acquire.recheck(Selection::All).await.unwrap();
    let start = |job: &mut debridfs_acquire::Job| job.stopped = false;
    world.acquire.edit(Selection::All, start).await.unwrap();
    world.complete(hash(HASH)).await;
}
