//! WebDAV by the programs that people use, through our accept loop and login.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

#[path = "support/tls.rs"]
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use bytes::Bytes;
use dav_server::DavHandler;
use dav_server::memfs::MemFs;
use dav_server::memls::MemLs;
use debridfs_dav::{Redirects, router};
use debridfs_listen::{HashedPassword, Limits, Listeners, Logins, Right, Tokens, User, peer};
use debridfs_vfs::{MemoryVfs, NodeId};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::process::Command;

const PASSWORD: &str = "a pass: wörd";
const SIZE: u64 = (3 << 20) + 7;
/// A name with what addresses, shells and XML treat in a way of their own.
const NAME: &str = "Ä & b #1? 100% [x].mkv";

fn byte(at: u64) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 13) as u8
}

fn library() -> MemoryVfs {
    let vfs = MemoryVfs::new(Timestamp::from_second(1_700_000_000).unwrap());
    let [all, film, many] = [11, 12, 13].map(NodeId);
    vfs.add_directory(NodeId::ROOT, "__all__", all);
    vfs.add_directory(all, "Film", film);
    vfs.add_file(film, NAME, NodeId(20), SIZE, |read| {
        let end = read.offset + u64::from(read.size);
        Ok(vec![Bytes::from_iter((read.offset..end).map(byte))])
    });
    vfs.add_directory(NodeId::ROOT, "many", many);
    for number in 0..300 {
        let id = NodeId(1000 + number);
        vfs.add_file(many, &format!("{number:03}.mkv"), id, 0, |_| Ok(Vec::new()));
    }
    vfs
}

struct Server {
    scheme: &'static str,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Server {
    /// Serves what `make` makes of the logins, in which `anna` is the one user.
    async fn start(
        encrypted: bool,
        make: impl FnOnce(&Arc<Listeners>, Arc<Tokens>, Logins) -> Router,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Arc::new(Tokens::new(dir.path()));
        tokens.load(Timestamp::UNIX_EPOCH).unwrap();
        let listeners = Listeners::new(Limits::default());
        let logins = Logins::new(tokens.clone(), listeners.attempts().clone());
        let anna = User {
            name: "anna".into(),
            password: HashedPassword::of(PASSWORD).unwrap(),
            root: String::new(),
            may: vec![Right::Read],
        };
        logins.set_users(vec![anna]).unwrap();
        let router = make(&listeners, tokens, logins);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = encrypted.then(|| tls::tls(dir.path()).0);
        tokio::spawn(listeners.front("test").serve_with(listener, router, tls));
        let scheme = if encrypted { "https" } else { "http" };
        Self {
            scheme,
            address,
            dir,
        }
    }

    async fn library() -> Self {
        Self::start(false, |listeners, tokens, logins| {
            router(
                Arc::new(library()),
                tokens,
                logins,
                listeners.attempts().clone(),
                Redirects::default(),
            )
        })
        .await
    }

    fn url(&self) -> String {
        format!("{}://{}/dav", self.scheme, self.address)
    }

