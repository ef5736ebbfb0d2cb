//! The whole way with TorBox: catalogue, client and scheduler against the simulated account, on a paused clock.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{Secret, TokioClock};
use debridfs_catalogue::{Catalogue, CatalogueConfig, FolderNaming, ViewRules};
use debridfs_provider::vendors::torbox;
use debridfs_provider::{
    AccountConfig, Addition, DebridAccount, HosterLink, InfoHash, Priority, Provider, TorrentId,
    TorrentStatus, Verdict,
};
use debridfs_sim::{FileSpec, Generated, InProcess, Kind, LibrarySpec, ReleaseSpec, Service, Sim};
use jiff::Timestamp;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const CACHED: &str = "0123456789abcdef0123456789abcdef01234567";

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// `releases` torrents, a usenet download, and a release that is in the provider's cache and not in the account.
fn simulation(releases: u32) -> Sim {
    let mut library = LibrarySpec::generated(&Generated {
        releases,
        files_per_release: 2,
        seed: 7,
    });
    let files = || vec![FileSpec::generated("/Film.mkv", 5 << 20)];
    library.releases.push(ReleaseSpec {
        service: Service::Usenet,
        ..ReleaseSpec::new("Usenet.Film", files())
    });
    library.releases.push(ReleaseSpec {
        hash: Some(CACHED.to_owned()),
        copies: 0,
        ..ReleaseSpec::new("Cached.Film", files())
    });
    Sim::of_starting_at(Kind::TorBox, &library, start()).unwrap()
}

fn account(sim: &Sim) -> Arc<DebridAccount> {
    let config = AccountConfig {
        name: "tb".to_owned(),
        token: Some(Secret::new(sim.token())),
        ..AccountConfig::of(&torbox::KIND)
    };
    let transport = InProcess::new(sim.router()).with_delay(Duration::from_millis(40));
    let clock = Arc::new(TokioClock::starting_at(start()));
    Arc::new(DebridAccount::with_transport(config, Arc::new(transport), clock).unwrap())
}

#[tokio::test(start_paused = true)]
async fn three_thousand_torrents_are_shown_for_the_price_of_the_lists() {
    let sim = simulation(3000);
    let account = account(&sim);
    let dir = tempfile::Builder::new()
        .prefix("debridfs-torbox-")
        .tempdir()
        .unwrap();
    let names = vec!["tb".to_owned()];
    let rules = ViewRules::new(FolderNaming::default(), names, &BTreeMap::new()).unwrap();
    let mut config = CatalogueConfig::new(dir.path().join("catalogue.db"), rules);
    config.clock = Arc::new(TokioClock::starting_at(start()));
    config.poll_every = Duration::from_secs(3600);
    let providers = vec![account.clone() as Arc<dyn Provider>];
    let catalogue = Catalogue::open(config, providers).await.unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(catalogue.clone().run(shutdown.clone()));
    let mut library = catalogue.library();
    let listed = library.wait_for(|library| library.listed && catalogue.status().complete);
    drop(listed.await.unwrap());
    let status = catalogue.status();
    assert_eq!((status.releases, status.bad, status.files), (3001, 0, 6001));
    let calls = sim.counters().calls;
    assert!(calls <= 4 + 1 + 1, "{calls} calls");

    // A grab shows without a call to list it all.
    let magnet = format!("magnet:?xt=urn:btih:{CACHED}");
    let what = Addition::Magnet(magnet);
    let id = account.add_cached(Priority::Import, what).await.unwrap();
    let info = account.torrent(Priority::Import, &id).await.unwrap();
    assert_eq!(info.summary.status, TorrentStatus::Downloaded);
    catalogue.told("tb", info).await;
    let hash: InfoHash = CACHED.parse().unwrap();
    let shown = library.wait_for(|library| library.release(hash).is_some());
    assert!(
        tokio::time::timeout(Duration::from_secs(60), shown)
            .await
            .is_ok()
    );
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn files_are_linked_and_what_is_unknown_is_not_found() {
    let sim = simulation(3);
    let account = account(&sim);
    let told = account.account(Priority::User).await.unwrap();
    assert_eq!((told.premium, told.plan.as_deref()), (true, Some("pro")));
    let page = account.torrents(Priority::Refresh, 0, 100).await.unwrap();
    assert_eq!((page.items.len(), page.total), (4, Some(4)));
    for item in &page.items {
        let info = account.torrent(Priority::User, &item.id).await.unwrap();
        assert_eq!(Some(&info.files), item.files.as_ref());
        for link in &item.links {
            let made = account.unrestrict(Priority::Playback, link).await.unwrap();
            assert!(made.url.starts_with("http"), "{}", item.id);
        }
    }
    assert!(
        page.items
            .iter()
            .any(|item| item.id.0.starts_with("usenet:"))
    );
    let uncached = Addition::Magnet(format!("magnet:?xt=urn:btih:{}", "f".repeat(40)));
    let error = account
        .add_cached(Priority::Import, uncached)
        .await
        .unwrap_err();
    assert_eq!(error.verdict, Verdict::NotCached, "{error}");
    let nobody = TorrentId("999999".to_owned());
    for error in [
        account.torrent(Priority::User, &nobody).await.map(drop),
        account.delete(Priority::User, &nobody).await,
        account
            .unrestrict(Priority::User, &HosterLink("999999/0".to_owned()))
            .await
            .map(drop),
    ] {
        assert_eq!(error.unwrap_err().verdict, Verdict::NotFound);
    }
    for item in &page.items {
        account.delete(Priority::User, &item.id).await.unwrap();
    }
    let page = account.torrents(Priority::Refresh, 0, 100).await.unwrap();
    assert_eq!((page.items.len(), page.total), (0, Some(0)));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(sim.counters().above_limit, 0);
}
