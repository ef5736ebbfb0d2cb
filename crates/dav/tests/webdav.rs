//! WebDAV: a table of methods, kinds of path and answers; and what strangers and attackers are told.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use data_encoding::BASE64;
use debridfs_dav::{Redirects, router};
use debridfs_listen::{HashedPassword, Logins, Right, Tokens, User};
use debridfs_vfs::{
    Answer, Attr, Call, DirEntry, ErrorKind, MemoryVfs, NodeId, ReadOut, ReadRequest, StatFs, Vfs,
};
use http_body_util::BodyExt;
use jiff::Timestamp;
use tower::ServiceExt;

const SIZE: u64 = 1000;
const MANY: usize = 5000;
const ODD: &str = "<b> & \"x\" \\ %2e: #?.mp4";

fn library(slow: Arc<AtomicU64>) -> MemoryVfs {
    let vfs = MemoryVfs::new(Timestamp::from_second(1_700_000_000).unwrap());
    let [all, film, odd, other, many] = [11, 12, 13, 14, 15].map(NodeId);
    let zeros = |read: &ReadRequest| Ok(vec![Bytes::from(vec![0; read.size as usize])]);
    vfs.add_directory(NodeId::ROOT, "__all__", all);
    vfs.add_directory(all, "Film", film);
    vfs.add_file(film, "a b.mkv", NodeId(20), SIZE, zeros);
    vfs.add_directory(all, "Odd", odd);
    vfs.add_file(odd, ODD, NodeId(21), 5, zeros);
    vfs.add_directory(NodeId::ROOT, "other", other);
    vfs.add_file(other, "secret.mkv", NodeId(22), SIZE, zeros);
    vfs.add_directory(NodeId::ROOT, "many", many);
    for number in 0..MANY {
        let name = format!("Film.{number:04}.2024.1080p.mkv");
        vfs.add_file(many, &name, NodeId(1000 + number as u64), SIZE, zeros);
    }
    // A directory whose second part does not come.
    vfs.with_wait(move |call| {
        if let Call::ReadDir(id, cookie) = call
            && id == many
            && cookie > 0
            && slow.load(Ordering::SeqCst) > 0
        {
            return Some(Box::pin(std::future::pending()));
        }
        Some(Box::pin(ready(())))
    })
}

/// A library that is not known yet, but for its root.
struct Unknown;

fn not_yet<T>() -> Answer<T> {
    Answer::Now(Err(ErrorKind::NotYet.into()))
}

impl Vfs for Unknown {
    fn lookup(&self, _: NodeId, _: &[u8]) -> Answer<Attr> {
        not_yet()
    }
    fn attr(&self, _: NodeId) -> Answer<Attr> {
        not_yet()
    }
    fn open(&self, _: NodeId) -> Answer<u64> {
        not_yet()
    }
    fn release(&self, _: u64) {}
    fn read(&self, _: ReadRequest) -> Answer<ReadOut> {
        not_yet()
    }
    fn read_dir(&self, _: NodeId, _: u64, _: usize) -> Answer<Vec<DirEntry>> {
        not_yet()
    }
    fn xattr(&self, _: NodeId, _: &[u8]) -> Answer<Vec<u8>> {
        not_yet()
    }
    fn xattrs(&self, _: NodeId) -> Answer<Vec<String>> {
        not_yet()
    }
    fn statfs(&self) -> StatFs {
        StatFs { bytes: 0, files: 0 }
    }
    fn root(&self) -> Attr {
        MemoryVfs::new(Timestamp::UNIX_EPOCH).root()
    }
}

struct World {
    router: Router,
    stuck: Arc<AtomicU64>,
    _dir: tempfile::TempDir,
}

