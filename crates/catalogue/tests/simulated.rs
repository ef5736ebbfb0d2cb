//! The whole way: catalogue, Real-Debrid's client and its scheduler against the simulated account, on a paused clock.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::Secret;
use debridfs_base::TokioClock;
use debridfs_catalogue::{Catalogue, CatalogueConfig, Contents, FolderNaming, Library, ViewRules};
use debridfs_provider::Provider;
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{AccountConfig, DebridAccount};
use debridfs_sim::{Generated, InProcess, LibrarySpec, Sim};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const RELEASES: u32 = 3000;

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

struct Place {
    dir: tempfile::TempDir,
    sim: Sim,
    began: Instant,
}

impl Place {
    /// A new process over the same store, call log and account.
    async fn open(&self) -> Arc<Catalogue> {
        let now = start() + SignedDuration::try_from(self.began.elapsed()).unwrap();
        let config = AccountConfig {
            name: "rd".to_owned(),
            token: Some(Secret::new(self.sim.token())),
            call_log: Some(self.dir.path().join("calls")),
            ..AccountConfig::of(&real_debrid::KIND)
        };
        let clock = Arc::new(TokioClock::starting_at(now));
        let transport = InProcess::new(self.sim.router()).with_delay(Duration::from_millis(40));
        let provider =
            DebridAccount::with_transport(config, Arc::new(transport), clock.clone()).unwrap();
        let mut config = CatalogueConfig::new(store(self.dir.path()), rules());
        config.clock = clock;
        Catalogue::open(config, vec![Arc::new(provider) as Arc<dyn Provider>])
            .await
            .unwrap()
    }
}

fn store(dir: &Path) -> std::path::PathBuf {
    dir.join("catalogue.db")
}

fn rules() -> ViewRules {
    ViewRules::new(
        FolderNaming::default(),
        vec!["rd".to_owned()],
        &BTreeMap::new(),
    )
    .unwrap()
}

fn known(library: &Library) -> usize {
    let all = library.views.iter().find(|view| view.name == "__all__");
    all.map_or(0, |view| {
        view.entries
            .iter()
            .filter(|entry| matches!(entry.release.contents, Contents::Known(_)))
            .count()
    })
}

#[tokio::test(start_paused = true)]
async fn a_first_sync_killed_three_times_misses_nothing_and_keeps_the_limit() {
    let library = LibrarySpec::generated(&Generated {
        releases: RELEASES,
        files_per_release: 2,
        seed: 7,
    });
    let place = Place {
        dir: tempfile::Builder::new()
            .prefix("debridfs-sync-")
            .tempdir()
            .unwrap(),
        sim: Sim::starting_at(&library, start()).unwrap(),
        began: Instant::now(),
    };
    for round in 0..3 {
        let catalogue = place.open().await;
        let task = tokio::spawn(catalogue.clone().run(CancellationToken::new()));
        if round == 0 {
            let mut library = catalogue.library();
            library
                .wait_for(|library| library.listed && known(library) > 0)
                .await
                .unwrap();
            assert!(place.began.elapsed() < Duration::from_secs(5));
        }
        sleep(Duration::from_secs(60)).await;
        // Somebody looks into what is furthest from its turn.
        let library = catalogue.library().borrow().clone();
        let waiting = library.views[0]
            .entries
            .iter()
            .filter(|entry| matches!(entry.release.contents, Contents::Unknown))
            .min_by_key(|entry| entry.release.added)
            .unwrap();
        let asked = Instant::now();
        catalogue.demand(waiting.release.id).await.unwrap();
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
        sleep(Duration::from_secs(60)).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    let catalogue = place.open().await;
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(catalogue.clone().run(shutdown.clone()));
    catalogue
        .library()
        .wait_for(|_| catalogue.status().complete)
        .await
        .unwrap();
    let limit = Duration::from_secs(u64::from(RELEASES) * 60 / 250);
    assert!(
        place.began.elapsed() < limit.mul_f64(1.3),
        "{:?}",
        place.began.elapsed()
    );
    let library = catalogue.library().borrow().clone();
    assert_eq!(known(&library), RELEASES as usize);
    assert_eq!(catalogue.status().files, 2 * RELEASES as usize);
    shutdown.cancel();
    task.await.unwrap();
    assert_eq!(place.sim.counters().above_limit, 0);

    let before = place.sim.counters().calls;
    let catalogue = place.open().await;
    assert_eq!(
        known(&catalogue.library().borrow().clone()),
        RELEASES as usize
    );
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(catalogue.clone().run(shutdown.clone()));
    sleep(Duration::from_secs(60)).await;
    shutdown.cancel();
    task.await.unwrap();
    let calls = place.sim.counters().calls - before;
    assert!(calls <= 10, "{calls} calls after a restart");
}
