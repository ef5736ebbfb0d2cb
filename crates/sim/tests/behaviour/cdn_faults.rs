//! Every fault of the CDN, over a real connection where it is one of connections.

use std::time::Duration;

use debridfs_sim::{
    CdnFault, CdnFaultKind as Kind, Outage, OutageMode, ServeOptions, Served, Sim, TransferEnd,
};
use futures_util::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{client, direct, fetch, one_film, served, sim, torrents, unrestrict};

const SIZE: u64 = 1_000_000;

fn film() -> Sim {
    sim(&one_film(SIZE))
}

fn once(kind: Kind) -> CdnFault {
    CdnFault {
        times: Some(1),
        ..CdnFault::everywhere(kind)
    }
}

/// A simulation on TCP with a direct link of its film.
async fn on_tcp() -> (Sim, Served, String) {
    let sim = film();
    let served = served(&sim, ServeOptions::default()).await;
    let url = tcp_link(&sim, &served).await;
    (sim, served, url)
}

async fn tcp_link(sim: &Sim, served: &Served) -> String {
    let link = torrents(sim)[0].links[0].clone();
    let answer = client(served)
        .post(format!("{}/unrestrict/link", served.api_url()))
        .bearer_auth(served.token())
        .form(&[("link", link)])
        .send()
        .await
        .unwrap();
    let body: serde_json::Value = answer.json().await.unwrap();
    body["download"].as_str().unwrap().to_owned()
}

/// Bytes of the body that came, and how it ended.
async fn received(served: &Served, url: &str) -> (Vec<u8>, Result<(), std::io::ErrorKind>) {
    let path = url.split_once("/d/").unwrap().1;
    let mut stream = tokio::net::TcpStream::connect(served.addresses()[0])
        .await
        .unwrap();
    let request = format!("GET /d/{path} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let end = loop {
        let mut buffer = vec![0; 65536];
        match stream.read(&mut buffer).await {
            Ok(0) => break Ok(()),
            Ok(n) => all.extend(&buffer[..n]),
            Err(error) => break Err(error.kind()),
        }
    };
    let head = all
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(0, |at| at + 4);
    (all.split_off(head), end)
}

#[tokio::test]
async fn headers_that_lie() {
    let sim = film();
    let url = direct(&sim).await;
    let cases = [
        (Kind::IgnoreRange, 200, "", SIZE),
        (
            Kind::WrongOffset { by: 10 },
            206,
            "bytes 110-209/1000000",
            100,
        ),
        (
            Kind::WrongOffset { by: -50 },
            206,
            "bytes 50-149/1000000",
            100,
        ),
        (
            Kind::WrongTotal { by: -1 },
            206,
            "bytes 100-199/999999",
            100,
        ),
        (
            Kind::ShortRange { bytes: 10 },
            206,
            "bytes 100-109/1000000",
            10,
        ),
        (
            Kind::ShortBody { bytes: 10 },
            206,
            "bytes 100-199/1000000",
            10,
        ),
    ];
    for (kind, status, range, length) in cases {
        sim.fail_cdn(once(kind.clone()));
        let answer = fetch(&sim, "GET", &url, Some("bytes=100-199")).await;
        assert_eq!(answer.status.as_u16(), status, "{kind:?}");
        assert_eq!(answer.header("content-range"), range, "{kind:?}");
        assert_eq!(
            answer.header("content-length"),
            length.to_string(),
            "{kind:?}"
        );
        assert_eq!(answer.body.unwrap().len() as u64, length, "{kind:?}");
        // Once, and then no more.
        assert_eq!(
            fetch(&sim, "GET", &url, Some("bytes=0-9"))
                .await
                .header("content-range"),
            "bytes 0-9/1000000"
        );
    }
    let good = fetch(&sim, "GET", &url, Some("bytes=0-99"))
        .await
        .body
        .unwrap();
    sim.fail_cdn(once(Kind::WrongBytes));
    assert_ne!(
        fetch(&sim, "GET", &url, Some("bytes=0-99"))
            .await
            .body
            .unwrap(),
        good
    );
}