impl World {
    /// `anna` sees all, `ben` what is below `__all__`, `carl` may not read.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Arc::new(Tokens::new(dir.path()));
        tokens.load(Timestamp::UNIX_EPOCH).unwrap();
        let logins = Logins::new(tokens.clone(), Arc::default());
        let user = |name: &str, root: &str, may: Right| User {
            name: name.into(),
            password: HashedPassword::of("pass").unwrap(),
            root: root.into(),
            may: vec![may],
        };
        let users = vec![
            user("anna", "", Right::Read),
            user("ben", "__all__", Right::Read),
            user("carl", "", Right::Manage),
        ];
        logins.set_users(users).unwrap();
        let stuck = Arc::new(AtomicU64::new(0));
        let vfs = Arc::new(library(stuck.clone()));
        Self {
            router: router(vfs, tokens, logins, Arc::default(), Redirects::default()),
            stuck,
            _dir: dir,
        }
    }

    async fn send(
        &self,
        user: Option<&str>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(user) = user {
            let text = BASE64.encode(format!("{user}:pass").as_bytes());
            request = request.header("authorization", format!("Basic {text}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn status(&self, method: &str, path: &str) -> u16 {
        let depth = [("depth", "1")];
        let answer = self.send(Some("anna"), method, path, &depth, "").await;
        answer.status().as_u16()
    }

    /// The body of a PROPFIND.
    async fn propfind(&self, user: &str, path: &str, depth: &str, body: &str) -> (u16, String) {
        let headers = [("depth", depth)];
        let answer = self
            .send(Some(user), "PROPFIND", path, &headers, body)
            .await;
        (answer.status().as_u16(), text(answer).await)
    }

    async fn page(&self, path: &str) -> Response<Body> {
        let headers = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
        self.send(Some("anna"), "GET", path, &headers, "").await
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
async fn table_of_methods_and_kinds_of_path() {
    const WRITES: [&str; 9] = [
        "PUT",
        "DELETE",
        "MKCOL",
        "MOVE",
        "COPY",
        "PROPPATCH",
        "LOCK",
        "UNLOCK",
        "PATCH",
    ];
    let world = World::new();
    // Each with the statuses of PROPFIND, GET and HEAD.
    let paths = [
        ("/dav/__all__/Film/a%20b.mkv", 207, 200),
        ("/dav/__all__//Film//a%20b.mkv", 207, 200),
        ("/dav/__all__/Film/", 207, 200),
        ("/dav/", 207, 200),
        ("/dav", 207, 301),
        ("/dav/__all__/Film", 207, 301),
        ("/dav/__all__/Film/none.mkv", 404, 404),
        ("/dav/none/", 404, 404),
        // A file is no directory.
        ("/dav/__all__/Film/a%20b.mkv/", 404, 404),
        ("/dav/__all__/Film/a%20b.mkv/x", 404, 404),
        // What is no name, and what leads out.
        ("/dav/..", 404, 404),
        ("/dav/../files/x", 404, 404),
        ("/dav/__all__/../other/secret.mkv", 404, 404),
        ("/dav/__all__/%2e%2e/other/secret.mkv", 404, 404),
        ("/dav/__all__/.%2E/other/secret.mkv", 404, 404),
        ("/dav/__all__/..%2fother%2fsecret.mkv", 404, 404),
        ("/dav/__all__/Film/./a%20b.mkv", 404, 404),
        ("/dav/__all__%2FFilm/a%20b.mkv", 404, 404),
        ("/dav/__all__/Film/a%20b.mkv%00", 404, 404),
        ("/dav/%00", 404, 404),
        ("/dav/__all__%5cFilm", 404, 404),
        ("/dav/..%5c..%5cetc", 404, 404),
        ("/dav/__all__/%ff%fe", 404, 404),
        ("/dav/__all__/%zz", 404, 404),
        ("/davx/", 404, 404),
    ];
    for (path, propfind, get) in paths {
        assert_eq!(world.status("PROPFIND", path).await, propfind, "{path}");
        assert_eq!(world.status("GET", path).await, get, "{path}");
        assert_eq!(world.status("HEAD", path).await, get, "{path}");
        if path == "/davx/" {
            continue;
        }
        assert_eq!(world.status("OPTIONS", path).await, 200, "{path}");
        for method in WRITES {
            assert_eq!(world.status(method, path).await, 403, "{method} {path}");
        }
        for method in ["POST", "TRACE", "REPORT", "SEARCH", "ANYTHING"] {
            assert_eq!(world.status(method, path).await, 405, "{method} {path}");
        }
    }
    let long = format!("/dav/{}", "x".repeat(300));
    assert_eq!(world.status("GET", &long).await, 404);
    let refused = world.send(Some("anna"), "POST", "/dav/", &[], "").await;
    assert_eq!(header(&refused, "allow"), "OPTIONS, GET, HEAD, PROPFIND");
    let options = world.send(Some("anna"), "OPTIONS", "/dav/", &[], "").await;
    assert_eq!(header(&options, "allow"), "OPTIONS, GET, HEAD, PROPFIND");
    assert_eq!(header(&options, "dav"), "1");
}

#[tokio::test]
async fn strangers_are_told_nothing_whatever_the_method_and_roots_hold() {
    let world = World::new();
    for method in ["OPTIONS", "PROPFIND", "GET", "HEAD", "PUT", "ANYTHING"] {
        for path in ["/dav/", "/dav/none", "/dav/other/secret.mkv", "/dav/.."] {
            for user in [None, Some("nobody")] {
                let answer = world.send(user, method, path, &[("depth", "1")], "").await;
                assert_eq!(answer.status(), 401, "{method} {path}");
                assert!(header(&answer, "www-authenticate").starts_with("Basic"));
                assert_eq!(header(&answer, "dav"), "");
            }
            let answer = world.send(Some("carl"), method, path, &[], "").await;
            assert_eq!(answer.status(), 403, "{method} {path}");
        }
    }
    let get = async |path: &str| {
        let answer = world.send(Some("ben"), "GET", path, &[], "").await;
        (answer.status().as_u16(), text(answer).await)
    };
    assert_eq!(get("/dav/").await, (200, "Film/\nOdd/\n".to_owned()));
    assert_eq!(get("/dav/Film/").await, (200, "a b.mkv\n".to_owned()));
    for path in [
        "/dav/other/secret.mkv",
        "/dav/../other/",
        "/dav/__all__/",
        "/dav/%2e%2e/other/",
    ] {
        assert_eq!(get(path).await.0, 404, "{path}");
    }
    let (_, told) = world.propfind("ben", "/dav/", "1", "").await;
    assert!(told.contains("<D:href>/dav/Film/</D:href>"), "{told}");
    assert!(
        !told.contains("__all__") && !told.contains("other"),
        "{told}"
    );
}

#[tokio::test]
async fn properties_are_told_with_right_values() {
    let world = World::new();
    let (status, told) = world.propfind("anna", "/dav/__all__/Film/", "1", "").await;
    assert_eq!(status, 207);
    let head = world
        .send(Some("anna"), "HEAD", "/dav/__all__/Film/a%20b.mkv", &[], "")
        .await;
    let etag = header(&head, "etag").to_owned();
    let expected = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n\
        <D:response><D:href>/dav/__all__/Film/</D:href><D:propstat><D:prop>\
        <D:creationdate>2023-11-14T22:13:20Z</D:creationdate><D:displayname>Film</D:displayname>\
        <D:getlastmodified>Tue, 14 Nov 2023 22:13:20 GMT</D:getlastmodified><D:lockdiscovery/>\
        <D:resourcetype><D:collection/></D:resourcetype><D:supportedlock/></D:prop>\
        <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n\
        <D:response><D:href>/dav/__all__/Film/a%20b.mkv</D:href><D:propstat><D:prop>\
        <D:creationdate>2023-11-14T22:13:20Z</D:creationdate><D:displayname>a b.mkv</D:displayname>\
        <D:getcontentlength>1000</D:getcontentlength><D:getcontenttype>video/x-matroska</D:getcontenttype>\
        <D:getetag>{etag}</D:getetag><D:getlastmodified>Tue, 14 Nov 2023 22:13:20 GMT</D:getlastmodified>\
        <D:lockdiscovery/><D:resourcetype/><D:supportedlock/></D:prop>\
        <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n</D:multistatus>\n"
    );
    assert_eq!(told, expected);
    let (_, alone) = world.propfind("anna", "/dav/__all__/Film/", "0", "").await;
    assert_eq!(alone.matches("<D:response>").count(), 1);
    // What is not there is said to be so, with its namespace.
    let body = "<D:propfind xmlns:D=\"DAV:\" xmlns:x='a\"&amp;b'><D:prop><D:getetag/><x:thing/>\
        <D:quota-used-bytes/></D:prop></D:propfind>";
    let (_, told) = world
        .propfind("anna", "/dav/__all__/Film/a%20b.mkv", "0", body)
        .await;
    assert!(
        told.contains("<D:prop><thing xmlns=\"a&quot;&amp;b\"/><quota-used-bytes xmlns=\"DAV:\"/></D:prop><D:status>HTTP/1.1 404 Not Found"),
        "{told}"
    );
    let (_, told) = world.propfind("anna", "/dav/__all__/Odd/", "1", "").await;
    let name = "<D:displayname>&lt;b&gt; &amp; &quot;x&quot; \\ %2e: #?.mp4</D:displayname>";
    assert!(told.contains(name), "{told}");
    let at = "/dav/__all__/Odd/%3Cb%3E%20%26%20%22x%22%20%5C%20%252e%3A%20%23%3F.mp4";
    assert!(told.contains(&format!("<D:href>{at}</D:href>")), "{told}");
    assert_eq!(world.status("GET", at).await, 200);
    let names = "<propfind xmlns=\"DAV:\"><propname/></propfind>";
    let (_, told) = world.propfind("anna", "/dav/", "0", names).await;
    assert!(
        told.contains("<D:prop><D:creationdate/><D:displayname/>"),
        "{told}"
    );
}

#[tokio::test]
async fn requests_that_ask_for_too_much_are_refused() {
    let world = World::new();
    let refused = |depth: &'static str| world.propfind("anna", "/dav/", depth, "");
    for depth in ["infinity", "Infinity"] {
        let (status, told) = refused(depth).await;
        assert_eq!(status, 403);
        assert!(told.contains("<D:propfind-finite-depth/>"), "{told}");
    }
    // Without a depth it is infinity, and no header of a test suite changes that.
    let litmus = [("x-litmus", "props: 1")];
    let answer = world
        .send(Some("anna"), "PROPFIND", "/dav/", &litmus, "")
        .await;
    assert_eq!(answer.status(), 403);
    assert_eq!(refused("2").await.0, 400);
    let deep = format!(
        "<D:propfind xmlns:D=\"DAV:\"><D:prop>{}",
        "<D:a>".repeat(10_000)
    );
    assert_eq!(world.propfind("anna", "/dav/", "0", &deep).await.0, 400);
    let long = " ".repeat((64 << 10) + 1);
    assert_eq!(world.propfind("anna", "/dav/", "0", &long).await.0, 413);
    let ranges = format!("bytes={}", vec!["0-0"; 10_000].join(","));
    let headers = [("range", &*ranges)];
    let film = "/dav/__all__/Film/a%20b.mkv";
    let answer = world.send(Some("anna"), "GET", film, &headers, "").await;
    assert_eq!(answer.status(), 416);
}

#[tokio::test]
async fn a_large_directory_is_told_in_full_or_not_at_all() {
    let world = World::new();
    let (status, told) = world.propfind("anna", "/dav/many/", "1", "").await;
    assert_eq!(
        (status, told.matches("<D:response>").count()),
        (207, MANY + 1)
    );
    let page = text(world.page("/dav/many/").await).await;
    assert_eq!(page.matches("<tr><th scope=\"row\">").count(), MANY);
    // Its second part does not come: nobody is told of a part of it.
    world.stuck.store(1, Ordering::SeqCst);
    let asked = world.propfind("anna", "/dav/many/", "1", "");
    let wait = std::time::Duration::from_millis(50);
    assert!(tokio::time::timeout(wait, asked).await.is_err());
}

#[tokio::test]
async fn a_listing_that_fails_is_an_error_and_no_empty_directory() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Arc::new(Tokens::new(dir.path()));
    tokens.load(Timestamp::UNIX_EPOCH).unwrap();
    let token = tokens
        .create("t", Default::default(), Timestamp::UNIX_EPOCH)
        .unwrap();
    let logins = Logins::new(tokens.clone(), Arc::default());
    let router = router(
        Arc::new(Unknown),
        tokens,
        logins,
        Arc::default(),
        Redirects::default(),
    );
    for (method, accept) in [("PROPFIND", "*/*"), ("GET", "*/*"), ("GET", "text/html")] {
        let request = Request::builder()
            .method(method)
            .uri("/dav/")
            .header("authorization", format!("Bearer {token}"))
            .header("depth", "1")
            .header("accept", accept);
        let request = request.body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 503, "{method} {accept}");
        assert_eq!(header(&answer, "retry-after"), "5");
    }
}

#[tokio::test]
async fn pages_are_sorted_and_hold_no_markup_of_names() {
    let world = World::new();
    let answer = world.page("/dav/__all__/Odd/").await;
    assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
    let policy = header(&answer, "content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("script"),
        "{policy}"
    );
    let page = text(answer).await;
    assert!(
        !page.contains("<b>") && page.contains("&#60;b&#62; &#38; "),
        "{page}"
    );
    let film = "./%3Cb%3E%20%26%20%22x%22%20%5C%20%252e%3A%20%23%3F.mp4";
    assert!(page.contains(&format!("href=\"{film}?play\"")), "{page}");
    assert!(
        page.contains("<a href=\"/dav/__all__/\">__all__</a>"),
        "{page}"
    );
    let at = film.replacen("./", "/dav/__all__/Odd/", 1);
    let player = text(world.page(&format!("{at}?play")).await).await;
    assert!(
        player.contains(&format!("<video controls autoplay src=\"{at}\">")),
        "{player}"
    );
    // Only a page is asked for as one: the film itself is for the player.
    let film = world
        .send(Some("anna"), "GET", &format!("{at}?play"), &[], "")
        .await;
    assert_eq!(header(&film, "content-type"), "video/mp4");

    let order = |page: &str| {
        let names = page.split("<th scope=\"row\"><a href=\"./").skip(1);
        let names = names.map(|rest| rest.split('"').next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let root = text(world.page("/dav/").await).await;
    assert_eq!(order(&root), ["__all__/", "many/", "other/"]);
    let turned = text(world.page("/dav/?sort=name&order=descending").await).await;
    assert_eq!(order(&turned), ["other/", "many/", "__all__/"]);
    assert!(turned.contains("aria-sort=\"descending\""), "{turned}");
    let style = world.send(None, "GET", "/style.css", &[], "").await;
    assert_eq!(header(&style, "content-type"), "text/css; charset=utf-8");
}
