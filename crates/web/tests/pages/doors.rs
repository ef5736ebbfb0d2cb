//! Who is let in, and whose forms are taken.

use axum::http::StatusCode;
use debridfs_listen::HashedPassword;
use debridfs_web::{Login, QueueChange};

use crate::site::{Answer, Fake, Site, job};

const PAGES: [&str; 7] = [
    "/",
    "/library",
    "/release?path=x",
    "/queue",
    "/accounts",
    "/cache",
    "/log",
];
const BROWSER: (&str, &str) = ("accept", "text/html,*/*;q=0.8");
const BEARER: (&str, &str) = ("authorization", "Bearer token");

fn fake() -> Fake {
    Fake {
        jobs: vec![job("Show.S01")].into(),
        ..Fake::default()
    }
}

async fn locked() -> Site {
    let password = HashedPassword::of("good password").unwrap();
    Site::new(fake(), Login::new(Some(password), Some("token"))).await
}

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie");
    set.split(';').next().unwrap().to_owned()
}

async fn log_in(site: &Site) -> String {
    let fields = [("password", "good password"), ("next", "/queue")];
    let answer = site.post("/login", &[], &fields).await;
    assert_eq!(answer.code, StatusCode::SEE_OTHER, "{}", answer.body);
    cookie(&answer)
}

