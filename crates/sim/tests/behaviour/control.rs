//! `/control/…`.

use debridfs_sim::{Counters, Settings};
use serde_json::{Value, json};

use crate::support::{control, direct, fetch, get, one_film, sim, torrents, unrestrict};

#[tokio::test]
async fn counters_are_told_and_reset_and_do_not_count_themselves() {
    let sim = sim(&one_film(10));
    get(&sim, "user").await;
    for _ in 0..2 {
        let counters: Counters =
            serde_json::from_value(control(&sim, "GET", "counters", Value::Null).await.json())
                .unwrap();
        assert_eq!(counters, sim.counters());
        assert_eq!((counters.calls, counters.calls_of("user")), (1, 1));
    }
    assert_eq!(
        control(&sim, "POST", "counters/reset", Value::Null)
            .await
            .status,
        200
    );
    assert_eq!(sim.counters().calls, 0);
}

#[tokio::test]
async fn settings_change_by_name() {
    let sim = sim(&one_film(10));
    let changed = control(
        &sim,
        "PATCH",
        "settings",
        json!({"calls_per_minute": 3, "total_rate": 5}),
    )
    .await;
    assert_eq!(changed.json()["calls_per_minute"], 3);
    assert_eq!(
        *sim.settings(),
        Settings {
            calls_per_minute: 3,
            total_rate: 5,
            ..Settings::default()
        }
    );
    for bad in [
        json!({"no_such": 1}),
        json!({"calls_per_minute": -1}),
        json!([]),
    ] {
        assert_eq!(control(&sim, "PATCH", "settings", bad).await.status, 400);
    }
    assert_eq!(
        control(&sim, "GET", "settings", Value::Null).await.json()["total_rate"],
        5
    );
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_moved() {
    let sim = sim(&one_film(10));
    let now = control(&sim, "POST", "clock", json!({"advance_ms": 3_600_000}))
        .await
        .json();
    assert_eq!(now["now"], "2026-06-01T13:00:00Z");
    let far = control(&sim, "POST", "clock", json!({"advance_ms": u64::MAX})).await;
    assert_eq!(far.status, 200);
    assert_eq!(get(&sim, "torrents").await.status, 200);
}

#[tokio::test]
async fn faults_and_outages_are_set_listed_and_cleared() {
    let sim = sim(&one_film(10));
    let url = direct(&sim).await;
    let id = control(
        &sim,
        "POST",
        "faults/api",
        json!({"endpoint": "user", "code": 25}),
    )
    .await
    .json()["id"]
        .clone();
    control(
        &sim,
        "POST",
        "faults/cdn",
        json!({"kind": "status", "status": 447, "times": 1}),
    )
    .await;
    assert_eq!(get(&sim, "user").await.code(), (503, 25));
    assert_eq!(fetch(&sim, "GET", &url, None).await.status.as_u16(), 447);
    let list = control(&sim, "GET", "faults", Value::Null).await.json();
    assert_eq!(
        (list[0]["hits"].as_u64(), list[1]["cdn"]["kind"].as_str()),
        (Some(1), Some("status"))
    );
    assert_eq!(
        control(&sim, "DELETE", &format!("faults/{id}"), Value::Null)
            .await
            .status,
        200
    );
    assert_eq!(
        control(&sim, "DELETE", &format!("faults/{id}"), Value::Null)
            .await
            .status,
        404
    );
    assert_eq!(get(&sim, "user").await.status, 200);
    control(&sim, "DELETE", "faults", Value::Null).await;
    assert!(sim.faults().is_empty());
    control(&sim, "PUT", "outage", json!({"api": "unavailable"})).await;
    assert_eq!(get(&sim, "user").await.status, 503);
    assert_eq!(
        control(&sim, "GET", "outage", Value::Null).await.json(),
        json!({"api": "unavailable", "cdn": "none"})
    );
    assert_eq!(
        control(&sim, "POST", "faults/api", json!({"endpint": "user"}))
            .await
            .status,
        422
    );
}

#[tokio::test]
async fn torrents_are_added_altered_and_removed() {
    let sim = sim(&one_film(10));
    let release = json!({"name": "New", "files": [{"path": "/a.mkv", "bytes": 7}, {"path": "/b.mkv", "bytes": 8}]});
    let id = control(&sim, "POST", "torrents", release).await.json()["ids"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(get(&sim, "torrents").await.json()[0]["filename"], "New");
    let change = json!({"filename": "Renamed", "selected": [2], "added": "2020-01-01T00:00:00Z"});
    assert_eq!(
        control(&sim, "PATCH", &format!("torrents/{id}"), change)
            .await
            .status,
        200
    );
    let list = get(&sim, "torrents").await.json();
    assert_eq!(
        (list[1]["filename"].as_str(), list[1]["bytes"].as_u64()),
        (Some("Renamed"), Some(8))
    );
    control(
        &sim,
        "PATCH",
        &format!("torrents/{id}"),
        json!({"status": "dead"}),
    )
    .await;
    let view = control(&sim, "GET", "torrents", Value::Null).await.json();
    assert_eq!(
        (
            view[1]["status"].as_str(),
            view[1]["links"].as_array().unwrap().len()
        ),
        (Some("dead"), 0)
    );
    assert_eq!(
        control(&sim, "DELETE", &format!("torrents/{id}"), Value::Null)
            .await
            .status,
        200
    );
    assert_eq!(
        control(&sim, "DELETE", &format!("torrents/{id}"), Value::Null)
            .await
            .status,
        404
    );
    let bad = json!({"name": "Bad", "hash": "short", "files": []});
    assert_eq!(control(&sim, "POST", "torrents", bad).await.status, 400);
}

#[tokio::test]
async fn accounts_links_and_content() {
    let sim = sim(&one_film(1000));
    let link = torrents(&sim)[0].links[0].clone();
    let url = unrestrict(&sim, &link).await;
    let true_bytes = control(
        &sim,
        "GET",
        &format!("content?link={link}&offset=5&length=10"),
        Value::Null,
    )
    .await;
    let fetched = fetch(&sim, "GET", &url, Some("bytes=5-14")).await;
    assert_eq!(true_bytes.body, fetched.body);
    assert_eq!(
        control(
            &sim,
            "GET",
            &format!("content?link={link}&offset=999&length=2"),
            Value::Null
        )
        .await
        .status,
        404
    );
    control(&sim, "POST", "links/expire", json!({"link": url})).await;
    assert_eq!(
        fetch(&sim, "GET", &url, None).await.header("x-error"),
        "link_expired"
    );
    control(
        &sim,
        "POST",
        "links/break",
        json!({"link": link, "code": 19}),
    )
    .await;
    let form = crate::support::form("link", &link);
    assert_eq!(
        crate::support::call(&sim, "POST", "unrestrict/link", &form)
            .await
            .code(),
        (503, 19)
    );
    control(&sim, "POST", "links/break", json!({"link": link})).await;
    unrestrict(&sim, &link).await;
    control(&sim, "PUT", "account", json!({"refuse_code": 22})).await;
    assert_eq!(get(&sim, "user").await.code(), (403, 22));
    assert_eq!(
        control(&sim, "GET", "account?account=0", Value::Null)
            .await
            .json()["refuse_code"],
        22
    );
    assert_eq!(
        control(&sim, "GET", "account?account=9", Value::Null)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn what_is_no_call_is_answered_with_those_that_are() {
    let sim = sim(&one_film(10));
    for (method, call) in [
        ("GET", ""),
        ("GET", "none"),
        ("PUT", "counters"),
        ("GET", "oauth/allow"),
    ] {
        let said = control(&sim, method, call, Value::Null).await;
        assert_eq!(said.status, 404, "{method} {call}");
        let said = said.json();
        assert!(said["error"].as_str().unwrap().contains(method), "{said}");
        for known in said["calls"].as_array().unwrap() {
            let (method, call) = known.as_str().unwrap().split_once(' ').unwrap();
            let there = control(&sim, method, call, Value::Null).await;
            let body = there.body.unwrap();
            let text = String::from_utf8_lossy(&body);
            assert!(!text.contains("there is no call"), "{known}: {text}");
        }
    }
}
