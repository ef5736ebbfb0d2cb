//! What becomes of a create.

use std::time::Duration;

use debridfs_sim::Sim;
use serde_json::{Value, json};

use super::support::{HASH, add, create, data, fresh, get, knowing, magnet, refusal};

/// State, progress, size, finished, present.
async fn stand(sim: &Sim) -> (String, f64, i64, bool, bool) {
    let item = fresh(sim).await.remove(0);
    let flag = |name: &str| item[name].as_bool().unwrap();
    (
        item["download_state"].as_str().unwrap().to_owned(),
        item["progress"].as_f64().unwrap(),
        item["size"].as_i64().unwrap(),
        flag("download_finished"),
        flag("download_present"),
    )
}

#[tokio::test]
async fn what_is_cached_is_there_at_once() {
    let sim = knowing(true);
    let answer = add(&sim, HASH).await;
    let detail = answer.json()["detail"].clone();
    assert_eq!(detail, "Found Cached Torrent. Using Cached Torrent.");
    let added = data(&answer);
    assert_eq!(added["hash"], HASH);
    assert!(added["auth_id"].is_string());
    let item = fresh(&sim).await.remove(0);
    assert_eq!(item["id"], added["torrent_id"]);
    assert_eq!(
        stand(&sim).await,
        ("cached".into(), 1.0, 100_320, true, true)
    );
    // Held already: the same again.
    assert_eq!(data(&add(&sim, HASH).await), added);
    assert_eq!(fresh(&sim).await.len(), 1);
}

#[tokio::test]
async fn what_is_not_cached_takes_its_way() {
    let sim = knowing(false);
    sim.configure(|settings| settings.torbox.checking_ms = 5000);
    let answer = add(&sim, HASH).await;
    assert_ne!(
        answer.json()["detail"],
        "Found Cached Torrent. Using Cached Torrent."
    );
    assert!(data(&answer)["torrent_id"].is_u64());
    assert_eq!(stand(&sim).await, ("metaDL".into(), 0.0, 0, false, false));
    assert_eq!(fresh(&sim).await[0]["eta"], 8_640_000);
    sim.advance(Duration::from_secs(2));
    assert_eq!(
        stand(&sim).await,
        ("checking".into(), 0.0, -1, false, false)
    );
    sim.advance(Duration::from_secs(15));
    assert_eq!(
        stand(&sim).await,
        ("downloading".into(), 0.5, 100_320, false, false)
    );
    assert_eq!(fresh(&sim).await[0]["files"], json!([]));
    sim.advance(Duration::from_secs(10));
    // Finished, but its files come a moment later.
    assert_eq!(
        stand(&sim).await,
        ("uploading".into(), 1.0, 100_320, true, false)
    );
    let (id, token) = (fresh(&sim).await[0]["id"].clone(), sim.token());
    let path = format!("torrents/requestdl?token={token}&torrent_id={id}&file_id=0");
    assert_eq!(get(&sim, &path).await.status, 500);
    sim.advance(Duration::from_secs(12));
    assert_eq!(
        stand(&sim).await,
        ("completed".into(), 1.0, 100_320, true, true)
    );
    data(&get(&sim, &path).await);
}

#[tokio::test]
async fn progress_may_go_back() {
    let sim = knowing(false);
    sim.configure(|settings| settings.torbox.progress_backwards = true);
    add(&sim, HASH).await;
    let mut seen = Vec::new();
    for seconds in [2 + 9, 1, 9] {
        sim.advance(Duration::from_secs(seconds));
        seen.push(stand(&sim).await.1);
    }
    assert_eq!(seen, [0.45, 0.2, 0.65]);
}

#[tokio::test]
async fn only_what_is_cached_is_added_if_so_wished() {
    let sim = knowing(false);
    let magnet = magnet(HASH);
    let fields: [(&str, &[u8]); 2] = [("magnet", &magnet), ("add_only_if_cached", b"true")];
    let refused = create(&sim, "torrents/createtorrent", &fields).await;
    assert_eq!(refusal(&refused), (400, "DOWNLOAD_NOT_CACHED".into()));
    assert!(fresh(&sim).await.is_empty());
    let sim = knowing(true);
    data(&create(&sim, "torrents/createtorrent", &fields).await);
}

#[tokio::test]
async fn what_comes_already_does_not_come_twice() {
    let sim = knowing(false);
    data(&add(&sim, HASH).await);
    assert_eq!(
        refusal(&add(&sim, HASH).await),
        (400, "DUPLICATE_ITEM".into())
    );
}

