//! Debrid-Link from its list to the bytes of a file: the account, its links and the reader against the simulated vendor.

mod support;

use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{Client, Secret};
use debridfs_content::{Content, FileRef, ReadRequest};
use debridfs_provider::vendors::debrid_link;
use debridfs_provider::{
    AccountConfig, Addition, DebridAccount, HosterLink, Priority, Provider, Source, TorrentId,
    TorrentInfo, TorrentPage, TorrentStatus, Verdict,
};
use debridfs_sim::{FileSpec, Kind, LibrarySpec, ReleaseSpec, ServeOptions, Served, Sim, serve};
use support::{MemoryLinks, quick};
use tokio::runtime::Handle;

const SIZE: u64 = 32 << 20;
const SHOW: &str = "00112233445566778899aabbccddeeff00112233";
const NEW: &str = "89abcdef0123456789abcdef0123456789abcdef";
const SLOW: &str = "0123456789abcdef0123456789abcdef01234567";

/// A simulated account, and our client of it.
struct Home {
    served: Served,
    provider: Arc<DebridAccount>,
}

impl Home {
    async fn new(name: &str) -> Self {
        let file = |path: &str| FileSpec::generated(path, SIZE);
        let of = |name: &str, hash: &str, paths: &[&str]| ReleaseSpec {
            hash: Some(hash.to_owned()),
            ..ReleaseSpec::new(name, paths.iter().map(|path| file(path)).collect())
        };
        let known = |name: &str, hash: &str, cached: bool| ReleaseSpec {
            copies: 0,
            cached,
            ..of(name, hash, &["/Film.mkv"])
        };
        let library = LibrarySpec {
            releases: vec![
                of("Show.S01", SHOW, &["/E01.mkv", "/E02.mkv", "/Subs/E01.srt"]),
                known("New.2026", NEW, true),
                known("Slow.2026", SLOW, false),
            ],
            ..LibrarySpec::default()
        };
        let sim = Sim::of(Kind::DebridLink, &library).unwrap();
        let served = serve(sim, ServeOptions::default()).await.unwrap();
        let config = AccountConfig {
            name: name.to_owned(),
            token: Some(Secret::new(served.token())),
            api_url: served.api_url(),
            ..AccountConfig::of(&debrid_link::KIND)
        };
        let provider = Arc::new(DebridAccount::new(config).unwrap());
        Self { served, provider }
    }

    fn sim(&self) -> &Sim {
        self.served.sim()
    }

    async fn list(&self) -> TorrentPage {
        let page = self.provider.torrents(Priority::Refresh, 0, 100).await;
        page.unwrap()
    }

    async fn info(&self, id: &TorrentId) -> TorrentInfo {
        self.provider.torrent(Priority::User, id).await.unwrap()
    }

    /// How often an endpoint answered so.
    fn calls(&self, endpoint: &str, answer: &str) -> u64 {
        let endpoints = self.sim().counters().endpoints;
        let answers = endpoints.get(endpoint);
        answers
            .and_then(|answers| answers.get(answer))
            .copied()
            .unwrap_or(0)
    }

    fn source(&self, torrent: &TorrentId, link: &HosterLink) -> Source {
        Source {
            provider: self.provider.name().to_owned(),
            torrent: torrent.clone(),
            link: link.clone(),
            part: None,
        }
    }

    /// Places of the file `number` of a torrent, by the simulator's own name of it.
    fn id_of(&self, torrent: &TorrentId, number: usize) -> String {
        let torrents = self.sim().torrents(0).unwrap();
        let torrent = torrents.iter().find(|known| known.id == torrent.0);
        torrent.unwrap().links[number].clone()
    }
}

fn content_of(homes: &[&Home]) -> Arc<Content> {
    let providers = homes.iter().map(|home| home.provider.clone() as _);
    let links = Arc::new(MemoryLinks::default());
    Content::new(quick(), providers.collect(), links, Handle::current())
}

fn file(id: u64, sources: Vec<Source>) -> FileRef {
    FileRef {
        id,
        size: SIZE,
        sources: sources.into(),
    }
}

async fn read(content: &Content, file: &FileRef, at: u64) -> Result<Vec<u8>, String> {
    read_within(content, file, at, Duration::from_secs(20)).await
}

