//! What is no torrent.

use std::time::Duration;

use debridfs_sim::{LibrarySpec, Service};
use serde_json::json;

use super::support::{create, data, fetch, film, fresh, get, post, refusal, torbox};
use crate::support::control;

#[tokio::test]
async fn each_service_has_numbers_of_its_own() {
    let releases = [Service::Torrents, Service::Usenet, Service::Webdl].map(|service| {
        let mut release = film(&format!("By.{service:?}"));
        release.service = service;
        release
    });
    let sim = torbox(&LibrarySpec {
        seed: 1,
        releases: releases.into(),
    });
    let list = async |path| data(&get(&sim, path).await)[0].clone();
    let usenet = list("usenet/mylist").await;
    let (torrent, web) = (&fresh(&sim).await[0], list("webdl/mylist").await);
    assert_eq!((&torrent["id"], &usenet["id"]), (&usenet["id"], &web["id"]));
    assert_eq!(
        (&usenet["name"], usenet["hash"].as_str().unwrap().len()),
        (&json!("By.Usenet"), 32)
    );
    assert!(usenet.get("magnet").is_none());
    let (token, id) = (sim.token(), &usenet["id"]);
    for (path, name) in [
        (format!("usenet/requestdl?usenet_id={id}"), "By.Usenet"),
        (format!("webdl/requestdl?web_id={id}"), "By.Webdl"),
    ] {
        let url = data(&get(&sim, &format!("{path}&file_id=1&token={token}")).await);
        let there = fetch(&sim, url.as_str().unwrap(), "bytes=0-9").await;
        assert!(there.header("content-disposition").contains(name));
    }
    let delete = json!({"usenet_id": id, "operation": "delete"});
    data(&post(&sim, "usenet/controlusenetdownload", delete).await);
    assert_eq!(fresh(&sim).await.len(), 1);
    let named = format!("torrents/webdl-{}", web["id"]);
    assert_eq!(
        control(&sim, "DELETE", &named, serde_json::Value::Null)
            .await
            .status,
        200
    );
    assert!(
        sim.torrents(0)
            .unwrap()
            .iter()
            .all(|view| view.filename == "By.Torrents")
    );
}

#[tokio::test]
async fn an_nzb_and_a_link_are_known_by_their_md5() {
    let sim = torbox(&LibrarySpec::default());
    let nzb = b"<?xml version=\"1.0\"?><nzb/>";
    let path = "usenet/createusenetdownload";
    let added = data(&create(&sim, path, &[("file", nzb), ("name", b"Show.S01")]).await);
    assert_eq!(added["hash"], "950626b81d7491a17c13cb0d7513291d");
    let item = &data(&get(&sim, "usenet/mylist").await)[0];
    assert_eq!(
        (&item["id"], &item["name"]),
        (&added["usenetdownload_id"], &json!("Show.S01"))
    );
    assert_eq!(item["download_state"], "downloading");
    let bad = create(&sim, path, &[("file", b"text")]).await;
    assert_eq!(refusal(&bad), (400, "BOZO_NZB".into()));
    sim.advance(Duration::from_secs(60));
    let cached = format!(
        "usenet/checkcached?format=list&hash={}",
        added["hash"].as_str().unwrap()
    );
    assert_eq!(data(&get(&sim, &cached).await)[0]["name"], "Show.S01");
    let link: [(&str, &[u8]); 1] = [("link", b"https://example.com/files/a.mkv?x=1")];
    let added = data(&create(&sim, "webdl/createwebdownload", &link).await);
    assert_eq!(added["hash"], "326dd2118e989933c17dca3f3b526d9c");
    assert_eq!(data(&get(&sim, "webdl/mylist").await)[0]["name"], "a");
    let pause = json!({"webdl_id": added["webdownload_id"], "operation": "pause"});
    let refused = post(&sim, "webdl/controlwebdownload", pause).await;
    assert_eq!(refusal(&refused), (400, "INVALID_OPTION".into()));
}
