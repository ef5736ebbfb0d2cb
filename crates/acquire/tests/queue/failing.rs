//! Failed grabs, told to the arr that made them: a whole simulated arr is the judge.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Extension;
use bytes::Bytes;
use debridfs_acquire::qbittorrent::{Credentials, router};
use debridfs_acquire::{
    AcquireConfig, CategoryRule, Evidence, ProbeError, Selection, Step, Uncached,
};
use debridfs_base::Secret;
use debridfs_base::http::{Transport, TransportError};
use debridfs_services::Arr;
use debridfs_sim::arr::Arr as Caller;
use debridfs_sim::arr_program::{ArrProgram, Offer, Program};
use debridfs_sim::{InProcess, Outcome, ReleaseSpec};

use crate::support::{HASH, World, cached, hash, in_category, magnet};

const GOOD: &str = "ffffffffffffffffffffffffffffffffffffffff";
const KEY: &str = "arr-key";

/// Into an arr's router that is made only once there is a queue for it to call.
#[derive(Clone, Default)]
struct Line(
    Arc<std::sync::OnceLock<ArrProgram>>,
    Arc<std::sync::atomic::AtomicBool>,
);

impl Line {
    fn cut(&self, cut: bool) {
        self.1.store(cut, std::sync::atomic::Ordering::Relaxed);
    }
}

#[async_trait]
impl Transport for Line {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        max_body: usize,
    ) -> Result<http::Response<Bytes>, TransportError> {
        if self.1.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(TransportError::Connect("refused".into()));
        }
        let arr = InProcess::new(self.0.get().unwrap().router());
        arr.send(request, max_body).await
    }
}

/// A queue and an arr that grabs by it.
struct Home {
    world: World,
    arr: ArrProgram,
    line: Line,
}

impl Home {
    async fn new(
        program: Program,
        releases: Vec<ReleaseSpec>,
        change: impl FnOnce(&mut AcquireConfig),
    ) -> Self {
        let line = Line::default();
        let key = Secret::new(KEY);
        let told = Arr::new("arr", "http://arr:8989", key, Arc::new(line.clone()));
        let world = World::with(releases, |config| {
            config.arrs = vec![Arc::new(told)];
            change(config);
        })
        .await;
        let arr = program_of(&world, program, "tv");
        line.0.set(arr.clone()).unwrap();
        Self { world, arr, line }
    }

    /// Grabs `HASH`, or `GOOD` once that is on the blocklist.
    async fn grab(&self) {
        let offers = vec![Offer::new("Bad", HASH), Offer::new("Good", GOOD)];
        let wanted = self.arr.want(offers);
        self.arr.search(wanted).await.unwrap();
    }

    async fn good_is_complete(&self) {
        let job = self.world.complete(hash(GOOD)).await;
        assert_eq!(job.category, "tv");
        assert_eq!(self.arr.blocklist(), [HASH.to_uppercase()]);
        assert_eq!(
            self.arr.grabbed(),
            [HASH.to_uppercase(), GOOD.to_uppercase()]
        );
    }
}

/// An arr that grabs into `category`.
fn program_of(world: &World, program: Program, category: &str) -> ArrProgram {
    let peer = debridfs_listen::Peer([127, 0, 0, 1].into());
    let client = router(
        world.acquire.clone(),
        Credentials::default(),
        Arc::default(),
    );
    let client = client.layer(Extension(peer));
    ArrProgram::new(program, KEY, Caller::in_process(client, "", "", category))
}

fn bad(outcome: Outcome) -> Vec<ReleaseSpec> {
    let bad = ReleaseSpec {
        outcome,
        cached: false,
        ..cached(HASH, "Bad")
    };
    vec![bad, cached(GOOD, "Good")]
}

