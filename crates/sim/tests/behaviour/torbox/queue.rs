//! Slots, and what waits for one.

use std::time::Duration;

use debridfs_sim::{FullSlots, Sim};
use serde_json::json;

use super::support::{add, create, data, fresh, get, knowing, magnet, post, refusal};

fn essential() -> Sim {
    let sim = knowing(false);
    sim.configure(|settings| settings.torbox.plan = 1);
    sim
}

fn hash(number: u8) -> String {
    format!("{number:040x}")
}

#[tokio::test]
async fn what_finds_no_slot_waits_in_the_queue() {
    let sim = essential();
    for number in 0..3 {
        assert!(data(&add(&sim, &hash(number)).await)["torrent_id"].is_u64());
    }
    let queued = data(&add(&sim, &hash(3)).await);
    assert_eq!(
        (
            &queued["torrent_id"],
            &queued["active_limit"],
            &queued["current_active_downloads"]
        ),
        (&json!(null), &json!(3), &json!(3))
    );
    assert_eq!(fresh(&sim).await.len(), 3);
    let list = data(&get(&sim, "queued/getqueued").await);
    assert_eq!(
        (&list[0]["id"], &list[0]["hash"]),
        (&queued["queued_id"], &json!(hash(3)))
    );
    assert_eq!(get(&sim, "queued/getqueued?type=usenet").await.status, 404);
    // A slot is free when one of the three is done.
    sim.advance(Duration::from_secs(34));
    assert_eq!(fresh(&sim).await.len(), 4);
    assert_eq!(get(&sim, "torrents/getqueued").await.status, 404);
}

#[tokio::test]
async fn the_queue_is_controlled_by_its_own_numbers() {
    let sim = knowing(false);
    let later: [(&str, &[u8]); 2] = [("magnet", &magnet(&hash(1))), ("as_queued", b"true")];
    sim.configure(|settings| settings.queued_ms = 3_600_000);
    let id = data(&create(&sim, "torrents/createtorrent", &later).await)["queued_id"].clone();
    let order = |operation: &str| json!({"queued_id": id, "operation": operation});
    data(&post(&sim, "queued/controlqueued", order("start")).await);
    assert_eq!(fresh(&sim).await[0]["download_state"], "metaDL");
    let gone = post(&sim, "queued/controlqueued", order("start")).await;
    assert_eq!(refusal(&gone), (500, "DATABASE_ERROR".into()));
    let later: [(&str, &[u8]); 2] = [("magnet", &magnet(&hash(2))), ("as_queued", b"true")];
    data(&create(&sim, "torrents/createtorrent", &later).await);
    let all = json!({"operation": "delete", "all": true});
    data(&post(&sim, "queued/controlqueued", all).await);
    assert_eq!(get(&sim, "queued/getqueued").await.status, 404);
}

#[tokio::test]
async fn a_full_account_may_be_refused() {
    let sim = essential();
    sim.configure(|settings| settings.torbox.full_slots = FullSlots::Refuse);
    for number in 0..3 {
        data(&add(&sim, &hash(number)).await);
    }
    let refused = add(&sim, &hash(3)).await.json();
    assert_eq!(refused["error"], "ACTIVE_LIMIT");
    assert_eq!(
        refused["data"],
        json!({"active_limit": 3, "current_active_downloads": 3})
    );
}

#[tokio::test]
async fn torrents_are_paused_resumed_and_deleted() {
    let sim = knowing(false);
    let id = data(&add(&sim, &hash(1)).await)["torrent_id"].clone();
    let order = async |operation: &str| {
        let body = json!({"torrent_id": id, "operation": operation});
        post(&sim, "torrents/controltorrent", body).await
    };
    sim.advance(Duration::from_secs(12));
    data(&order("pause").await);
    sim.advance(Duration::from_secs(3600));
    let item = &fresh(&sim).await[0];
    assert_eq!(
        (&item["download_state"], &item["progress"]),
        (&json!("paused"), &json!(0.5))
    );
    data(&order("resume").await);
    sim.advance(Duration::from_secs(5));
    assert_eq!(fresh(&sim).await[0]["progress"], 0.75);
    data(&order("reannounce").await);
    assert_eq!(
        refusal(&order("start").await),
        (400, "INVALID_OPTION".into())
    );
    data(&order("delete").await);
    assert!(fresh(&sim).await.is_empty());
    assert_eq!(
        refusal(&order("delete").await),
        (500, "DATABASE_ERROR".into())
    );
    let nothing = post(&sim, "torrents/controltorrent", json!({"torrent_id": 1})).await;
    assert_eq!(refusal(&nothing), (400, "MISSING_REQUIRED_OPTION".into()));
}
