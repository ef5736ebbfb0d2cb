//! The SABnzbd front: the calls of an arr, in its order, and those of tools.

use debridfs_acquire::{ProbeError, Step};
use debridfs_sim::Outcome;
use serde_json::{Value, json};

use crate::support::{Client, HASH, SAB_KEY, World, cached, hash, in_category, magnet, tree};

const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";
const NZB: &[u8] = br#"<?xml version="1.0"?><nzb xmlns="http://www.newzbin.com/DTD/2003/nzb"/>"#;

/// One call with the key, as the arr sends it.
async fn ask(client: &Client, query: &str) -> Value {
    let said = client
        .get(&format!("api?{query}&apikey={SAB_KEY}&output=json"))
        .await;
    assert_eq!(said.status, 200, "{said:?}");
    said.json()
}

async fn slots(client: &Client, list: &str, query: &str) -> Vec<Value> {
    let answer = ask(client, &format!("mode={list}{query}")).await;
    answer[list]["slots"].as_array().expect("slots").clone()
}

fn dead() -> debridfs_sim::ReleaseSpec {
    let mut release = cached(HASH, "Dead.2024");
    release.cached = false;
    release.outcome = Outcome::Dead;
    release
}

#[tokio::test(start_paused = true)]
async fn the_test_of_an_arr_passes() {
    let world = World::with(Vec::new(), |config| {
        config
            .categories
            .insert("tv".to_owned(), Default::default());
    })
    .await;
    let sab = world.sab();
    let version = ask(&sab, "mode=version").await;
    assert!(version["version"].as_str().unwrap().starts_with("4."));
    let config = ask(&sab, "mode=get_config").await["config"].clone();
    let misc = &config["misc"];
    assert_eq!(misc["complete_dir"], json!(world.downloads()));
    assert_eq!(misc["history_retention_option"], json!("all"));
    for sorting in [
        "enable_tv_sorting",
        "enable_movie_sorting",
        "enable_date_sorting",
        "pre_check",
    ] {
        assert_eq!(misc[sorting], json!(false), "{sorting}");
    }
    assert_eq!(config["sorters"], json!([]));
    let categories = config["categories"].as_array().unwrap();
    let names: Vec<&str> = categories
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["*", "tv"]);
    assert_eq!(
        categories[1]["dir"],
        json!("tv"),
        "below complete_dir, and no star at its end"
    );
    let full = ask(&sab, "mode=fullstatus&skip_dashboard=1").await;
    assert_eq!(full["status"]["completedir"], json!(world.downloads()));
    assert!(
        slots(&sab, "queue", "&start=0&limit=0&category=tv")
            .await
            .is_empty()
    );
    assert!(
        slots(&sab, "history", "&start=0&limit=60&category=tv")
            .await
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_is_needed_and_nothing_changes_without() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let sab = world.sab();
    world.grab(HASH, "x").await;
    world.complete(hash(HASH)).await;
    for (query, error) in [
        ("mode=queue", "API Key Required"),
        ("mode=queue&apikey=", "API Key Required"),
        ("mode=queue&apikey=wrong", "API Key Incorrect"),
        (
            "mode=queue&ma_username=admin&ma_password=wrong",
            "Authentication failed",
        ),
        (
            "mode=history&name=delete&value=all&del_files=1",
            "API Key Required",
        ),
        (
            "mode=history&name=delete&value=all&apikey=wrong",
            "API Key Incorrect",
        ),
    ] {
        let said = sab.get(&format!("api?{query}&output=json")).await;
        assert_eq!(said.status, 200, "{query}");
        assert_eq!(
            said.json(),
            json!({ "status": false, "error": error }),
            "{query}"
        );
    }
    assert_eq!(world.acquire.jobs().len(), 1);
    assert!(!tree(&world.downloads()).is_empty());
    let by_login = sab
        .get("api?mode=queue&ma_username=admin&ma_password=adminadmin")
        .await;
    assert!(by_login.json()["queue"].is_object());
    // Without the version nobody can tell what is there; it tells nothing else.
    assert!(sab.get("api?mode=version").await.json()["version"].is_string());
    let foreign = sab.clone().header("origin", "http://evil.example");
    assert_eq!(
        foreign
            .get(&format!("api?mode=queue&apikey={SAB_KEY}"))
            .await
            .status,
        401
    );
    assert_eq!(sab.get("nothing").await.status, 404);
    let unknown = ask(&sab, "mode=shutdown").await;
    assert_eq!(
        unknown,
        json!({ "status": false, "error": "not implemented" })
    );
}

