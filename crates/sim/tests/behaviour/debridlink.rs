//! Debrid-Link, as its documentation and those who measured it describe it. The account and the reader of debridfs are driven against it in
//! `crates/content/tests/debridlink.rs`.

use std::time::Duration;

use axum::body::Body;
use debridfs_sim::{AccountState, ApiFault, FileSpec, Kind, LibrarySpec, ReleaseSpec, Sim};
use http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, START, send};

const CACHED: &str = "0123456789abcdef0123456789abcdef01234567";
const SLOW: &str = "89abcdef0123456789abcdef0123456789abcdef";

fn files(paths: &[&str]) -> Vec<FileSpec> {
    let generated = |path: &&str| FileSpec::generated(*path, 5000);
    paths.iter().map(generated).collect()
}

fn sim() -> Sim {
    let known = |name: &str, hash: &str, cached: bool| ReleaseSpec {
        hash: Some(hash.to_owned()),
        copies: 0,
        cached,
        ..ReleaseSpec::new(name, files(&["/a.mkv", "/b.nfo"]))
    };
    let library = LibrarySpec {
        seed: 3,
        releases: vec![
            ReleaseSpec::new("Film.2020", files(&["/Film.2020.mkv"])),
            ReleaseSpec::new("Show.S01", files(&["/E01.mkv", "/Subs/E01.srt"])),
            known("Cached.2021", CACHED, true),
            known("Slow.2022", SLOW, false),
        ],
    };
    of(&library)
}

fn of(library: &LibrarySpec) -> Sim {
    Sim::of_starting_at(Kind::DebridLink, library, START.parse().unwrap()).unwrap()
}

async fn ask(sim: &Sim, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v2/{path}"));
    let request = request.header("authorization", format!("Bearer {}", sim.token()));
    let body = match body {
        Value::Null => Body::empty(),
        body => Body::from(body.to_string()),
    };
    let answer = send(sim, request.body(body).unwrap()).await;
    (answer.status.as_u16(), answer.json())
}

async fn get(sim: &Sim, path: &str) -> Value {
    let (status, body) = ask(sim, "GET", path, Value::Null).await;
    assert_eq!(
        (status, &body["success"]),
        (200, &json!(true)),
        "{path}: {body}"
    );
    body
}

async fn add(sim: &Sim, url: &str, more: Value) -> (u16, Value) {
    let mut body = json!({ "url": url });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap_or_default());
    ask(sim, "POST", "seedbox/add", body).await
}

fn word((status, body): (u16, Value)) -> (u16, String) {
    assert_eq!(body["success"], json!(false), "{body}");
    assert!(body["error_id"].is_string() && body["error_description"].is_string());
    (status, body["error"].as_str().unwrap().to_owned())
}