#[tokio::test]
async fn statuses_with_and_without_headers() {
    let sim = film();
    let url = direct(&sim).await;
    for status in [404, 416, 429, 447, 502, 503] {
        for (x_error, retry_after) in [(None, None), (Some("quota_exceeded".to_owned()), Some(3))] {
            sim.fail_cdn(once(Kind::Status {
                status,
                x_error: x_error.clone(),
                retry_after,
            }));
            let answer = fetch(&sim, "GET", &url, None).await;
            assert_eq!(answer.status.as_u16(), status);
            assert_eq!(answer.header("x-error"), x_error.unwrap_or_default());
            assert_eq!(
                answer.header("retry-after"),
                if retry_after.is_some() { "3" } else { "" }
            );
        }
    }
    assert_eq!(fetch(&sim, "GET", &url, None).await.status, 200);
}

#[tokio::test]
async fn a_fault_meets_what_it_names() {
    let sim = film();
    let (url, other) = (direct(&sim).await, direct(&sim).await);
    let status = |link: Option<&str>, file: Option<&str>| CdnFault {
        link: link.map(Into::into),
        file: file.map(Into::into),
        ..CdnFault::everywhere(Kind::Status {
            status: 503,
            x_error: None,
            retry_after: None,
        })
    };
    let ask = async |url: &str, method: &str| fetch(&sim, method, url, None).await.status.as_u16();
    sim.fail_cdn(status(Some(&url), None));
    assert_eq!(
        (
            ask(&url, "GET").await,
            ask(&other, "GET").await,
            ask(&url, "HEAD").await
        ),
        (503, 200, 200)
    );
    sim.clear_faults();
    let restricted = torrents(&sim)[0].links[0].clone();
    sim.fail_cdn(CdnFault {
        head: true,
        ..status(Some(&restricted), None)
    });
    assert_eq!(
        (ask(&url, "GET").await, ask(&other, "HEAD").await),
        (503, 503)
    );
    sim.clear_faults();
    sim.fail_cdn(status(None, Some("/Film.2020")));
    sim.fail_cdn(status(None, Some("/Other")));
    assert_eq!(ask(&other, "GET").await, 503);
    let hits: Vec<u32> = sim.faults().iter().map(|fault| fault.hits).collect();
    assert_eq!(hits, [1, 0]);
    sim.clear_faults();
    sim.fail_cdn(CdnFault {
        skip: 2,
        ..status(None, None)
    });
    assert_eq!(
        (
            ask(&url, "GET").await,
            ask(&url, "GET").await,
            ask(&url, "GET").await
        ),
        (200, 200, 503)
    );
}

#[tokio::test]
async fn expiry() {
    let sim = film();
    let url = direct(&sim).await;
    sim.fail_cdn(once(Kind::Expired));
    for _ in 0..2 {
        assert_eq!(
            fetch(&sim, "GET", &url, None).await.header("x-error"),
            "link_expired"
        );
    }
    let url = direct(&sim).await;
    sim.fail_cdn(once(Kind::ExpireAfter { bytes: 1000 }));
    assert!(fetch(&sim, "GET", &url, None).await.body.is_none());
    assert_eq!(sim.counters().cdn.bytes, 1000);
    assert_eq!(
        fetch(&sim, "GET", &url, None).await.header("x-error"),
        "link_expired"
    );
    let url = direct(&sim).await;
    assert_eq!(fetch(&sim, "GET", &url, None).await.status, 200);
}

#[tokio::test]
async fn a_body_is_closed_after_exactly_so_many_bytes() {
    let (sim, served, url) = on_tcp().await;
    for bytes in [0, 1, 70_000, 999_999] {
        sim.fail_cdn(once(Kind::CloseAfter { bytes }));
        let (body, end) = received(&served, &url).await;
        assert_eq!((body.len() as u64, end), (bytes, Ok(())));
        assert_eq!(body, sim.expected(0, &url, 0, bytes as usize).unwrap());
    }
    // A fault behind the end does not happen.
    sim.fail_cdn(once(Kind::CloseAfter { bytes: SIZE + 1 }));
    assert_eq!(
        fetch(&sim, "GET", &url, None).await.body.unwrap().len() as u64,
        SIZE
    );
}

