//! An account that is watched as an engine does it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{Secret, TokioClock};
use debridfs_catalogue::{Catalogue, CatalogueConfig, FolderNaming, ViewRules};
use debridfs_provider::vendors::{Kind, all_debrid, debrid_link, premiumize, real_debrid, torbox};
use debridfs_provider::{AccountConfig, DebridAccount, HosterLink, Priority, Provider};
use debridfs_sim::{FileSpec, InProcess, Kind as SimKind, LibrarySpec, ReleaseSpec, Sim};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub const MINUTE: Duration = Duration::from_secs(60);
/// The default of `library.refresh_interval`.
pub const LOOKS_APART: Duration = Duration::from_secs(10);
/// Releases that are in the account.
pub const HELD: u8 = 10;
/// Releases that the vendor has in its cache.
pub const CACHED: u8 = 150;
/// A further token of the account.
pub const FURTHER: &str = "SECOND";

/// A simulated vendor and ours of it.
#[derive(Clone, Copy)]
pub struct Vendor {
    pub sim: SimKind,
    pub kind: &'static Kind,
}

pub const REAL_DEBRID: Vendor = Vendor {
    sim: SimKind::RealDebrid,
    kind: &real_debrid::KIND,
};
pub const TORBOX: Vendor = Vendor {
    sim: SimKind::TorBox,
    kind: &torbox::KIND,
};
pub const ALL_DEBRID: Vendor = Vendor {
    sim: SimKind::AllDebrid,
    kind: &all_debrid::KIND,
};
pub const DEBRID_LINK: Vendor = Vendor {
    sim: SimKind::DebridLink,
    kind: &debrid_link::KIND,
};
pub const PREMIUMIZE: Vendor = Vendor {
    sim: SimKind::Premiumize,
    kind: &premiumize::KIND,
};
pub const ALL: [Vendor; 5] = [REAL_DEBRID, TORBOX, ALL_DEBRID, DEBRID_LINK, PREMIUMIZE];

pub fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn hash(number: u8) -> String {
    format!("{number:02x}").repeat(20)
}

pub fn magnet(number: u8) -> String {
    format!("magnet:?xt=urn:btih:{}", hash(number))
}

pub fn film(name: &str) -> ReleaseSpec {
    ReleaseSpec::new(
        name,
        vec![FileSpec::generated(format!("/{name}.mkv"), 5 << 20)],
    )
}

fn library() -> LibrarySpec {
    let release = |number: u8| ReleaseSpec {
        hash: Some(hash(number)),
        copies: u32::from(number < HELD),
        ..film(&format!("Film.{number}"))
    };
    LibrarySpec {
        seed: 9,
        releases: (0..HELD + CACHED).map(release).collect(),
    }
}

pub fn simulated(kind: SimKind) -> Sim {
    Sim::of_starting_at(kind, &library(), start()).unwrap()
}

/// An account at `sim` with the tokens `further` besides its own.
pub fn account(kind: &'static Kind, sim: &Sim, further: &[&str]) -> Arc<DebridAccount> {
    let config = AccountConfig {
        name: kind.word.to_owned(),
        token: Some(Secret::new(sim.token())),
        download_tokens: further.iter().map(|token| Secret::new(*token)).collect(),
        ..AccountConfig::of(kind)
    };
    let transport = InProcess::new(sim.router()).with_delay(Duration::from_millis(40));
    let clock = Arc::new(TokioClock::starting_at(start()));
    Arc::new(DebridAccount::with_transport(config, Arc::new(transport), clock).unwrap())
}

pub async fn catalogue(
    dir: &TempDir,
    providers: Vec<Arc<dyn Provider>>,
    looks_apart: Duration,
) -> Arc<Catalogue> {
    let names = providers.iter().map(|one| one.name().to_owned()).collect();
    let rules = ViewRules::new(FolderNaming::default(), names, &BTreeMap::new()).unwrap();
    let mut config = CatalogueConfig::new(dir.path().join("catalogue.db"), rules);
    config.clock = Arc::new(TokioClock::starting_at(start()));
    config.poll_every = looks_apart;
    Catalogue::open(config, providers).await.unwrap()
}

/// One account, its catalogue, and what an engine asks besides.
pub struct Watched {
    pub sim: Sim,
    pub account: Arc<DebridAccount>,
    pub catalogue: Arc<Catalogue>,
    /// Links of all files that the account held at first.
    pub held: Vec<HosterLink>,
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    _dir: TempDir,
}

impl Watched {
    /// Watches `account`, whose first sync is over when this ends.
    pub async fn new(sim: Sim, account: Arc<DebridAccount>, looks_apart: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let catalogue = catalogue(&dir, vec![account.clone()], looks_apart).await;
        let shutdown = CancellationToken::new();
        let sync = tokio::spawn(catalogue.clone().run(shutdown.clone()));
        let asked = account.clone();
        let facts = tokio::spawn(async move {
            loop {
                asked.read_facts(Priority::Refresh).await.unwrap();
                for _ in 0..6 {
                    asked.read_traffic().await.unwrap();
                    sleep(10 * MINUTE).await;
                }
            }
        });
        let mut library = catalogue.library();
        drop(library.wait_for(|library| library.listed).await.unwrap());
        // What is asked at the start is asked by then.
        sleep(5 * MINUTE).await;
        Self {
            held: links(&catalogue),
            sim,
            account,
            catalogue,
            shutdown,
            tasks: vec![sync, facts],
            _dir: dir,
        }
    }

    pub async fn end(self) {
        self.shutdown.cancel();
        for task in &self.tasks[1..] {
            task.abort();
        }
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// Links of all files that are shown.
fn links(catalogue: &Catalogue) -> Vec<HosterLink> {
    let library = catalogue.library().borrow().clone();
    let entries = library.all().iter();
    let releases = entries.filter_map(|entry| entry.release.tree().cloned());
    let links = releases.flat_map(|tree| {
        let sources = tree.files.iter().flat_map(|file| tree.sources(file));
        sources.map(|source| source.link).collect::<Vec<_>>()
    });
    links.collect()
}