async fn cdn(sim: &Sim, url: &str) -> Answer {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.find('/').map_or(path, |at| &path[at..]);
    let request = Request::builder().uri(path).header("range", "bytes=1-4");
    send(sim, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_list_has_pages_files_and_urls() {
    let library = LibrarySpec {
        seed: 3,
        releases: (0..45)
            .map(|n| ReleaseSpec::new(format!("Film.{n}"), files(&["/a.mkv"])))
            .collect(),
    };
    let sim = of(&library);
    let first = get(&sim, "seedbox/list?perPage=20").await;
    assert_eq!(first["value"].as_array().unwrap().len(), 20);
    let pagination = json!({ "page": 0, "pages": 3, "next": 1, "previous": -1 });
    assert_eq!(first["pagination"], pagination);
    let last = get(&sim, "seedbox/list?perPage=20&page=2").await;
    assert_eq!(last["value"].as_array().unwrap().len(), 5);
    assert_eq!(last["pagination"]["next"], json!(-1));
    let beyond = get(&sim, "seedbox/list?perPage=20&page=9").await;
    assert_eq!(
        (&beyond["value"], &beyond["pagination"]["next"]),
        (&json!([]), &json!(-1))
    );
    for bad in ["perPage=19", "perPage=101", "page=-1", "page=x"] {
        let refused = ask(&sim, "GET", &format!("seedbox/list?{bad}"), Value::Null).await;
        assert_eq!(word(refused), (400, "badArguments".to_owned()), "{bad}");
    }
    let empty = of(&LibrarySpec::default());
    let list = get(&empty, "seedbox/list").await;
    assert_eq!(
        (&list["value"], &list["pagination"]["pages"]),
        (&json!([]), &json!(1))
    );
}

#[tokio::test]
async fn urls_need_no_token_stay_and_outlive_the_torrent() {
    let sim = sim();
    let list = get(&sim, "seedbox/list").await;
    let film = list["value"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&film["name"], &film["status"]),
        (&json!("Film.2020"), &json!(100))
    );
    let file = &film["files"][0];
    assert_eq!(
        file["id"],
        json!(format!("{}-0", film["id"].as_str().unwrap()))
    );
    let url = file["downloadUrl"].as_str().unwrap();
    let link = sim.torrents(0).unwrap().pop().unwrap().links.remove(0);
    let read = async || {
        let answer = cdn(&sim, url).await;
        (answer.status.as_u16(), answer.body.unwrap().to_vec())
    };
    let expected = sim.expected(0, &link, 1, 4).unwrap();
    assert_eq!(read().await, (206, expected.clone()));
    assert_eq!(get(&sim, "seedbox/list").await, list, "the same URLs");
    let id = film["id"].as_str().unwrap();
    let removed = ask(
        &sim,
        "DELETE",
        &format!("seedbox/{id},nonsense/remove"),
        Value::Null,
    )
    .await;
    assert_eq!(
        removed,
        (200, json!({ "success": true, "value": [id, "nonsense"] }))
    );
    assert_eq!(read().await, (206, expected));
    sim.expire_links(Some(&link));
    assert_eq!(read().await.0, 404);
    // What comes back has its id again, and another URL as that one has ended.
    let hash = film["hashString"].as_str().unwrap();
    let (_, back) = add(&sim, hash, Value::Null).await;
    assert_eq!(back["value"]["id"], film["id"]);
    let url = back["value"]["files"][0]["downloadUrl"].as_str().unwrap();
    assert_eq!(cdn(&sim, url).await.status, 206);
    sim.break_link(0, &link, Some(19)).unwrap();
    assert_eq!(cdn(&sim, url).await.status, 404);
}

#[tokio::test]
async fn ids_that_are_unknown_are_no_filter() {
    let sim = sim();
    let all = get(&sim, "seedbox/list").await["value"].clone();
    let id = |n: usize| all[n]["id"].as_str().unwrap();
    let of = async |ids: &str| {
        let body = get(&sim, &format!("seedbox/list?ids={ids}")).await;
        body["value"].as_array().unwrap().len()
    };
    assert_eq!(of(id(0)).await, 1);
    assert_eq!(of(&format!("{},{}", id(0), id(1))).await, 2);
    assert_eq!(of(&format!("{},unknown", id(0))).await, 1);
    assert_eq!(of("unknown").await, 2);
    sim.configure(|settings| settings.debridlink.unknown_id_lists_all = false);
    assert_eq!(of("unknown").await, 0);
    let activity = get(&sim, &format!("seedbox/activity?ids={}", id(1))).await;
    assert_eq!(activity["value"][id(1)]["files"], json!([100]));
}

#[tokio::test]
async fn many_files_are_a_zip_until_one_asks_for_them() {
    let sim = sim();
    sim.configure(|settings| settings.debridlink.zip_above = 1);
    let list = get(&sim, "seedbox/list").await;
    let show = &list["value"][0];
    assert_eq!(
        (&show["isZip"], &show["files"][0]["name"]),
        (&json!(true), &json!("Show.S01.zip"))
    );
    let alone = get(
        &sim,
        &format!("seedbox/list?ids={}", show["id"].as_str().unwrap()),
    )
    .await;
    let names: Vec<_> = alone["value"][0]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["name"])
        .collect();
    assert_eq!(names, ["Show.S01/E01.mkv", "Show.S01/Subs/E01.srt"]);
    sim.configure(|settings| {
        settings.debridlink.zip_above = 9;
        settings.debridlink.names_with_top = false;
        settings.debridlink.seeding = true;
    });
    let list = get(&sim, "seedbox/list").await;
    assert_eq!(list["value"][0]["files"][1]["name"], json!("Subs/E01.srt"));
    assert_eq!(list["value"][0]["status"], json!(8));
}

