//! What the pages show: libraries of every size, and names that were made to break out of a page.

use axum::http::StatusCode;
use debridfs_control::CachedLine;
use debridfs_web::Login;

use crate::site::{Fake, Site, job, release};

/// Text that means something in HTML, in an attribute, in a script or in an address.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></table><h1>owned",
    "{{ 7 * 7 }} {% if true %}",
    "a&lt;b&amp;c ?q=1#x%00\u{202e}gpj.exe",
];

async fn open(fake: Fake) -> Site {
    Site::new(fake, Login::default()).await
}

fn rows(body: &str) -> usize {
    body.matches("<th scope=\"row\">").count()
}

#[tokio::test]
async fn names_cannot_break_out() {
    for text in HOSTILE {
        let mut bad = release(format!("Bad {text}"));
        bad.bad = Some(text.into());
        bad.providers = vec![text.into()];
        let mut broken = job(&format!("Job {text}"));
        broken.reason = Some(text.into());
        broken.category = text.into();
        let cached = CachedLine {
            path: Some(text.into()),
            id: 7,
            archive: false,
            size: 2,
            cached: 1,
            class: text.into(),
            pinned: true,
            used: 1,
        };
        let site = open(Fake {
            releases: vec![bad, release(text)],
            jobs: vec![broken, job("other")].into(),
            log: vec![text.into()],
            cached: vec![cached],
            problem: text.into(),
            refusal: Some(text.into()),
            ..Fake::default()
        })
        .await;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("q", text)
            .append_pair("category", text)
            .append_pair("path", text)
            .finish();
        let csrf = site.get("/queue", &[]).await.csrf();
        let mut shown = Vec::new();
        for page in ["/", "/library", "/release", "/queue", "/cache", "/log"] {
            shown.push((page, site.get(&format!("{page}?{query}"), &[]).await));
        }
        let fields = [("csrf", csrf.as_str()), ("hash", text)];
        let refused = site.post("/queue/stop", &[], &fields).await;
        assert_eq!(refused.code, StatusCode::CONFLICT);
        shown.push(("/queue/stop", refused));
        for (page, answer) in shown {
            let body = answer.body;
            let whole = html_escaped(text);
            assert!(body.contains(&whole), "{page} does not show {text}: {body}");
            // Text that means something to the templates alone stands as it is.
            assert!(
                whole == text || !body.contains(text),
                "{page} shows {text} as it is"
            );
            // The page's own, and nothing else that begins or handles anything.
            assert_eq!(body.matches("<script").count(), 1, "{page}: {text}");
            assert!(
                !body.contains("<img") && !body.contains("<h1>owned"),
                "{page}"
            );
        }
    }
}

/// As the templates do it.
fn html_escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '"' | '\'' => escaped += &format!("&#{};", u32::from(c)),
            c => escaped.push(c),
        }
    }
    escaped
}

#[tokio::test]
async fn libraries_of_every_size_are_shown_in_parts() {
    let empty = open(Fake::default()).await;
    let answer = empty.get("/library", &[]).await;
    assert_eq!(answer.code, StatusCode::OK);
    assert!(answer.body.contains("Releases: 0") && rows(&answer.body) == 0);

    let small = open(Fake {
        releases: vec![release("Film.2024"), release("Show.S01")],
        ..Fake::default()
    })
    .await;
    let body = small.get("/library?view=__all__", &[]).await.body;
    assert_eq!(rows(&body), 2);
    assert!(
        body.contains("Film.2024") && body.contains("3.0 GiB"),
        "{body}"
    );
    assert!(!body.contains("rel=\"next\""), "{body}");
    assert!(body.contains("/release?path=__all__%2FFilm.2024"), "{body}");
    let none = small.get("/library?view=no", &[]).await;
    assert_eq!(none.code, StatusCode::NOT_FOUND);

    let names = (0..100_000).map(|number| release(format!("Release.{number:06}")));
    let large = open(Fake {
        releases: names.collect(),
        ..Fake::default()
    })
    .await;
    let first = large.get("/library", &[]).await.body;
    assert_eq!(rows(&first), 100);
    assert!(first.len() < 200_000, "{} bytes", first.len());
    assert!(first.contains("Releases: 100000, page 1 of 1000"));
    assert!(first.contains("rel=\"next\"") && !first.contains("rel=\"prev\""));
    let last = large.get("/library?page=1000", &[]).await.body;
    assert!(last.contains("Release.099999") && !last.contains("rel=\"next\""));
    assert!(last.contains("rel=\"prev\""));
    let found = large.get("/library?q=012345", &[]).await.body;
    assert_eq!(rows(&found), 1);
    for page in ["0", "1001", "18446744073709551615"] {
        let answer = large.get(&format!("/library?page={page}"), &[]).await;
        assert_eq!(answer.code, StatusCode::OK, "{page}");
    }
    let no_number = large.get("/library?page=x", &[]).await;
    assert_eq!(no_number.code, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_queue_tells_what_is_in_the_way_and_what_can_be_done() {
    let mut waiting = job("Waiting");
    waiting.reason = Some("the provider is busy".into());
    let mut stopped = job("Stopped");
    stopped.stopped = true;
    stopped.category = "films & more".into();
    let mut failed = job("Failed");
    failed.step = "failed".into();
    let site = open(Fake {
        jobs: vec![waiting, stopped, failed].into(),
        ..Fake::default()
    })
    .await;
    let body = site.get("/queue", &[]).await.body;
    assert_eq!(rows(&body), 3);
    assert!(
        body.contains("the provider is busy") && body.contains("25 %"),
        "{body}"
    );
    for action in ["Stop: Waiting", "Start: Stopped", "Again: Failed"] {
        assert!(body.contains(action), "{action}");
    }
    let place = "/queue?category=films%20%26%20more";
    assert!(body.contains(place), "{body}");
    let body = site.get(place, &[]).await.body;
    assert!(rows(&body) == 1 && body.contains("Stopped"), "{body}");

    let long = (0..600).map(|number| job(&format!("Job.{number}")));
    *site.fake.jobs.lock().unwrap() = long.collect();
    let body = site.get("/queue", &[]).await.body;
    assert!(
        rows(&body) == 500 && body.contains("100 older ones"),
        "{}",
        body.len()
    );
}

#[tokio::test]
async fn a_release_is_explained_and_a_missing_one_is_not_there() {
    let site = open(Fake::default()).await;
    let body = site.get("/release?path=__all__%2FFilm", &[]).await.body;
    for words in ["gives no link", "no_link × 3 (rd)", "trouble"] {
        assert!(body.contains(words), "{words} in {body}");
    }
    let gone = site.get("/release?path=gone", &[]).await;
    assert_eq!(gone.code, StatusCode::NOT_FOUND);
    let body = site.get("/accounts", &[]).await.body;
    for words in [
        "3fa9c1d2",
        "200 of 250 a minute",
        "1.0 TiB",
        "pro, until",
        "2 of 10 used",
        "37 % used",
        "50 of 250 calls a minute, 3 of 60 create calls an hour",
    ] {
        assert!(body.contains(words), "{words} in {body}");
    }
}