#[tokio::test(start_paused = true)]
async fn a_dead_grab_is_blocklisted_and_another_one_is_complete() {
    for outcome in [Outcome::Dead, Outcome::Virus, Outcome::Infringing] {
        for program in [Program::Sonarr, Program::Radarr, Program::Lidarr] {
            let home = Home::new(program, bad(outcome), |_| {}).await;
            home.grab().await;
            home.good_is_complete().await;
            assert!(
                home.world.acquire.job(hash(HASH)).is_none(),
                "the arr took it from its client"
            );
            let calls = home.arr.calls();
            let deletions = calls.iter().filter(|call| call.starts_with("DELETE"));
            assert_eq!(deletions.count(), 1, "{calls:?}");
            assert!(!calls.iter().any(|call| call.contains("history/failed")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_arr_hears_of_its_own_grab_of_a_dead_release() {
    let line = Line::default();
    let told = Arr::new(
        "second",
        "http://second:8989",
        Secret::new(KEY),
        Arc::new(line.clone()),
    );
    let home = Home::new(Program::Sonarr, bad(Outcome::Dead), |config| {
        config.arrs.push(Arc::new(told));
    })
    .await;
    let second = program_of(&home.world, Program::Sonarr, "tv-2");
    line.0.set(second.clone()).unwrap();
    home.grab().await;
    let offers = vec![Offer::new("Bad", HASH), Offer::new("Good", GOOD)];
    second.search(second.want(offers)).await.unwrap();
    for _ in 0..3600 {
        if second.blocklist().len() == 1 && home.arr.blocklist().len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for arr in [&home.arr, &second] {
        assert_eq!(arr.blocklist(), [HASH.to_uppercase()]);
    }
    for category in ["tv", "tv-2"] {
        let job = home.world.complete_in(category).await;
        assert_eq!(job.hash, hash(GOOD));
    }
}

#[tokio::test(start_paused = true)]
async fn an_arr_that_has_not_looked_at_its_client_yet_is_told_within_seconds() {
    let home = Home::new(Program::Sonarr, bad(Outcome::Dead), |_| {}).await;
    home.grab().await;
    home.world.settled(hash(HASH)).await;
    let failed = tokio::time::Instant::now();
    home.world.until(hash(GOOD), |_| true).await;
    assert!(
        failed.elapsed() < Duration::from_secs(10),
        "{:?}",
        failed.elapsed()
    );
    assert_eq!(home.arr.blocklist(), [HASH.to_uppercase()]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_cached_follows_its_category() {
    let uncached = || {
        let mut releases = bad(Outcome::Downloaded);
        // Longer than anybody waits in this test.
        releases[0].outcome = Outcome::Downloaded;
        releases
    };
    let refuse = |config: &mut AcquireConfig| {
        let rule = CategoryRule {
            uncached: Some(Uncached::Refuse),
            ..CategoryRule::default()
        };
        config.categories.insert("tv".to_owned(), rule);
    };
    let home = Home::new(Program::Sonarr, uncached(), refuse).await;
    home.world
        .sim
        .configure(|settings| settings.downloading_ms = 3_600_000);
    home.grab().await;
    home.good_is_complete().await;
    home.world.until_torrents(HASH, 0).await;

    let home = Home::new(Program::Sonarr, uncached(), |_| {}).await;
    home.grab().await;
    home.world.complete(hash(HASH)).await;
    assert_eq!(home.arr.blocklist(), [""; 0], "it was waited for");
}

#[tokio::test(start_paused = true)]
async fn a_grab_that_left_the_queue_is_failed_in_the_history() {
    let home = Home::new(Program::Sonarr, bad(Outcome::Dead), |_| {}).await;
    // The arr cannot be reached while the job fails, and its queue shows nothing afterwards.
    home.line.cut(true);
    home.grab().await;
    let job = home.world.settled(hash(HASH)).await;
    assert_eq!(
        (job.step, job.evidence),
        (Step::Failed, Some(Evidence::Dead))
    );
    // Out of the reach of the arr's look at its client: a category that it does not ask for.
    let one = Selection::Some(vec![hash(HASH)]);
    let edited = home
        .world
        .acquire
        .edit(one, |job| job.category = "other".into());
    edited.await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(home.arr.blocklist(), [""; 0]);
    home.line.cut(false);
    home.good_is_complete().await;
    let job = home.world.until(hash(HASH), |job| job.told.is_some()).await;
    assert_eq!(job.told.as_ref().unwrap().arr.as_deref(), Some("arr"));
    let calls = home.arr.calls();
    let failed = calls.iter().filter(|call| call.contains("history/failed"));
    assert_eq!(failed.count(), 1, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn without_evidence_no_arr_is_told() {
    let home = Home::new(Program::Sonarr, vec![cached(HASH, "Bad")], |_| {}).await;
    home.world.library.probes.lock().unwrap().insert(
        "Bad.mkv".to_owned(),
        ProbeError::NoAnswer("the CDN is away".into()),
    );
    home.grab().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let job = home.world.acquire.job(hash(HASH)).unwrap();
    assert_eq!(job.step, Step::Ready, "{:?}", job.reason);
    // Deleted by somebody in the meantime: nothing against the release.
    let world = &home.world;
    world
        .sim
        .remove_torrent(0, &world.torrents(HASH)[0])
        .unwrap();
    let job = world.settled(hash(HASH)).await;
    assert_eq!((job.step, job.evidence), (Step::Failed, None));
    tokio::time::sleep(Duration::from_secs(7200)).await;
    let calls = home.arr.calls();
    let told = |call: &&String| call.starts_with("DELETE") || call.contains("failed");
    assert_eq!(calls.iter().find(told), None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_nobody_grabbed_is_told_to_nobody_and_that_is_remembered() {
    let home = Home::new(Program::Radarr, bad(Outcome::Dead), |_| {}).await;
    let added = home
        .world
        .acquire
        .add(magnet(HASH, "Bad"), in_category("by-hand"));
    added.await.unwrap();
    let job = home.world.until(hash(HASH), |job| job.told.is_some()).await;
    assert_eq!(job.told.as_ref().unwrap().arr, None);
    assert_eq!(home.arr.blocklist(), [""; 0]);
    let calls = home.arr.calls().len();
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(home.arr.calls().len(), calls, "and never asked again");
    // Once it is begun anew, nothing of that is left.
    let one = Selection::Some(vec![hash(HASH)]);
    home.world.acquire.recheck(one).await.unwrap();
    let job = home.world.until(hash(HASH), |job| job.told.is_none()).await;
    assert_eq!(job.evidence.filter(|_| job.step != Step::Failed), None);
}

#[tokio::test(start_paused = true)]
async fn a_complete_grab_lets_the_arr_look_at_once() {
    let home = Home::new(Program::Sonarr, vec![cached(HASH, "Bad")], |_| {}).await;
    home.grab().await;
    let begun = tokio::time::Instant::now();
    home.world.complete(hash(HASH)).await;
    let looked = |call: &String| call == "POST /api/v3/command";
    while !home.arr.calls().iter().any(looked) {
        assert!(begun.elapsed() < Duration::from_secs(60), "not told");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    let calls = home.arr.calls();
    assert_eq!(calls.iter().filter(|call| looked(call)).count(), 1, "once");
}