#[tokio::test]
async fn a_body_is_reset() {
    let (sim, served, url) = on_tcp().await;
    sim.fail_cdn(once(Kind::ResetAfter { bytes: 70_000 }));
    let (body, end) = received(&served, &url).await;
    assert!(body.len() <= 70_000);
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
    sim.fail_cdn(once(Kind::Reset));
    assert_eq!(
        received(&served, &url).await,
        (Vec::new(), Err(std::io::ErrorKind::ConnectionReset))
    );
    let answer = client(&served).get(&url).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap().len() as u64, SIZE);
    assert_eq!(sim.counters().cdn.outcomes["reset"], 1);
}

#[tokio::test]
async fn a_stalled_body_goes_on_when_the_fault_is_cleared() {
    let (sim, served, url) = on_tcp().await;
    let id = sim.fail_cdn(CdnFault::everywhere(Kind::StallAfter { bytes: 100_000 }));
    let answer = client(&served).get(&url).send().await.unwrap();
    let mut stream = answer.bytes_stream();
    let mut body = Vec::new();
    while body.len() < 100_000 {
        body.extend(stream.next().await.unwrap().unwrap());
    }
    assert_eq!(body.len(), 100_000);
    let more = tokio::time::timeout(Duration::from_millis(100), stream.next()).await;
    assert!(more.is_err(), "nothing more may come");
    assert_eq!(sim.counters().cdn.transfers.open, 1);
    sim.clear_fault(id).unwrap();
    while let Some(part) = stream.next().await {
        body.extend(part.unwrap());
    }
    assert_eq!(body, sim.expected(0, &url, 0, SIZE as usize).unwrap());
}

#[tokio::test]
async fn what_is_being_sent_can_be_ended_and_what_comes_later_is_whole() {
    let (sim, served, url) = on_tcp().await;
    // Slow enough that the body is never over before it is ended.
    sim.configure(|settings| settings.connection_rate = 200_000);
    for (how, ends) in [
        (TransferEnd::Close, true),
        (TransferEnd::Reset, true),
        (TransferEnd::Stall, false),
    ] {
        let answer = client(&served).get(&url).send().await.unwrap();
        let mut stream = answer.bytes_stream();
        stream.next().await.unwrap().unwrap();
        sim.end_transfers(how);
        let end = tokio::time::timeout(Duration::from_millis(500), async {
            while let Some(Ok(_)) = stream.next().await {}
        });
        assert_eq!(end.await.is_ok(), ends, "{how:?}");
    }
    sim.configure(|settings| settings.connection_rate = 0);
    let answer = client(&served).get(&url).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap().len() as u64, SIZE);
    sim.configure(|settings| settings.connection_rate = 200_000);
    let answer = client(&served).get(&url).send().await.unwrap();
    sim.end_transfers(TransferEnd::Expire);
    assert!(answer.bytes().await.is_err());
    let refused = client(&served).get(&url).send().await.unwrap();
    assert_eq!(refused.status(), 404);
}

