//! AllDebrid, as its documentation and those who measured it describe it. The account and the reader of debridfs are driven against it in
//! `crates/content/tests/alldebrid.rs`.

use axum::body::Body;
use debridfs_sim::{FileSpec, Kind, LibrarySpec, ReleaseSpec, ServeOptions, Sim, serve};
use http::Request;
use serde_json::Value;

use crate::support::{START, foreign_client, send};

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

fn sim() -> Sim {
    let files = |path: &str| vec![FileSpec::generated(path, 5000)];
    let library = LibrarySpec {
        seed: 3,
        releases: vec![
            ReleaseSpec::new("Film.2020", files("/Film.2020.mkv")),
            ReleaseSpec {
                hash: Some(HASH.to_owned()),
                copies: 0,
                ..ReleaseSpec::new("Cached.2021", files("/Cached.2021.mkv"))
            },
        ],
    };
    Sim::of_starting_at(Kind::AllDebrid, &library, START.parse().unwrap()).unwrap()
}

async fn ask(sim: &Sim, path: &str) -> (u16, Value) {
    let request = Request::builder().uri(format!("/{path}"));
    let request = request.header("authorization", format!("Bearer {}", sim.token()));
    let answer = send(sim, request.body(Body::empty()).unwrap()).await;
    let body = serde_json::from_slice(answer.body.as_ref().unwrap());
    (answer.status.as_u16(), body.unwrap_or(Value::Null))
}

fn word(answer: (u16, Value)) -> String {
    assert_eq!(answer.0, 200, "errors have status 200");
    answer.1["error"]["code"].as_str().unwrap_or("").to_owned()
}

#[tokio::test]
async fn a_client_of_others_is_content() {
    let sim = sim();
    sim.configure(|settings| settings.alldebrid.calls_per_second = 0);
    let served = serve(sim.clone(), ServeOptions::default()).await.unwrap();
    let link = sim.torrents(0).unwrap().remove(0).links.remove(0);
    let arguments = [served.base_url(), &served.token(), HASH, &link];
    foreign_client("alldebrid_client.py", arguments).await;
}

#[tokio::test]
async fn errors_limits_and_changes() {
    let sim = sim();
    assert_eq!(word(ask(&sim, "v4/magnet/status").await), "DISCONTINUED");
    assert_eq!(word(ask(&sim, "v4/magnet/instant").await), "404");
    assert_eq!(
        word(ask(&sim, "v4.1/magnet/status?id=1").await),
        "MAGNET_INVALID_ID"
    );
    let live = "v4.1/magnet/status?session=7&counter=";
    let first = ask(&sim, &format!("{live}0")).await.1;
    assert_eq!(first["data"]["fullsync"], true);
    let id = first["data"]["magnets"][0]["id"].clone();
    let idle = ask(&sim, &format!("{live}1")).await.1;
    assert_eq!(
        idle["data"],
        serde_json::json!({ "magnets": [], "counter": 2 })
    );
    sim.remove_torrent(0, &id.to_string()).unwrap();
    let gone = ask(&sim, &format!("{live}2")).await.1;
    assert_eq!(
        gone["data"]["magnets"][0],
        serde_json::json!({ "id": id, "deleted": true })
    );
    let lost = ask(&sim, &format!("{live}2")).await.1;
    assert_eq!(
        lost["data"]["fullsync"], true,
        "that counter is of the past"
    );
    for _ in 0..6 {
        ask(&sim, "v4/user").await;
    }
    assert_eq!(ask(&sim, "v4/user").await, (429, Value::Null), "a page");
}
