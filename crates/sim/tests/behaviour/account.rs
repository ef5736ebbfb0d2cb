//! Tokens, limits, traffic, time.

use std::time::Duration;

use axum::body::Body;
use debridfs_sim::{AccountState, LibrarySpec, Settings, TorrentChange};
use http::Request;
use serde_json::json;

use crate::support::{
    call, call_with, control, direct, fetch, form, get, one_film, send, sim, torrents,
};

#[tokio::test]
async fn a_token_is_needed_in_the_header_or_the_query() {
    let sim = sim(&one_film(10));
    let ask = async |uri: &str, header: Option<&str>| {
        let mut request = Request::get(uri);
        if let Some(value) = header {
            request = request.header("authorization", value);
        }
        send(&sim, request.body(Body::empty()).unwrap()).await
    };
    let user = "/rest/1.0/user";
    assert_eq!(ask(user, None).await.code(), (401, 8));
    assert_eq!(ask(user, Some("Bearer wrong")).await.code(), (401, 8));
    assert_eq!(
        ask(user, Some("Basic SIMULATEDTOKEN")).await.code(),
        (401, 8)
    );
    assert_eq!(ask(user, Some("bearer SIMULATEDTOKEN")).await.status, 200);
    assert_eq!(
        ask(&format!("{user}?auth_token=SIMULATEDTOKEN"), None)
            .await
            .status,
        200
    );
    assert_eq!(ask("/rest/1.0/time", None).await.status, 200);
    assert_eq!(ask("/rest/1.0/nothing", None).await.code(), (404, 3));
    assert_eq!(ask("/elsewhere", None).await.status, 404);
    assert_eq!(sim.counters().outcome("user", "401/8"), 3);
}

#[tokio::test]
async fn the_user_has_the_vendors_shape() {
    let sim = sim(&LibrarySpec::default());
    let user = get(&sim, "user").await.json();
    for key in [
        "id",
        "username",
        "email",
        "points",
        "locale",
        "avatar",
        "type",
        "premium",
        "expiration",
    ] {
        assert!(!user[key].is_null(), "{key}");
    }
    assert_eq!(user["type"], "premium");
    assert!(user["premium"].as_i64() > Some(0));
    sim.set_account(
        0,
        AccountState {
            premium: false,
            ..AccountState::default()
        },
    )
    .unwrap();
    let user = get(&sim, "user").await.json();
    assert_eq!(
        (user["type"].as_str(), user["premium"].as_i64()),
        (Some("free"), Some(0))
    );
}

#[tokio::test]
async fn time_is_the_vendors_local_time() {
    let sim = sim(&LibrarySpec::default());
    // 1 June: summer time in France, or winter time on a machine without zones.
    let plain = get(&sim, "time").await.body.unwrap();
    assert!(
        plain == "2026-06-01 14:00:00" || plain == "2026-06-01 13:00:00",
        "{plain:?}"
    );
    sim.advance(Duration::from_secs(61));
    let iso = get(&sim, "time/iso").await.body.unwrap();
    assert!(
        iso == "2026-06-01T14:01:01+0200" || iso == "2026-06-01T13:01:01+0100",
        "{iso:?}"
    );
}

#[tokio::test]
async fn accounts_in_bad_standing_are_refused_with_their_code() {
    let sim = sim(&one_film(10));
    for (code, status) in [(9, 403), (10, 403), (14, 403), (15, 403), (22, 403)] {
        let state = AccountState {
            refuse_code: Some(code),
            ..AccountState::default()
        };
        sim.set_account(0, state).unwrap();
        assert_eq!(
            get(&sim, "torrents").await.code(),
            (status, i64::from(code))
        );
    }
    let link = form("link", &torrents(&sim)[0].links[0]);
    sim.set_account(
        0,
        AccountState {
            premium: false,
            ..AccountState::default()
        },
    )
    .unwrap();
    assert_eq!(
        call(&sim, "POST", "unrestrict/link", &link).await.code(),
        (403, 20)
    );
    assert_eq!(get(&sim, "torrents").await.status, 200);
    sim.set_account(
        0,
        AccountState {
            revoked: true,
            ..AccountState::default()
        },
    )
    .unwrap();
    assert_eq!(get(&sim, "torrents").await.code(), (401, 8));
    sim.set_account(0, AccountState::default()).unwrap();
    assert_eq!(get(&sim, "disable_access_token").await.status, 204);
    assert_eq!(get(&sim, "user").await.code(), (401, 8));
}