const TORRENT: &[u8] = b"d4:infod6:lengthi42e4:name5:a.mkv12:piece lengthi1e6:pieces0:ee";

#[tokio::test]
async fn a_torrent_file_is_the_part_called_file() {
    let sim = knowing(false);
    let path = "torrents/createtorrent";
    let added = data(&create(&sim, path, &[("file", TORRENT), ("seed", b"3")]).await);
    assert_eq!(added["hash"].as_str().unwrap().len(), 40);
    // Its metadata is there from the start.
    assert_eq!(
        stand(&sim).await,
        ("downloading".into(), 0.0, 42, false, false)
    );
    for (fields, word) in [
        (&[("file1", TORRENT)][..], "MISSING_REQUIRED_OPTION"),
        (&[("file", &b"no torrent"[..])], "BOZO_TORRENT"),
        (&[("magnet", b"http://x")], "BOZO_TORRENT"),
        (
            &[("magnet", &magnet(HASH)), ("file", TORRENT)],
            "TOO_MANY_OPTIONS",
        ),
        (&[], "MISSING_REQUIRED_OPTION"),
    ] {
        let refused = create(&sim, path, fields).await;
        assert_eq!(refusal(&refused), (400, word.into()));
    }
    // A form of one part is read as well.
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("magnet", std::str::from_utf8(&magnet(HASH)).unwrap())
        .finish();
    let kind = "application/x-www-form-urlencoded";
    data(&super::support::call(&sim, "POST", path, kind, form.into_bytes()).await);
}

#[tokio::test]
async fn the_size_is_limited_by_the_plan() {
    let mut release = super::support::film("Large");
    release.hash = Some(HASH.to_owned());
    release.copies = 0;
    release.files[0].bytes = Some(11_000_000_000);
    let sim = super::support::torbox(&debridfs_sim::LibrarySpec {
        seed: 1,
        releases: vec![release],
    });
    sim.configure(|settings| settings.torbox.plan = 0);
    assert_eq!(
        refusal(&add(&sim, HASH).await),
        (400, "DOWNLOAD_TOO_LARGE".into())
    );
    sim.configure(|settings| settings.torbox.plan = 1);
    data(&add(&sim, HASH).await);
}

#[tokio::test]
async fn the_cache_is_asked_by_hashes() {
    let sim = knowing(true);
    let other = "f".repeat(40);
    let ask = async |query: &str| {
        let path = format!(
            "torrents/checkcached?hash={other},{}&{query}",
            HASH.to_uppercase()
        );
        data(&get(&sim, &path).await)
    };
    let found = json!({"name": "Wanted.2024", "size": 100_320, "hash": HASH});
    assert_eq!(ask("").await, json!({ HASH: found }));
    assert_eq!(ask("format=list").await, json!([found]));
    let files = &ask("format=list&list_files=true").await[0]["files"];
    assert_eq!(
        files[1],
        json!({"name": "Wanted.2024/Subs/English.srt", "size": 300})
    );
    let post = super::support::post(
        &sim,
        "torrents/checkcached",
        json!({"hashes": [HASH, other]}),
    );
    assert_eq!(data(&post.await), json!({ HASH: found }));
    let none = get(
        &sim,
        &format!("torrents/checkcached?hash={other}&format=list"),
    )
    .await;
    assert_eq!(data(&none), Value::Null);
    let none = get(&sim, &format!("torrents/checkcached?hash={other}")).await;
    assert_eq!(data(&none), json!({}));
}

#[tokio::test]
async fn a_hash_leads_to_files_and_a_torrent_to_its_magnet() {
    let sim = knowing(true);
    let info = data(&get(&sim, &format!("torrents/torrentinfo?hash={HASH}")).await);
    assert_eq!(
        (&info["name"], info["files"].as_array().unwrap().len()),
        (&json!("Wanted.2024"), 3)
    );
    let none = get(
        &sim,
        &format!("torrents/torrentinfo?hash={}", "f".repeat(40)),
    )
    .await;
    assert_eq!(refusal(&none), (404, "ITEM_NOT_FOUND".into()));
    let magnet = magnet(HASH);
    let posted = create(&sim, "torrents/torrentinfo", &[("magnet", &magnet)]).await;
    assert_eq!(data(&posted), info);
    let id = data(&add(&sim, HASH).await)["torrent_id"].clone();
    let path = format!("torrents/exportdata?torrent_id={id}&type=magnet");
    let magnet = data(&get(&sim, &path).await);
    assert!(
        magnet
            .as_str()
            .unwrap()
            .starts_with(&format!("magnet:?xt=urn:btih:{HASH}"))
    );
}
