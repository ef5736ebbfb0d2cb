//! What callers see and change: the contract of the arrs, and the calls of other tools.

use debridfs_acquire::{ProbeError, Step};
use debridfs_sim::Outcome;
use serde_json::{Value, json};

use crate::support::{Client, HASH, World, cached, hash, magnet, tree};

const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";

async fn info(client: &Client, query: &str) -> Vec<Value> {
    let said = client.get(&format!("torrents/info{query}")).await;
    assert_eq!(said.status, 200, "{said:?}");
    said.json().as_array().unwrap().clone()
}

async fn add(client: &Client, hash: &str, more: &[(&str, &str)]) {
    let link = format!("magnet:?xt=urn:btih:{hash}&dn=R");
    let mut form = vec![("urls", link.as_str()), ("category", "tv")];
    form.extend_from_slice(more);
    let said = client.post("torrents/add", &form).await;
    assert_eq!((said.status, said.text.as_str()), (200, "Ok."));
}

#[tokio::test(start_paused = true)]
async fn the_test_of_an_arr_passes() {
    let world = World::new(Vec::new()).await;
    let api = world.api();
    let version = api.get("app/webapiVersion").await.text;
    let parts: Vec<u32> = version
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    assert!(parts >= vec![2, 11], "{version}");
    assert!(api.get("app/version").await.text.starts_with('v'));
    let preferences = api.get("app/preferences").await.json();
    let save_path = world.downloads().display().to_string();
    assert_eq!(preferences["save_path"], json!(save_path));
    assert_eq!(preferences["queueing_enabled"], json!(true));
    assert_eq!(preferences["dht"], json!(true));
    let act = preferences["max_ratio_act"].as_i64().unwrap();
    assert!(
        act != 1 && act != 3,
        "the arr refuses a client that removes"
    );
    assert_eq!(api.get("torrents/categories").await.json(), json!({}));
    assert_eq!(
        api.post("torrents/createCategory", &[("category", "tv")])
            .await
            .status,
        200
    );
    let categories = api.get("torrents/categories").await.json();
    assert_eq!(
        categories["tv"],
        json!({ "name": "tv", "savePath": format!("{save_path}/tv") })
    );
    assert!(info(&api, "?category=tv").await.is_empty());
    let again = api
        .post("torrents/createCategory", &[("category", "tv")])
        .await;
    assert_eq!(again.status, 409);
}

