//! Files over HTTP, from a tree of a few nodes.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use debridfs_dav::{Redirects, address, router, signed_address};
use debridfs_listen::{Logins, Right, TokenRights, Tokens};
use debridfs_vfs::{Call, ErrorKind, MemoryVfs, NodeId};
use http_body_util::BodyExt;
use jiff::Timestamp;
use tower::ServiceExt;

const SIZE: u64 = (3 << 20) + 5;

fn byte(offset: u64) -> u8 {
    (offset.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// `/__all__/Film/a b.mkv`; what lies behind `readable` gives no answer, or is lost for good if `lost`
/// says so.
fn library(readable: Arc<AtomicU64>, reads: Arc<AtomicU64>, lost: Arc<AtomicBool>) -> MemoryVfs {
    let vfs = MemoryVfs::new(Timestamp::from_second(1_700_000_000).unwrap());
    let [all, release, film] = [11, 12, 13].map(NodeId);
    vfs.add_directory(NodeId::ROOT, "__all__", all);
    vfs.add_directory(all, "Film", release);
    vfs.add_file(release, "a b.mkv", film, SIZE, move |request| {
        let end = request.offset + u64::from(request.size);
        if end > readable.load(Ordering::SeqCst) {
            return Err(match lost.load(Ordering::SeqCst) {
                true => ErrorKind::Lost.into(),
                false => ErrorKind::TimedOut.into(),
            });
        }
        let bytes: Vec<u8> = (request.offset..end).map(byte).collect();
        let (head, tail) = bytes.split_at(bytes.len() / 3);
        Ok(vec![
            Bytes::copy_from_slice(head),
            Bytes::copy_from_slice(tail),
        ])
    });
    // Less than was asked for, behind the first MiB.
    vfs.add_file(release, "short.mkv", NodeId(14), SIZE, move |request| {
        let less = u32::from(request.offset >= 1 << 20);
        Ok(vec![Bytes::from(vec![7; (request.size - less) as usize])])
    });
    vfs.with_wait(move |call| {
        // A read of nothing costs nothing.
        if !matches!(call, Call::Read(read) if read.size > 0) {
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
    lost: Arc<AtomicBool>,
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
        let lost = Arc::new(AtomicBool::new(false));
        let vfs = Arc::new(library(readable.clone(), reads.clone(), lost.clone()));
        let logins = Logins::new(tokens.clone(), Arc::default());
        Self {
            router: router(
                vfs.clone(),
                tokens.clone(),
                logins,
                Arc::default(),
                Redirects::default(),
            ),
            vfs,
            readable,
            reads,
            lost,
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

/// The parts of a multipart body: the place that each is said to have, and its bytes.
fn parts(body: &[u8], boundary: &str) -> Vec<(String, Vec<u8>)> {
    let line = format!("\r\n--{boundary}").into_bytes();
    let find = |within: &[u8], what: &[u8]| {
        let mut places = within.windows(what.len());
        places.position(|bytes| bytes == what).expect("it is there")
    };
    let mut parts = Vec::new();
    let mut rest = body;
    assert!(rest.starts_with(&line));
    loop {
        rest = &rest[line.len()..];
        if rest == b"--\r\n" {
            return parts;
        }
        let end = find(rest, b"\r\n\r\n");
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        assert!(
            head.contains("\r\nContent-Type: video/x-matroska"),
            "{head}"
        );
        let place = head.split("Content-Range: ").nth(1).unwrap();
        rest = &rest[end + 4..];
        let end = find(rest, &line);
        parts.push((place.to_owned(), rest[..end].to_vec()));
        rest = &rest[end..];
    }
}

#[tokio::test]
async fn several_ranges_come_as_parts_of_the_body_bit_by_bit() {
    const PIECE: u64 = 256 << 10;
    let world = World::new();
    let edges = [
        0,
        1,
        PIECE - 1,
        PIECE,
        PIECE + 1,
        2 * PIECE,
        SIZE - PIECE,
        SIZE - 1,
    ];
    for (n, from) in edges.into_iter().enumerate() {
        let (a, b) = (from, edges[(n + 3) % edges.len()]);
        let (first, last) = (a.min(b), a.max(b));
        let range = format!("bytes={first}-{last},-1, 7-7");
        let answer = world.send("GET", &world.film(), &[("range", &range)]).await;
        assert_eq!(answer.status(), 206, "{range}");
        assert_eq!(header(&answer, "content-range"), "");
        let length: usize = header(&answer, "content-length").parse().unwrap();
        let kind = header(&answer, "content-type").to_owned();
        let boundary = kind
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        let body = bytes(answer).await;
        assert_eq!(body.len(), length, "{range}");
        let expected = [first..=last, SIZE - 1..=SIZE - 1, 7..=7].map(|range| {
            let place = format!("bytes {}-{}/{SIZE}", range.start(), range.end());
            (place, range.map(byte).collect::<Vec<u8>>())
        });
        assert_eq!(parts(&body, boundary), expected, "{range}");
    }
    let many = format!("bytes={}", vec!["0-0"; 10_000].join(","));
    let answer = world.send("GET", &world.film(), &[("range", &many)]).await;
    assert_eq!(answer.status(), 416);
    assert_eq!(header(&answer, "content-range"), format!("bytes */{SIZE}"));
    assert_eq!(world.vfs.open_handles(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_film_that_is_lost_for_good_is_503_for_a_minute_and_404_then() {
    let world = World::new();
    let film = world.film();
    let tell = async |method: &str| {
        let answer = world.send(method, &film, &[]).await;
        let after = header(&answer, "retry-after").to_owned();
        (answer.status().as_u16(), after)
    };
    let told = |status: u16, after: &str| (status, after.to_owned());
    world.readable.store(0, Ordering::SeqCst);
    // Trouble stays what it is, however long it lasts.
    for _ in 0..3 {
        assert_eq!(tell("GET").await, told(504, "5"));
        tokio::time::advance(Duration::from_secs(3600)).await;
    }
    world.lost.store(true, Ordering::SeqCst);
    assert_eq!(tell("GET").await, told(503, "60"));
    tokio::time::advance(Duration::from_millis(20_500)).await;
    assert_eq!(tell("HEAD").await, told(503, "40"));
    tokio::time::advance(Duration::from_millis(39_400)).await;
    assert_eq!(tell("GET").await, told(503, "1"));
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(tell("GET").await, told(404, ""));
    assert_eq!(tell("HEAD").await, told(404, ""));
    // Trouble on top of it is no last word.
    world.lost.store(false, Ordering::SeqCst);
    assert_eq!(tell("GET").await, told(504, "5"));
    // A provider took its word back: there it is, and begins again if it goes.
    world.readable.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(tell("GET").await, told(200, ""));
    assert_eq!(tell("HEAD").await, told(200, ""));
    world.readable.store(0, Ordering::SeqCst);
    world.lost.store(true, Ordering::SeqCst);
    assert_eq!(tell("GET").await, told(503, "60"));
}

#[tokio::test]
async fn a_head_and_what_the_caller_has_cost_no_read() {
    let world = World::new();
    let head = world
        .send("HEAD", &world.film(), &[("range", "bytes=2-3")])
        .await;
    // A range is meant with GET alone.
    assert_eq!(head.status(), 200);
    assert_eq!(header(&head, "content-length"), SIZE.to_string());
    assert_eq!(header(&head, "content-range"), "");
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
    // So it is where the library gives less than it was asked for.
    let short = address(&world.token, "__all__/Film/short.mkv");
    let answer = world.send("GET", &short, &[]).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.is_err());
    let range = [("range", "bytes=2000000-")];
    let answer = world.send("GET", &short, &range).await;
    assert_eq!(answer.status(), 503);
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