#[tokio::test]
async fn a_hash_is_added_if_it_is_cached_and_a_magnet_always() {
    let sim = sim();
    let refused = add(&sim, SLOW, Value::Null).await;
    assert_eq!(word(refused), (400, "notAddTorrent".to_owned()));
    assert_eq!(sim.torrents(0).unwrap().len(), 2);
    let (status, cached) = add(&sim, CACHED, Value::Null).await;
    assert_eq!((status, &cached["value"]["status"]), (200, &json!(100)));
    assert!(
        cached["value"]["files"][1]["downloadUrl"]
            .as_str()
            .unwrap()
            .contains("/dl/")
    );
    let magnet = format!("magnet:?xt=urn:btih:{SLOW}&dn=x");
    let (_, slow) = add(&sim, &magnet, json!({ "async": true })).await;
    let slow = &slow["value"];
    assert_eq!((&slow["name"], &slow["files"]), (&json!(SLOW), &json!([])));
    assert_eq!(
        (&slow["status"], &slow["totalSize"]),
        (&json!(1), &json!(0))
    );
    sim.advance(Duration::from_secs(10));
    let again = add(&sim, &magnet, Value::Null).await.1;
    assert_eq!(again["value"]["id"], slow["id"], "the same torrent");
    assert_eq!(again["value"]["status"], json!(6));
    assert_eq!(again["value"]["files"][0]["downloadUrl"], json!(""));
    sim.advance(Duration::from_secs(60));
    let ready = get(
        &sim,
        &format!("seedbox/list?ids={}", slow["id"].as_str().unwrap()),
    )
    .await;
    assert_eq!(ready["value"][0]["status"], json!(100));
    for (url, known) in [
        ("https://tracker.example/a.torrent", "notAddTorrent"),
        ("x", "notAddTorrent"),
    ] {
        assert_eq!(word(add(&sim, url, Value::Null).await).1, known);
    }
    let nothing = ask(&sim, "POST", "seedbox/add", json!({})).await;
    assert_eq!(word(nothing), (400, "badArguments".to_owned()));
}

#[tokio::test]
async fn what_waits_is_told_what_is_not_wanted() {
    let sim = sim();
    let magnet = format!("magnet:?xt=urn:btih:{CACHED}");
    let (_, waits) = add(&sim, &magnet, json!({ "wait": true })).await;
    let waits = &waits["value"];
    assert_eq!(
        (&waits["wait"], &waits["status"]),
        (&json!(true), &json!(0))
    );
    let id = waits["id"].as_str().unwrap();
    let unwanted = json!({ "files-unwanted": [format!("{id}-1")] });
    ask(
        &sim,
        "POST",
        &format!("seedbox/{id}/config"),
        unwanted.clone(),
    )
    .await;
    let list = get(&sim, &format!("seedbox/list?ids={id}")).await;
    let files = &list["value"][0]["files"];
    assert_eq!(
        (&files[0]["downloadPercent"], &files[1]["downloadPercent"]),
        (&json!(100), &json!(0))
    );
    assert_eq!(
        (&list["value"][0]["totalSize"], &files[1]["downloadUrl"]),
        (&json!(5000), &json!(""))
    );
    let unknown = ask(&sim, "POST", "seedbox/AAAAAAAAAAAAA/config", unwanted).await;
    assert_eq!(word(unknown), (404, "badId".to_owned()));
}

