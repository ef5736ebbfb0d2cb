//! Premiumize, as its description and those who measured it tell. The account and the reader of debridfs are driven against it in
//! `crates/content/tests/premiumize.rs`.

use std::path::Path;

use axum::body::Body;
use debridfs_sim::{FileSpec, Kind, LibrarySpec, ReleaseSpec, ServeOptions, Sim, serve};
use http::Request;
use serde_json::Value;
use tokio::process::Command;

use crate::support::{START, is_content, send};

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

fn sim() -> Sim {
    let files = |path: &str| vec![FileSpec::generated(path, 5000)];
    let show = vec![
        FileSpec::generated("/E01.mkv", 5000),
        FileSpec::generated("/Subs/E01.srt", 50),
    ];
    let library = LibrarySpec {
        seed: 3,
        releases: vec![
            ReleaseSpec::new("Show.S01", show),
            ReleaseSpec::new("Film.2020", files("/Film.2020.mkv")),
            ReleaseSpec {
                hash: Some(HASH.to_owned()),
                copies: 0,
                ..ReleaseSpec::new("Cached.2021", files("/Cached.2021.mkv"))
            },
        ],
    };
    Sim::of_starting_at(Kind::Premiumize, &library, START.parse().unwrap()).unwrap()
}

async fn ask(sim: &Sim, path: &str) -> Value {
    let request = Request::builder().uri(format!("/api/{path}"));
    let request = request.header("authorization", format!("Bearer {}", sim.token()));
    let answer = send(sim, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 200, "errors have status 200");
    answer.json()
}

#[tokio::test]
async fn a_client_of_others_is_content() {
    let served = serve(sim(), ServeOptions::default()).await.unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut node = Command::new("node");
    node.arg(root.join("tests/behaviour/premiumize_client.js"))
        .args([&*format!("{}/", served.api_url()), &served.token(), HASH])
        .env(
            "NODE_PATH",
            root.join("../../target/tools/node/node_modules"),
        );
    is_content(node).await;
}

#[tokio::test]
async fn transfers_and_cloud_are_apart() {
    let sim = sim();
    let transfers = ask(&sim, "transfer/list").await["transfers"].clone();
    let keys: Vec<_> = transfers[0].as_object().unwrap().keys().collect();
    assert!(
        !keys
            .iter()
            .any(|key| key.contains("hash") || key.contains("created")),
        "{keys:?}"
    );
    assert!(!transfers.to_string().contains("magnet"));
    let files = ask(&sim, "item/listall").await["files"].clone();
    assert_eq!(files.as_array().unwrap().len(), 3);
    assert!(files[0]["created_at"].is_u64());
    sim.configure(|settings| {
        settings.premiumize.no_times = true;
        settings.premiumize.magnet_in_src = true;
    });
    assert!(ask(&sim, "item/listall").await["files"][0]["created_at"].is_null());
    assert!(
        ask(&sim, "transfer/list")
            .await
            .to_string()
            .contains("magnet:?xt=")
    );
    ask(&sim, "transfer/clearfinished").await;
    assert_eq!(
        ask(&sim, "transfer/list").await["transfers"],
        serde_json::json!([])
    );
    assert_eq!(
        ask(&sim, "item/listall").await["files"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn limits_and_refusals() {
    let sim = sim();
    let unknown = ask(&sim, "item/details?id=nobody").await;
    assert_eq!(unknown["code"], "not_found");
    let added = format!("transfer/create?src=magnet:?xt=urn:btih:{}", "9".repeat(40));
    sim.configure(|settings| settings.active_limit = 1);
    assert_eq!(ask(&sim, &added).await["status"], "success");
    let full = ask(&sim, &added).await;
    assert_eq!(full["code"], "account_limit_reached");
    assert!(
        full["message"]
            .as_str()
            .unwrap()
            .contains("maximum of 1 active")
    );
    sim.configure(|settings| {
        settings.premiumize.points_used = 1000;
        settings.premiumize.no_codes = true;
    });
    let used_up = ask(&sim, &format!("transfer/directdl?src={HASH}")).await;
    assert_eq!(
        used_up,
        serde_json::json!({ "status": "error", "message": "Fair use limit reached!" })
    );
    assert_eq!(ask(&sim, "account/info").await["limit_used"], 1.0);
    sim.configure(|settings| settings.calls_per_minute = 1);
    ask(&sim, "account/info").await;
    assert_eq!(
        ask(&sim, "account/info").await["message"],
        "Too many requests."
    );
}