#[tokio::test(start_paused = true)]
async fn a_grab_walks_through_its_states() {
    let mut release = cached(HASH, "Film.2024");
    release.cached = false;
    let world = World::new(vec![release]).await;
    world.sim.configure(|settings| {
        settings.magnet_conversion_ms = 5_000;
        settings.downloading_ms = 100_000;
    });
    let api = world.api();
    add(&api, &HASH.to_uppercase(), &[]).await;
    let mut states: Vec<String> = Vec::new();
    let mut progress = 0.0;
    for _ in 0..1000 {
        let torrent = info(&api, "?category=tv").await.remove(0);
        assert_eq!(torrent["hash"], json!(HASH), "lower case");
        assert_ne!(torrent["content_path"], torrent["save_path"]);
        let now = torrent["progress"].as_f64().unwrap();
        assert!(now >= progress || now == 0.0, "{now} after {progress}");
        progress = now;
        let state = torrent["state"].as_str().unwrap().to_owned();
        if states.last() != Some(&state) {
            states.push(state);
        }
        if states.last().unwrap() == "stoppedUP" {
            break;
        }
        assert!(now < 1.0, "not done before it is in place");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let expected = ["queuedDL", "metaDL", "downloading", "moving", "stoppedUP"];
    let mut left = expected.iter();
    assert!(
        states.iter().all(|state| left.any(|next| next == state)),
        "{states:?}"
    );
    assert!(states.contains(&"downloading".to_owned()));
    let torrent = info(&api, "").await.remove(0);
    let content = torrent["content_path"].as_str().unwrap().to_owned();
    assert_eq!(
        content,
        world.downloads().join("tv/Film.2024").display().to_string()
    );
    assert_eq!(torrent["save_path"], json!(world.downloads().join("tv")));
    assert_eq!(torrent["progress"], json!(1.0));
    // What makes an arr remove it after the import.
    assert_eq!(torrent["ratio_limit"], json!(-2.0));
    let preferences = api.get("app/preferences").await.json();
    assert_eq!(preferences["max_ratio_enabled"], json!(true));
    assert!(torrent["ratio"].as_f64().unwrap() >= preferences["max_ratio"].as_f64().unwrap());
    let files = api.get(&format!("torrents/files?hash={HASH}")).await.json();
    assert_eq!(files[0]["name"], json!("Film.2024/Film.2024.mkv"));
    assert_eq!(files.as_array().unwrap().len(), 2);
    let said = api
        .post(
            "torrents/delete",
            &[("hashes", HASH), ("deleteFiles", "true")],
        )
        .await;
    assert_eq!(said.status, 200);
    assert!(info(&api, "").await.is_empty());
    assert!(tree(&world.downloads()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn files_are_taken_and_stopped_is_heard_in_both_dialects() {
    let world = World::new(Vec::new()).await;
    world
        .sim
        .configure(|settings| settings.unknown_hashes_cached = true);
    let api = world.api();
    for (number, word) in ["stopped", "paused"].into_iter().enumerate() {
        let file = format!(
            "d4:infod6:lengthi5000000000e4:name5:{number}.mkv12:piece lengthi1e6:pieces0:ee"
        );
        let fields = [("category", "tv"), (word, "true"), ("tags", "a, b")];
        let said = api.upload(&fields, file.as_bytes()).await;
        assert_eq!((said.status, said.text.as_str()), (200, "Ok."));
    }
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let torrents = info(&api, "?filter=stopped").await;
    assert_eq!(torrents.len(), 2);
    assert!(
        world.sim.torrents(0).unwrap().is_empty(),
        "nothing was begun"
    );
    assert_eq!(torrents[0]["tags"], json!("a, b"));
    assert_eq!(torrents[0]["size"], json!(5_000_000_000_u64));
    let hashes: Vec<&str> = torrents
        .iter()
        .map(|t| t["hash"].as_str().unwrap())
        .collect();
    api.post("torrents/start", &[("hashes", &hashes.join("|"))])
        .await;
    for text in &hashes {
        world.complete(hash(text)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_release_is_refused_and_changes_nothing() {
    let world = World::new(Vec::new()).await;
    let api = world.api();
    for urls in [
        "",
        "garbage",
        "https://example.org/a.torrent",
        "magnet:?dn=x",
        "magnet:?xt=urn:btmh:1220ab",
    ] {
        let said = api
            .post("torrents/add", &[("urls", urls), ("category", "new")])
            .await;
        assert_eq!((said.status, said.text.as_str()), (200, "Fails."), "{urls}");
    }
    let said = api.upload(&[("category", "new")], b"<html>").await;
    assert_eq!(said.status, 415);
    for category in ["../x", "a//b", "/etc"] {
        let link = format!("magnet:?xt=urn:btih:{HASH}");
        let said = api
            .post("torrents/add", &[("urls", &link), ("category", category)])
            .await;
        assert_eq!(said.text, "Fails.", "{category}");
        let said = api
            .post("torrents/createCategory", &[("category", category)])
            .await;
        assert_eq!(said.status, 409, "{category}");
    }
    for path in ["/etc", "../../etc"] {
        let link = format!("magnet:?xt=urn:btih:{HASH}");
        let said = api
            .post("torrents/add", &[("urls", &link), ("savepath", path)])
            .await;
        assert_eq!(said.text, "Fails.", "{path}");
        let form = [("category", "x"), ("savePath", path)];
        assert_eq!(api.post("torrents/createCategory", &form).await.status, 409);
    }
    assert!(world.acquire.jobs().is_empty());
    assert!(world.acquire.categories().is_empty());
    assert_eq!(api.get("torrents/add").await.status, 405);
    assert_eq!(api.post("torrents/delete", &[]).await.status, 400);
    assert_eq!(api.get("torrents/properties?hash=zz").await.status, 404);
    assert_eq!(api.get("torrents/properties").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn set_category_touches_only_the_hashes_it_is_given() {
    let hashes: Vec<String> = (1..=4).map(|n| format!("{n:040x}")).collect();
    let world = World::new(Vec::new()).await;
    let api = world.api();
    for hash in &hashes {
        add(&api, hash, &[("stopped", "true")]).await;
    }
    api.post("torrents/createCategory", &[("category", "imported")])
        .await;
    let set = |hashes: String, category: &'static str| {
        let api = api.clone();
        async move {
            let form = [("hashes", hashes.as_str()), ("category", category)];
            api.post("torrents/setCategory", &form).await.status
        }
    };
    let categories = || async {
        let torrents = info(&api, "?sort=hash").await;
        let names = torrents
            .iter()
            .map(|t| t["category"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(set(hashes[1].to_uppercase(), "imported").await, 200);
    assert_eq!(categories().await, ["tv", "imported", "tv", "tv"]);
    assert_eq!(
        set(format!("{}|{}", hashes[0], hashes[3]), "imported").await,
        200
    );
    assert_eq!(
        categories().await,
        ["imported", "imported", "tv", "imported"]
    );
    assert_eq!(set("all".into(), "nope").await, 409);
    assert_eq!(
        set(OTHER.into(), "tv").await,
        200,
        "unknown hashes are passed over"
    );
    assert_eq!(
        categories().await,
        ["imported", "imported", "tv", "imported"]
    );
    assert_eq!(set("all".into(), "").await, 200);
    assert_eq!(categories().await, ["", "", "", ""]);
    assert_eq!(info(&api, "?category=").await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn several_and_all_are_deleted() {
    let hashes: Vec<String> = (1..=5).map(|n| format!("{n:040x}")).collect();
    let world = World::new(Vec::new()).await;
    let api = world.api();
    for hash in &hashes {
        add(&api, hash, &[("stopped", "true")]).await;
    }
    let two = format!("{}|{}", hashes[0], hashes[2].to_uppercase());
    api.post(
        "torrents/delete",
        &[("hashes", &two), ("deleteFiles", "false")],
    )
    .await;
    let left: Vec<Value> = info(&api, "?sort=hash").await;
    let left: Vec<&str> = left.iter().map(|t| t["hash"].as_str().unwrap()).collect();
    assert_eq!(left, [&hashes[1], &hashes[3], &hashes[4]]);
    api.post("torrents/delete", &[("hashes", "all")]).await;
    assert!(info(&api, "").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_are_errors_with_their_reason() {
    let mut release = cached(HASH, "Film");
    release.cached = false;
    release.outcome = Outcome::Dead;
    let world = World::new(vec![release]).await;
    let api = world.api();
    add(&api, HASH, &[]).await;
    world.settled(hash(HASH)).await;
    assert_eq!(
        info(&api, "?filter=errored").await[0]["state"],
        json!("error")
    );
    let properties = api
        .get(&format!("torrents/properties?hash={HASH}"))
        .await
        .json();
    assert!(
        properties["comment"].as_str().unwrap().contains("dead"),
        "{properties}"
    );
}

#[tokio::test(start_paused = true)]
async fn calls_of_tools_do_what_they_say() {
    let world = World::new(vec![cached(HASH, "Film.2024"), cached(OTHER, "Other.2024")]).await;
    let api = world.api();
    add(&api, HASH, &[]).await;
    add(&api, OTHER, &[("stopped", "true")]).await;
    world.complete(hash(HASH)).await;
    let post = |call: &'static str, form: Vec<(&'static str, &'static str)>| {
        let api = api.clone();
        async move {
            let said = api.post(call, &form).await;
            assert_eq!(said.status, 200, "{call}: {said:?}");
        }
    };
    post("torrents/addTags", vec![("hashes", HASH), ("tags", "x,y")]).await;
    post("torrents/removeTags", vec![("hashes", HASH), ("tags", "x")]).await;
    post("torrents/createTags", vec![("tags", "z")]).await;
    assert_eq!(
        api.get("torrents/tags").await.json(),
        json!(["x", "y", "z"])
    );
    post("torrents/deleteTags", vec![("tags", "x,z")]).await;
    assert_eq!(api.get("torrents/tags").await.json(), json!(["y"]));
    assert_eq!(info(&api, "?tag=y").await.len(), 1);
    let limits = vec![
        ("hashes", HASH),
        ("ratioLimit", "2.5"),
        ("seedingTimeLimit", "60"),
        ("inactiveSeedingTimeLimit", "-1"),
    ];
    post("torrents/setShareLimits", limits).await;
    let torrent = info(&api, &format!("?hashes={HASH}")).await.remove(0);
    assert_eq!(torrent["ratio_limit"], json!(2.5));
    assert!(
        torrent["ratio"].as_f64().unwrap() >= 2.5,
        "reached: nothing is shared"
    );
    assert_eq!(torrent["seeding_time_limit"], json!(60));
    post("torrents/rename", vec![("hash", HASH), ("name", "New")]).await;
    assert_eq!(info(&api, "?sort=name").await[0]["name"], json!("New"));
    post("torrents/topPrio", vec![("hashes", OTHER)]).await;
    post("torrents/toggleSequentialDownload", vec![("hashes", OTHER)]).await;
    post(
        "torrents/setForceStart",
        vec![("hashes", OTHER), ("value", "true")],
    )
    .await;
    let torrent = info(&api, &format!("?hashes={OTHER}")).await.remove(0);
    assert_eq!(
        (torrent["force_start"].clone(), torrent["seq_dl"].clone()),
        (json!(true), json!(true))
    );
    world.complete(hash(OTHER)).await;
    let before = tree(&world.downloads()).len();
    post(
        "torrents/filePrio",
        vec![("hash", HASH), ("id", "1"), ("priority", "0")],
    )
    .await;
    world.complete(hash(HASH)).await;
    assert_eq!(
        tree(&world.downloads()).len(),
        before - 1,
        "its link is gone"
    );
    for (call, kind) in [
        ("transfer/info", "object"),
        ("torrents/trackers", "array"),
        ("torrents/webseeds", "array"),
        ("torrents/pieceStates", "array"),
        ("sync/torrentPeers", "object"),
        ("log/main", "array"),
        ("log/peers", "array"),
    ] {
        let said = api.get(&format!("{call}?hash={HASH}")).await.json();
        assert_eq!(said.is_array(), kind == "array", "{call}");
    }
    assert_eq!(api.get("torrents/count").await.text, "2");
    // Arguments in the query of a GET, and in the body of a POST, mean the same.
    let by_post = api.post("torrents/properties", &[("hash", HASH)]).await;
    assert_eq!(by_post.status, 200);
    post(
        "torrents/removeCategories",
        vec![("categories", "tv\nnone")],
    )
    .await;
    assert_eq!(api.get("torrents/categories").await.json(), json!({}));
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_is_synced() {
    let world = World::new(Vec::new()).await;
    let api = world.api();
    for number in 1..=3 {
        add(&api, &format!("{number:040x}"), &[("stopped", "true")]).await;
    }
    let all = api.get("sync/maindata?rid=0").await.json();
    assert_eq!(all["full_update"], json!(true));
    assert_eq!(all["torrents"].as_object().unwrap().len(), 3);
    let rid = all["rid"].as_u64().unwrap();
    let none = api.get(&format!("sync/maindata?rid={rid}")).await.json();
    assert_eq!(none["full_update"], json!(false));
    assert!(none["torrents"].as_object().unwrap().is_empty());
    let (one, two) = (format!("{:040x}", 1), format!("{:040x}", 2));
    api.post("torrents/addTags", &[("hashes", &one), ("tags", "new")])
        .await;
    api.post("torrents/delete", &[("hashes", &two)]).await;
    let some = api.get(&format!("sync/maindata?rid={rid}")).await.json();
    assert_eq!(some["full_update"], json!(false));
    let changed: Vec<&String> = some["torrents"].as_object().unwrap().keys().collect();
    assert_eq!(changed, [&one]);
    assert_eq!(some["torrents_removed"], json!([two]));
    let of_another_run = api.get("sync/maindata?rid=7").await.json();
    assert_eq!(of_another_run["full_update"], json!(true));
}

#[tokio::test(start_paused = true)]
async fn trouble_shows_as_stalled() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let error = ProbeError::NoAnswer("no answer".into());
    world
        .library
        .probes
        .lock()
        .unwrap()
        .insert("Film.2024.mkv".into(), error);
    let api = world.api();
    add(&api, HASH, &[]).await;
    world
        .until(hash(HASH), |job| job.live.trouble.is_some())
        .await;
    assert_eq!(info(&api, "").await[0]["state"], json!("stalledDL"));
}

#[tokio::test]
async fn ten_thousand_are_answered_from_memory() {
    let world = World::new(Vec::new()).await;
    let mut options = crate::support::in_category("tv");
    options.stopped = true;
    let mut adds = tokio::task::JoinSet::new();
    for number in 0..10_000 {
        let (acquire, options) = (world.acquire.clone(), options.clone());
        adds.spawn(async move {
            let release = magnet(
                &format!("{number:040x}"),
                "Some.Release.Of.Usual.Length.S01E01",
            );
            acquire.add(release, options).await.unwrap();
        });
    }
    adds.join_all().await;
    let calls = world.sim.counters().calls;
    let stored = || {
        let state = std::fs::read_dir(world.dir.path().join("state")).unwrap();
        let mut files: Vec<_> = state
            .map(|file| {
                let found = file.as_ref().unwrap().metadata().unwrap();
                (
                    file.unwrap().file_name(),
                    found.len(),
                    found.modified().unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    };
    let before = stored();
    let api = world.api();
    let started = std::time::Instant::now();
    let torrents = info(&api, "?category=tv").await;
    let took = started.elapsed();
    assert_eq!(torrents.len(), 10_000);
    assert!(
        torrents
            .iter()
            .all(|torrent| torrent["state"] == "stoppedDL")
    );
    // 200 ms is the aim of a build with optimisation; how long it takes here depends on the machine.
    println!("10 000 torrents, read and parsed, in {took:?}");
    assert_eq!(stored(), before, "no write of the store");
    assert_eq!(world.sim.counters().calls, calls, "no call to the provider");
    assert_eq!(info(&api, "?limit=10&offset=9995").await.len(), 5);
    assert_eq!(info(&api, "?offset=-3").await.len(), 3);
    assert!(
        world
            .acquire
            .jobs()
            .iter()
            .all(|job| job.step == Step::Placed)
    );
}
