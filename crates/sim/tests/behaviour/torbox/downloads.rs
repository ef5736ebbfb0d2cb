//! From a file to its bytes.

use std::time::Duration;

use debridfs_sim::{CdnFault, CdnFaultKind};
use serde_json::json;

use super::support::{data, fetch, films, fresh, get, link, post, refusal};

#[tokio::test]
async fn a_presigned_url_brings_the_bytes() {
    let sim = films(1);
    // File 0 is the last of the release, not none.
    let url = link(&sim, 0).await;
    assert_eq!(fetch(&sim, &url, "bytes=0-").await.body.unwrap().len(), 20);
    let url = link(&sim, 1).await;
    let part = fetch(&sim, &url, "bytes=500-1499").await;
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-range"), "bytes 500-1499/100000");
    let link = sim.torrents(0).unwrap()[0].files[0].link.clone().unwrap();
    let expected = sim.expected(0, &link, 500, 1000).unwrap();
    assert_eq!(part.body.unwrap(), expected);
    assert_eq!(sim.expected(0, &url, 500, 1000).unwrap(), expected);
    assert_eq!(sim.counters().links[&link].gets, 1);
}

#[tokio::test]
async fn redirect_leads_there_at_once() {
    let sim = films(1);
    let (id, token) = (fresh(&sim).await[0]["id"].clone(), sim.token());
    let path = format!("torrents/requestdl?token={token}&torrent_id={id}&file_id=2&redirect=true");
    let answer = get(&sim, &path).await;
    assert_eq!(answer.status, 307);
    let there = fetch(&sim, answer.header("location"), "bytes=0-").await;
    assert_eq!(there.body.unwrap().len(), 300);
}

#[tokio::test]
async fn what_is_asked_for_has_to_be_there() {
    let sim = films(1);
    let (id, token) = (fresh(&sim).await[0]["id"].clone(), sim.token());
    let ask =
        async |query: String| refusal(&get(&sim, &format!("torrents/requestdl?{query}")).await);
    // The key is a parameter here; the header, which `get` sends, does not count.
    assert_eq!(ask(format!("torrent_id={id}&file_id=0")).await.1, "NO_AUTH");
    assert_eq!(
        ask(format!("token=x&torrent_id={id}&file_id=0")).await.1,
        "BAD_TOKEN"
    );
    let missing = ask(format!("token={token}&torrent_id={id}")).await;
    assert_eq!(missing, (400, "MISSING_REQUIRED_OPTION".into()));
    for unknown in [format!("{id}&file_id=3"), "1&file_id=0".to_owned()] {
        let unknown = ask(format!("token={token}&torrent_id={unknown}")).await;
        assert_eq!(unknown, (500, "DATABASE_ERROR".into()));
    }
}

#[tokio::test]
async fn a_url_ends_with_its_token() {
    let sim = films(1);
    let url = link(&sim, 0).await;
    sim.advance(Duration::from_secs(12_599));
    assert_eq!(fetch(&sim, &url, "bytes=0-").await.status, 206);
    sim.advance(Duration::from_secs(1));
    let late = fetch(&sim, &url, "bytes=0-").await;
    assert_eq!(
        (late.status.as_u16(), late.body.unwrap().as_ref()),
        (400, &b"Invalid Presigned Token"[..])
    );
    // Another file with this token, and no token at all.
    let (one, other) = (link(&sim, 0).await, link(&sim, 1).await);
    let mixed = format!(
        "{}?{}",
        one.split('?').next().unwrap(),
        other.split('?').nth(1).unwrap()
    );
    assert_eq!(fetch(&sim, &mixed, "bytes=0-").await.status, 400);
    assert_eq!(fetch(&sim, "/dld/x", "bytes=0-").await.status, 400);
    sim.expire_links(Some(&one));
    assert_eq!(fetch(&sim, &one, "bytes=0-").await.status, 400);
    assert_eq!(fetch(&sim, &other, "bytes=0-").await.status, 206);
    // What is no longer in the account is revoked.
    let id = fresh(&sim).await[0]["id"].clone();
    let delete = json!({"torrent_id": id, "operation": "delete"});
    data(&post(&sim, "torrents/controltorrent", delete).await);
    assert_eq!(fetch(&sim, &other, "bytes=0-").await.status, 404);
}

#[tokio::test]
async fn the_cdn_may_need_a_moment_to_know_a_url() {
    let sim = films(1);
    sim.configure(|settings| settings.torbox.token_delay_ms = 1000);
    let url = link(&sim, 0).await;
    assert_eq!(fetch(&sim, &url, "bytes=0-").await.status, 400);
    sim.advance(Duration::from_secs(1));
    assert_eq!(fetch(&sim, &url, "bytes=0-").await.status, 206);
}

#[tokio::test]
async fn faults_of_the_cdn_are_as_for_any_vendor() {
    let sim = films(1);
    let url = link(&sim, 1).await;
    let mut fault = CdnFault::everywhere(CdnFaultKind::Expired);
    fault.link = Some(url.clone());
    fault.times = Some(1);
    sim.fail_cdn(fault);
    assert_eq!(fetch(&sim, &url, "bytes=0-9").await.status, 400);
    assert_eq!(fetch(&sim, &url, "bytes=0-9").await.status, 400);
    assert_eq!(
        fetch(&sim, &link(&sim, 1).await, "bytes=0-9").await.status,
        206
    );
}

#[tokio::test]
async fn a_host_of_the_cdn_serves_twenty_at_once() {
    let sim = films(1);
    let url = link(&sim, 1).await;
    let path = url[url.find("/dld/").unwrap()..].to_owned();
    let mut open = Vec::new();
    for _ in 0..20 {
        let request = http::Request::builder().uri(&path);
        let request = request.body(axum::body::Body::empty()).unwrap();
        open.push(
            tower::ServiceExt::oneshot(sim.router(), request)
                .await
                .unwrap(),
        );
    }
    assert_eq!(fetch(&sim, &url, "bytes=0-9").await.status, 429);
    open.pop();
    assert_eq!(fetch(&sim, &url, "bytes=0-9").await.status, 206);
}
