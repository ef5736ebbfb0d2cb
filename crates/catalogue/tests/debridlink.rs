//! The whole way with Debrid-Link: catalogue, client and scheduler against the simulated account, on a paused clock.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{Secret, TokioClock};
use debridfs_catalogue::{Catalogue, CatalogueConfig, FolderNaming, ViewRules};
use debridfs_provider::vendors::debrid_link;
use debridfs_provider::{AccountConfig, DebridAccount, Provider};
use debridfs_sim::{FileSpec, Generated, InProcess, Kind, LibrarySpec, ReleaseSpec, Sim};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// 2998 torrents, and two of so many files that the list has a ZIP in their place.
fn simulation() -> Sim {
    let mut library = LibrarySpec::generated(&Generated {
        releases: 2998,
        files_per_release: 2,
        seed: 7,
    });
    for name in ["Pack.A", "Pack.B"] {
        let files = (0..250).map(|n| FileSpec::generated(format!("/E{n:03}.mkv"), 5 << 20));
        library
            .releases
            .push(ReleaseSpec::new(name, files.collect()));
    }
    Sim::of_starting_at(Kind::DebridLink, &library, start()).unwrap()
}

fn account(sim: &Sim) -> Arc<DebridAccount> {
    let config = AccountConfig {
        name: "dl".to_owned(),
        token: Some(Secret::new(sim.token())),
        ..AccountConfig::of(&debrid_link::KIND)
    };
    let transport = InProcess::new(sim.router()).with_delay(Duration::from_millis(40));
    let clock = Arc::new(TokioClock::starting_at(start()));
    Arc::new(DebridAccount::with_transport(config, Arc::new(transport), clock).unwrap())
}

/// Runs a catalogue until all of the account is shown, and then for `more`.
async fn run(sim: &Sim, store: &Path, more: Duration) {
    let names = vec!["dl".to_owned()];
    let rules = ViewRules::new(FolderNaming::default(), names, &BTreeMap::new()).unwrap();
    let mut config = CatalogueConfig::new(store.to_owned(), rules);
    config.clock = Arc::new(TokioClock::starting_at(start()));
    config.poll_every = Duration::from_secs(15);
    let providers = vec![account(sim) as Arc<dyn Provider>];
    let catalogue = Catalogue::open(config, providers).await.unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(catalogue.clone().run(shutdown.clone()));
    let mut library = catalogue.library();
    let listed = library.wait_for(|library| library.listed && catalogue.status().complete);
    drop(listed.await.unwrap());
    let status = catalogue.status();
    assert_eq!(
        (status.releases, status.bad, status.files),
        (3000, 0, 2998 * 2 + 500)
    );
    tokio::time::sleep(more).await;
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn three_thousand_torrents_are_shown_for_the_price_of_the_list() {
    let sim = simulation();
    let dir = tempfile::Builder::new()
        .prefix("debridfs-debridlink-")
        .tempdir()
        .unwrap();
    let store = dir.path().join("catalogue.db");
    run(&sim, &store, Duration::ZERO).await;
    let counters = sim.counters();
    // 30 pages, and each ZIP once. A look may have come already.
    let calls = counters.calls;
    assert!((32..=33).contains(&calls), "{calls} calls");
    assert_eq!(counters.above_limit, 0);
    // A start knows them. Idle, four looks a minute are four calls.
    sim.reset_counters();
    run(&sim, &store, Duration::from_secs(150)).await;
    let counters = sim.counters();
    assert!(counters.calls <= 30 + 11, "{} calls", counters.calls);
    assert_eq!(counters.above_limit, 0);
}
