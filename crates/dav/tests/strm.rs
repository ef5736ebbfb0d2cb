//! Films by the addresses in `.strm` files.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use debridfs_dav::{Addresses, Redirect, Redirects, address, router};
use debridfs_listen::{Attempts, Logins, OWN, TokenRights, Tokens};
use debridfs_vfs::{ErrorKind, MemoryVfs, NodeId};
use http_body_util::BodyExt;
use jiff::Timestamp;
use tower::ServiceExt;

const SIZE: u64 = 1000;
const BASE: &str = "http://debridfs:8284";
const FILM: NodeId = NodeId(0x5000_0000_0000_0013);
const LOST: NodeId = NodeId(0x5000_0000_0000_0014);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// `/__all__/Film/Film.mkv`, and `Lost.mkv`, which nobody can give now.
fn library() -> MemoryVfs {
    let vfs = MemoryVfs::new(at(0));
    let [all, release] = [11, 12].map(NodeId);
    vfs.add_directory(NodeId::ROOT, "__all__", all);
    vfs.add_directory(all, "Film", release);
    vfs.add_file(release, "Film.mkv", FILM, SIZE, |request| {
        let end = request.offset + u64::from(request.size);
        let bytes: Vec<u8> = (request.offset..end).map(|at| at as u8).collect();
        Ok(vec![Bytes::from(bytes)])
    });
    vfs.add_file(release, "Lost.mkv", LOST, SIZE, |_| {
        Err(ErrorKind::Unavailable.into())
    });
    vfs
}

struct World {
    tokens: Arc<Tokens>,
    addresses: Addresses,
    router: Router,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::with(Redirect::Never)
    }

    /// With links to all films but `LOST`.
    fn with(redirect: Redirect) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Arc::new(Tokens::new(dir.path()));
        tokens.load(at(0)).unwrap();
        tokens.make_own(at(0)).unwrap();
        let addresses = Addresses::new(BASE.into(), tokens.clone(), |_| {});
        addresses.renew(at(0)).unwrap();
        let attempts = Arc::new(Attempts::default());
        let logins = Logins::new(tokens.clone(), attempts.clone());
        let redirects = Redirects::new(redirect, |film| {
            let link = (film != LOST).then(|| format!("https://cdn.example/{}", film.0));
            Box::pin(std::future::ready(link))
        });
        let vfs = Arc::new(library());
        Self {
            router: router(vfs, tokens.clone(), logins, attempts, redirects),
            tokens,
            addresses,
            _dir: dir,
        }
    }

    /// The path of the address of a film.
    fn path(&self, film: NodeId, name: &str) -> String {
        let address = self.addresses.of(film, name).unwrap();
        address.strip_prefix(BASE).unwrap().to_owned()
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn code(&self, path: &str) -> u16 {
        self.send("GET", path, &[]).await.status().as_u16()
    }
}

fn header<'a>(answer: &'a Response<Body>, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