#[tokio::test]
async fn nothing_is_shown_and_done_without_a_login() {
    let site = locked().await;
    for page in PAGES {
        let answer = site.get(page, &[]).await;
        assert_eq!(answer.code, StatusCode::UNAUTHORIZED, "{page}");
        assert!(!answer.body.contains("Show.S01"), "{page}");
        let answer = site.get(page, &[BROWSER]).await;
        assert_eq!(answer.code, StatusCode::SEE_OTHER, "{page}");
        let place = answer.header("location");
        assert!(place.starts_with("/login?next=%2F"), "{place}");
        let stale = ("cookie", "debridfs_session=AAAA");
        assert_eq!(
            site.get(page, &[stale]).await.code,
            StatusCode::UNAUTHORIZED
        );
    }
    for change in ["add", "stop", "start", "again", "remove"] {
        let path = format!("/queue/{change}");
        let answer = site.post(&path, &[BROWSER], &[("hash", "x")]).await;
        assert_eq!(answer.code, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert!(site.fake.changes.lock().unwrap().is_empty());
    for asset in [
        "/login",
        "/assets/style.css",
        "/assets/page.js",
        "/assets/icon.svg",
    ] {
        assert_eq!(site.get(asset, &[]).await.code, StatusCode::OK, "{asset}");
    }
}

#[tokio::test]
async fn a_password_begins_a_session_and_logging_out_ends_it() {
    let site = locked().await;
    let wrong = site.post("/login", &[], &[("password", "bad")]).await;
    assert_eq!(wrong.code, StatusCode::UNAUTHORIZED);
    assert!(wrong.header("set-cookie").is_empty());
    assert!(wrong.body.contains("not the password"), "{}", wrong.body);

    let fields = [("password", "good password"), ("next", "/library?q=a%20b")];
    let answer = site.post("/login", &[], &fields).await;
    assert_eq!(answer.header("location"), "/library?q=a%20b");
    let set = answer.header("set-cookie");
    assert!(set.contains("; HttpOnly; SameSite=Strict; Path=/"), "{set}");
    let cookie = cookie(&answer);
    for page in PAGES {
        let answer = site.get(page, &[("cookie", &cookie)]).await;
        assert_eq!(answer.code, StatusCode::OK, "{page}");
    }
    let evil = [("password", "token"), ("next", "//evil.example")];
    let answer = site.post("/login", &[], &evil).await;
    assert_eq!(answer.header("location"), "/", "the token does as well");

    let page = site.get("/", &[("cookie", &cookie)]).await;
    let out = [("csrf", page.csrf())];
    let fields = [(out[0].0, out[0].1.as_str())];
    let answer = site.post("/logout", &[("cookie", &cookie)], &fields).await;
    assert_eq!(answer.code, StatusCode::SEE_OTHER);
    let answer = site.get("/", &[("cookie", &cookie)]).await;
    assert_eq!(answer.code, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn guessing_is_stopped() {
    let site = locked().await;
    for _ in 0..5 {
        let answer = site.post("/login", &[], &[("password", "bad")]).await;
        assert_eq!(answer.code, StatusCode::UNAUTHORIZED);
    }
    let fields = [("password", "good password")];
    let answer = site.post("/login", &[], &fields).await;
    assert_eq!(answer.code, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.header("set-cookie").is_empty());
    let answer = site.get("/", &[BEARER]).await;
    assert_eq!(answer.code, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), "60");
}

#[tokio::test]
async fn a_token_is_enough_for_scripts() {
    let site = locked().await;
    let answer = site.get("/queue", &[BEARER]).await;
    assert!(answer.body.contains("Show.S01"), "{}", answer.body);
    let wrong = ("authorization", "Bearer tokem");
    assert_eq!(
        site.get("/queue", &[wrong]).await.code,
        StatusCode::UNAUTHORIZED
    );
    let fields = [("link", "magnet:?x"), ("category", "tv")];
    let answer = site.post("/queue/add", &[BEARER], &fields).await;
    assert_eq!(answer.code, StatusCode::SEE_OTHER);
    let add = QueueChange::Add {
        link: "magnet:?x".into(),
        category: "tv".into(),
    };
    assert_eq!(*site.fake.changes.lock().unwrap(), [add]);
}

#[tokio::test]
async fn a_torrent_is_taken_from_a_form_of_ours_and_no_other() {
    let site = locked().await;
    let cookie = log_in(&site).await;
    let session = ("cookie", cookie.as_str());
    let csrf = site.get("/queue", &[session]).await.csrf();
    // Larger than any other form may be.
    let torrent = vec![b'x'; 100 << 10];
    let form = |csrf: &str| {
        let mut body = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n\
             --XX\r\nContent-Disposition: form-data; name=\"torrent\"; filename=\"a.torrent\"\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(&torrent);
        body.extend_from_slice(
            b"\r\n--XX\r\nContent-Disposition: form-data; name=\"category\"\r\n\r\ntv\r\n--XX--\r\n",
        );
        body
    };
    let headers = [
        session,
        ("content-type", "multipart/form-data; boundary=XX"),
    ];
    for wrong in ["", "other"] {
        let answer = site.post_body("/queue/upload", &headers, form(wrong)).await;
        assert_eq!(answer.code, StatusCode::FORBIDDEN, "{wrong:?}");
    }
    let answer = site.post("/queue/upload", &[], &[]).await;
    assert_eq!(answer.code, StatusCode::UNAUTHORIZED);
    assert_eq!(*site.fake.changes.lock().unwrap(), []);
    let answer = site.post_body("/queue/upload", &headers, form(&csrf)).await;
    assert_eq!(answer.code, StatusCode::SEE_OTHER);
    let upload = QueueChange::Upload {
        torrent: torrent.into(),
        category: "tv".into(),
    };
    assert_eq!(*site.fake.changes.lock().unwrap(), [upload]);
}

#[tokio::test]
async fn forms_of_other_sites_change_nothing() {
    let site = locked().await;
    let cookie = log_in(&site).await;
    let session = ("cookie", cookie.as_str());
    let csrf = site.get("/queue", &[session]).await.csrf();
    // Of another session, which somebody else may have.
    let other = log_in(&site).await;
    let other = site.get("/queue", &[("cookie", &other)]).await.csrf();
    assert_ne!(csrf, other);
    let hash = ("hash", "ab");
    for (headers, fields) in [
        (vec![session], vec![hash]),
        (vec![session], vec![hash, ("csrf", "")]),
        (vec![session], vec![hash, ("csrf", &other)]),
        (
            vec![session, ("sec-fetch-site", "cross-site")],
            vec![hash, ("csrf", &csrf)],
        ),
        (
            vec![session, ("origin", "http://evil.example")],
            vec![hash, ("csrf", &csrf)],
        ),
        (
            vec![session, ("origin", "null")],
            vec![hash, ("csrf", &csrf)],
        ),
    ] {
        for change in ["add", "stop", "start", "again", "remove"] {
            let path = format!("/queue/{change}");
            let answer = site.post(&path, &headers, &fields).await;
            assert_eq!(
                answer.code,
                StatusCode::FORBIDDEN,
                "{path} {headers:?} {fields:?}"
            );
        }
    }
    let out = site.post("/logout", &[session], &[]).await;
    assert_eq!(out.code, StatusCode::FORBIDDEN);
    assert!(site.fake.changes.lock().unwrap().is_empty());

    let fields = [hash, ("csrf", &csrf), ("files", "true")];
    for (change, done) in [
        ("stop", QueueChange::Stop("ab".into())),
        ("start", QueueChange::Start("ab".into())),
        ("again", QueueChange::Again("ab".into())),
        (
            "remove",
            QueueChange::Remove {
                hash: "ab".into(),
                files: true,
            },
        ),
    ] {
        let path = format!("/queue/{change}");
        let own = [session, ("sec-fetch-site", "same-origin")];
        let answer = site.post(&path, &own, &fields).await;
        assert_eq!(answer.code, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(answer.header("location"), "/queue");
        assert_eq!(site.fake.changes.lock().unwrap().pop(), Some(done));
    }
}

#[tokio::test]
async fn without_a_login_only_this_machine_sees_them() {
    let site = Site::new(fake(), Login::default()).await;
    for page in PAGES {
        let answer = site.get(page, &[]).await;
        assert_eq!(answer.code, StatusCode::OK, "{page}");
        // A page that gave its own name our address.
        let answer = site.get(page, &[("host", "evil.example:8282")]).await;
        assert_eq!(answer.code, StatusCode::FORBIDDEN, "{page}");
        assert!(!answer.body.contains("Show.S01"), "{page}");
    }
    assert_eq!(site.get("/login", &[]).await.header("location"), "/");
    let answer = site.post("/queue/stop", &[], &[("hash", "ab")]).await;
    assert_eq!(
        answer.code,
        StatusCode::FORBIDDEN,
        "forms are checked all the same"
    );
    let csrf = site.get("/queue", &[]).await.csrf();
    let fields = [("hash", "ab"), ("csrf", csrf.as_str())];
    let answer = site.post("/queue/stop", &[], &fields).await;
    assert_eq!(answer.code, StatusCode::SEE_OTHER);

    let site = Site::at(fake(), Login::default(), false).await;
    for page in PAGES {
        let answer = site.get(page, &[]).await;
        assert_eq!(answer.code, StatusCode::FORBIDDEN, "{page}");
        assert!(answer.body.contains("hash-password"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_browser_is_told_to_trust_nothing_else() {
    let site = locked().await;
    for page in ["/", "/login", "/queue", "/assets/page.js", "/no/such/page"] {
        let answer = site.get(page, &[]).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{page}: {policy}");
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn a_form_has_a_limit() {
    let site = locked().await;
    let long = "x".repeat(100 << 10);
    let answer = site.post("/login", &[], &[("password", &long)]).await;
    assert_eq!(answer.code, StatusCode::PAYLOAD_TOO_LARGE);
    let long = &long[..32 << 10];
    let answer = site.post("/login", &[], &[("password", long)]).await;
    assert_eq!(answer.code, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_api_knows_its_caller_by_any_login_and_refuses_with_problems() {
    let site = locked().await;
    let who = "/api/v1/who";
    let reader = format!("Bearer {}", site.reader);
    let reader = ("authorization", reader.as_str());
    let session = log_in(&site).await;
    let session = ("cookie", session.as_str());
    for (shown, answer) in [
        (BEARER, "the token of the pages: read,manage"),
        (session, "a session of the pages: read,manage"),
        (reader, "reader: read"),
    ] {
        assert_eq!(site.get(who, &[shown]).await.body, answer);
        assert_eq!(site.post(who, &[shown], &[]).await.body, answer);
        let foreign = ("origin", "http://evil.example");
        let refused = site.post(who, &[shown, foreign], &[]).await;
        assert_eq!(refused.code, StatusCode::FORBIDDEN, "{answer}");
        let form = refused.header("content-type");
        assert_eq!(form, "application/problem+json", "{answer}");
    }
    // The pages are not for tokens that read.
    assert_eq!(
        site.get("/queue", &[reader]).await.code,
        StatusCode::UNAUTHORIZED
    );
    let nobody = site.get(who, &[]).await;
    assert_eq!(nobody.code, StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.header("www-authenticate"), "Bearer");
    assert!(nobody.body.contains("urn:debridfs:problem:login"));
    let browser = site.get(who, &[BROWSER]).await;
    assert_eq!(browser.header("location"), "/login?next=%2Fapi%2Fv1%2Fwho");
    let strm = format!("Bearer {}", site.strm);
    for wrong in ["Bearer wrong", &strm] {
        let answer = site.get(who, &[("authorization", wrong)]).await;
        assert_eq!(answer.code, StatusCode::UNAUTHORIZED, "{wrong}");
    }
}

#[tokio::test]
async fn without_a_login_the_api_is_for_this_machine_and_for_tokens() {
    let who = "/api/v1/who";
    let site = Site::at(fake(), Login::default(), true).await;
    assert_eq!(site.get(who, &[]).await.body, "this machine: read,manage");
    let rebound = ("host", "evil.example:8282");
    assert_eq!(site.get(who, &[rebound]).await.code, StatusCode::FORBIDDEN);
    let wide = Site::at(fake(), Login::default(), false).await;
    assert_eq!(wide.get(who, &[]).await.code, StatusCode::FORBIDDEN);
    let reader = format!("Bearer {}", wide.reader);
    let answer = wide.get(who, &[("authorization", &reader)]).await;
    assert_eq!(answer.body, "reader: read");
}
