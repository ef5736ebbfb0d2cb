//! Listeners, TLS, connections, other people's clients.

use debridfs_sim::{Clip, FileSpec, LibrarySpec, ReleaseSpec, ServeOptions};
use serde_json::Value;

use crate::support::{client, one_film, served, sim, torrents};

async fn unrestricted(served: &debridfs_sim::Served, link: &str) -> String {
    let answer = client(served)
        .post(format!("{}/unrestrict/link", served.api_url()))
        .bearer_auth(served.token())
        .form(&[("link", link)])
        .send()
        .await
        .unwrap();
    let body: Value = answer.json().await.unwrap();
    body["download"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn over_tls_with_a_ca_of_its_own() {
    let sim = sim(&one_film(1_000_000));
    let served = served(
        &sim,
        ServeOptions {
            tls: true,
            ..ServeOptions::default()
        },
    )
    .await;
    assert!(served.base_url().starts_with("https://127.0.0.1:"));
    assert!(
        served
            .ca_pem()
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    let url = unrestricted(&served, &torrents(&sim)[0].links[0]).await;
    assert!(url.starts_with(served.base_url()));
    let body = client(&served)
        .get(&url)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(body, sim.expected(0, &url, 0, 1_000_000).unwrap());
}

#[tokio::test]
async fn connections_are_counted_once_however_many_requests_they_carry() {
    let sim = sim(&one_film(100_000));
    let served = served(&sim, ServeOptions::default()).await;
    let client = client(&served);
    let user = format!("{}/user", served.api_url());
    for _ in 0..5 {
        client
            .get(&user)
            .bearer_auth(served.token())
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
    }
    let counters = sim.counters();
    assert_eq!(
        (counters.connections.open, counters.connections.total),
        (1, 1)
    );
    assert_eq!(counters.cdn.connections.total, 0);
    let url = unrestricted(&served, &torrents(&sim)[0].links[0]).await;
    for _ in 0..3 {
        client
            .get(&url)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
    }
    let counters = sim.counters();
    assert_eq!(
        (
            counters.cdn.connections.open,
            counters.cdn.connections.total
        ),
        (1, 1)
    );
    assert_eq!(counters.cdn.bytes, 300_000);
    drop(client);
    while sim.counters().connections.open > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sim.counters().cdn.connections.open, 0);
}

#[tokio::test]
async fn a_stopped_server_refuses_and_can_come_back() {
    let sim = sim(&one_film(10));
    let first = served(&sim, ServeOptions::default()).await;
    let address = first.addresses()[0];
    let url = format!("{}/time", first.api_url());
    let client = client(&first);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    first.stop().await;
    assert!(client.get(&url).send().await.unwrap_err().is_connect());
    let again = served(
        &sim,
        ServeOptions {
            listen: address,
            ..ServeOptions::default()
        },
    )
    .await;
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    let taken = debridfs_sim::serve(
        sim,
        ServeOptions {
            listen: address,
            ..ServeOptions::default()
        },
    )
    .await;
    assert!(taken.unwrap_err().to_string().contains("cannot listen"));
    drop(again);
}

#[tokio::test]
async fn links_lead_to_where_the_client_found_the_server() {
    let sim = sim(&one_film(10));
    let everywhere = ServeOptions {
        listen: ([0, 0, 0, 0], 0).into(),
        ..ServeOptions::default()
    };
    let by_host = served(&sim, everywhere.clone()).await;
    let port = by_host.addresses()[0].port();
    let link = torrents(&sim)[0].links[0].clone();
    let answer = client(&by_host)
        .post(format!("http://localhost:{port}/rest/1.0/unrestrict/link"))
        .bearer_auth(by_host.token())
        .form(&[("link", &link)])
        .send()
        .await
        .unwrap();
    let body: Value = answer.json().await.unwrap();
    assert!(
        body["download"]
            .as_str()
            .unwrap()
            .starts_with(&format!("http://localhost:{port}/d/"))
    );
    let public = ServeOptions {
        public_cdn_url: Some("http://cdn.example".into()),
        ..everywhere
    };
    let by_name = served(&sim, public).await;
    assert!(
        unrestricted(&by_name, &link)
            .await
            .starts_with("http://cdn.example/d/")
    );
}

/// Runs curl, which knows nothing of this project.
async fn curl(arguments: &[&str]) -> Vec<u8> {
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*"])
        .args(arguments)
        .output()
        .await
        .expect("curl is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn curl_can_use_it_over_tls() {
    let files = vec![
        FileSpec::generated("/big.mkv", 80_000_000_000),
        FileSpec::clip("/clip.mkv", Clip::Film),
    ];
    let sim = sim(&LibrarySpec {
        seed: 1,
        releases: vec![ReleaseSpec::new("R", files)],
    });
    let served = served(
        &sim,
        ServeOptions {
            tls: true,
            ..ServeOptions::default()
        },
    )
    .await;
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, served.ca_pem().unwrap()).unwrap();
    let ca = ca.to_str().unwrap();
    let token = format!("Authorization: Bearer {}", served.token());
    let list = curl(&[
        "--cacert",
        ca,
        "-H",
        &token,
        &format!("{}/torrents", served.api_url()),
    ])
    .await;
    let list: Value = serde_json::from_slice(&list).unwrap();
    let links: Vec<&str> = list[0]["links"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l.as_str().unwrap())
        .collect();
    let mut urls = Vec::new();
    for link in links {
        let api = format!("{}/unrestrict/link", served.api_url());
        let answer = curl(&[
            "--cacert",
            ca,
            "-H",
            &token,
            "--data-urlencode",
            &format!("link={link}"),
            &api,
        ])
        .await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        urls.push(answer["download"].as_str().unwrap().to_owned());
    }
    let far = 79_999_000_000u64;
    for (range, offset, length) in [
        ("0-99", 0, 100),
        ("79999000000-79999999999", far, 1_000_000),
        ("79999999000-", 79_999_999_000, 1000),
        ("-5", 79_999_999_995, 5),
    ] {
        let bytes = curl(&["--cacert", ca, "--fail", "--range", range, &urls[0]]).await;
        assert_eq!(
            bytes,
            sim.expected(0, &urls[0], offset, length).unwrap(),
            "{range}"
        );
    }
    assert_eq!(
        curl(&["--cacert", ca, "--fail", &urls[1]]).await,
        Clip::Film.bytes()
    );
    let head = String::from_utf8(curl(&["--cacert", ca, "--head", &urls[0]]).await).unwrap();
    assert!(
        head.contains("content-length: 80000000000") && head.contains("accept-ranges: bytes"),
        "{head}"
    );
}

#[tokio::test]
async fn curl_continues_a_cut_download() {
    let sim = sim(&one_film(300_000));
    let served = served(&sim, ServeOptions::default()).await;
    let url = unrestricted(&served, &torrents(&sim)[0].links[0]).await;
    sim.fail_cdn(debridfs_sim::CdnFault {
        times: Some(1),
        ..debridfs_sim::CdnFault::everywhere(debridfs_sim::CdnFaultKind::CloseAfter {
            bytes: 100_000,
        })
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("film");
    let file = file.to_str().unwrap();
    let run = || {
        tokio::process::Command::new("curl")
            .args([
                "--silent",
                "--noproxy",
                "*",
                "--continue-at",
                "-",
                "--output",
                file,
                &url,
            ])
            .status()
    };
    assert!(!run().await.unwrap().success());
    assert_eq!(std::fs::metadata(file).unwrap().len(), 100_000);
    assert!(run().await.unwrap().success());
    assert_eq!(
        std::fs::read(file).unwrap(),
        sim.expected(0, &url, 0, 300_000).unwrap()
    );
}
