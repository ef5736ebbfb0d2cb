//! A simulation in this process, and short ways to ask it.

use std::path::Path;

use axum::body::Body;
use bytes::Bytes;
use debridfs_sim::{
    FileSpec, LibrarySpec, ReleaseSpec, ServeOptions, Served, Sim, TorrentView, serve,
};
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tokio::process::Command;
use tower::ServiceExt;

pub const START: &str = "2026-06-01T12:00:00Z";

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `None` when the body ended badly.
    pub body: Option<Bytes>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.body.as_ref().unwrap()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn code(&self) -> (u16, i64) {
        (
            self.status.as_u16(),
            self.json()["error_code"].as_i64().unwrap(),
        )
    }
}

pub fn sim(library: &LibrarySpec) -> Sim {
    Sim::starting_at(library, START.parse().unwrap()).unwrap()
}

/// A library of one film of `bytes` bytes.
pub fn one_film(bytes: u64) -> LibrarySpec {
    LibrarySpec {
        seed: 3,
        releases: vec![ReleaseSpec::new(
            "Film.2020",
            vec![FileSpec::generated("/Film.2020.mkv", bytes)],
        )],
    }
}

pub fn torrents(sim: &Sim) -> Vec<TorrentView> {
    sim.torrents(0).unwrap()
}

pub async fn send(sim: &Sim, request: Request<Body>) -> Answer {
    let response = sim.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 30).await.ok();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// A call of the API with the token of account 0.
pub async fn call(sim: &Sim, method: &str, path: &str, body: &str) -> Answer {
    call_with(sim, method, path, body, &[]).await
}

pub async fn call_with(
    sim: &Sim,
    method: &str,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/rest/1.0/{path}"))
        .header("authorization", format!("Bearer {}", sim.token()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(sim, request.body(Body::from(body.to_owned())).unwrap()).await
}

pub async fn get(sim: &Sim, path: &str) -> Answer {
    call(sim, "GET", path, "").await
}

pub async fn control(sim: &Sim, method: &str, path: &str, body: Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/control/{path}"))
        .header("content-type", "application/json");
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    send(sim, request.body(body).unwrap()).await
}

/// The URL of a direct link of the restricted link.
pub async fn unrestrict(sim: &Sim, link: &str) -> String {
    let answer = call(sim, "POST", "unrestrict/link", &form("link", link)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.json()["download"].as_str().unwrap().to_owned()
}

/// A direct link of the first file of the newest torrent.
pub async fn direct(sim: &Sim) -> String {
    let link = torrents(sim)[0].links[0].clone();
    unrestrict(sim, &link).await
}

pub fn form(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish()
}

/// A CDN request; `url` as the API gave it.
pub async fn fetch(sim: &Sim, method: &str, url: &str, range: Option<&str>) -> Answer {
    let path = &url[url.find("/d/").unwrap()..];
    let mut request = Request::builder().method(method).uri(path);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    send(sim, request.body(Body::empty()).unwrap()).await
}

pub async fn served(sim: &Sim, options: ServeOptions) -> Served {
    serve(sim.clone(), options).await.unwrap()
}

/// A client that knows the server's CA and follows no redirect.
pub fn client(served: &Served) -> reqwest::Client {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(pem) = served.ca_pem() {
        use rustls::pki_types::pem::PemObject;
        roots
            .add(rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
            .unwrap();
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .use_preconfigured_tls(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

/// Runs `script`, which drives the simulator with a client that others wrote; `scripts/setup.sh` puts those below `target/tools`.
pub async fn foreign_client(script: &str, arguments: [&str; 4]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/tools/python/bin/python");
    let mut client = Command::new(python);
    client
        .arg(root.join("tests/behaviour").join(script))
        .args(arguments);
    is_content(client).await;
}

/// Runs a client that others wrote to its end, where it says that all went well.
pub async fn is_content(mut client: Command) {
    let said = client.output().await;
    let said = said.unwrap_or_else(|error| {
        let program = client.as_std().get_program().display();
        panic!("{program}: {error} (scripts/setup.sh test installs it)")
    });
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{words}");
    let last = String::from_utf8_lossy(&said.stdout);
    assert_eq!(last.trim(), "all calls did as they say");
}