async fn read_within(
    content: &Content,
    file: &FileRef,
    at: u64,
    deadline: Duration,
) -> Result<Vec<u8>, String> {
    let request = ReadRequest {
        handle: 1,
        offset: at,
        size: 4096,
        deadline,
        client: Client::Own,
    };
    let read = content.read(file, &request).await;
    read.map(|bytes| bytes.concat())
        .map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_serves_all_files_of_a_torrent_and_a_dead_link_is_replaced() {
    let home = Home::new("dl").await;
    let content = content_of(&[&home]);
    let page = home.list().await;
    let show = &page.items[0];
    let files = show.files.as_ref().unwrap();
    let paths: Vec<_> = files.iter().map(|file| &*file.path).collect();
    assert_eq!(paths, ["E01.mkv", "E02.mkv", "Subs/E01.srt"]);
    assert_eq!((page.total, show.links.len()), (Some(1), 3));
    let before = home.calls("seedbox/list", "200");
    for (number, link) in show.links.iter().enumerate() {
        let file = file(number as u64 + 1, vec![home.source(&show.id, link)]);
        let id = home.id_of(&show.id, number);
        let wanted = home.sim().expected(0, &id, SIZE - 4096, 4096).unwrap();
        assert_eq!(read(&content, &file, SIZE - 4096).await, Ok(wanted));
    }
    assert_eq!(home.calls("seedbox/list", "200") - before, 1);
    // The direct link ends; another one is asked for within the read.
    let id = home.id_of(&show.id, 0);
    home.sim().expire_links(Some(&id));
    let first = file(1, vec![home.source(&show.id, &show.links[0])]);
    let wanted = home.sim().expected(0, &id, 0, 4096).unwrap();
    assert_eq!(read(&content, &first, 0).await, Ok(wanted));
    assert_eq!(home.calls("seedbox/list", "200") - before, 2);
    // Deleted, it plays on: its link serves anybody.
    home.provider
        .delete(Priority::User, &show.id)
        .await
        .unwrap();
    assert_eq!(home.list().await.total, Some(0));
    let wanted = home.sim().expected(0, &id, 8192, 4096);
    assert!(wanted.is_err(), "it is not in the account any more");
    assert_eq!(read(&content, &first, 8192).await.unwrap().len(), 4096);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_stops_no_film_whose_link_is_known_and_others_come_from_elsewhere() {
    let (home, other) = (Home::new("dl").await, Home::new("dl2").await);
    let content = content_of(&[&home, &other]);
    let (page, there) = (home.list().await, other.list().await);
    let (show, copy) = (&page.items[0], &there.items[0]);
    let here = |number: usize| home.source(&show.id, &show.links[number]);
    let both = vec![here(1), other.source(&copy.id, &copy.links[1])];
    let (kept, alone, shared) = (
        file(1, vec![here(0)]),
        file(3, vec![here(2)]),
        file(2, both),
    );
    read(&content, &kept, 0).await.unwrap();
    // The links of the others came along with it, and end.
    for number in [1, 2] {
        home.sim().expire_links(Some(&home.id_of(&show.id, number)));
    }
    home.sim()
        .configure(|settings| settings.debridlink.flood_calls = 2);
    let flooded = home.provider.torrents(Priority::Refresh, 0, 100).await;
    assert_eq!(flooded.unwrap_err().verdict, Verdict::BackOff);
    let refused = || home.calls("seedbox/list", "503/floodDetected");
    assert_eq!(refused(), 1);
    let wanted = home
        .sim()
        .expected(0, &home.id_of(&show.id, 0), SIZE / 2, 4096);
    assert_eq!(read(&content, &kept, SIZE / 2).await, Ok(wanted.unwrap()));
    let wanted = home
        .sim()
        .expected(0, &home.id_of(&show.id, 1), SIZE / 2, 4096);
    assert_eq!(
        read(&content, &shared, SIZE / 2).await,
        Ok(wanted.unwrap()),
        "of the other account"
    );
    let lost = read_within(&content, &alone, 0, Duration::from_millis(500)).await;
    lost.unwrap_err();
    assert_eq!(refused(), 1, "nobody asks on");
    // Other endpoints are open.
    assert!(home.provider.account(Priority::User).await.unwrap().premium);
    let id = home
        .provider
        .add_cached(Priority::Import, magnet(NEW))
        .await;
    assert!(id.is_ok());
}

fn magnet(hash: &str) -> Addition {
    Addition::Magnet(format!("magnet:?xt=urn:btih:{hash}&dn=x"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grab_is_added_once_read_and_deleted() {
    let home = Home::new("dl").await;
    let content = content_of(&[&home]);
    let add = |hash: &str| home.provider.add_cached(Priority::Import, magnet(hash));
    let id = add(NEW).await.unwrap();
    assert_eq!(
        add(NEW).await.unwrap(),
        id,
        "the same hash is the same torrent"
    );
    let info = home.info(&id).await;
    assert_eq!(info.summary.status, TorrentStatus::Downloaded);
    let film = file(1, vec![home.source(&id, &info.summary.links[0])]);
    let wanted = home.sim().expected(0, &home.id_of(&id, 0), 4096, 4096);
    assert_eq!(read(&content, &film, 4096).await, Ok(wanted.unwrap()));
    // What is not there is not left behind.
    assert_eq!(add(SLOW).await.unwrap_err().verdict, Verdict::NotCached);
    assert_eq!(home.sim().torrents(0).unwrap().len(), 2);
    home.provider.delete(Priority::User, &id).await.unwrap();
    let gone = home.provider.torrent(Priority::User, &id).await;
    assert_eq!(gone.unwrap_err().verdict, Verdict::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_slots_are_told_and_a_magnet_goes_all_its_way() {
    let home = Home::new("dl").await;
    home.sim().configure(|settings| settings.active_limit = 1);
    let add = async |hash: &str| {
        let magnet = format!("magnet:?xt=urn:btih:{hash}");
        home.provider.add_magnet(Priority::Import, &magnet).await
    };
    let id = add(SLOW).await.unwrap();
    let begun = home.info(&id).await.summary;
    assert_eq!(begun.status, TorrentStatus::MagnetConversion);
    let full = add(&"f".repeat(40)).await.unwrap_err();
    assert_eq!(full.verdict, Verdict::SlotsFull);
    let slots = home.provider.active_count(Priority::User).await.unwrap();
    assert_eq!((slots.active, slots.limit), (1, 1));
    home.sim().advance(Duration::from_secs(10));
    let under_way = home.info(&id).await.summary;
    assert_eq!(under_way.status, TorrentStatus::Downloading);
    assert!((1.0..100.0).contains(&under_way.progress), "{under_way:?}");
    home.sim().advance(Duration::from_secs(60));
    let ready = home.info(&id).await;
    assert_eq!(ready.summary.status, TorrentStatus::Downloaded);
    assert_eq!((ready.files.len(), ready.summary.links.len()), (1, 1));
    assert!(add(&"f".repeat(40)).await.is_ok(), "a slot is free");
}
