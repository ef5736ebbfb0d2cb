//! A provider whose links and redirects lead to machines beside this one: nobody there is asked, and no file is called bad for it.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use debridfs_base::Secret;
use debridfs_cdn::{Checkup, EventKind};
use debridfs_content::{Content, ContentConfig, ContentError, ErrorKind, FileRef, ReadRequest};
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{AccountConfig, DebridAccount, HosterLink, Source, TorrentId};
use debridfs_sim::{
    CdnFault, CdnFaultKind, FileSpec, LibrarySpec, ReleaseSpec, ServeOptions, Served, Sim, serve,
};
use support::MemoryLinks;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

const SIZE: u64 = 1 << 20;
const FILE: u64 = 42;

/// Somebody who counts who connects.
struct Trap {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Trap {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A reader of an account whose API, and CDN unless `links` say otherwise, is at 127.0.0.2.
struct Bench {
    served: Served,
    content: Arc<Content>,
    file: FileRef,
}

impl Bench {
    async fn new(links: Option<String>, networks: &[&str]) -> Self {
        let library = LibrarySpec {
            releases: vec![ReleaseSpec::new(
                "Film.2024",
                vec![FileSpec::generated("/Film.2024.mkv", SIZE)],
            )],
            ..LibrarySpec::default()
        };
        let sim = Sim::new(&library).unwrap();
        let options = ServeOptions {
            listen: ([127, 0, 0, 2], 0).into(),
            public_cdn_url: links,
            ..ServeOptions::default()
        };
        let served = serve(sim.clone(), options).await.unwrap();
        let config = AccountConfig {
            name: "rd".to_owned(),
            token: Some(Secret::new(served.token())),
            api_url: served.api_url(),
            cdn_networks: networks.iter().map(|net| net.parse().unwrap()).collect(),
            ..AccountConfig::of(&real_debrid::KIND)
        };
        let provider = Arc::new(DebridAccount::new(config).unwrap());
        let torrent = sim.torrents(0).unwrap().remove(0);
        let links = Arc::new(MemoryLinks::default());
        let reading = ContentConfig::default();
        Self {
            content: Content::new(reading, vec![provider], links, Handle::current()),
            file: FileRef {
                id: FILE,
                size: SIZE,
                sources: Arc::from([Source {
                    provider: "rd".to_owned(),
                    torrent: TorrentId(torrent.id.clone()),
                    link: HosterLink(torrent.links[0].clone()),
                    part: None,
                }]),
            },
            served,
        }
    }

    async fn read(&self, deadline: Duration) -> Result<u64, ContentError> {
        let request = ReadRequest {
            handle: 1,
            offset: 0,
            size: 4096,
            deadline,
            client: debridfs_base::Client::Own,
        };
        let out = self.content.read(&self.file, &request).await?;
        Ok(out.concat().len() as u64)
    }

    /// Reads in vain, with these words in the error, the history and a check of the file.
    async fn refuses(&self, words: &[&str]) {
        let error = self.read(Duration::from_millis(700)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let history = self.content.history(FILE);
        let noted = history.iter().find(|it| it.kind == EventKind::NotAllowed);
        let noted = noted.unwrap_or_else(|| panic!("{history:?}"));
        let Checkup::Unclear(check) = self.content.check(&self.file).await else {
            panic!("called bad for it");
        };
        for text in [&error.to_string(), &noted.detail, &check] {
            for word in words {
                assert!(text.contains(word), "{word} in {text}");
            }
            assert!(!text.contains("/d/"), "an address of a link: {text}");
        }
        let against = self.content.refused_since(jiff::Timestamp::UNIX_EPOCH);
        assert!(against.is_empty(), "{against:?}");
    }
}

#[tokio::test]
async fn links_to_machines_beside_this_one_are_not_asked() {
    let trap = Trap::new().await;
    let port = trap.address.port();
    for (host, kind) in [
        ("127.0.0.1", "a loopback address, 127.0.0.1"),
        ("[::ffff:127.0.0.1]", "a loopback address, ::ffff:127.0.0.1"),
        ("169.254.169.254", "a link-local address, 169.254.169.254"),
        ("localhost", "localhost is a loopback address"),
    ] {
        let links = format!("http://{host}:{port}");
        let bench = Bench::new(Some(links), &[]).await;
        bench.refuses(&[kind, "provider.rd.cdn_networks"]).await;
    }
    assert_eq!(trap.asked(), 0);
}

#[tokio::test]
async fn nor_are_redirects_there_while_the_apis_own_host_and_what_is_configured_are() {
    let trap = Trap::new().await;
    let bench = Bench::new(None, &[]).await;
    let to = Some(format!("http://{}", trap.address));
    let redirect = CdnFault::everywhere(CdnFaultKind::Redirect { to });
    bench.served.sim().fail_cdn(redirect.clone());
    bench.refuses(&["127.0.0.1"]).await;
    assert_eq!(trap.asked(), 0);
    bench.served.sim().clear_faults();
    assert_eq!(bench.read(support::LONG).await.unwrap(), 4096);

    let bench = Bench::new(None, &["127.0.0.0/30"]).await;
    bench.served.sim().fail_cdn(redirect);
    bench.read(Duration::from_millis(700)).await.unwrap_err();
    assert!(trap.asked() > 0);
}

#[tokio::test]
async fn redirects_end() {
    let bench = Bench::new(None, &[]).await;
    let to = Some(bench.served.base_url().to_owned());
    let round = CdnFault::everywhere(CdnFaultKind::Redirect { to });
    bench.served.sim().fail_cdn(round);
    let error = bench.read(Duration::from_millis(700)).await.unwrap_err();
    assert!(error.to_string().contains("too many redirects"), "{error}");
    let gets = bench.served.sim().counters().cdn.gets;
    assert!(gets < 100, "{gets} requests within 700 ms");
}