    /// Runs a program with a home of its own; its output and whether it says that all went well.
    async fn run(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(program)
            .args(arguments)
            .env("HOME", self.dir.path())
            .current_dir(self.dir.path())
            .kill_on_drop(true)
            .output();
        let output = output
            .await
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    async fn rclone(&self, arguments: &[&str]) -> (bool, String) {
        let (_, obscured) = self.run("rclone", &["obscure", PASSWORD]).await;
        let (url, config) = (self.url(), self.dir.path().join("rclone.conf"));
        std::fs::write(&config, "").unwrap();
        let mut all = vec!["--config", config.to_str().unwrap(), "--webdav-url", &url];
        all.extend(["--webdav-user", "anna", "--webdav-pass", obscured.trim()]);
        all.extend(["--retries", "1", "--low-level-retries", "1"]);
        all.extend(arguments);
        self.run("rclone", &all).await
    }
}

fn assert_is_film(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.len() as u64, SIZE);
    assert!(bytes.into_iter().eq((0..SIZE).map(byte)));
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_lists_copies_and_checks_and_cannot_write() {
    let server = Server::library().await;
    let (good, listed) = server
        .rclone(&["lsf", "-R", "--format", "ps", ":webdav:__all__"])
        .await;
    assert!(good, "{listed}");
    assert_eq!(listed, format!("Film/;-1\nFilm/{NAME};{SIZE}\n"));
    let (good, listed) = server.rclone(&["lsf", ":webdav:many"]).await;
    assert_eq!((good, listed.lines().count()), (true, 300));
    let copy = server.dir.path().join("copy");
    let to = copy.to_str().unwrap();
    let (good, said) = server.rclone(&["copy", ":webdav:__all__", to]).await;
    assert!(good, "{said}");
    assert_is_film(&copy.join("Film").join(NAME));
    let (good, said) = server
        .rclone(&["check", "--download", ":webdav:__all__", to])
        .await;
    assert!(good, "{said}");
    let time = std::fs::metadata(copy.join("Film").join(NAME))
        .unwrap()
        .modified()
        .unwrap();
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 1_700_000_000);
    for write in [
        &["copy", to, ":webdav:new"][..],
        &["purge", ":webdav:__all__/Film"],
        &["mkdir", ":webdav:new"],
        &["moveto", ":webdav:__all__", ":webdav:other"],
    ] {
        let (good, said) = server.rclone(write).await;
        assert!(!good && said.contains("403"), "{write:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cadaver_lists_and_fetches_and_cannot_write() {
    let server = Server::library().await;
    let netrc = format!("default login anna password \"{PASSWORD}\"\n");
    std::fs::write(server.dir.path().join(".netrc"), netrc).unwrap();
    let commands = "cd __all__/Film\nls\npropnames .\nget *.mkv got.mkv\nmkcol new\nquit\n";
    std::fs::write(server.dir.path().join("commands"), commands).unwrap();
    let line = format!("cadaver -r /dev/null {}/ < commands", server.url());
    let (_, said) = server.run("sh", &["-c", &line]).await;
    assert!(
        said.contains("succeeded") && said.contains(&SIZE.to_string()),
        "{said}"
    );
    assert!(said.contains("403 Forbidden"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_parts_and_goes_on_where_it_was_cut() {
    let server = Server::library().await;
    let film = format!("{}/__all__/Film/{}", server.url(), {
        "%C3%84%20%26%20b%20%231%3F%20100%25%20%5Bx%5D.mkv"
    });
    let user = format!("anna:{PASSWORD}");
    let whole = server.dir.path().join("film");
    std::fs::write(&whole, Vec::from_iter((0..1000).map(byte))).unwrap();
    let to = whole.to_str().unwrap();
    let common = [
        "--silent",
        "--show-error",
        "--fail",
        "--globoff",
        "-u",
        &user,
    ];
    let curl = async |arguments: &[&str]| {
        let all = [&common[..], arguments, &[&film]].concat();
        server.run("curl", &all).await
    };
    let (good, said) = curl(&["--continue-at", "-", "--output", to]).await;
    assert!(good, "{said}");
    assert_is_film(&whole);
    let (good, said) = curl(&["--range", "0-1,5-5", "--output", to]).await;
    assert!(good, "{said}");
    let parts = std::fs::read(&whole).unwrap();
    let has = |what: &[u8]| parts.windows(what.len()).any(|bytes| bytes == what);
    assert!(has(format!("bytes 0-1/{SIZE}\r\n\r\n").as_bytes()) && has(b"bytes 5-5/"));
    let (good, said) = curl(&["--upload-file", to]).await;
    assert!(!good && said.contains("403"), "{said}");
}

/// A server that writes, behind our login: litmus makes collections, which a library refuses.
fn in_memory(logins: Logins) -> Router {
    let plain = DavHandler::builder().filesystem(MemFs::new());
    let handler = plain.locksystem(MemLs::new()).build_handler();
    let serve = move |request: Request| {
        let (logins, handler) = (logins.clone(), handler.clone());
        async move {
            let peer = peer(request.extensions());
            match logins.caller("test", peer, request.headers()).await {
                Ok(_) => handler.handle(request).await.map(Body::new),
                Err(refused) => refused.into_response(),
            }
        }
    };
    Router::new().fallback(serve)
}

#[tokio::test(flavor = "multi_thread")]
async fn litmus_passes_all_five_suites_through_accept_loop_and_login() {
    litmus(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn litmus_passes_all_five_suites_by_tls() {
    litmus(true).await;
}

async fn litmus(encrypted: bool) {
    let server = Server::start(encrypted, |_, _, logins| in_memory(logins)).await;
    let url = format!("{}://{}/", server.scheme, server.address);
    let (good, said) = server.run("litmus", &["-k", &url, "anna", PASSWORD]).await;
    println!("{said}");
    assert!(good, "{said}");
    for suite in ["basic", "copymove", "props", "locks", "http"] {
        let summary = said
            .lines()
            .find(|line| line.contains(&format!("summary for `{suite}'")));
        let summary = summary.unwrap_or_else(|| panic!("no {suite}: {said}"));
        assert!(summary.contains("0 failed"), "{summary}");
    }
    // Without the right password the first test fails.
    let (good, said) = server.run("litmus", &[&url, "anna", "wrong"]).await;
    assert!(!good && said.contains("FAIL"), "{said}");
}