#[tokio::test]
async fn slots_and_days_have_an_end() {
    let sim = sim();
    sim.configure(|settings| {
        settings.active_limit = 2;
        settings.debridlink.adds_a_day = 3;
        settings.downloading_ms = 20_000;
    });
    let magnet = |n: u32| format!("magnet:?xt=urn:btih:{n:040x}");
    for n in 1..=2 {
        assert_eq!(add(&sim, &magnet(n), Value::Null).await.0, 200);
    }
    let full = add(&sim, &magnet(3), Value::Null).await;
    assert_eq!(word(full), (400, "maxTransfer".to_owned()));
    let limits = get(&sim, "seedbox/limits").await["value"].clone();
    assert_eq!(
        limits["activeTransferCount"],
        json!({ "current": 2, "value": 2 })
    );
    assert_eq!(limits["dayCount"], json!({ "current": 2, "value": 3 }));
    let reset = limits["nextResetSeconds"]["value"].as_u64().unwrap();
    assert_eq!(
        add(&sim, CACHED, Value::Null).await.0,
        200,
        "what is cached takes no slot"
    );
    sim.advance(Duration::from_secs(60));
    assert_eq!(add(&sim, &magnet(3), Value::Null).await.0, 200);
    let spent = add(&sim, &magnet(4), Value::Null).await;
    assert_eq!(word(spent), (400, "maxTorrent".to_owned()));
    sim.advance(Duration::from_secs(reset));
    assert_eq!(
        add(&sim, &magnet(4), Value::Null).await.0,
        200,
        "another day"
    );
    sim.configure(|settings| settings.debridlink.largest = 10);
    let large = add(&sim, &magnet(5), Value::Null).await;
    assert_eq!(word(large), (400, "torrentTooBig".to_owned()));
}

#[tokio::test]
async fn a_flood_closes_its_endpoint_alone() {
    let sim = sim();
    sim.configure(|settings| settings.debridlink.flood_calls = 3);
    for _ in 0..3 {
        get(&sim, "seedbox/list").await;
    }
    let refused = async || word(ask(&sim, "GET", "seedbox/list", Value::Null).await);
    let flood = (503, "floodDetected".to_owned());
    assert_eq!(refused().await, flood);
    get(&sim, "account/infos").await;
    get(&sim, "seedbox/limits").await;
    sim.advance(Duration::from_secs(3599));
    assert_eq!(refused().await, flood);
    sim.advance(Duration::from_secs(1));
    get(&sim, "seedbox/list").await;
    assert_eq!(sim.counters().above_limit, 2);
}

#[tokio::test]
async fn errors_tokens_and_faults() {
    let sim = sim();
    let list = async || word(ask(&sim, "GET", "seedbox/list", Value::Null).await);
    for (method, path) in [
        ("GET", "seedbox/cached"),
        ("POST", "seedbox/list"),
        ("GET", "x"),
        ("GET", "seedbox/A/remove"),
    ] {
        let unknown = ask(&sim, method, path, Value::Null).await;
        assert_eq!(word(unknown), (404, "unknowR".to_owned()), "{path}");
    }
    let without = Request::builder().uri("/api/v2/account/infos");
    let answer = send(&sim, without.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 401);
    let in_query = format!("/api/v2/account/infos?access_token={}", sim.token());
    let answer = send(
        &sim,
        Request::builder()
            .uri(in_query)
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    assert_eq!(answer.json()["value"]["accountType"], json!(1));
    sim.configure(|settings| settings.debridlink.server_not_allowed = true);
    assert_eq!(list().await, (403, "serverNotAllowed".to_owned()));
    get(&sim, "account/infos").await;
    sim.configure(|settings| settings.debridlink.server_not_allowed = false);
    let state = |revoked: bool, error: Option<&str>| AccountState {
        revoked,
        refuse_error: error.map(str::to_owned),
        ..AccountState::default()
    };
    sim.set_account(0, state(true, None)).unwrap();
    assert_eq!(list().await, (401, "badToken".to_owned()));
    sim.set_account(0, state(false, Some("accountLocked")))
        .unwrap();
    assert_eq!(list().await, (403, "accountLocked".to_owned()));
    sim.set_account(0, AccountState::default()).unwrap();
    sim.fail_api(ApiFault {
        endpoint: Some("seedbox/list".to_owned()),
        error: Some("internalError".to_owned()),
        times: Some(1),
        ..ApiFault::default()
    });
    assert_eq!(list().await, (500, "internalError".to_owned()));
    sim.fail_api(ApiFault {
        keep_items: Some(1),
        ..ApiFault::default()
    });
    assert_eq!(
        get(&sim, "seedbox/list").await["value"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let twice = ReleaseSpec {
        copies: 2,
        ..ReleaseSpec::new("Twice", files(&["/a.mkv"]))
    };
    assert!(sim.add_release(0, &twice).is_err());
}