#[tokio::test(start_paused = true)]
async fn no_minute_holds_more_calls_than_the_limit_and_refused_ones_count() {
    let sim = sim(&LibrarySpec::default());
    for _ in 0..250 {
        assert_eq!(get(&sim, "user").await.status, 200);
    }
    assert_eq!(get(&sim, "user").await.code(), (429, 34));
    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert_eq!(
        get(&sim, "torrents/info/AAAAAAAAAAAAA").await.code(),
        (429, 34)
    );
    tokio::time::advance(Duration::from_millis(1)).await;
    // What came in the first millisecond has left the window, the refused call has not.
    for n in 0..249 {
        assert_eq!(get(&sim, "user").await.status, 200, "{n}");
    }
    assert_eq!(get(&sim, "user").await.status, 429);
    let counters = sim.counters();
    assert_eq!(counters.above_limit, 3);
    assert_eq!(counters.outcome("user", "200"), 499);
    assert_eq!(counters.outcome("user", "429/34"), 2);
    assert_eq!(counters.calls, 502);
}

#[tokio::test]
async fn somebody_who_hammers_is_never_let_in() {
    let sim = sim(&LibrarySpec::default());
    for n in 0..1000 {
        let answer = get(&sim, "user").await;
        assert_eq!(answer.status == 200, n < 250, "{n}");
        sim.advance(Duration::from_millis(200));
    }
    // Public endpoints count against nobody.
    assert_eq!(get(&sim, "time").await.status, 200);
    sim.configure(|settings| settings.calls_per_minute = 0);
    assert_eq!(get(&sim, "user").await.status, 200);
}

