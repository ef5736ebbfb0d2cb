//! The reader with the real provider on the simulated one, over TLS: every fault of its CDN, expiry, outage, traffic, counters.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use debridfs_base::ByteSize;
use debridfs_base::Secret;
use debridfs_content::{Content, ContentConfig, ContentError, ErrorKind, FileRef, ReadRequest};
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{
    AccountConfig, DebridAccount, HosterLink, Priority, Provider, Source, TorrentId,
};
use debridfs_sim::{
    CdnFault, CdnFaultKind, FileSpec, LibrarySpec, Outage, OutageMode, ReleaseSpec, ServeOptions,
    Served, Sim, TransferEnd, serve,
};
use support::MemoryLinks;
use tokio::runtime::Handle;
use tokio::time::Instant;

const MIB: u64 = 1 << 20;
const LONG: Duration = Duration::from_secs(60);
const AT: u64 = 40 * MIB + 12_345;
const READ: u32 = 128 << 10;

struct Bench {
    served: Served,
    content: Arc<Content>,
    provider: Arc<DebridAccount>,
    file: FileRef,
    key: u64,
    _ca: tempfile::NamedTempFile,
}

impl Bench {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut AccountConfig)) -> Self {
        let reading = ContentConfig {
            first_byte_timeout_ms: 1000,
            stall_timeout_ms: 500,
            ..ContentConfig::default()
        };
        Self::reading(reading, change).await
    }

    /// For counting: no time limit of the reader is met, however long the machine is away.
    async fn patient() -> Self {
        let reading = ContentConfig {
            first_byte_timeout_ms: 60_000,
            stall_timeout_ms: 60_000,
            ..ContentConfig::default()
        };
        Self::reading(reading, |_| {}).await
    }

    async fn reading(reading: ContentConfig, change: impl FnOnce(&mut AccountConfig)) -> Self {
        // An error is a second installation, by another test of this process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let size = 80 * MIB + 99;
        let library = LibrarySpec {
            seed: 1,
            releases: vec![ReleaseSpec::new(
                "Film.2024",
                vec![FileSpec::generated("/Film.2024.mkv", size)],
            )],
        };
        let noon = "2026-11-21T12:00:00Z".parse().unwrap();
        let sim = Sim::starting_at(&library, noon).unwrap();
        sim.add_account("SECOND", &LibrarySpec::default()).unwrap();
        let options = ServeOptions {
            tls: true,
            cdn_listen: Some(([127, 0, 0, 1], 0).into()),
            ..ServeOptions::default()
        };
        let served = serve(sim.clone(), options).await.unwrap();
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), served.ca_pem().unwrap()).unwrap();
        let mut config = AccountConfig {
            name: "rd".to_owned(),
            token: Some(Secret::new(served.token())),
            api_url: served.api_url(),
            ca_file: Some(ca.path().to_owned()),
            ..AccountConfig::of(&real_debrid::KIND)
        };
        change(&mut config);
        let provider = DebridAccount::with_clock(config, Arc::new(sim.clone()));
        let provider = Arc::new(provider.unwrap());
        let torrent = sim.torrents(0).unwrap().remove(0);
        let links = Arc::new(MemoryLinks::default());
        Self {
            content: Content::new(reading, vec![provider.clone()], links, Handle::current()),
            provider,
            file: FileRef {
                id: 42,
                size,
                sources: Arc::from([Source {
                    provider: "rd".to_owned(),
                    torrent: TorrentId(torrent.id.clone()),
                    link: HosterLink(torrent.links[0].clone()),
                    part: None,
                }]),
            },
            key: torrent.files[0].key.unwrap(),
            served,
            _ca: ca,
        }
    }

    fn sim(&self) -> &Sim {
        self.served.sim()
    }

    fn unrestricts(&self) -> u64 {
        let links = self.sim().counters().links;
        links.values().map(|link| link.unrestricts).sum()
    }

    async fn read(
        &self,
        handle: u64,
        offset: u64,
        size: u32,
        deadline: Duration,
    ) -> Result<u64, ContentError> {
        let request = ReadRequest {
            handle,
            offset,
            size,
            deadline,
            client: debridfs_base::Client::Own,
        };
        let out = match self.content.try_read(self.file.file_id(), &request) {
            Some(out) => out,
            None => self.content.read(&self.file, &request).await?,
        };
        let out = out.concat();
        let mut expected = vec![0; u64::from(size).min(self.file.size - offset) as usize];
        debridfs_sim::content::fill(self.key, offset, &mut expected);
        assert!(out == expected, "wrong bytes at {offset}");
        Ok(out.len() as u64)
    }
}

