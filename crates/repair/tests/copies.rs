//! What repair sees of a library of two accounts: catalogue, reader and simulated vendors, without a mount.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{Late, Secret};
use debridfs_catalogue::{Catalogue, CatalogueConfig, FolderNaming, ViewRules};
use debridfs_content::{Content, ContentConfig};
use debridfs_provider::vendors::{Kind, real_debrid, torbox};
use debridfs_provider::{AccountConfig, DebridAccount, InfoHash, Provider};
use debridfs_repair::{Checked, Compared, LibraryWard, MoveWard, Ward};
use debridfs_sim::{
    CdnFault, CdnFaultKind, FileSpec, Kind as SimKind, LibrarySpec, ReleaseSpec, ServeOptions,
    Served, Sim, serve,
};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const WITHIN: Duration = Duration::from_secs(30);

fn hash(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

fn library() -> LibrarySpec {
    let release = |number: u8| {
        let file = |path: &str| FileSpec::generated(path, 1 << 20);
        let files = vec![file("/Film.mkv"), file("/Film.srt")];
        ReleaseSpec {
            hash: Some(hash(number).to_string()),
            ..ReleaseSpec::new(format!("Release.{number}"), files)
        }
    };
    LibrarySpec {
        seed: 5,
        releases: (1..=3).map(release).collect(),
    }
}

async fn account(name: &str, sim: SimKind, kind: &'static Kind) -> (Served, Arc<dyn Provider>) {
    let sim = Sim::of(sim, &library()).unwrap();
    let served = serve(sim, ServeOptions::default()).await.unwrap();
    let config = AccountConfig {
        name: name.to_owned(),
        token: Some(Secret::new(served.token())),
        api_url: served.api_url(),
        // What is tested here are other limits.
        add_interval: Duration::ZERO,
        ..AccountConfig::of(kind)
    };
    let account: Arc<dyn Provider> = Arc::new(DebridAccount::new(config).unwrap());
    (served, account)
}

/// What repair sees, once all of `files` are known.
struct Library {
    ward: LibraryWard,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    _dir: TempDir,
}

impl Library {
    async fn new(providers: Vec<Arc<dyn Provider>>, files: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = providers.iter().map(|one| one.name().to_owned()).collect();
        let rules = ViewRules::new(FolderNaming::default(), names, &BTreeMap::new()).unwrap();
        let config = CatalogueConfig::new(dir.path().join("catalogue.db"), rules);
        let catalogue = Catalogue::open(config, providers.clone()).await.unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(catalogue.clone().run(shutdown.clone()));
        let mut library = catalogue.library();
        let known =
            library.wait_for(|_| catalogue.status().complete && catalogue.status().files == files);
        drop(tokio::time::timeout(WITHIN, known).await.unwrap().unwrap());
        let content = Content::new(
            ContentConfig::default(),
            providers.clone(),
            catalogue.links(),
            Handle::current(),
        );
        let ward = LibraryWard::new(catalogue, content, providers, Vec::new(), Late::default());
        Self {
            ward,
            shutdown,
            task,
            _dir: dir,
        }
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_that_is_bad_is_found_behind_one_that_is_well() {
    let (rd, first) = account("rd", SimKind::RealDebrid, &real_debrid::KIND).await;
    let (tb, second) = account("tb", SimKind::TorBox, &torbox::KIND).await;
    let providers = vec![first, second];
    let library = Library::new(providers, 6).await;
    let ward = &library.ward;
    let all = BTreeSet::new();
    assert_eq!(ward.check(hash(1), &all).await, Checked::Well);
    let states = ward.providers();
    let may_add: Vec<_> = states.iter().map(|one| (&*one.name, one.may_add)).collect();
    assert_eq!(may_add, [("rd", true), ("tb", false)]);

    // Head and tail of each file, as a move compares them.
    let copies = ward.copies(hash(2)).await;
    let from: Vec<_> = copies
        .into_iter()
        .filter(|one| one.provider == "rd")
        .collect();
    assert_eq!(from.len(), 1);
    let mut after = None;
    for file in ["Film.mkv", "Film.srt"] {
        let found = ward.compare(hash(2), &from, "tb", after).await;
        assert_eq!(found, Compared::Same(file.to_owned()));
        after = Some(file);
    }
    let found = ward.compare(hash(2), &from, "tb", after).await;
    assert_eq!(found, Compared::Over);
    let found = ward.compare(hash(2), &from, "elsewhere", None).await;
    assert!(matches!(found, Compared::NotNow(_)), "{found:?}");
    tb.sim()
        .fail_cdn(CdnFault::everywhere(CdnFaultKind::WrongBytes));
    let found = ward.compare(hash(2), &from, "tb", None).await;
    tb.sim().clear_faults();
    let Compared::Differs(words) = found else {
        panic!("{found:?}");
    };
    assert!(words.contains("Film.mkv has other bytes at tb"), "{words}");

    let sim = rd.sim();
    let torrents = sim.torrents(0).unwrap();
    let broken = torrents.iter().find(|one| one.hash == hash(1).to_string());
    for link in &broken.unwrap().links {
        sim.break_link(0, link, Some(19)).unwrap();
    }
    let Checked::Spared { broken, words } = ward.check(hash(1), &all).await else {
        panic!("taken for well");
    };
    assert_eq!(broken, BTreeSet::from(["rd".to_owned()]));
    assert!(words.contains("rd: "), "{words}");
    // While nothing can be had there, nothing is said of one release.
    for torrent in &torrents {
        for link in &torrent.links {
            sim.break_link(0, link, Some(19)).unwrap();
        }
    }
    assert_eq!(ward.check(hash(1), &all).await, Checked::Well);
    library.end().await;
}

#[tokio::test]
async fn a_refusal_of_its_name_is_told_apart_from_one_of_the_content() {
    let named = |name: &str, number: u8| {
        let file = format!("/{name}.mkv");
        ReleaseSpec {
            hash: Some(hash(number).to_string()),
            ..ReleaseSpec::new(name, vec![FileSpec::generated(file, 1 << 20)])
        }
    };
    let library = LibrarySpec {
        seed: 5,
        releases: vec![
            named("Film.2024.WEB-DL", 1),
            named("Other.2023.WEBRip", 2),
            named("Taken.Down.2022", 3),
            named("Well.2021", 4),
        ],
    };
    let sim = Sim::of(SimKind::RealDebrid, &library).unwrap();
    sim.configure(|settings| settings.realdebrid.refuse_names = true);
    let served = serve(sim, ServeOptions::default()).await.unwrap();
    let config = AccountConfig {
        name: "rd".to_owned(),
        token: Some(Secret::new(served.token())),
        api_url: served.api_url(),
        ..AccountConfig::of(&real_debrid::KIND)
    };
    let provider: Arc<dyn Provider> = Arc::new(DebridAccount::new(config).unwrap());
    let library = Library::new(vec![provider], 4).await;
    let ward = &library.ward;
    for torrent in served.sim().torrents(0).unwrap() {
        if torrent.hash == hash(3).to_string() {
            let broken = served.sim().break_link(0, &torrent.links[0], Some(35));
            broken.unwrap();
        }
    }
    let all = BTreeSet::new();
    for number in [1, 2] {
        let Checked::Blocked { by, words } = ward.check(hash(number), &all).await else {
            panic!("not blocked");
        };
        assert_eq!(by, BTreeSet::from(["rd".to_owned()]));
        assert!(words.contains("refuses the content"), "{words}");
    }
    // Two others that are refused for their names say nothing of the provider.
    let taken_down = ward.check(hash(3), &all).await;
    assert!(matches!(taken_down, Checked::Bad(_)), "{taken_down:?}");
    assert_eq!(ward.check(hash(4), &all).await, Checked::Well);
    let again = |number: u8| async move { ward.again(hash(number), "rd").await.unwrap() };
    assert!(again(1).await.refuses_name);
    assert!(!again(3).await.refuses_name);
    library.end().await;
}
