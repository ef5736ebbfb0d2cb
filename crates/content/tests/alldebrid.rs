//! AllDebrid from its list to the bytes of a file: the account, its links and the reader against the simulated vendor.

mod support;

use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{Client, Secret};
use debridfs_content::{Content, ContentConfig, FileRef, ReadRequest};
use debridfs_provider::vendors::all_debrid;
use debridfs_provider::{
    AccountConfig, Addition, DebridAccount, Priority, Provider, Source, TorrentInfo, TorrentPage,
    TorrentStatus, Verdict,
};
use debridfs_sim::{
    FileSpec, Kind, LibrarySpec, ReleaseSpec, ServeOptions, Served, Sim, TorrentView, serve,
};
use support::MemoryLinks;
use tokio::runtime::Handle;

const SIZE: u64 = 1 << 20;
const NEW: &str = "89abcdef0123456789abcdef0123456789abcdef";
const SLOW: &str = "0123456789abcdef0123456789abcdef01234567";

struct Bench {
    served: Served,
    provider: Arc<DebridAccount>,
    content: Arc<Content>,
}

impl Bench {
    async fn new() -> Self {
        let file = |path: &str| FileSpec::generated(path, SIZE);
        let show = vec![file("/E01.mkv"), file("/Subs/E01.srt")];
        let known = |name: &str, hash: &str, cached: bool| ReleaseSpec {
            hash: Some(hash.to_owned()),
            copies: 0,
            cached,
            ..ReleaseSpec::new(name, vec![FileSpec::generated("/Film.mkv", SIZE)])
        };
        let library = LibrarySpec {
            releases: vec![
                ReleaseSpec::new("Show.S01", show),
                ReleaseSpec::new("Film.2024", vec![file("/Film.2024.mkv")]),
                known("New.2026", NEW, true),
                known("Slow.2026", SLOW, false),
            ],
            ..LibrarySpec::default()
        };
        let sim = Sim::of(Kind::AllDebrid, &library).unwrap();
        let served = serve(sim, ServeOptions::default()).await.unwrap();
        let config = AccountConfig {
            name: "ad".to_owned(),
            token: Some(Secret::new(served.token())),
            api_url: served.api_url(),
            ..AccountConfig::of(&all_debrid::KIND)
        };
        let provider = Arc::new(DebridAccount::new(config).unwrap());
        let links = Arc::new(MemoryLinks::default());
        let reading = ContentConfig::default();
        let content = Content::new(reading, vec![provider.clone()], links, Handle::current());
        Self {
            served,
            provider,
            content,
        }
    }

    fn sim(&self) -> &Sim {
        self.served.sim()
    }

    async fn list(&self) -> TorrentPage {
        let page = self.provider.torrents(Priority::Refresh, 0, 100).await;
        page.unwrap()
    }

    /// Reads the end of the only file of a torrent, and compares.
    async fn read(&self, torrent: &TorrentInfo) {
        let link = torrent.summary.links[0].clone();
        let file = FileRef {
            id: 42,
            size: SIZE,
            sources: Arc::from([Source {
                provider: "ad".to_owned(),
                torrent: torrent.summary.id.clone(),
                link: link.clone(),
                part: None,
            }]),
        };
        let request = ReadRequest {
            handle: 1,
            offset: SIZE - 4096,
            size: 4096,
            deadline: Duration::from_secs(20),
            client: Client::Own,
        };
        let read = self.content.read(&file, &request).await.unwrap();
        let wanted = self.sim().expected(0, &link.0, SIZE - 4096, 4096).unwrap();
        assert_eq!(read.concat(), wanted);
    }

    async fn info(&self, id: &debridfs_provider::TorrentId) -> TorrentInfo {
        self.provider.torrent(Priority::User, id).await.unwrap()
    }

    fn held(&self) -> Vec<TorrentView> {
        self.sim().torrents(0).unwrap()
    }
}

#[tokio::test]
async fn a_library_is_listed_with_its_files_and_kept_true_by_what_changes() {
    let bench = Bench::new().await;
    let account = bench.provider.account(Priority::User).await.unwrap();
    assert!(account.premium);
    let page = bench.list().await;
    let names: Vec<_> = page.items.iter().map(|item| &*item.filename).collect();
    assert_eq!(names, ["Film.2024", "Show.S01"]);
    let paths = |item: usize| {
        let files = page.items[item].files.as_ref().unwrap();
        files.iter().map(|file| &*file.path).collect::<Vec<_>>()
    };
    assert_eq!(paths(0), ["Film.2024.mkv"]);
    assert_eq!(paths(1), ["E01.mkv", "Subs/E01.srt"]);
    assert_eq!(page.items[1].links.len(), 2);
    // Idle calls are small.
    let before = bench.sim().counters().api_bytes;
    assert_eq!(bench.list().await, page);
    let idle = bench.sim().counters().api_bytes - before;
    assert!(idle < 100, "{idle} bytes");
    bench.sim().remove_torrent(0, &page.items[0].id.0).unwrap();
    let after = bench.list().await;
    assert_eq!((after.items.len(), after.total), (1, Some(1)));
    bench
        .sim()
        .configure(|settings| settings.alldebrid.by_place = true);
    let whole = bench
        .provider
        .torrents(Priority::Refresh, 0, u32::MAX)
        .await;
    assert_eq!(whole.unwrap().items, after.items);
}

