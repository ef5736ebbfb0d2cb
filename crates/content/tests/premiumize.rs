//! Premiumize from its lists to the bytes of a file: the account, its links and the reader against the simulated vendor.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use debridfs_base::{Client, Secret};
use debridfs_content::{Content, ContentConfig, ContentError, FileRef, ReadRequest};
use debridfs_provider::vendors::premiumize;
use debridfs_provider::{
    AccountConfig, Addition, ContentId, ContentKind, DebridAccount, HosterLink, InfoHash, Priority,
    Provider, Source, TorrentId, TorrentInfo, TorrentPage, TorrentStatus, TorrentSummary, Verdict,
};
use debridfs_sim::{
    FileSpec, Generated, Kind, LibrarySpec, ReleaseSpec, ServeOptions, Served, Service, Sim, serve,
};
use support::MemoryLinks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

const SIZE: u64 = 1 << 20;
const NEW: &str = "89abcdef0123456789abcdef0123456789abcdef";
const SLOW: &str = "0123456789abcdef0123456789abcdef01234567";

struct Bench {
    served: Served,
    provider: Arc<DebridAccount>,
    content: Arc<Content>,
    /// Each read is of a file of its own to the reader, which keeps bytes.
    next: AtomicU64,
}

fn library() -> LibrarySpec {
    let file = |path: &str| FileSpec::generated(path, SIZE);
    let show = vec![file("/E01.mkv"), file("/Subs/E01.srt")];
    let known = |name: &str, hash: &str, cached: bool, files: Vec<FileSpec>| ReleaseSpec {
        hash: Some(hash.to_owned()),
        copies: 0,
        cached,
        ..ReleaseSpec::new(name, files)
    };
    LibrarySpec {
        releases: vec![
            ReleaseSpec::new("Show.S01", show.clone()),
            ReleaseSpec::new("Film.2024", vec![file("/Film.2024.mkv")]),
            ReleaseSpec {
                service: Service::Usenet,
                ..ReleaseSpec::new("Usenet.2023", vec![file("/Usenet.2023.mkv")])
            },
            ReleaseSpec {
                service: Service::Webdl,
                ..ReleaseSpec::new("Web.2022", vec![file("/Web.2022.mkv")])
            },
            known("New.S02", NEW, true, show),
            known("Slow.2026", SLOW, false, vec![file("/Slow.mkv")]),
        ],
        ..LibrarySpec::default()
    }
}

impl Bench {
    async fn new() -> Self {
        Self::of(&library()).await
    }

    async fn of(library: &LibrarySpec) -> Self {
        let sim = Sim::of(Kind::Premiumize, library).unwrap();
        let served = serve(sim, ServeOptions::default()).await.unwrap();
        let provider = account(&served);
        let links = Arc::new(MemoryLinks::default());
        let reading = ContentConfig::default();
        let content = Content::new(reading, vec![provider.clone()], links, Handle::current());
        Self {
            served,
            provider,
            content,
            next: AtomicU64::new(1),
        }
    }

    fn sim(&self) -> &Sim {
        self.served.sim()
    }

    async fn list(&self) -> TorrentPage {
        list(&self.provider, 100).await
    }

    async fn info(&self, id: &TorrentId) -> TorrentInfo {
        self.provider.torrent(Priority::User, id).await.unwrap()
    }

    /// Reads the end of the first file of a release, and compares.
    async fn read(&self, release: &TorrentSummary) {
        let link = &release.links[0];
        let read = self.bytes(release, Duration::from_secs(20)).await.unwrap();
        let wanted = self.sim().expected(0, &link.0, SIZE - 4096, 4096).unwrap();
        assert_eq!(read, wanted);
    }

    async fn bytes(
        &self,
        release: &TorrentSummary,
        deadline: Duration,
    ) -> Result<Vec<u8>, ContentError> {
        let file = FileRef {
            id: self.next.fetch_add(1, Relaxed),
            size: SIZE,
            sources: Arc::from([Source {
                provider: "pm".to_owned(),
                torrent: release.id.clone(),
                link: release.links[0].clone(),
                part: None,
            }]),
        };
        let request = ReadRequest {
            handle: 1,
            offset: SIZE - 4096,
            size: 4096,
            deadline,
            client: Client::Own,
        };
        let read = self.content.read(&file, &request).await?;
        Ok(read.concat())
    }

