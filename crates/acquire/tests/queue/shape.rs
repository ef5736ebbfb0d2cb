//! Our answers beside those of a real qbittorrent-nox (Debian's 4.5): every key it has, with the same type.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Client, World, hash};

/// Keys whose type is another one in version 5, which we speak.
const CHANGED: [&str; 1] = ["proxy_type"];
const FILE: &[u8] = b"d8:announce23:http://127.0.0.1:1/annc4:infod5:filesld6:lengthi100000e4:pathl5:a.mkveed6:lengthi10e4:pathl5:b.srteee4:name8:Show.S0112:piece lengthi65536e6:pieces40:0000000000000000000011111111111111111111ee";

struct Real {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Real {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("qBittorrent/config");
        std::fs::create_dir_all(&config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let text = format!(
            "[LegalNotice]\nAccepted=true\n[Preferences]\nWebUI\\LocalHostAuth=false\nWebUI\\Address=127.0.0.1\nWebUI\\Port={port}\n[BitTorrent]\nSession\\DHTEnabled=false\nSession\\LSDEnabled=false\nSession\\InterfaceAddress=127.0.0.1\n"
        );
        std::fs::write(config.join("qBittorrent.conf"), text).unwrap();
        let child = Command::new("qbittorrent-nox")
            .arg(format!("--profile={}", dir.path().display()))
            .env("HOME", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("qbittorrent-nox (scripts/setup.sh test installs it)");
        let real = Self {
            child,
            port,
            _dir: dir,
        };
        let started = Instant::now();
        while real.send("GET", "app/version", "", b"").is_none() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "qbittorrent-nox does not answer"
            );
            #[allow(
                clippy::disallowed_methods,
                reason = "a test that waits for another process"
            )]
            std::thread::sleep(Duration::from_millis(100));
        }
        real
    }

    fn send(&self, method: &str, call: &str, kind: &str, body: &[u8]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .ok()?;
        let head = format!(
            "{method} /api/v2/{call} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        // It keeps the connection, so the length says where the answer ends.
        let mut answer = BufReader::new(stream);
        let (mut status, mut length) = (String::new(), 0);
        answer.read_line(&mut status).ok()?;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).ok()?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).ok()?;
        let body = String::from_utf8_lossy(&body).into_owned();
        status.contains(" 200 ").then_some(body)
    }

    fn json(&self, call: &str) -> Value {
        let text = self
            .send("GET", call, "", b"")
            .unwrap_or_else(|| panic!("{call}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{call}: {error}: {text}"))
    }

    fn add(&self) {
        let mut body = Vec::new();
        for (name, value) in [("category", "tv"), ("paused", "true"), ("tags", "x")] {
            let part = format!(
                "--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        body.extend_from_slice(b"--XX\r\nContent-Disposition: form-data; name=\"torrents\"; filename=\"a.torrent\"\r\nContent-Type: application/x-bittorrent\r\n\r\n");
        body.extend_from_slice(FILE);
        body.extend_from_slice(b"\r\n--XX--\r\n");
        let said = self.send(
            "POST",
            "torrents/add",
            "multipart/form-data; boundary=XX",
            &body,
        );
        assert_eq!(said.as_deref(), Some("Ok."));
    }
}

/// Where `ours` lacks a key of `theirs`, or has another type there.
fn differences(at: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    let key = at.rsplit('.').next().unwrap_or_default();
    if CHANGED.contains(&key) {
        return;
    }
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs {
                match ours.get(key) {
                    Some(other) => differences(&format!("{at}.{key}"), value, other, found),
                    None => found.push(format!("{at}.{key} is missing")),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => match (theirs.first(), ours.first()) {
            (Some(theirs), Some(ours)) => differences(&format!("{at}[]"), theirs, ours, found),
            (Some(_), None) => found.push(format!("{at} is empty")),
            _ => {}
        },
        (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_))
        | (Value::Bool(_), Value::Bool(_)) => {}
        _ => found.push(format!("{at}: {ours} in place of {theirs}")),
    }
}

async fn ours(client: &Client, call: &str) -> Value {
    let said = client.get(call).await;
    assert_eq!(said.status, 200, "{call}: {said:?}");
    said.json()
}

#[tokio::test]
async fn every_key_of_a_real_qbittorrent_is_there_with_its_type() {
    let world = World::new(Vec::new()).await;
    let api = world.api();
    let fields = [("category", "tv"), ("stopped", "true"), ("tags", "x")];
    assert_eq!(api.upload(&fields, FILE).await.text, "Ok.");
    let (real, theirs) = tokio::task::spawn_blocking(|| {
        let real = Real::start();
        real.add();
        let started = Instant::now();
        loop {
            let torrents = real.json("torrents/info");
            if torrents.as_array().is_some_and(|list| !list.is_empty()) {
                break (real, torrents);
            }
            assert!(started.elapsed() < Duration::from_secs(60));
        }
    })
    .await
    .unwrap();
    let id = theirs[0]["hash"].as_str().unwrap().to_owned();
    assert!(world.acquire.job(hash(&id)).is_some(), "the same info-hash");
    let calls = [
        "torrents/info?category=tv".to_owned(),
        format!("torrents/properties?hash={id}"),
        format!("torrents/files?hash={id}"),
        format!("torrents/trackers?hash={id}"),
        format!("torrents/webseeds?hash={id}"),
        format!("torrents/pieceStates?hash={id}"),
        "torrents/categories".to_owned(),
        "torrents/tags".to_owned(),
        "app/preferences".to_owned(),
        "app/buildInfo".to_owned(),
        "transfer/info".to_owned(),
        "sync/maindata".to_owned(),
        format!("sync/torrentPeers?hash={id}"),
        "log/peers?last_known_id=-1".to_owned(),
    ];
    let mut found = Vec::new();
    for call in calls {
        let shown = ours(&api, &call).await;
        let (answer, asked) = (real.json(&call), call.clone());
        assert!(!answer.is_null());
        differences(&asked, &answer, &shown, &mut found);
    }
    assert!(found.is_empty(), "{found:#?}");
}
