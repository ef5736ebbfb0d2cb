//! What the fronts' answers take with a long queue: `cargo run --release -p debridfs-acquire --example large_queue [JOBS]`.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Extension;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use debridfs_acquire::{
    Acquire, AcquireConfig, AddOptions, Known, Library, ProbeError, Release, Shown, WholeFile,
    qbittorrent, sabnzbd,
};
use debridfs_base::Secret;
use debridfs_base::TokioClock;
use debridfs_base::http::{Transport, TransportError};
use debridfs_provider::InfoHash;
use debridfs_provider::vendors::real_debrid;
use debridfs_provider::{AccountConfig, DebridAccount, TorrentInfo};
use http_body_util::BodyExt;
use jiff::Timestamp;
use tower::ServiceExt;

/// Rounds of each call; the middle one is told.
const ROUNDS: usize = 9;

/// Nobody: jobs that are stopped ask nothing.
struct Nobody;

#[async_trait]
impl Transport for Nobody {
    async fn send(
        &self,
        _: http::Request<Bytes>,
        _: usize,
    ) -> Result<http::Response<Bytes>, TransportError> {
        Err(TransportError::Connect("there is nobody".into()))
    }
}

#[async_trait]
impl Library for Nobody {
    async fn torrents(&self, _: InfoHash) -> Vec<Known> {
        Vec::new()
    }

    async fn shown(&self, _: InfoHash) -> Option<Shown> {
        None
    }

    async fn told(&self, _: &str, _: TorrentInfo) {}

    fn look_now(&self) {}

    async fn changed(&self) {
        std::future::pending().await
    }

    async fn probe(&self, _: InfoHash, _: &str) -> Result<(), ProbeError> {
        Ok(())
    }

    async fn whole(&self, _: InfoHash, _: &str) -> Option<Box<dyn WholeFile>> {
        None
    }

    fn url(&self, _: InfoHash, _: &str) -> Result<String, String> {
        Err("there is nobody".to_owned())
    }
}

async fn call(router: &Router, uri: &str) -> Result<(Duration, usize), Box<dyn Error>> {
    let begun = Instant::now();
    let request = http::Request::get(uri).header("host", "127.0.0.1:8283");
    let answer = router.clone().oneshot(request.body(Body::empty())?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        return Err(format!("{uri}: {status}").into());
    }
    Ok((begun.elapsed(), body.len()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let jobs: u32 = match std::env::args().nth(1) {
        Some(count) => count.parse()?,
        None => 10_000,
    };
    let dir = tempfile::tempdir()?;
    let config = AcquireConfig::new(dir.path().join("jobs.db"), dir.path().join("downloads"));
    let account = AccountConfig {
        name: "rd".to_owned(),
        token: Some(Secret::new("none")),
        ..AccountConfig::of(&real_debrid::KIND)
    };
    let clock = Arc::new(TokioClock::starting_at(Timestamp::now()));
    let account = DebridAccount::with_transport(account, Arc::new(Nobody), clock)?;
    let acquire = Acquire::open(config, vec![Arc::new(account)], Arc::new(Nobody)).await?;
    for number in 0..jobs {
        let link = format!(
            "magnet:?xt=urn:btih:{number:040x}&dn=Some.Series.S{:02}E{:02}.1080p.WEB.H264-{number}&tr=udp%3A%2F%2Ftracker.example%3A80",
            number / 24 % 30,
            number % 24
        );
        let options = AddOptions {
            category: if number % 3 == 0 { "films" } else { "tv" }.to_owned(),
            stopped: true,
            ..AddOptions::default()
        };
        acquire.add(Release::from_link(&link)?, options).await?;
    }
    let peer = debridfs_listen::Peer([127, 0, 0, 1].into());
    let open = qbittorrent::Credentials::default();
    let torrents =
        qbittorrent::router(acquire.clone(), open, Arc::default()).layer(Extension(peer));
    let key = sabnzbd::Credentials {
        key: Secret::new("key"),
        login: None,
    };
    let nzbs = sabnzbd::router(acquire.clone(), key, Arc::default());
    let some: Vec<String> = (0..jobs.min(200)).map(|n| format!("{n:040x}")).collect();
    let some = some.join("|");
    let seen = acquire.revision();
    println!("{jobs} jobs");
    for (router, what, uri) in [
        (
            &torrents,
            "torrents/info",
            "/api/v2/torrents/info".to_owned(),
        ),
        (
            &torrents,
            "…?category=tv",
            "/api/v2/torrents/info?category=tv".to_owned(),
        ),
        (
            &torrents,
            "…?sort=name",
            "/api/v2/torrents/info?sort=name".to_owned(),
        ),
        (
            &torrents,
            "…?hashes= (200)",
            format!("/api/v2/torrents/info?hashes={some}"),
        ),
        (
            &torrents,
            "sync/maindata",
            "/api/v2/sync/maindata".to_owned(),
        ),
        (
            &torrents,
            "…?rid=newest",
            format!("/api/v2/sync/maindata?rid={seen}"),
        ),
        (&nzbs, "queue", "/api?mode=queue&apikey=key".to_owned()),
        (&nzbs, "history", "/api?mode=history&apikey=key".to_owned()),
    ] {
        let mut times = Vec::new();
        let mut size = 0;
        for _ in 0..ROUNDS {
            let (took, bytes) = call(router, &uri).await?;
            times.push(took);
            size = bytes;
        }
        times.sort();
        println!(
            "{what:>18}: {:7.1} ms, {size:>9} bytes",
            times[ROUNDS / 2].as_secs_f64() * 1e3
        );
    }
    Ok(())
}