    /// Calls of an endpoint so far, by outcome.
    fn calls(&self, endpoint: &str) -> u64 {
        let counters = self.sim().counters().endpoints;
        counters
            .get(endpoint)
            .map_or(0, |outcomes| outcomes.values().sum())
    }
}

fn account(served: &Served) -> Arc<DebridAccount> {
    let config = AccountConfig {
        name: "pm".to_owned(),
        token: Some(Secret::new(served.token())),
        api_url: served.api_url(),
        calls_per_minute: 10_000,
        ..AccountConfig::of(&premiumize::KIND)
    };
    Arc::new(DebridAccount::new(config).unwrap())
}

/// Empties the list of transfers, as its page does.
async fn clear_finished(served: &Served) {
    let mut stream = TcpStream::connect(served.addresses()[0]).await.unwrap();
    let path = format!("/api/transfer/clearfinished?apikey={}", served.token());
    let request = format!("POST {path} HTTP/1.0\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("success"), "{answer}");
}

async fn list(provider: &DebridAccount, limit: u32) -> TorrentPage {
    let page = provider.torrents(Priority::Refresh, 0, limit).await;
    page.unwrap()
}

fn magnet(hash: &str) -> Addition {
    Addition::Magnet(format!("magnet:?xt=urn:btih:{hash}&dn=x"))
}

fn names(page: &TorrentPage) -> Vec<&str> {
    let mut names: Vec<_> = page.items.iter().map(|item| &*item.filename).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn the_cloud_is_the_library_and_what_has_no_hash_keeps_its_id_name_and_time() {
    let bench = Bench::new().await;
    let who = bench.provider.account(Priority::User).await.unwrap();
    assert!(who.premium);
    assert_eq!(who.fair_use, Some(0.0));
    let page = bench.list().await;
    let mine = [
        "Film.2024.mkv",
        "Show.S01",
        "Usenet.2023.mkv",
        "Web.2022.mkv",
    ];
    assert_eq!(names(&page), mine, "torrents, usenet and web downloads");
    assert_eq!(page.total, Some(4));
    let show = page.items.iter().find(|item| item.filename == "Show.S01");
    let show = show.unwrap();
    let paths: Vec<_> = show
        .files
        .iter()
        .flatten()
        .map(|file| &*file.path)
        .collect();
    assert_eq!(paths, ["E01.mkv", "Subs/E01.srt"]);
    let name = format!("premiumize:{}:Show.S01", who.username);
    assert_eq!(
        show.content,
        ContentId::of(ContentKind::Cloud, name.as_bytes())
    );
    bench.read(show).await;
    // Neither another look, a restart, nor an empty list of transfers changes a release.
    clear_finished(&bench.served).await;
    for again in [bench.list().await, list(&account(&bench.served), 100).await] {
        assert_eq!(again.items, page.items);
    }
    let info = bench.info(&show.id).await;
    assert_eq!(info.summary, *show);
}

#[tokio::test]
async fn lists_without_times_give_all_the_same_time() {
    let bench = Bench::new().await;
    bench
        .sim()
        .configure(|settings| settings.premiumize.no_times = true);
    let page = bench.list().await;
    assert!(page.items.iter().all(|item| item.added.as_second() == 0));
    assert_eq!(list(&account(&bench.served), 100).await.items, page.items);
}

#[tokio::test]
async fn a_grab_has_its_hash_after_a_restart_too_and_is_not_added_twice() {
    let bench = Bench::new().await;
    let add = || bench.provider.add_cached(Priority::Import, magnet(NEW));
    let id = add().await.unwrap();
    assert_eq!(id.0, format!("/debridfs/{NEW}"));
    assert_eq!(add().await.unwrap(), id);
    assert_eq!(bench.calls("transfer/create"), 1);
    let hash = ContentId::from(NEW.parse::<InfoHash>().unwrap());
    let restarted = list(&account(&bench.served), 100).await;
    for page in [bench.list().await, restarted] {
        let grab = page.items.iter().find(|item| item.content == hash).unwrap();
        assert_eq!((&grab.id, &*grab.filename), (&id, "New.S02"));
        let paths: Vec<_> = grab
            .files
            .iter()
            .flatten()
            .map(|file| &*file.path)
            .collect();
        assert_eq!(paths, ["E01.mkv", "Subs/E01.srt"]);
        bench.read(grab).await;
    }
    bench.provider.delete(Priority::User, &id).await.unwrap();
    assert_eq!(bench.list().await.items.len(), 4, "nothing else is touched");
    let gone = bench
        .provider
        .delete(Priority::User, &id)
        .await
        .unwrap_err();
    assert_eq!(gone.verdict, Verdict::NotFound);
}

#[tokio::test]
async fn what_is_not_cached_is_not_added_and_leaves_no_folder() {
    let bench = Bench::new().await;
    let refused = bench.provider.add_cached(Priority::Import, magnet(SLOW));
    assert_eq!(refused.await.unwrap_err().verdict, Verdict::NotCached);
    assert_eq!(bench.calls("folder/create"), 0);
    bench.sim().configure(|settings| settings.active_limit = 0);
    let Addition::Magnet(slow) = magnet(SLOW) else {
        unreachable!()
    };
    let full = bench.provider.add_magnet(Priority::Import, &slow).await;
    assert_eq!(full.unwrap_err().verdict, Verdict::SlotsFull);
    assert_eq!(bench.calls("folder/delete"), 1, "the folder made for it");
    assert_eq!(bench.list().await.items.len(), 4);
}

#[tokio::test]
async fn a_download_is_followed_to_its_end_over_a_restart() {
    let bench = Bench::new().await;
    let late_ms = 30_000;
    bench
        .sim()
        .configure(|settings| settings.premiumize.late_files_ms = late_ms);
    let Addition::Magnet(slow) = magnet(SLOW) else {
        unreachable!()
    };
    let id = bench
        .provider
        .add_magnet(Priority::Import, &slow)
        .await
        .unwrap();
    assert_eq!(bench.info(&id).await.summary.status, TorrentStatus::Queued);
    bench.sim().advance(Duration::from_secs(12));
    // A list tells no hash: the folder does.
    let restarted = account(&bench.served);
    let page = list(&restarted, 100).await;
    assert_eq!(page.items[0].id, id, "what is on its way comes first");
    assert_eq!(page.items[0].status, TorrentStatus::Downloading);
    assert!(page.items[0].progress > 40.0);
    // Finished, and its files not there yet.
    bench.sim().advance(Duration::from_secs(15));
    for provider in [&bench.provider, &restarted] {
        let info = provider.torrent(Priority::Import, &id).await.unwrap();
        assert_eq!(info.summary.status, TorrentStatus::Uploading);
        let again = provider.add_magnet(Priority::Import, &slow).await.unwrap();
        assert_eq!(again, id);
    }
    assert_eq!(bench.calls("transfer/create"), 1);
    bench.sim().advance(Duration::from_millis(late_ms.into()));
    let info = bench.info(&id).await;
    assert_eq!(info.summary.status, TorrentStatus::Downloaded);
    assert_eq!(info.summary.filename, "Slow.mkv");
    bench.read(&info.summary).await;
}

#[tokio::test]
async fn a_failed_download_is_dead_and_can_be_added_again() {
    let mut library = library();
    let slow = library.releases.last_mut().unwrap();
    slow.outcome = debridfs_sim::Outcome::Dead;
    let bench = Bench::of(&library).await;
    let Addition::Magnet(slow) = magnet(SLOW) else {
        unreachable!()
    };
    let id = bench
        .provider
        .add_magnet(Priority::Import, &slow)
        .await
        .unwrap();
    bench.sim().advance(Duration::from_secs(60));
    assert_eq!(bench.info(&id).await.summary.status, TorrentStatus::Dead);
    assert_eq!(
        bench
            .provider
            .add_magnet(Priority::Import, &slow)
            .await
            .unwrap(),
        id
    );
    assert_eq!(bench.calls("transfer/create"), 2);
    assert_eq!(
        bench.info(&id).await.summary.status,
        TorrentStatus::Queued,
        "the live one counts"
    );
    bench.provider.delete(Priority::User, &id).await.unwrap();
    assert_eq!(bench.calls("transfer/delete"), 2);
    assert_eq!(bench.list().await.items.len(), 4);
}

#[tokio::test]
async fn links_are_made_again_when_they_have_expired_and_dead_ones_are_told() {
    let bench = Bench::new().await;
    let page = bench.list().await;
    let film = page
        .items
        .iter()
        .find(|item| item.filename == "Film.2024.mkv");
    let film = film.unwrap();
    bench.read(film).await;
    bench.sim().expire_links(None);
    bench.read(film).await;
    assert_eq!(bench.calls("item/details"), 2);
    // The file is gone from the cloud, and has no hash to be asked for by.
    bench
        .sim()
        .remove_torrent(0, &bench.sim().torrents(0).unwrap()[2].id)
        .unwrap();
    let before = bench.calls("item/details");
    let gone = bench
        .provider
        .unrestrict(Priority::Playback, &film.links[0])
        .await;
    assert_eq!(gone.unwrap_err().verdict, Verdict::NotFound);
    assert_eq!(bench.calls("item/details"), before + 1);
    assert_eq!(bench.calls("transfer/directdl"), 0);
}

#[tokio::test]
async fn a_file_that_left_the_cloud_is_read_from_the_cache() {
    let bench = Bench::new().await;
    let id = bench
        .provider
        .add_cached(Priority::Import, magnet(NEW))
        .await
        .unwrap();
    let grab = bench.info(&id).await.summary;
    let wanted = bench
        .sim()
        .expected(0, &grab.links[0].0, SIZE - 4096, 4096)
        .unwrap();
    let transfer = bench.sim().torrents(0).unwrap().remove(0);
    bench.sim().remove_torrent(0, &transfer.id).unwrap();
    let read = bench.bytes(&grab, Duration::from_secs(20)).await.unwrap();
    assert_eq!(read, wanted);
    assert_eq!(bench.calls("transfer/directdl"), 1);
}

#[tokio::test]
async fn its_refusals_are_told_apart() {
    let bench = Bench::new().await;
    let link = bench.list().await.items[0].links[0].clone();
    let ask = |link: HosterLink| {
        let provider = bench.provider.clone();
        async move { provider.unrestrict(Priority::Playback, &link).await }
    };
    for no_codes in [false, true] {
        bench.sim().configure(|settings| {
            settings.premiumize.no_codes = no_codes;
            settings.premiumize.points_used = 1000;
        });
        let out = ask(link.clone()).await.unwrap_err();
        assert_eq!(out.verdict, Verdict::OutOfTraffic, "{out}");
    }
    let who = bench.provider.account(Priority::User).await.unwrap();
    assert_eq!(who.fair_use, Some(1.0));
    bench
        .sim()
        .configure(|settings| settings.calls_per_minute = 1);
    // A call that changes something is sent once.
    let transfer = TorrentId("transfer:ABCDEFGHIJKLM".to_owned());
    let many = [
        bench.provider.delete(Priority::User, &transfer).await,
        bench.provider.delete(Priority::User, &transfer).await,
    ];
    let many = many.map(|refused| refused.unwrap_err().verdict);
    assert_eq!(many, [Verdict::NotFound, Verdict::BackOff]);
}

/// The goal: the calls that the lists require, and none for each release.
#[tokio::test]
async fn three_thousand_releases_are_listed_by_three_calls_and_looked_at_by_one() {
    let library = LibrarySpec::generated(&Generated {
        releases: 3000,
        ..Generated::default()
    });
    let bench = Bench::of(&library).await;
    let page = list(&bench.provider, u32::MAX).await;
    assert_eq!((page.items.len(), page.total), (3000, Some(3000)));
    assert!(page.items.iter().all(|item| item.files.is_some()));
    let all = || {
        bench
            .sim()
            .counters()
            .endpoints
            .values()
            .flat_map(|calls| calls.values())
            .sum::<u64>()
    };
    assert_eq!(all(), 3);
    let bytes = bench.sim().counters().api_bytes;
    // The account alone: nothing is on its way, and the transfers were asked for just now.
    bench.list().await;
    assert_eq!((all(), bench.calls("item/listall")), (4, 1));
    assert!(bench.sim().counters().api_bytes - bytes < 2_000_000);
}
