//! What is kept in the trash, whatever the time of day is said to be.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use debridfs_acquire::{AcquireConfig, DeletePolicy, Selection, Uncached};
use debridfs_base::{TokioClock, WallClock};
use debridfs_sim::ReleaseSpec;
use jiff::{SignedDuration, Timestamp};
use sqlx::{ConnectOptions, Connection};

use crate::support::{HASH, World, cached, hash};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Deletions are looked at once a minute, and calls to the account wait their turn.
const SOON: Duration = Duration::from_secs(120);

/// A clock that somebody sets.
struct SetClock {
    right: TokioClock,
    /// Seconds.
    wrong_by: AtomicI64,
}

impl SetClock {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            right: TokioClock::starting_at(Timestamp::from_second(1_800_000_000).unwrap()),
            wrong_by: AtomicI64::new(0),
        })
    }

    fn jump(&self, days: i64) {
        self.wrong_by.store(days * 24 * 3600, Ordering::SeqCst);
    }
}

impl WallClock for SetClock {
    fn now(&self) -> Timestamp {
        let wrong = self.wrong_by.load(Ordering::SeqCst);
        self.right.now() + SignedDuration::from_secs(wrong)
    }
}

fn trash(clock: &Arc<SetClock>) -> impl Fn(&mut AcquireConfig) + use<> {
    let clock = clock.clone();
    move |config| {
        config.clock = clock.clone();
        config.delete = DeletePolicy::Trash;
        config.trash_time = 7 * DAY;
    }
}

async fn in_the_trash(clock: &Arc<SetClock>) -> World {
    let world = World::with(vec![cached(HASH, "Film.2024")], trash(clock)).await;
    world.grab(HASH, "x").await;
    world.complete(hash(HASH)).await;
    world.acquire.remove(Selection::All, true).await.unwrap();
    world
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_deletes_nothing_early_and_keeps_nothing_for_years() {
    for jumps in [[-300, 0], [400, 0], [0, 400], [400, -400]] {
        let clock = SetClock::new();
        clock.jump(jumps[0]);
        let world = in_the_trash(&clock).await;
        tokio::time::sleep(SOON).await;
        clock.jump(jumps[1]);
        tokio::time::sleep(7 * DAY - 2 * SOON).await;
        assert_eq!(world.torrents(HASH).len(), 1, "{jumps:?}");
        tokio::time::sleep(2 * SOON).await;
        assert!(world.torrents(HASH).is_empty(), "{jumps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_counted_is_kept_over_a_restart_with_another_clock() {
    let clock = SetClock::new();
    let mut world = in_the_trash(&clock).await;
    tokio::time::sleep(5 * DAY).await;
    clock.jump(400);
    world.restart(trash(&clock)).await;
    // While a store is opened a paused clock may run ahead.
    tokio::time::sleep(DAY + DAY / 2).await;
    assert_eq!(world.torrents(HASH).len(), 1);
    // An hour at most is counted twice.
    tokio::time::sleep(DAY / 2 + Duration::from_secs(3600) + SOON).await;
    assert!(world.torrents(HASH).is_empty());
}

async fn as_an_older_version(path: &Path) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut older = options.connect().await.unwrap();
    let migrations: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations")
        .fetch_one(&mut older)
        .await
        .unwrap();
    assert_eq!(migrations, 1, "more are refused by older versions");
    let written = sqlx::query(
        "INSERT OR REPLACE INTO deletions (provider, torrent, hash, due) SELECT provider, torrent, hash, 0 FROM deletions",
    );
    written.execute(&mut older).await.unwrap();
    older.close().await.unwrap();
}

/// Versions before know no more than when it is due.
#[tokio::test(start_paused = true)]
async fn what_an_older_version_wrote_begins_anew() {
    let clock = SetClock::new();
    let mut world = in_the_trash(&clock).await;
    tokio::time::sleep(DAY).await;
    let path = world.dir.path().join("state/jobs.db");
    let runtime = tokio::runtime::Handle::current();
    // There a paused clock waits for the store.
    tokio::task::spawn_blocking(move || runtime.block_on(as_an_older_version(&path)))
        .await
        .unwrap();
    world.restart(trash(&clock)).await;
    tokio::time::sleep(6 * DAY + DAY / 2).await;
    assert_eq!(world.torrents(HASH).len(), 1);
    tokio::time::sleep(DAY / 2 + SOON).await;
    assert!(world.torrents(HASH).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_release_is_not_taken_back_as_a_clock_was_put_right() {
    let clock = SetClock::new();
    let slow = ReleaseSpec {
        cached: false,
        ..cached(HASH, "Film.2024")
    };
    let set = clock.clone();
    let world = World::with(vec![slow], |config| {
        config.clock = set;
        config.uncached = Uncached::UpTo(Duration::from_secs(1800));
    })
    .await;
    let long = 2 * 3600 * 1000;
    world
        .sim
        .configure(|settings| settings.downloading_ms = long);
    world.grab(HASH, "x").await;
    world.until_torrents(HASH, 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    clock.jump(400);
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert!(!world.acquire.job(hash(HASH)).unwrap().step.is_settled());
    tokio::time::sleep(Duration::from_secs(1200)).await;
    let job = world.acquire.job(hash(HASH)).unwrap();
    assert_eq!(job.evidence, Some(debridfs_acquire::Evidence::Uncached));
}
