//! A simulated TorBox in this process, and short ways to ask it.

use axum::body::Body;
use debridfs_sim::{FileSpec, Kind, LibrarySpec, ReleaseSpec, Sim};
use http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, START, send};

pub const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

pub fn torbox(library: &LibrarySpec) -> Sim {
    Sim::of_starting_at(Kind::TorBox, library, START.parse().unwrap()).unwrap()
}

/// An account that holds `count` films.
pub fn films(count: usize) -> Sim {
    let release = |n| film(&format!("Film.{n}"));
    torbox(&LibrarySpec {
        seed: 5,
        releases: (0..count).map(release).collect(),
    })
}

pub fn film(name: &str) -> ReleaseSpec {
    let files = vec![
        FileSpec::generated(format!("/{name}.mkv"), 100_000),
        FileSpec::generated("/Subs/English.srt", 300),
        FileSpec::generated("/readme.txt", 20),
    ];
    ReleaseSpec::new(name, files)
}

/// An account that knows the release of [`HASH`] but does not hold it.
pub fn knowing(cached: bool) -> Sim {
    let mut release = film("Wanted.2024");
    release.hash = Some(HASH.to_owned());
    release.copies = 0;
    release.cached = cached;
    torbox(&LibrarySpec {
        seed: 5,
        releases: vec![release],
    })
}

/// A call below `/v1/api/` with the token of account 0.
pub async fn call(sim: &Sim, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/v1/api/{path}"))
        .header("authorization", format!("Bearer {}", sim.token()))
        .header("content-type", kind);
    send(sim, request.body(Body::from(body)).unwrap()).await
}

pub async fn get(sim: &Sim, path: &str) -> Answer {
    call(sim, "GET", path, "text/plain", Vec::new()).await
}

pub async fn post(sim: &Sim, path: &str, body: Value) -> Answer {
    let body = body.to_string().into_bytes();
    call(sim, "POST", path, "application/json", body).await
}

/// A create with the fields of a form of several parts; what begins with `file` is one.
pub async fn create(sim: &Sim, path: &str, fields: &[(&str, &[u8])]) -> Answer {
    let mut body = Vec::new();
    for (name, value) in fields {
        let file = match name.starts_with("file") {
            true => "; filename=\"x\"\r\nContent-Type: application/octet-stream",
            false => "",
        };
        let head =
            format!("--BORDER\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--BORDER--\r\n");
    call(
        sim,
        "POST",
        path,
        "multipart/form-data; boundary=BORDER",
        body,
    )
    .await
}

pub fn magnet(hash: &str) -> Vec<u8> {
    format!("magnet:?xt=urn:btih:{hash}&dn=Wanted").into_bytes()
}

pub async fn add(sim: &Sim, hash: &str) -> Answer {
    create(sim, "torrents/createtorrent", &[("magnet", &magnet(hash))]).await
}

/// The list of torrents as it is now.
pub async fn fresh(sim: &Sim) -> Vec<Value> {
    let answer = get(sim, "torrents/mylist?bypass_cache=true").await;
    match answer.status.as_u16() {
        404 => Vec::new(),
        _ => data(&answer).as_array().unwrap().clone(),
    }
}

/// What an answer that succeeded brings.
pub fn data(answer: &Answer) -> Value {
    let envelope = answer.json();
    assert_eq!(answer.status, 200, "{envelope}");
    assert_eq!(
        (&envelope["success"], &envelope["error"]),
        (&json!(true), &Value::Null)
    );
    assert!(envelope["detail"].is_string(), "{envelope}");
    envelope["data"].clone()
}

/// Status and word of an answer that refuses.
pub fn refusal(answer: &Answer) -> (u16, String) {
    let envelope = answer.json();
    assert_eq!(
        (&envelope["success"], &envelope["data"]),
        (&json!(false), &Value::Null)
    );
    let word = envelope["error"].as_str().unwrap_or("null").to_owned();
    (answer.status.as_u16(), word)
}

/// The URL of a file of the first torrent of the list.
pub async fn link(sim: &Sim, file: u64) -> String {
    let id = fresh(sim).await[0]["id"].clone();
    let token = sim.token();
    let path = format!("torrents/requestdl?token={token}&torrent_id={id}&file_id={file}");
    data(&get(sim, &path).await).as_str().unwrap().to_owned()
}

pub async fn fetch(sim: &Sim, url: &str, range: &str) -> Answer {
    let path = &url[url.find("/dld/").unwrap()..];
    let request = Request::builder().uri(path).header("range", range);
    send(sim, request.body(Body::empty()).unwrap()).await
}
