//! `/unrestrict/…` and `/downloads/…`.

use std::time::Duration;

use axum::body::Body;
use debridfs_sim::{FileSpec, LibrarySpec, ReleaseSpec};
use http::Request;

use crate::support::{
    call, call_with, direct, fetch, form, get, one_film, send, sim, torrents, unrestrict,
};

#[tokio::test]
async fn a_restricted_link_becomes_a_direct_one() {
    let sim = sim(&one_film(5_000_000_000));
    let link = torrents(&sim)[0].links[0].clone();
    for path in ["unrestrict/link", "unrestrict/link/"] {
        let answer = call(&sim, "POST", path, &form("link", &link)).await;
        assert_eq!(answer.status, 200);
        let body = answer.json();
        assert_eq!(body["filename"], "Film.2020.mkv");
        assert_eq!(body["filesize"], 5_000_000_000u64);
        assert_eq!(body["mimeType"], "video/x-matroska");
        assert_eq!(body["link"], link);
        assert_eq!(
            (body["chunks"].as_u64(), body["streamable"].as_u64()),
            (Some(32), Some(1))
        );
        let id = body["id"].as_str().unwrap();
        assert_eq!(
            body["download"],
            format!("http://sim.invalid/d/{id}/Film.2020.mkv")
        );
    }
    assert_eq!(sim.counters().links[&link[26..]].unrestricts, 2);
}

#[tokio::test]
async fn only_the_first_39_characters_count_and_other_hosts_are_refused() {
    let sim = sim(&one_film(10));
    let link = torrents(&sim)[0].links[0].clone();
    let longer = format!("{link}ABC");
    assert_eq!(
        call(&sim, "POST", "unrestrict/link", &form("link", &longer))
            .await
            .json()["link"],
        link
    );
    let post = async |link: &str| {
        call(&sim, "POST", "unrestrict/link", &form("link", link))
            .await
            .code()
    };
    assert_eq!(post("https://example.com/d/AAAAAAAAAAAAA").await, (503, 16));
    assert_eq!(
        post("https://real-debrid.com/d/AAAAAAAAAAAAA").await,
        (404, 7)
    );
    assert_eq!(post("https://real-debrid.com/d/A").await, (404, 7));
    assert_eq!(post("nonsense").await, (400, 2));
    assert_eq!(post("").await, (400, 1));
}

#[tokio::test]
async fn forms_are_read_whatever_they_claim_to_be() {
    let sim = sim(&one_film(10));
    let link = torrents(&sim)[0].links[0].clone();
    let multipart = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n\r\n--xyz\r\nContent-Disposition: form-data; name=\"link\"\r\n\r\n{link}\r\n--xyz--\r\n"
    );
    let kind = [("content-type", "multipart/form-data; boundary=xyz")];
    assert_eq!(
        call_with(&sim, "POST", "unrestrict/link", &multipart, &kind)
            .await
            .status,
        200
    );
    let kind = [("content-type", "text/plain")];
    assert_eq!(
        call_with(&sim, "POST", "unrestrict/link", &form("link", &link), &kind)
            .await
            .status,
        200
    );
    let verb = [("x-http-verb", "POST")];
    assert_eq!(
        call_with(&sim, "GET", "unrestrict/link", &form("link", &link), &verb)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn check_needs_no_token() {
    let sim = sim(&one_film(10));
    let link = torrents(&sim)[0].links[0].clone();
    let ask = async |link: &str| {
        let request = Request::post("/rest/1.0/unrestrict/check")
            .body(Body::from(form("link", link)))
            .unwrap();
        send(&sim, request).await
    };
    let good = ask(&link).await;
    assert_eq!(good.json()["filesize"], 10);
    assert_eq!(good.json()["supported"], 1);
    assert_eq!(
        ask("https://real-debrid.com/d/AAAAAAAAAAAAA").await.code(),
        (503, 24)
    );
    sim.break_link(0, &link, Some(19)).unwrap();
    assert_eq!(ask(&link).await.code(), (503, 24));
    assert_eq!(
        call(&sim, "POST", "unrestrict/link", &form("link", &link))
            .await
            .code(),
        (503, 19)
    );
    sim.break_link(0, &link, None).unwrap();
    assert_eq!(ask(&link).await.status, 200);
}

#[tokio::test]
async fn downloads_are_listed_newest_first_and_can_be_deleted() {
    let sim = sim(&LibrarySpec {
        seed: 1,
        releases: vec![ReleaseSpec::new(
            "Two",
            vec![
                FileSpec::generated("/a.mkv", 1),
                FileSpec::generated("/b.mkv", 2),
            ],
        )],
    });
    let links = torrents(&sim)[0].links.clone();
    let first = unrestrict(&sim, &links[0]).await;
    sim.advance(Duration::from_secs(5));
    let second = unrestrict(&sim, &links[1]).await;
    let answer = get(&sim, "downloads?limit=1").await;
    assert_eq!(answer.header("x-total-count"), "2");
    assert_eq!(answer.json()[0]["download"], second);
    assert_eq!(answer.json()[0]["generated"], "2026-06-01T12:00:05.000Z");
    let id = answer.json()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        call(&sim, "DELETE", &format!("downloads/delete/{id}"), "")
            .await
            .status,
        204
    );
    assert_eq!(
        call(&sim, "DELETE", &format!("downloads/delete/{id}"), "")
            .await
            .code(),
        (404, 7)
    );
    assert_eq!(get(&sim, "downloads").await.json()[0]["download"], first);
    assert_eq!(
        fetch(&sim, "GET", &second, None).await.header("x-error"),
        "link_not_found"
    );
    assert_eq!(fetch(&sim, "GET", &first, None).await.status, 200);
}

#[tokio::test]
async fn direct_links_live_as_long_as_set() {
    let sim = sim(&one_film(10));
    sim.configure(|settings| settings.link_ttl_s = 60);
    let url = direct(&sim).await;
    sim.advance(Duration::from_secs(59));
    assert_eq!(fetch(&sim, "GET", &url, None).await.status, 200);
    sim.advance(Duration::from_secs(1));
    let expired = fetch(&sim, "HEAD", &url, None).await;
    assert_eq!(
        (expired.status.as_u16(), expired.header("x-error")),
        (404, "link_expired")
    );
    let url = direct(&sim).await;
    assert_eq!(fetch(&sim, "GET", &url, None).await.status, 200);
    sim.expire_links(Some(&torrents(&sim)[0].links[0]));
    assert_eq!(
        fetch(&sim, "GET", &url, None).await.header("x-error"),
        "link_expired"
    );
}

#[tokio::test]
async fn what_hosters_alone_need_is_there() {
    let sim = sim(&one_film(10));
    let id = direct(&sim).await;
    let id = id.split("/d/").nth(1).unwrap().split('/').next().unwrap();
    assert_eq!(
        get(&sim, &format!("streaming/transcode/{id}")).await.status,
        503
    );
    assert_eq!(
        get(&sim, &format!("streaming/mediaInfos/{id}"))
            .await
            .status,
        503
    );
    assert_eq!(get(&sim, "hosts").await.status, 200);
    let link = torrents(&sim)[0].links[0].clone();
    assert_eq!(
        call(&sim, "POST", "unrestrict/folder", &form("link", &link))
            .await
            .body
            .unwrap(),
        "[]"
    );
}