fn status(status: u16, x_error: Option<&str>, retry_after: Option<u32>) -> CdnFaultKind {
    CdnFaultKind::Status {
        status,
        x_error: x_error.map(str::to_owned),
        retry_after,
    }
}

/// All but wrong bytes under right headers, which nobody can tell.
fn faults() -> Vec<CdnFaultKind> {
    vec![
        CdnFaultKind::IgnoreRange,
        CdnFaultKind::WrongOffset { by: 4096 },
        CdnFaultKind::WrongOffset { by: -1 },
        CdnFaultKind::WrongTotal { by: 1 },
        CdnFaultKind::ShortRange { bytes: 10_000 },
        CdnFaultKind::ShortBody { bytes: 10_000 },
        CdnFaultKind::CloseAfter { bytes: 10_000 },
        CdnFaultKind::ResetAfter { bytes: 10_000 },
        CdnFaultKind::StallAfter { bytes: 0 },
        CdnFaultKind::StallAfter { bytes: 10_000 },
        status(404, None, None),
        status(404, Some("link_not_found"), None),
        status(416, None, None),
        status(429, None, None),
        status(429, None, Some(1)),
        status(447, None, None),
        status(502, None, None),
        status(503, None, None),
        status(503, None, Some(1)),
        status(503, Some("link_expired"), None),
        status(503, Some("bandwidth_exceeded"), None),
        CdnFaultKind::SlowStart {
            wait_ms: 200,
            rate: 500_000,
            bytes: 50_000,
        },
        CdnFaultKind::Redirect { to: None },
        CdnFaultKind::ExpireAfter { bytes: 10_000 },
        CdnFaultKind::Expired,
        CdnFaultKind::Hang,
        CdnFaultKind::Reset,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_passes_is_not_seen() {
    let each = faults().into_iter().map(|kind| {
        tokio::spawn(async move {
            let bench = Bench::new().await;
            bench.sim().fail_cdn(CdnFault {
                times: Some(2),
                ..CdnFault::everywhere(kind.clone())
            });
            let read = bench.read(7, AT, READ, LONG).await;
            assert_eq!(read.ok(), Some(READ.into()), "{kind:?}");
        })
    });
    for one in each.collect::<Vec<_>>() {
        one.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_stays_is_an_error_in_time_and_forgotten_afterwards() {
    let each = faults().into_iter().map(|kind| {
        tokio::spawn(async move {
            let bench = Bench::new().await;
            bench.read(7, 0, READ, LONG).await.unwrap();
            bench.sim().fail_cdn(CdnFault::everywhere(kind.clone()));
            let deadline = Duration::from_secs(2);
            let begun = Instant::now();
            if let Err(error) = bench.read(7, AT, READ, deadline).await {
                assert_ne!(error.kind(), ErrorKind::TooLarge, "{kind:?}");
            }
            // Far less than any other time at which a read would end.
            assert!(
                begun.elapsed() < deadline + Duration::from_secs(20),
                "{kind:?}"
            );
            bench.sim().clear_faults();
            let read = bench.read(7, AT, READ, LONG).await;
            assert_eq!(read.ok(), Some(READ.into()), "{kind:?}");
            assert!(
                bench.unrestricts() <= 5,
                "{kind:?}: {}",
                bench.unrestricts()
            );
        })
    });
    for one in each.collect::<Vec<_>>() {
        one.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_in_the_middle_costs_one_new_link() {
    let bench = Bench::patient().await;
    let mut at = 0;
    while at < bench.file.size {
        at += bench.read(7, at, READ, LONG).await.unwrap();
        if at == 20 * MIB || at == 60 * MIB {
            bench.sim().expire_links(None);
            bench.content.release(7);
        }
    }
    assert_eq!(bench.unrestricts(), 3);
    assert_eq!(bench.content.stats().reads_failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_file_costs_one_link_and_hardly_more_than_its_bytes() {
    let bench = Bench::patient().await;
    let mut at = 0;
    while at < bench.file.size {
        at += bench.read(7, at, READ, LONG).await.unwrap();
    }
    let counters = bench.sim().counters();
    assert_eq!(counters.cdn.bytes, bench.file.size);
    assert_eq!(counters.cdn.heads, 0);
    // On a machine so busy that one connection is slow there are more, with ranges of a MiB at least.
    let most = match counters.cdn.connections.total {
        1 => 24,
        _ => bench.file.size / MIB + 24,
    };
    assert!(counters.cdn.gets <= most, "{}", counters.cdn.gets);
    assert_eq!((bench.unrestricts(), counters.calls), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_readers_get_through_an_outage() {
    let bench = Arc::new(Bench::new().await);
    let outage = |cdn| Outage {
        cdn,
        ..Outage::default()
    };
    for mode in [OutageMode::Unavailable, OutageMode::Reset, OutageMode::Hang] {
        bench.sim().set_outage(outage(mode));
        let reads = (1..=50).map(|handle| {
            let bench = bench.clone();
            tokio::spawn(async move { bench.read(handle, handle * MIB + 7, READ, LONG).await })
        });
        let reads: Vec<_> = reads.collect();
        tokio::time::sleep(Duration::from_secs(3)).await;
        bench.sim().set_outage(outage(OutageMode::None));
        for read in reads {
            read.await.unwrap().unwrap();
        }
        (1..=50).for_each(|handle| bench.content.release(handle));
    }
}

/// Two keys with a cap of their own each: the second takes over in the middle of the file, and when it is empty as well reads end with the
/// reason, cost nothing, and go on after midnight.
#[tokio::test(flavor = "multi_thread")]
async fn keys_take_over_in_mid_read_until_midnight() {
    let bench = Bench::with(|config| config.download_tokens = vec![Secret::new("SECOND")]).await;
    bench
        .sim()
        .configure(|settings| settings.traffic_cap = 4 * MIB);
    let mut at = MIB;
    // Reads apart from each other fetch what they are asked for: 32 of them are a key's day.
    let error = loop {
        match bench.read(at + 1, at, READ, Duration::from_secs(10)).await {
            Ok(_) => at += MIB,
            Err(error) => break error,
        }
    };
    assert!(at > 60 * MIB, "{at}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("traffic"), "{error}");
    let keys = bench.provider.keys();
    assert!(keys.iter().all(|key| key.traffic.used_up), "{keys:?}");
    let before = bench.sim().counters();
    for handle in 1..=5 {
        let read = bench
            .read(handle, at, READ, Duration::from_millis(300))
            .await;
        read.unwrap_err();
    }
    let after = bench.sim().counters();
    // A trial of each at most.
    assert!(after.calls - before.calls <= 2);
    assert!(after.cdn.gets - before.cdn.gets <= 2);
    bench.sim().advance(Duration::from_secs(12 * 3600));
    bench.read(1, at, READ, LONG).await.unwrap();
    assert!(!bench.provider.keys()[0].traffic.used_up);
}

/// A limit of the configuration ends a long body in its middle, and needs no word of the provider.
#[tokio::test(flavor = "multi_thread")]
async fn a_configured_limit_holds_in_mid_body() {
    let bench = Bench::with(|config| {
        config.daily_traffic = Some(ByteSize(20 * MIB));
        config.traffic_reserve_percent = 50;
    })
    .await;
    let mut at = 0;
    let error = loop {
        match bench.read(1, at, READ, Duration::from_secs(5)).await {
            Ok(read) => at += read,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("daily_traffic"), "{error}");
    let traffic = bench.provider.keys()[0].traffic;
    let over = traffic.counted - 20 * MIB;
    // A piece of each body under way.
    assert!(over < 4 * MIB, "{over} over the limit");
    assert!(bench.provider.room_for(Priority::Playback).is_err());
    assert_eq!(bench.unrestricts(), 1);
}

/// What is left of the day's traffic near its limit is for those who play: a scan is refused with the reason.
#[tokio::test(flavor = "multi_thread")]
async fn near_the_limit_a_scan_is_refused_and_playback_goes_on() {
    let bench = Bench::with(|config| {
        config.daily_traffic = Some(ByteSize(20 * MIB));
        config.traffic_reserve_percent = 90;
    })
    .await;
    let mut at = 0;
    while bench.provider.keys()[0].traffic.used < 3 * MIB {
        at += bench.read(1, at, READ, LONG).await.unwrap();
    }
    assert!(bench.provider.keys()[0].traffic.playback_only);
    // Places in the middle of the file that nobody reads on from.
    let mut refused = None;
    for place in 2..12 {
        let deadline = Duration::from_secs(10);
        if let Err(error) = bench.read(2, place * 6 * MIB, 4096, deadline).await {
            refused = Some(error);
            break;
        }
    }
    let error = refused.expect("a scan is refused");
    assert!(error.to_string().contains("kept for playback"), "{error}");
    for _ in 0..16 {
        at += bench.read(1, at, READ, LONG).await.unwrap();
    }
}

/// Two accounts of a vendor: while one is lost in the middle of what it sends, API and CDN, the other goes on, and it is returned to.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_account_is_replaced_in_mid_body_and_returned_to() {
    let first = Bench::new().await;
    let mut both = Bench::with(|config| config.name = "second".to_owned()).await;
    assert_eq!(first.key, both.key);
    let second = Source {
        provider: "second".to_owned(),
        ..both.file.sources[0].clone()
    };
    both.file.sources = [first.file.sources[0].clone(), second].into();
    let reading = ContentConfig {
        first_byte_timeout_ms: 1000,
        stall_timeout_ms: 500,
        ..ContentConfig::default()
    };
    let providers = vec![first.provider.clone() as _, both.provider.clone() as _];
    let links = Arc::new(MemoryLinks::default());
    both.content = Content::new(reading, providers, links, Handle::current());
    let gets = |bench: &Bench| bench.sim().counters().cdn.gets;
    let mut at = 0;
    let losses = [
        (OutageMode::Reset, TransferEnd::Reset),
        (OutageMode::Hang, TransferEnd::Stall),
    ];
    for (mode, end) in losses {
        for _ in 0..40 {
            at += both.read(7, at, READ, LONG).await.unwrap();
        }
        let (api, cdn) = (mode, mode);
        first.sim().set_outage(Outage { api, cdn });
        first.sim().end_transfers(end);
        let from_second = gets(&both);
        for _ in 0..40 {
            at += both.read(7, at, READ, LONG).await.unwrap();
        }
        assert!(gets(&both) > from_second, "{mode:?}");
        if mode == OutageMode::Hang {
            break;
        }
        first.sim().set_outage(Outage::default());
        let begun = Instant::now();
        let from_first = gets(&first);
        while gets(&first) < from_first + 2 {
            assert!(begun.elapsed() < LONG, "{mode:?}: nobody returns");
            tokio::time::sleep(Duration::from_millis(200)).await;
            both.read(9, 70 * MIB, READ, LONG).await.unwrap();
            both.content.release(9);
        }
    }
    let stats = both.content.stats();
    assert_eq!((stats.reads_failed, stats.cdn.copies_differing), (0, 0));
    assert!(stats.cdn.fail_overs >= 2 && stats.cdn.returns >= 1);
    assert!(first.unrestricts() + both.unrestricts() < 20);
}