#[tokio::test(start_paused = true)]
async fn guessing_is_stopped_for_a_while() {
    let world = World::new(Vec::new()).await;
    let sab = world.sab();
    let login = |password: &str| format!("api?mode=queue&ma_username=admin&ma_password={password}");
    for guess in 0..5 {
        let said = sab.get(&login(&guess.to_string())).await;
        assert!(said.text.contains("Authentication failed"), "{said:?}");
    }
    for password in ["5", "adminadmin"] {
        let said = sab.get(&login(password)).await;
        assert!(said.text.contains("too many wrong keys"), "{said:?}");
    }
    // It costs nothing to say which API this is.
    assert!(sab.get("api?mode=version").await.json()["version"].is_string());
    let mut other = sab.clone();
    other.peer = [192, 0, 2, 1];
    assert!(other.get(&login("adminadmin")).await.json()["queue"].is_object());
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    assert!(sab.get(&login("adminadmin")).await.json()["queue"].is_object());
}

#[tokio::test(start_paused = true)]
async fn the_key_is_looked_for_before_a_body_is_read() {
    let world = World::new(Vec::new()).await;
    let sab = world.sab();
    let large = "x".repeat(70_000);
    // A key in the body is found, if that is not large.
    let said = sab
        .post("api", &[("mode", "queue"), ("apikey", SAB_KEY)])
        .await;
    assert!(said.json()["queue"].is_object());
    let said = sab
        .post(
            "api",
            &[("mode", "queue"), ("apikey", SAB_KEY), ("x", &large)],
        )
        .await;
    assert_eq!(said.status, 413);
    assert!(
        said.text.contains("put `apikey` into the address"),
        "{said:?}"
    );
    let query = format!("api?apikey={SAB_KEY}");
    let by_query = sab.post(&query, &[("mode", "queue"), ("x", &large)]).await;
    assert!(by_query.json()["queue"].is_object());
    let by_header = sab.clone().header("x-api-key", SAB_KEY);
    let by_header = by_header
        .post("api", &[("mode", "queue"), ("x", &large)])
        .await;
    assert!(by_header.json()["queue"].is_object());
    let wrong = sab
        .post("api?apikey=wrong", &[("mode", "queue"), ("x", &large)])
        .await;
    assert!(wrong.text.contains("API Key Incorrect"), "{wrong:?}");
}