#[tokio::test]
async fn each_account_has_its_own_budget_and_library() {
    let sim = sim(&one_film(10));
    let second = sim
        .add_account("OTHERTOKEN", &LibrarySpec::default())
        .unwrap();
    sim.configure(|settings| settings.calls_per_minute = 1);
    let other = [("authorization", "Bearer OTHERTOKEN")];
    let request = |path: &str| {
        let request = Request::get(format!("/rest/1.0/{path}")).header(other[0].0, other[0].1);
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(get(&sim, "torrents").await.status, 200);
    assert_eq!(get(&sim, "torrents").await.status, 429);
    assert_eq!(send(&sim, request("torrents")).await.status, 204);
    assert_eq!(sim.torrents(second).unwrap(), []);
    assert!(sim.torrents(2).is_err());
}

#[tokio::test]
async fn after_throttling_35_may_be_a_penalty() {
    let sim = sim(&one_film(10));
    sim.configure(|settings| (settings.calls_per_minute, settings.penalty_infringing) = (2, true));
    let link = form("link", &torrents(&sim)[0].links[0]);
    let magnet = form(
        "magnet",
        &format!("magnet:?xt=urn:btih:{}", torrents(&sim)[0].hash),
    );
    for _ in 0..3 {
        get(&sim, "user").await;
    }
    sim.configure(|settings| settings.calls_per_minute = 1000);
    assert_eq!(
        call(&sim, "POST", "unrestrict/link", &link).await.code(),
        (451, 35)
    );
    assert_eq!(
        call(&sim, "POST", "torrents/addMagnet", &magnet)
            .await
            .code(),
        (451, 35)
    );
    assert_eq!(get(&sim, "torrents").await.status, 200);
    sim.advance(Duration::from_secs(30));
    assert_eq!(
        call(&sim, "POST", "unrestrict/link", &link).await.status,
        200
    );
    assert_eq!(
        call(&sim, "POST", "torrents/addMagnet", &magnet)
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn traffic_is_counted_capped_and_reset_at_midnight() {
    let sim = sim(&one_film(1000));
    let url = direct(&sim).await;
    assert_eq!(get(&sim, "traffic").await.body.unwrap(), "{}");
    fetch(&sim, "GET", &url, Some("bytes=0-599")).await;
    fetch(&sim, "HEAD", &url, None).await;
    let details = get(&sim, "traffic/details").await.json();
    assert_eq!(details["2026-06-01"]["bytes"], 600);
    assert_eq!(details["2026-06-01"]["host"]["real-debrid.com"], 600);
    assert_eq!(
        get(&sim, "traffic/details?start=2026-06-02")
            .await
            .body
            .unwrap(),
        "{}"
    );
    sim.configure(|settings: &mut Settings| settings.traffic_cap = 900);
    assert_eq!(
        get(&sim, "traffic").await.json()["real-debrid.com"]["left"],
        300
    );
    assert_eq!(
        fetch(&sim, "GET", &url, Some("bytes=0-399")).await.status,
        206
    );
    let exceeded = fetch(&sim, "GET", &url, Some("bytes=0-0")).await;
    assert_eq!(
        (exceeded.status.as_u16(), exceeded.header("x-error")),
        (503, "bandwidth_exceeded")
    );
    let link = form("link", &torrents(&sim)[0].links[0]);
    assert_eq!(
        call(&sim, "POST", "unrestrict/link", &link).await.code(),
        (503, 23)
    );
    sim.configure(|settings: &mut Settings| settings.traffic_code = 36);
    assert_eq!(
        call(&sim, "POST", "unrestrict/link", &link).await.code(),
        (503, 36)
    );
    // Noon in London to after midnight in Paris.
    sim.advance(Duration::from_secs(11 * 3600));
    assert_eq!(
        fetch(&sim, "GET", &url, Some("bytes=0-0")).await.status,
        206
    );
    assert_eq!(
        call(&sim, "POST", "unrestrict/link", &link).await.status,
        200
    );
}

/// As between the keys of several accounts that one library is read with.
#[tokio::test]
async fn a_link_of_another_account_is_made_at_ones_own_cost() {
    let sim = sim(&one_film(1000));
    sim.add_account("OTHERTOKEN", &LibrarySpec::default())
        .unwrap();
    sim.configure(|settings: &mut Settings| settings.traffic_cap = 500);
    let link = form("link", &torrents(&sim)[0].links[0]);
    let by_other = || {
        let request = Request::post("/rest/1.0/unrestrict/link");
        let request = request.header("authorization", "Bearer OTHERTOKEN");
        request.body(Body::from(link.clone())).unwrap()
    };
    let made = send(&sim, by_other()).await;
    let url = made.json()["download"].as_str().unwrap().to_owned();
    assert_eq!(
        fetch(&sim, "GET", &url, Some("bytes=0-499")).await.status,
        206
    );
    assert_eq!(send(&sim, by_other()).await.code(), (503, 23));
    assert_eq!(
        call(&sim, "POST", "unrestrict/link", &link).await.status,
        200
    );
    assert_eq!(
        get(&sim, "traffic/details").await.json(),
        serde_json::json!({})
    );
}

#[tokio::test]
async fn methods_are_looked_at() {
    let sim = sim(&one_film(10));
    assert_eq!(call(&sim, "POST", "user", "").await.code(), (405, 4));
    assert_eq!(
        call_with(&sim, "POST", "user", "", &[("x-http-verb", "GET")])
            .await
            .status,
        200
    );
    assert_eq!(get(&sim, "torrents/addMagnet").await.code(), (405, 4));
}

#[tokio::test]
async fn details_of_traffic_are_of_a_week_unless_more_is_asked_for() {
    let sim = sim(&one_film(1000));
    let url = direct(&sim).await;
    fetch(&sim, "GET", &url, Some("bytes=0-99")).await;
    let day = std::time::Duration::from_secs(24 * 3600);
    sim.advance(day * 6);
    let week = get(&sim, "traffic/details").await.json();
    assert_eq!(week["2026-06-01"]["bytes"], 100);
    sim.advance(day * 2);
    assert_eq!(get(&sim, "traffic/details").await.json(), json!({}));
    let more = get(&sim, "traffic/details?start=2026-06-01").await.json();
    assert_eq!(more["2026-06-01"]["bytes"], 100);
    let before = get(&sim, "traffic/details?start=2026-05-01&end=2026-05-31").await;
    assert_eq!(before.json(), json!({}));
}

#[tokio::test]
async fn hosts_and_settings_are_as_documented() {
    let sim = sim(&one_film(10));
    let hosts = get(&sim, "hosts").await.json();
    let host = hosts["real-debrid.com"].as_object().unwrap();
    let keys: Vec<&String> = host.keys().collect();
    assert_eq!(keys, ["id", "image", "image_big", "name"]);
    let status = get(&sim, "hosts/status").await.json();
    assert_eq!(status["real-debrid.com"]["status"], "up");
    assert_eq!(
        get(&sim, "hosts/domains").await.json(),
        json!(["real-debrid.com"])
    );
    assert_eq!(
        get(&sim, "hosts/regex")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(get(&sim, "hosts/regexFolder").await.json(), json!([]));

    assert_eq!(get(&sim, "settings").await.json()["locale"], "en");
    let update = "setting_name=locale&setting_value=de";
    assert_eq!(
        call(&sim, "POST", "settings/update", update).await.status,
        204
    );
    assert_eq!(get(&sim, "settings").await.json()["locale"], "de");
    let unknown = "setting_name=locales&setting_value=de";
    assert_eq!(
        call(&sim, "POST", "settings/update", unknown).await.code(),
        (400, 2)
    );
    assert_eq!(
        call(&sim, "POST", "settings/update", "").await.code(),
        (400, 1)
    );
}

#[tokio::test]
async fn a_device_comes_by_a_token() {
    let sim = sim(&one_film(10));
    let oauth = async |method: &str, path: &str, body: &str| {
        let request = http::Request::builder();
        let request = request.method(method).uri(format!("/oauth/v2/{path}"));
        send(&sim, request.body(body.to_owned().into()).unwrap()).await
    };
    assert_eq!(oauth("GET", "device/code", "").await.code(), (400, 1));
    let begun = oauth("GET", "device/code?client_id=X&new_credentials=yes", "")
        .await
        .json();
    let code = begun["device_code"].as_str().unwrap();
    assert_eq!(
        (&begun["interval"], &begun["expires_in"]),
        (&json!(5), &json!(1800))
    );
    let ask = format!("device/credentials?client_id=X&code={code}");
    assert_eq!(
        oauth("GET", &ask, "").await.code(),
        (403, 9),
        "nobody allowed it"
    );
    let wrong = json!({ "user_code": "NONE" });
    assert_eq!(
        control(&sim, "POST", "oauth/allow", wrong).await.status,
        404
    );
    let allowed = json!({ "user_code": begun["user_code"] });
    assert_eq!(
        control(&sim, "POST", "oauth/allow", allowed).await.status,
        200
    );
    let own = oauth("GET", &ask, "").await.json();
    let (id, secret) = (
        own["client_id"].as_str().unwrap(),
        own["client_secret"].as_str().unwrap(),
    );
    let form = |secret: &str, code: &str| {
        format!(
            "client_id={id}&client_secret={secret}&code={code}&grant_type=http%3A%2F%2Foauth.net%2Fgrant_type%2Fdevice%2F1.0"
        )
    };
    assert_eq!(
        oauth("POST", "token", &form("x", code)).await.code(),
        (403, 9)
    );
    let token = oauth("POST", "token", &form(secret, code)).await.json();
    assert_eq!(token["token_type"], "Bearer");
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let request = http::Request::builder()
        .uri("/rest/1.0/user")
        .header("authorization", bearer);
    assert_eq!(
        send(&sim, request.body(axum::body::Body::empty()).unwrap())
            .await
            .status,
        200
    );
    let refresh = form(secret, token["refresh_token"].as_str().unwrap());
    assert_eq!(
        oauth("POST", "token", &refresh).await.json()["access_token"],
        token["access_token"]
    );

    // Whoever comes too late is not let in.
    let late = oauth("GET", "device/code?client_id=X", "").await.json();
    sim.advance(std::time::Duration::from_secs(1801));
    let allowed = json!({ "user_code": late["user_code"] });
    assert_eq!(
        control(&sim, "POST", "oauth/allow", allowed).await.status,
        404
    );
}

#[tokio::test]
async fn names_and_hasty_additions_are_refused_where_that_is_set() {
    let sim = sim(&one_film(10));
    let add = async |name: &str, hash: char| {
        let hash = hash.to_string().repeat(40);
        let magnet = form("magnet", &format!("magnet:?xt=urn:btih:{hash}&dn={name}"));
        call(&sim, "POST", "torrents/addMagnet", &magnet).await
    };
    assert_eq!(add("Film.WEBRip", 'a').await.status, 201);
    sim.configure(|settings| settings.realdebrid.refuse_names = true);
    assert_eq!(add("Film.2024.WEBRip", 'b').await.code(), (451, 35));
    assert_eq!(add("Film.2024.WEB.x265", 'c').await.status, 201);
    // What is held is refused as well, once it is called so.
    let held = torrents(&sim).pop().unwrap();
    let link = form("link", &held.links[0]);
    let unrestrict = async || call(&sim, "POST", "unrestrict/link", &link).await;
    assert_eq!(unrestrict().await.status, 200);
    let change = TorrentChange {
        filename: Some("Film.BluRay.x264".to_owned()),
        ..TorrentChange::default()
    };
    sim.alter_torrent(0, &held.id, change).unwrap();
    assert_eq!(unrestrict().await.code(), (451, 35));

    sim.configure(|settings| settings.realdebrid.adds_apart_ms = 20_000);
    assert_eq!(add("A", 'd').await.code(), (451, 35), "too soon");
    sim.advance(Duration::from_secs(20));
    assert_eq!(add("A", 'd').await.status, 201);
    sim.advance(Duration::from_secs(19));
    assert_eq!(add("B", 'e').await.code(), (451, 35));
}