#[tokio::test]
async fn a_reader_who_leaves_a_stalled_body_frees_its_place() {
    let (sim, served, url) = on_tcp().await;
    sim.configure(|settings| settings.max_parallel = 1);
    sim.fail_cdn(CdnFault::everywhere(Kind::StallAfter { bytes: 10 }));
    let answer = client(&served).get(&url).send().await.unwrap();
    assert_eq!(sim.counters().cdn.transfers.open, 1);
    drop(answer);
    while sim.counters().cdn.transfers.open > 0 || sim.counters().cdn.connections.open > 0 {
        tokio::task::yield_now().await;
    }
    sim.clear_faults();
    assert_eq!(
        client(&served).get(&url).send().await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn no_more_than_so_many_transfers_at_once() {
    let (sim, served, url) = on_tcp().await;
    sim.fail_cdn(CdnFault::everywhere(Kind::MaxParallel {
        transfers: 2,
        retry_after: Some(1),
    }));
    let id = sim.fail_cdn(CdnFault::everywhere(Kind::StallAfter { bytes: 10 }));
    let client = client(&served);
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(client.get(&url).send().await.unwrap());
        assert_eq!(open.last().unwrap().status(), 200);
    }
    let refused = client.get(&url).send().await.unwrap();
    assert_eq!(
        (
            refused.status().as_u16(),
            refused.headers()["retry-after"].to_str().unwrap()
        ),
        (429, "1")
    );
    sim.clear_fault(id).unwrap();
    for answer in open {
        assert_eq!(answer.bytes().await.unwrap().len() as u64, SIZE);
    }
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    let transfers = sim.counters().cdn.transfers;
    assert_eq!((transfers.total, transfers.peak), (3, 2));
}

#[tokio::test]
async fn limits_of_the_account_and_of_the_link() {
    let (sim, served, url) = on_tcp().await;
    sim.fail_cdn(CdnFault::everywhere(Kind::StallAfter { bytes: 10 }));
    sim.configure(|settings| (settings.max_parallel, settings.max_parallel_per_link) = (2, 1));
    let client = client(&served);
    let _first = client.get(&url).send().await.unwrap();
    assert_eq!(client.get(&url).send().await.unwrap().status(), 429);
    sim.configure(|settings| settings.max_parallel_per_link = 0);
    let second = client.get(&url).send().await.unwrap();
    assert_eq!(second.status(), 200);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 429);
    assert_eq!(client.head(&url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn redirects_lead_to_the_other_host_and_work_there() {
    let sim = film();
    let options = ServeOptions {
        cdn_listen: Some(([127, 0, 0, 1], 0).into()),
        ..ServeOptions::default()
    };
    let served = served(&sim, options).await;
    let url = tcp_link(&sim, &served).await;
    assert!(url.starts_with(served.cdn_url()) && served.cdn_url() != served.base_url());
    sim.fail_cdn(once(Kind::Redirect { to: None }));
    let client = client(&served);
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let target = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(target.starts_with(served.base_url()));
    assert_eq!(
        client
            .get(&target)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .len() as u64,
        SIZE
    );
    sim.fail_cdn(once(Kind::Redirect {
        to: Some("http://elsewhere.example/".into()),
    }));
    let answer = client.get(&url).send().await.unwrap();
    assert!(
        answer.headers()["location"]
            .to_str()
            .unwrap()
            .starts_with("http://elsewhere.example/d/")
    );
}

#[tokio::test(start_paused = true)]
async fn slow_starts_and_hangs() {
    let sim = film();
    let url = unrestrict(&sim, &torrents(&sim)[0].links[0]).await;
    sim.fail_cdn(once(Kind::SlowStart {
        wait_ms: 2000,
        rate: 100_000,
        bytes: 300_000,
    }));
    let start = tokio::time::Instant::now();
    assert_eq!(
        fetch(&sim, "GET", &url, None).await.body.unwrap().len() as u64,
        SIZE
    );
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(5) && took < Duration::from_millis(5200),
        "{took:?}"
    );
    let id = sim.fail_cdn(CdnFault::everywhere(Kind::Hang));
    let hanging = tokio::time::timeout(Duration::from_secs(600), fetch(&sim, "GET", &url, None));
    assert!(hanging.await.is_err());
    sim.clear_fault(id).unwrap();
    for (mode, status) in [(OutageMode::Unavailable, 503), (OutageMode::Reset, 500)] {
        sim.set_outage(Outage {
            cdn: mode,
            ..Outage::default()
        });
        assert_eq!(fetch(&sim, "GET", &url, None).await.status.as_u16(), status);
    }
    sim.set_outage(Outage {
        cdn: OutageMode::Hang,
        ..Outage::default()
    });
    assert!(
        tokio::time::timeout(Duration::from_secs(600), fetch(&sim, "GET", &url, None))
            .await
            .is_err()
    );
    sim.set_outage(Outage::default());
    assert_eq!(fetch(&sim, "GET", &url, None).await.status, 200);
}

#[test]
fn faults_are_written_as_documented() {
    let fault: CdnFault =
        serde_json::from_value(json!({"kind": "stall-after", "bytes": 5, "times": 3, "link": "x"}))
            .unwrap();
    assert_eq!(
        (fault.kind, fault.times),
        (Kind::StallAfter { bytes: 5 }, Some(3))
    );
    for bad in [
        json!({"kind": "unheard-of"}),
        json!({"kind": "stall-after"}),
        json!({"kind": "stall-after", "bytes": 5, "tims": 3}),
    ] {
        assert!(
            serde_json::from_value::<CdnFault>(bad.clone()).is_err(),
            "{bad}"
        );
    }
}
