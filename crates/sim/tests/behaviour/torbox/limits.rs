//! Limits of calls.

use std::time::Duration;

use debridfs_sim::Sim;
use serde_json::{Value, json};

use super::support::{HASH, add, data, films, fresh, get, knowing};
use crate::support::Answer;

fn limited(answer: &Answer) -> (u16, Value, Value) {
    let said = answer.json();
    assert_eq!(said["success"], false);
    (
        answer.status.as_u16(),
        said["error"].clone(),
        said["detail"].clone(),
    )
}

#[tokio::test]
async fn three_hundred_calls_a_minute_over_all_endpoints() {
    let sim = films(1);
    for n in 0..300 {
        let path = ["user/me", "torrents/mylist"][n % 2];
        assert_eq!(get(&sim, path).await.status, 200, "{n}");
    }
    let many = (429, Value::Null, json!("300 per 1 minute"));
    assert_eq!(limited(&get(&sim, "usenet/mylist").await), many);
    assert_eq!(sim.counters().above_limit, 1);
    sim.advance(Duration::from_secs(61));
    assert_eq!(get(&sim, "user/me").await.status, 200);
}

fn hash(number: usize) -> String {
    format!("{number:040x}")
}

/// Creates in bursts that the limit of a minute allows.
async fn add_slowly(sim: &Sim, numbers: std::ops::Range<usize>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for number in numbers {
        if number % 10 == 0 {
            sim.advance(Duration::from_secs(60));
        }
        answers.push(add(sim, &hash(number)).await);
    }
    answers
}

#[tokio::test]
async fn sixty_creates_an_hour_of_what_is_not_cached() {
    let sim = knowing(true);
    for answer in add_slowly(&sim, 0..60).await {
        data(&answer);
    }
    sim.advance(Duration::from_secs(60));
    let many = (429, Value::Null, json!("60 per 1 hour"));
    assert_eq!(limited(&add(&sim, &hash(60)).await), many);
    // What is cached costs nothing.
    data(&add(&sim, HASH).await);
    sim.advance(Duration::from_secs(3600));
    data(&add(&sim, &hash(60)).await);
}

#[tokio::test]
async fn a_refusal_of_what_is_not_cached_costs_as_much() {
    let sim = knowing(false);
    sim.configure(|settings| settings.torbox.creates_per_hour = 1);
    let magnet = super::support::magnet(HASH);
    let fields: [(&str, &[u8]); 2] = [("magnet", &magnet), ("add_only_if_cached", b"true")];
    let refused = super::support::create(&sim, "torrents/createtorrent", &fields).await;
    assert_eq!(super::support::refusal(&refused).1, "DOWNLOAD_NOT_CACHED");
    assert_eq!(add(&sim, HASH).await.status, 429);
}

#[tokio::test]
async fn ten_creates_a_minute_of_any_kind() {
    let sim = knowing(true);
    for _ in 0..10 {
        data(&add(&sim, HASH).await);
    }
    let many = (429, Value::Null, json!("10 per 1 minute"));
    assert_eq!(limited(&add(&sim, HASH).await), many);
    sim.advance(Duration::from_secs(60));
    data(&add(&sim, HASH).await);
}

#[tokio::test]
async fn too_many_links_lock_the_whole_account() {
    let sim = films(1);
    let (id, token) = (fresh(&sim).await[0]["id"].clone(), sim.token());
    let path = format!("torrents/requestdl?token={token}&torrent_id={id}&file_id=0");
    for _ in 0..100 {
        data(&get(&sim, &path).await);
    }
    let locked = get(&sim, &path).await;
    assert_eq!(
        (locked.status.as_u16(), locked.header("retry-after")),
        (429, "300")
    );
    sim.advance(Duration::from_secs(100));
    let locked = get(&sim, "user/me").await;
    assert_eq!(
        (locked.status.as_u16(), locked.header("retry-after")),
        (429, "200")
    );
    sim.advance(Duration::from_secs(200));
    data(&get(&sim, &path).await);
}