#[tokio::test(start_paused = true)]
async fn a_grab_shows_in_the_queue_and_then_in_the_history() {
    let mut release = cached(HASH, "Film.2024");
    release.cached = false;
    let world = World::new(vec![release]).await;
    world.sim.configure(|settings| {
        settings.magnet_conversion_ms = 5_000;
        settings.downloading_ms = 100_000;
    });
    let sab = world.sab();
    world.grab(HASH, "Film.2024").await;
    world
        .until(hash(HASH), |job| {
            job.live.progress > 0.3 && job.step == Step::Waiting
        })
        .await;
    assert!(slots(&sab, "queue", "&category=other").await.is_empty());
    assert!(slots(&sab, "history", "").await.is_empty());
    let slot = slots(&sab, "queue", "&start=0&limit=0&category=tv")
        .await
        .remove(0);
    // What the arr keeps of a grab that it made through the other front.
    assert_eq!(slot["nzo_id"], json!(HASH.to_uppercase()));
    assert_eq!(slot["status"], json!("Downloading"));
    assert_eq!(
        (&slot["filename"], &slot["cat"]),
        (&json!("Film.2024"), &json!("tv"))
    );
    let number = |key: &str| slot[key].as_str().unwrap().parse::<f64>().unwrap();
    let mib = number("mb");
    assert!((mib - 5120.0).abs() < 1.0, "{mib}");
    assert!(
        number("mbleft") < mib * 0.8 && number("percentage") >= 30.0,
        "{slot}"
    );
    assert_eq!(slot["timeleft"].as_str().unwrap().split(':').count(), 3);
    world.complete(hash(HASH)).await;
    assert!(slots(&sab, "queue", "").await.is_empty());
    let slot = slots(&sab, "history", "&start=0&limit=60&category=tv")
        .await
        .remove(0);
    assert_eq!(slot["status"], json!("Completed"));
    assert_eq!(slot["nzo_id"], json!(HASH.to_uppercase()));
    assert_eq!(
        slot["storage"],
        json!(world.downloads().join("tv/Film.2024"))
    );
    assert_eq!(
        (&slot["name"], &slot["fail_message"]),
        (&json!("Film.2024"), &json!(""))
    );
    assert!(slot["bytes"].as_u64().unwrap() > 5 << 30);
    assert!(slot["download_time"].as_u64().unwrap() >= 100);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_failed_with_its_reason_and_can_be_retried() {
    let world = World::new(vec![dead(), cached(OTHER, "Film.2024")]).await;
    let sab = world.sab();
    for id in [HASH, OTHER] {
        world.grab(id, "x").await;
        world.settled(hash(id)).await;
    }
    let failed = slots(&sab, "history", "&failed_only=1&category=tv").await;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["status"], json!("Failed"));
    let message = failed[0]["fail_message"].as_str().unwrap();
    assert!(message.contains("dead"), "{message}");
    assert_ne!(
        message, "Unpacking failed, write error or disk is full?",
        "that one an arr only warns of"
    );
    assert_eq!(failed[0]["storage"], json!(""));
    let unknown = ask(&sab, &format!("mode=retry&value={}", "7".repeat(40))).await;
    assert_eq!(unknown["status"], json!(false));
    let retried = ask(&sab, &format!("mode=retry&value={}", HASH.to_uppercase())).await;
    assert_eq!(
        retried,
        json!({ "status": true, "nzo_id": HASH.to_uppercase() })
    );
    assert!(slots(&sab, "history", "&failed_only=1").await.is_empty());
    world.settled(hash(HASH)).await;
    // As the arr does with what failed: the one alone, although both are in the history.
    let query = format!(
        "mode=history&name=delete&del_files=1&value={}&archive=1",
        HASH.to_uppercase()
    );
    assert_eq!(ask(&sab, &query).await["status"], json!(true));
    let left = world.acquire.jobs();
    assert_eq!((left.len(), left[0].hash), (1, hash(OTHER)));
    assert!(!tree(&world.downloads()).is_empty());
    ask(&sab, "mode=history&name=delete&del_files=1&value=all").await;
    assert!(world.acquire.jobs().is_empty());
    assert!(tree(&world.downloads()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_list_deletes_what_it_shows() {
    let world = World::new(vec![cached(HASH, "Film.2024"), cached(OTHER, "Other.2024")]).await;
    world
        .library
        .probes
        .lock()
        .unwrap()
        .insert("Other.2024.mkv".into(), ProbeError::NoAnswer("x".into()));
    let sab = world.sab();
    for id in [HASH, OTHER] {
        world.grab(id, "x").await;
    }
    world.complete(hash(HASH)).await;
    world
        .until(hash(OTHER), |job| job.step == Step::Ready)
        .await;
    let stalled = slots(&sab, "queue", "").await.remove(0);
    assert_eq!(stalled["status"], json!("Checking"));
    assert!(
        stalled["labels"][0]
            .as_str()
            .unwrap()
            .contains("cannot be read yet"),
        "{stalled}"
    );
    ask(
        &sab,
        &format!("mode=queue&name=delete&value={HASH}&del_files=1"),
    )
    .await;
    ask(
        &sab,
        &format!("mode=history&name=delete&value={OTHER}&del_files=1"),
    )
    .await;
    assert_eq!(world.acquire.jobs().len(), 2, "neither is in that list");
    ask(&sab, "mode=history&name=delete&value=failed").await;
    assert_eq!(world.acquire.jobs().len(), 2);
    ask(&sab, "mode=queue&name=delete&value=all").await;
    assert_eq!(world.acquire.jobs().len(), 1);
    ask(&sab, "mode=history&name=delete&value=completed&del_files=1").await;
    assert!(world.acquire.jobs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_nzb_is_passed_over_and_torrents_are_taken() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    world
        .sim
        .configure(|settings| settings.unknown_hashes_cached = true);
    let sab = world.sab();
    let query = format!("api?mode=addfile&cat=tv&priority=-100&apikey={SAB_KEY}&output=json");
    // No id: the arr passes over this release and takes the next one. An error would put all its grabs off.
    let said = sab.upload_to(&query, &[], "name", NZB).await.json();
    assert_eq!(said, json!({ "status": true, "nzo_ids": [] }));
    let said = ask(
        &sab,
        "mode=addurl&name=https%3A%2F%2Findexer.example%2Fget%3Fid%3D1&cat=tv",
    )
    .await;
    assert_eq!(said, json!({ "status": true, "nzo_ids": [] }));
    assert_eq!(
        ask(&sab, "mode=addurl&name=junk").await["status"],
        json!(false)
    );
    assert_eq!(ask(&sab, "mode=addfile").await["status"], json!(false));
    assert!(world.acquire.jobs().is_empty() && world.acquire.categories().is_empty());

    let file = b"d4:infod6:lengthi5000000000e4:name5:A.mkv12:piece lengthi1e6:pieces0:ee";
    let said = sab.upload_to(&query, &[], "name", file).await.json();
    let id = said["nzo_ids"][0].as_str().unwrap().to_owned();
    world.complete(hash(&id)).await;
    let link = format!("mode=addurl&name=magnet%3A%3Fxt%3Durn%3Abtih%3A{HASH}&cat=*&priority=-2");
    assert_eq!(
        ask(&sab, &link).await["nzo_ids"],
        json!([HASH.to_uppercase()])
    );
    let jobs = world.acquire.jobs();
    assert!(
        jobs.iter().all(|job| job.reads_failures),
        "an arr reads its history"
    );
    let paused = slots(&sab, "queue", "&category=*").await.remove(0);
    assert_eq!(
        (&paused["status"], &paused["cat"]),
        (&json!("Paused"), &json!("*"))
    );
    ask(&sab, &format!("mode=queue&name=resume&value={HASH}")).await;
    world.complete(hash(HASH)).await;
}

#[tokio::test(start_paused = true)]
async fn calls_of_tools_do_what_they_say() {
    let world = World::new(Vec::new()).await;
    let sab = world.sab();
    let made = ask(&sab, "mode=set_config&section=categories&name=movies").await;
    assert_eq!(made["config"]["categories"][0]["name"], json!("movies"));
    assert_eq!(
        ask(&sab, "mode=get_cats").await,
        json!({ "categories": ["*", "movies"] })
    );
    let refused = ask(
        &sab,
        "mode=set_config&section=misc&keyword=download_dir&value=%2Fetc",
    )
    .await;
    assert_eq!(refused["status"], json!(false));
    let outside = ask(&sab, "mode=set_config&section=categories&name=x&dir=%2Fetc").await;
    assert_eq!(outside["status"], json!(false));
    let mut stopped = in_category("movies");
    stopped.stopped = true;
    for number in 1..=3 {
        let release = magnet(&format!("{number:040x}"), &format!("Film.{number}"));
        world.acquire.add(release, stopped.clone()).await.unwrap();
    }
    let two = format!("mode=change_cat&value={:040X},{:040X}&value2=*", 1, 3);
    assert_eq!(ask(&sab, &two).await["status"], json!(true));
    let found = slots(&sab, "queue", "&category=movies").await;
    assert_eq!((found.len(), &found[0]["filename"]), (1, &json!("Film.2")));
    assert_eq!(slots(&sab, "queue", "&search=film.3").await.len(), 1);
    assert_eq!(
        slots(&sab, "queue", "&start=1&limit=1").await[0]["index"],
        json!(1)
    );
    let both = format!("&nzo_ids={:040x},{:040x}", 1, 2);
    assert_eq!(slots(&sab, "queue", &both).await.len(), 2);
    for mode in ["get_scripts", "warnings", "server_stats", "status", "auth"] {
        assert!(
            ask(&sab, &format!("mode={mode}")).await["error"].is_null(),
            "{mode}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn calls_mean_what_they_mean_to_a_sabnzbd() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let sab = world.sab();
    world.grab(HASH, "Film.2024").await;
    world.complete(hash(HASH)).await;
    let mut stopped = in_category("tv");
    stopped.stopped = true;
    for number in 1..=3 {
        let release = magnet(&format!("{number:040x}"), &format!("Film.{number}"));
        world.acquire.add(release, stopped.clone()).await.unwrap();
    }
    for every in ["*", "all", "all,tv", "tv,%20*"] {
        let every = format!("&category={every}");
        assert_eq!(slots(&sab, "queue", &every).await.len(), 3, "{every}");
        assert_eq!(slots(&sab, "history", &every).await.len(), 1, "{every}");
    }
    assert_eq!(slots(&sab, "history", "&status=Failed").await.len(), 0);
    assert_eq!(slots(&sab, "queue", "&status=Paused,x").await.len(), 3);

    let files = ask(&sab, &format!("mode=get_files&value={HASH}")).await;
    let files = files["files"].as_array().unwrap();
    let film = &files[0];
    assert_eq!(
        (&film["filename"], &film["status"]),
        (&json!("Film.2024.mkv"), &json!("finished"))
    );
    assert_eq!(film["mbleft"], json!("0.00"));
    for unknown in ["SABnzbd_nzo_x", "0".repeat(40).as_str()] {
        let said = ask(&sab, &format!("mode=get_files&value={unknown}")).await;
        assert_eq!(said, json!({ "files": [] }));
    }
    let said = ask(&sab, "mode=get_files").await;
    assert_eq!(said["error"], json!("expects one parameter"));

    let priority = async |number: u32, value: i32| {
        let call = format!("mode=queue&name=priority&value={number:040X}&value2={value}");
        ask(&sab, &call).await
    };
    assert_eq!(priority(3, 1).await, json!({ "position": 0 }));
    assert_eq!(priority(1, -1).await, json!({ "position": 2 }));
    assert_eq!(priority(9, 1).await, json!({ "position": -1 }));
    let names = slots(&sab, "queue", "").await;
    let names: Vec<&Value> = names.iter().map(|slot| &slot["filename"]).collect();
    assert_eq!(names, ["Film.3", "Film.2", "Film.1"]);
    priority(2, 2).await;
    assert_eq!(
        slots(&sab, "queue", "").await[0]["priority"],
        json!("Force")
    );

    let rename = format!("mode=queue&name=rename&value={:040X}&value2=New+name", 1);
    assert_eq!(ask(&sab, &rename).await, json!({ "status": true }));
    assert_eq!(slots(&sab, "queue", "&search=new").await.len(), 1);

    // What is not there was not touched.
    for call in ["queue&name=delete", "queue&name=pause", "queue&name=resume"] {
        let said = ask(&sab, &format!("mode={call}&value=SABnzbd_nzo_x")).await;
        assert_eq!(said, json!({ "status": false, "nzo_ids": [] }), "{call}");
    }
    for call in ["queue&name=rename", "change_cat"] {
        let said = ask(&sab, &format!("mode={call}&value=SABnzbd_nzo_x&value2=tv")).await;
        assert_eq!(said, json!({ "status": false }), "{call}");
    }
    let said = ask(&sab, "mode=history&name=delete&value=SABnzbd_nzo_x").await;
    assert_eq!(said["status"], json!(true), "the history says yes to all");
    let queue = ask(&sab, "mode=queue").await;
    let limit = queue["queue"]["speedlimit_abs"].as_str().unwrap();
    assert!(limit.parse::<u64>().is_ok(), "{limit:?}");
}

#[tokio::test(start_paused = true)]
async fn a_history_that_has_not_changed_is_not_told_again() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let sab = world.sab();
    let since = async || {
        let said = ask(&sab, "mode=history").await;
        said["history"]["last_history_update"].as_u64().unwrap()
    };
    let before = since().await;
    let again = format!("mode=history&last_history_update={before}");
    assert_eq!(ask(&sab, &again).await, json!({ "history": false }));
    world.grab(HASH, "Film.2024").await;
    world.complete(hash(HASH)).await;
    assert!(ask(&sab, &again).await["history"].is_object());
    assert_ne!(since().await, before);
}

#[tokio::test(start_paused = true)]
async fn no_folder_above_is_taken_for_the_release() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let sab = world.sab();
    let mut options = in_category("tv");
    // An arr imports all of the directory above `storage` that is called as the job is.
    options.name = Some("tv".to_owned());
    world.acquire.add(magnet(HASH, "x"), options).await.unwrap();
    world.complete(hash(HASH)).await;
    let slot = slots(&sab, "history", "").await.remove(0);
    assert_eq!(slot["name"], json!("Film.2024"));
}
