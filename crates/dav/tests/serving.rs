//! Files over HTTP, from a tree of a few nodes.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use debridfs_dav::{address, router, signed_address};
use debridfs_listen::{Right, TokenRights, Tokens};
use debridfs_vfs::{Call, ErrorKind, MemoryVfs, NodeId};
use http_body_util::BodyExt;
use jiff::Timestamp;
use tower::ServiceExt;

const SIZE: u64 = (3 << 20) + 5;

fn byte(offset: u64) -> u8 {
    (offset.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// `/__all__/Film/a b.mkv`; what lies behind `readable` gives no answer.
fn library(readable: Arc<AtomicU64>, reads: Arc<AtomicU64>) -> MemoryVfs {
    let vfs = MemoryVfs::new(Timestamp::from_second(1_700_000_000).unwrap());
    let [all, release, film] = [11, 12, 13].map(NodeId);
    vfs.add_directory(NodeId::ROOT, "__all__", all);
    vfs.add_directory(all, "Film", release);
    vfs.add_file(release, "a b.mkv", film, SIZE, move |request| {
        let end = request.offset + u64::from(request.size);
        if end > readable.load(Ordering::SeqCst) {
            return Err(ErrorKind::TimedOut.into());
        }
        let bytes: Vec<u8> = (request.offset..end).map(byte).collect();
        let (head, tail) = bytes.split_at(bytes.len() / 3);
        Ok(vec![
            Bytes::copy_from_slice(head),
            Bytes::copy_from_slice(tail),
        ])
    });
    vfs.with_wait(move |call| {
        if !matches!(call, Call::Read(_)) {
            return None;
        }
        reads.fetch_add(1, Ordering::SeqCst);
        Some(Box::pin(std::future::ready(())))
    })
}

struct World {
    vfs: Arc<MemoryVfs>,
    readable: Arc<AtomicU64>,
    reads: Arc<AtomicU64>,
    tokens: Arc<Tokens>,
    router: Router,
    token: String,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Arc::new(Tokens::new(dir.path()));
        tokens.load(jiff::Timestamp::UNIX_EPOCH).unwrap();
        let token = tokens
            .create("test", TokenRights::default(), Timestamp::UNIX_EPOCH)
            .unwrap();
        let readable = Arc::new(AtomicU64::new(u64::MAX));
        let reads = Arc::new(AtomicU64::new(0));
        let vfs = Arc::new(library(readable.clone(), reads.clone()));
        Self {
            router: router(vfs.clone(), tokens.clone(), Arc::default()),
            vfs,
            readable,
            reads,
            tokens,
            token,
            _dir: dir,
        }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    fn film(&self) -> String {
        address(&self.token, "__all__/Film/a b.mkv")
    }
}

fn header<'a>(answer: &'a Response<Body>, name: &str) -> &'a str {
    answer
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

async fn bytes(answer: Response<Body>) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn whole_files_and_parts_are_served_with_the_right_bytes() {
    let world = World::new();
    let whole = world.send("GET", &world.film(), &[]).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(header(&whole, "content-length"), SIZE.to_string());
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    assert_eq!(header(&whole, "content-type"), "video/x-matroska");
    assert_eq!(
        header(&whole, "last-modified"),
        "Tue, 14 Nov 2023 22:13:20 GMT"
    );
    let etag = header(&whole, "etag").to_owned();
    let body = bytes(whole).await;
    assert!(body.iter().copied().eq((0..SIZE).map(byte)));

    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=5-1048580", 5, 1_048_581),
        ("bytes=3145720-", 3_145_720, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
    ] {
        let headers = [("range", range), ("if-range", &*etag)];
        let part = world.send("GET", &world.film(), &headers).await;
        assert_eq!(part.status(), 206, "{range}");
        let expected = format!("bytes {from}-{}/{SIZE}", to - 1);
        assert_eq!(header(&part, "content-range"), expected);
        assert_eq!(header(&part, "content-length"), (to - from).to_string());
        assert!(
            bytes(part).await.iter().copied().eq((from..to).map(byte)),
            "{range}"
        );
    }
    let none = world
        .send("GET", &world.film(), &[("range", "bytes=9999999-")])
        .await;
    assert_eq!(none.status(), 416);
    assert_eq!(header(&none, "content-range"), format!("bytes */{SIZE}"));
    assert_eq!(world.vfs.open_handles(), 0, "all are closed");
}

#[tokio::test]
async fn a_head_and_what_the_caller_has_cost_no_read() {
    let world = World::new();
    let head = world
        .send("HEAD", &world.film(), &[("range", "bytes=2-3")])
        .await;
    assert_eq!(head.status(), 206);
    assert_eq!(header(&head, "content-length"), "2");
    let etag = header(&head, "etag").to_owned();
    let same = world
        .send("GET", &world.film(), &[("if-none-match", &etag)])
        .await;
    assert_eq!(same.status(), 304);
    let other = world
        .send("GET", &world.film(), &[("if-match", "\"x\"")])
        .await;
    assert_eq!(other.status(), 412);
    assert_eq!(world.reads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nobody_is_let_in_without_a_token_or_after_its_end() {
    let world = World::new();
    for path in [
        "/files/wrong/__all__/Film/a%20b.mkv",
        "/files//__all__",
        "/files/",
    ] {
        assert_eq!(world.send("GET", path, &[]).await.status(), 403, "{path}");
    }
    assert_eq!(
        world.send("DELETE", "/files/wrong/x", &[]).await.status(),
        403
    );
    assert_eq!(world.send("GET", "/x", &[]).await.status(), 404);
    let film = world.film();
    assert_eq!(world.send("HEAD", &film, &[]).await.status(), 200);
    let refused = world.send("PUT", &film, &[]).await;
    assert_eq!(
        (refused.status().as_u16(), header(&refused, "allow")),
        (405, "GET, HEAD")
    );
    world.tokens.revoke("test").unwrap();
    assert_eq!(world.send("GET", &film, &[]).await.status(), 403);
}

#[tokio::test]
async fn a_token_leads_to_what_is_below_its_root_and_only_if_it_lets_read() {
    let world = World::new();
    let make = |name: &str, root: &str, may: Right| {
        let (root, may) = (root.into(), vec![may]);
        let rights = TokenRights { root, may };
        let made = world.tokens.create(name, rights, Timestamp::UNIX_EPOCH);
        made.unwrap()
    };
    let rooted = make("rooted", "__all__/Film", Right::Read);
    let nowhere = make("nowhere", "none", Right::Read);
    let manager = make("manager", "", Right::Manage);
    for (token, path, status) in [
        (&rooted, "a%20b.mkv", 200),
        (&rooted, "__all__/Film/a%20b.mkv", 404),
        (&rooted, "../Film/a%20b.mkv", 404),
        (&nowhere, "__all__/Film/a%20b.mkv", 404),
        (&manager, "__all__/Film/a%20b.mkv", 403),
    ] {
        let path = format!("/files/{token}/{path}");
        let answer = world.send("GET", &path, &[]).await;
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn paths_lead_to_files_and_nowhere_else() {
    let world = World::new();
    let at = |path: &str| format!("/files/{}/{path}", world.token);
    for path in [
        "",
        "__all__",
        "__all__/Film",
        "__all__/Film/none.mkv",
        "__all__/Film/a%20b.mkv/x",
        "__all__/../__all__/Film/a%20b.mkv",
        "__all__/%2e%2e/Film",
        "__all__%2FFilm%2Fa%20b.mkv",
    ] {
        assert_eq!(
            world.send("GET", &at(path), &[]).await.status(),
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_no_success() {
    let world = World::new();
    world.readable.store(0, Ordering::SeqCst);
    let answer = world.send("GET", &world.film(), &[]).await;
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "retry-after")),
        (504, "5")
    );
    // Later on it is a body that ends before its length.
    world.readable.store(2 << 20, Ordering::SeqCst);
    let answer = world.send("GET", &world.film(), &[]).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.is_err());
    assert_eq!(world.vfs.open_handles(), 0);
}

#[tokio::test]
async fn a_signed_address_opens_its_file_alone_until_its_end() {
    let world = World::new();
    let path = "__all__/Film/a b.mkv";
    let now = Timestamp::now().as_second();
    let until = |seconds: i64| Timestamp::from_second(now + seconds).unwrap();
    let sign = |seconds| signed_address(&world.tokens, "test", path, until(seconds)).unwrap();
    let signed = sign(600);
    let whole = world.send("GET", &signed, &[("range", "bytes=0-9")]).await;
    assert_eq!(whole.status(), 206);
    assert_eq!(bytes(whole).await.len(), 10);
    let code = async |path: &str| world.send("GET", path, &[]).await.status().as_u16();
    assert_eq!(code(&signed.replace("a%20b.mkv", "a%20c.mkv")).await, 403);
    assert_eq!(code(&sign(-1)).await, 410);
    world.tokens.revoke("test").unwrap();
    assert_eq!(code(&signed).await, 403);
}