#[tokio::test]
async fn a_grab_is_read_and_deleted() {
    let bench = Bench::new().await;
    let magnet = |hash: &str| Addition::Magnet(format!("magnet:?xt=urn:btih:{hash}&dn=x"));
    let add = |hash: &str| bench.provider.add_cached(Priority::Import, magnet(hash));
    let id = add(NEW).await.unwrap();
    assert_eq!(
        add(NEW).await.unwrap(),
        id,
        "the same hash is the same torrent"
    );
    let info = bench.info(&id).await;
    assert_eq!(info.summary.status, TorrentStatus::Downloaded);
    assert_eq!(info.files[0].path, "Film.mkv");
    bench.read(&info).await;
    // What is not there is not left behind.
    let refused = add(SLOW).await.unwrap_err();
    assert_eq!(refused.verdict, Verdict::NotCached);
    assert_eq!(bench.held().len(), 3);
    bench.provider.delete(Priority::User, &id).await.unwrap();
    assert_eq!(bench.held().len(), 2);
    let gone = bench
        .provider
        .torrent(Priority::User, &id)
        .await
        .unwrap_err();
    assert_eq!(gone.verdict, Verdict::NotFound);
    let names: Vec<_> = bench.list().await.items;
    assert_eq!(names.len(), 2);
}

#[tokio::test]
async fn a_link_to_no_host_is_made_again_and_one_that_takes_a_while_is_waited_for() {
    let bench = Bench::new().await;
    bench.sim().configure(|settings| {
        settings.alldebrid.null_routed_percent = 1;
        settings.alldebrid.delayed_ms = 1;
    });
    let page = bench.list().await;
    let info = bench.info(&page.items[0].id).await;
    bench.read(&info).await;
    let calls = bench.sim().counters().endpoints;
    assert_eq!(calls["v4/link/unlock"]["200"], 2, "{calls:?}");
}

#[tokio::test]
async fn ten_minutes_of_zeros_are_no_failure() {
    let bench = Bench::new().await;
    bench
        .sim()
        .configure(|settings| settings.alldebrid.waiting_ms = 622_000);
    let magnet = format!("magnet:?xt=urn:btih:{SLOW}");
    let id = bench.provider.add_magnet(Priority::Import, &magnet).await;
    let id = id.unwrap();
    let summary = bench.info(&id).await.summary;
    assert_eq!(summary.status, TorrentStatus::MagnetConversion);
    assert_eq!((&*summary.filename, summary.bytes), ("", 0), "noname");
    for minutes in [1, 9] {
        bench.sim().advance(Duration::from_secs(minutes * 60));
        let summary = bench.info(&id).await.summary;
        assert_eq!(summary.status, TorrentStatus::Downloading, "{minutes}");
        assert_eq!((summary.progress, summary.bytes), (0.0, 0));
    }
    bench.sim().advance(Duration::from_secs(60));
    let info = bench.info(&id).await;
    assert_eq!(info.summary.status, TorrentStatus::Downloaded);
    bench.read(&info).await;
}

#[tokio::test]
async fn its_refusals_are_told_apart() {
    let bench = Bench::new().await;
    let page = bench.list().await;
    let link = page.items[0].links[0].clone();
    bench
        .sim()
        .configure(|settings| settings.alldebrid.no_server = true);
    let refused = bench
        .provider
        .unrestrict(Priority::Playback, &link)
        .await
        .unwrap_err();
    assert_eq!(refused.verdict, Verdict::AccountRefused);
    bench.sim().configure(|settings| {
        settings.alldebrid.no_server = false;
        settings.alldebrid.most_magnets = 2;
    });
    let magnet = format!("magnet:?xt=urn:btih:{NEW}");
    let full = bench
        .provider
        .add_magnet(Priority::Import, &magnet)
        .await
        .unwrap_err();
    assert_eq!(full.verdict, Verdict::SlotsFull);
    let bad = bench
        .provider
        .add_magnet(Priority::Import, "magnet:?x")
        .await
        .unwrap_err();
    assert_eq!(bad.verdict, Verdict::Rejected);
    bench
        .sim()
        .configure(|settings| settings.calls_per_minute = 1);
    let many = bench
        .provider
        .add_magnet(Priority::Import, &magnet)
        .await
        .unwrap_err();
    assert_eq!(many.verdict, Verdict::BackOff, "a page, not an answer");
}
