//! Who asks, and what the account holds.

use std::time::Duration;

use axum::body::Body;
use debridfs_sim::{ApiFault, Outage, OutageMode};
use http::Request;
use serde_json::json;

use super::support::{data, film, films, fresh, get, refusal, torbox};
use crate::support::{control, send};

#[tokio::test]
async fn the_user_is_told_with_the_plan() {
    let sim = films(0);
    let user = data(&get(&sim, "user/me").await);
    assert_eq!(
        (&user["plan"], &user["is_subscribed"]),
        (&json!(2), &json!(true))
    );
    assert!(user.get("settings").is_none());
    let user = data(&get(&sim, "user/me?settings=true").await);
    assert!(user["settings"].is_object());
    sim.set_account(
        0,
        debridfs_sim::AccountState {
            premium: false,
            ..Default::default()
        },
    )
    .unwrap();
    assert_eq!(data(&get(&sim, "user/me").await)["plan"], 0);
}

#[tokio::test]
async fn only_the_owner_of_a_key_is_answered() {
    let sim = films(1);
    let bare = |path: &str| {
        let request = Request::builder().uri(format!("/v1/api/{path}"));
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(
        refusal(&send(&sim, bare("user/me")).await),
        (403, "NO_AUTH".into())
    );
    let mut wrong = bare("torrents/mylist");
    wrong
        .headers_mut()
        .insert("authorization", "Bearer x".parse().unwrap());
    assert_eq!(refusal(&send(&sim, wrong).await), (403, "BAD_TOKEN".into()));
    // A warning for abuse gives the account another key.
    let old = sim.token();
    let warned = control(&sim, "POST", "account/warn", serde_json::Value::Null).await;
    assert_eq!(warned.json()["token"], sim.token());
    let mut late = bare("user/me");
    let old = format!("Bearer {old}").parse().unwrap();
    late.headers_mut().insert("authorization", old);
    assert_eq!(refusal(&send(&sim, late).await), (403, "BAD_TOKEN".into()));
    assert_eq!(get(&sim, "user/me").await.status, 200);
}

#[tokio::test]
async fn what_is_public_needs_no_key() {
    let sim = films(1);
    for path in ["/", "/v1/api/stats", "/v1/api/webdl/hosters"] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        data(&send(&sim, request).await);
    }
    assert_eq!(
        refusal(&get(&sim, "rss/getfeeds").await),
        (404, "ENDPOINT_NOT_FOUND".into())
    );
    assert_eq!(
        super::support::post(&sim, "user/me", json!({}))
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn a_list_comes_in_pages_with_the_newest_number_first() {
    let sim = films(1005);
    let ids = |items: &[serde_json::Value]| -> Vec<u64> {
        items
            .iter()
            .map(|item| item["id"].as_u64().unwrap())
            .collect()
    };
    let first = ids(&fresh(&sim).await);
    assert_eq!(first.len(), 1000);
    assert!(first.is_sorted_by(|a, b| a > b));
    let all = get(&sim, "torrents/mylist?limit=5000").await;
    assert_eq!(data(&all).as_array().unwrap().len(), 1000);
    let rest = data(&get(&sim, "torrents/mylist?offset=1000&limit=7").await);
    let rest = ids(rest.as_array().unwrap());
    assert_eq!(rest.len(), 5);
    assert!(rest[0] < first[999]);
    let behind = get(&sim, "torrents/mylist?offset=1005").await;
    assert_eq!(refusal(&behind), (404, "ITEM_NOT_FOUND".into()));
}

#[tokio::test]
async fn an_entry_tells_its_files_by_numbers_of_their_own() {
    let sim = films(2);
    let item = &fresh(&sim).await[0];
    let by_id = format!("torrents/mylist?id={}", item["id"]);
    assert_eq!(&data(&get(&sim, &by_id).await), item);
    assert_eq!(
        (
            &item["download_state"],
            &item["download_finished"],
            &item["download_present"],
            &item["progress"]
        ),
        (&json!("cached"), &json!(true), &json!(true), &json!(1.0))
    );
    let files: Vec<_> = item["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["id"].as_u64().unwrap(), file["name"].as_str().unwrap()))
        .collect();
    let names = [
        "Film.1/Film.1.mkv",
        "Film.1/Subs/English.srt",
        "Film.1/readme.txt",
    ];
    assert_eq!(files, [(1, names[0]), (2, names[1]), (0, names[2])]);
    assert_eq!(item["files"][1]["short_name"], "English.srt");
    let view = &sim.torrents(0).unwrap()[0];
    assert_eq!(
        (view.id.as_str(), view.files[0].id),
        (item["id"].to_string().as_str(), 1)
    );
}

#[tokio::test]
async fn a_list_is_old_for_ten_minutes_unless_asked_otherwise() {
    let sim = films(1);
    let count = async |path| data(&get(&sim, path).await).as_array().unwrap().len();
    assert_eq!(count("torrents/mylist").await, 1);
    sim.add_release(0, &film("New")).unwrap();
    sim.advance(Duration::from_secs(599));
    assert_eq!(count("torrents/mylist").await, 1);
    sim.advance(Duration::from_secs(1));
    assert_eq!(count("torrents/mylist").await, 2);
    // Asking for the truth makes it known to those who ask for less.
    sim.add_release(0, &film("Newer")).unwrap();
    assert_eq!(count("torrents/mylist?bypass_cache=false").await, 2);
    assert_eq!(count("torrents/mylist?bypass_cache=true").await, 3);
    assert_eq!(count("torrents/mylist").await, 3);
    let now = json!({"torbox": {"list_stale_s": 0}});
    control(&sim, "PATCH", "settings", now).await;
    sim.add_release(0, &film("Newest")).unwrap();
    assert_eq!(count("torrents/mylist").await, 4);
    assert_eq!(sim.settings().torbox.plan, 2);
}

#[tokio::test]
async fn nothing_is_not_found_and_the_unknown_is_an_error_of_the_vendor() {
    let sim = films(0);
    for path in [
        "torrents/mylist",
        "usenet/mylist",
        "webdl/mylist",
        "queued/getqueued",
    ] {
        assert_eq!(
            refusal(&get(&sim, path).await),
            (404, "ITEM_NOT_FOUND".into()),
            "{path}"
        );
    }
    let unknown = get(&sim, "torrents/mylist?id=7").await;
    assert_eq!(refusal(&unknown), (500, "DATABASE_ERROR".into()));
    let nonsense = get(&sim, "torrents/mylist?id=x").await;
    assert_eq!(refusal(&nonsense), (400, "INVALID_OPTION".into()));
    sim.configure(|settings| {
        settings.torbox.empty_is_404 = false;
        settings.torbox.unknown_is_database_error = false;
    });
    assert_eq!(data(&get(&sim, "torrents/mylist").await), json!([]));
    let unknown = get(&sim, "torrents/mylist?id=7").await;
    assert_eq!(refusal(&unknown), (404, "ITEM_NOT_FOUND".into()));
}

#[tokio::test]
async fn faults_outages_and_counters_are_as_for_any_vendor() {
    let sim = films(3);
    let fault = json!({"endpoint": "torrents/mylist", "error": "DATABASE_ERROR", "times": 1});
    control(&sim, "POST", "faults/api", fault).await;
    let failed = get(&sim, "torrents/mylist").await;
    assert_eq!(refusal(&failed), (500, "DATABASE_ERROR".into()));
    sim.fail_api(ApiFault {
        keep_items: Some(1),
        times: Some(1),
        ..ApiFault::default()
    });
    assert_eq!(fresh(&sim).await.len(), 1);
    assert_eq!(fresh(&sim).await.len(), 3);
    sim.set_outage(Outage {
        api: OutageMode::Unavailable,
        ..Outage::default()
    });
    assert_eq!(get(&sim, "user/me").await.status, 503);
    sim.set_outage(Outage::default());
    let counters = sim.counters();
    assert_eq!(counters.outcome("torrents/mylist", "500/DATABASE_ERROR"), 1);
    assert_eq!(counters.outcome("torrents/mylist", "200"), 2);
    assert_eq!(counters.outcome("user/me", "503"), 1);
}

#[tokio::test]
async fn several_clouds_live_beside_each_other() {
    let torbox = torbox(&debridfs_sim::LibrarySpec::demo());
    let real_debrid = crate::support::sim(&debridfs_sim::LibrarySpec::demo());
    assert_eq!(get(&torbox, "user/me").await.status, 200);
    assert_eq!(crate::support::get(&real_debrid, "user").await.status, 200);
    assert_eq!(crate::support::get(&torbox, "user").await.status, 404);
    assert_eq!(get(&real_debrid, "user/me").await.status, 404);
    // The same hashes, hence the same bytes.
    let (here, there) = (
        torbox.torrents(0).unwrap(),
        real_debrid.torrents(0).unwrap(),
    );
    assert_eq!(here[0].files[0].key, there[0].files[0].key);
}