async fn text(answer: Response<Body>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn an_address_opens_its_film_by_id_with_ranges_and_whatever_its_name() {
    let world = World::new();
    for name in ["Film.mkv", "Über & Über #1?.mkv", "100% [x].mkv"] {
        let path = world.path(FILM, name);
        assert!(path.is_ascii() && path.ends_with(".mkv"), "{path}");
        let whole = world.send("GET", &path, &[]).await;
        assert_eq!(whole.status(), 200, "{path}");
        assert_eq!(header(&whole, "content-type"), "video/x-matroska");
        assert_eq!(header(&whole, "content-length"), SIZE.to_string());
        let part = world.send("GET", &path, &[("range", "bytes=10-19")]).await;
        assert_eq!(part.status(), 206);
        let bytes = part.into_body().collect().await.unwrap().to_bytes();
        assert!(bytes.iter().copied().eq(10..20));
        let head = world.send("HEAD", &path, &[]).await;
        assert_eq!(header(&head, "etag"), header(&whole, "etag"));
    }
    // What players make of an address: another name, or a query.
    let path = world.path(FILM, "Film.mkv");
    let cut = path.trim_end_matches("Film.mkv");
    for other in [
        format!("{cut}other.mkv"),
        cut.to_owned(),
        cut.trim_end_matches('/').to_owned(),
        format!("{path}?seek=1"),
    ] {
        assert_eq!(world.code(&other).await, 200, "{other}");
    }
    let posted = world.send("POST", &path, &[]).await;
    assert_eq!(
        (posted.status().as_u16(), header(&posted, "allow")),
        (405, "GET, HEAD")
    );
}

#[tokio::test]
async fn a_key_opens_nothing_else_and_nothing_once_the_token_is_replaced() {
    let world = World::new();
    let kodi = world
        .tokens
        .create("kodi", TokenRights::default(), at(0))
        .unwrap();
    let path = world.path(FILM, "Film.mkv");
    let key = path.split('/').nth(2).unwrap();
    let id = |id: NodeId| format!("{:016x}", id.0);
    for wrong in [
        format!("/strm/{key}/{}/Film.mkv", id(LOST)),
        format!("/strm/{kodi}/{}/Film.mkv", id(FILM)),
        format!("/strm/{key}x/{}/Film.mkv", id(FILM)),
        format!("/strm/{key}/Film.mkv"),
        format!("/strm//{}/Film.mkv", id(FILM)),
        "/strm/".to_owned(),
        address(key, "__all__/Film/Film.mkv"),
    ] {
        assert_eq!(world.code(&wrong).await, 403, "{wrong}");
    }
    let bearer = format!("Bearer {key}");
    let login = [("authorization", &*bearer)];
    let dav = world.send("GET", "/dav/__all__/Film/Film.mkv", &login);
    assert_eq!(dav.await.status(), 401);

    world.tokens.replace_own(at(5)).unwrap();
    // However many films are asked for by their old addresses, nobody has to wait.
    for _ in 0..200 {
        let old = world.send("GET", &path, &[]).await;
        assert_eq!(old.status(), 403);
        assert!(text(old).await.contains("scan the folder"));
    }
    world.addresses.renew(at(5)).unwrap();
    let fresh = world.path(FILM, "Film.mkv");
    assert_ne!(fresh.len(), path.len());
    assert_eq!(world.code(&fresh).await, 200);
    assert_eq!(
        world.code(&address(&kodi, "__all__/Film/Film.mkv")).await,
        200
    );
    world.tokens.revoke(OWN).unwrap();
    assert_eq!(world.code(&fresh).await, 403);
}

#[tokio::test]
async fn what_is_gone_is_404_and_what_cannot_be_read_now_503() {
    let world = World::new();
    let gone = world
        .send(
            "GET",
            &world.path(NodeId(0x4000_0000_0000_0001), "x.mkv"),
            &[],
        )
        .await;
    assert_eq!(gone.status(), 404);
    assert_eq!(
        text(gone).await,
        "The library does not have this film any more.\n"
    );
    assert_eq!(world.code(&world.path(LOST, "Lost.mkv")).await, 503);
    // A directory is no film.
    assert_eq!(world.code(&world.path(NodeId(12), "x.mkv")).await, 404);
}

#[tokio::test]
async fn callers_are_sent_to_a_providers_link_only_where_that_is_wanted() {
    use Redirect::{Always, Asked, Never};
    for (redirect, query, code) in [
        (Never, "", 200),
        (Never, "?redirect=1", 200),
        (Asked, "", 200),
        (Asked, "?redirect=0", 200),
        (Asked, "?a=b&redirect=1", 302),
        (Always, "", 302),
    ] {
        let world = World::with(redirect);
        let kodi = world
            .tokens
            .create("kodi", TokenRights::default(), at(0))
            .unwrap();
        let login = format!("Bearer {kodi}");
        let login = [("authorization", &*login)];
        for path in [
            world.path(FILM, "Film.mkv"),
            address(&kodi, "__all__/Film/Film.mkv"),
            "/dav/__all__/Film/Film.mkv".to_owned(),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = world.send(method, &format!("{path}{query}"), &login).await;
                assert_eq!(answer.status(), code, "{redirect:?} {method} {path}{query}");
                let (place, kept) = match code {
                    302 => (format!("https://cdn.example/{}", FILM.0), "no-store"),
                    _ => (String::new(), "private"),
                };
                assert_eq!(header(&answer, "location"), place);
                assert_eq!(header(&answer, "cache-control"), kept);
            }
        }
        // Nobody is told a link without being let in.
        let wrong = world
            .path(FILM, "Film.mkv")
            .replacen("/strm/", "/strm/x", 1);
        assert_eq!(world.code(&format!("{wrong}{query}")).await, 403);
    }
    // What has no link is served from here, or not at all.
    let world = World::with(Always);
    assert_eq!(world.code(&world.path(LOST, "Lost.mkv")).await, 503);
}
