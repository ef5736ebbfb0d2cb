//! Two who want one release: each has a request of its own over one torrent.

use std::time::Duration;

use debridfs_acquire::qbittorrent::{ArrLogin, Credentials};
use debridfs_acquire::{DeletePolicy, Selection, Step};
use debridfs_base::Secret;
use debridfs_sim::ReleaseSpec;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::support::{Client, HASH, SAB_KEY, World, cached, hash, in_category, magnet, tree};

/// Deletions are looked at once a minute.
const SOON: Duration = Duration::from_secs(120);

fn link() -> String {
    format!("magnet:?xt=urn:btih:{HASH}&dn=Film.2024")
}

async fn add(arr: &Client, category: &str) {
    let form = [("urls", &*link()), ("category", category)];
    assert_eq!(arr.post("torrents/add", &form).await.text, "Ok.");
}

/// What an arr sees: states of the torrents of its category.
async fn seen(arr: &Client, category: &str) -> Vec<String> {
    let list = arr.get(&format!("torrents/info?category={category}")).await;
    let list = list.json();
    let torrents = list.as_array().unwrap().iter();
    let own = torrents.map(|torrent| {
        assert_eq!(torrent["category"], *category);
        torrent["state"].as_str().unwrap().to_owned()
    });
    own.collect()
}

async fn delete(arr: &Client) {
    let form = [("hashes", HASH), ("deleteFiles", "true")];
    assert_eq!(arr.post("torrents/delete", &form).await.status, 200);
}

fn links(world: &World, category: &str) -> usize {
    tree(&world.downloads().join(category)).len()
}

async fn logged_in(arr: Client, user: &str, password: &str) -> Client {
    let form = [("username", user), ("password", password)];
    let said = arr.post("auth/login", &form).await;
    let cookie = said.cookie.unwrap();
    arr.header("cookie", cookie.split(';').next().unwrap().to_owned())
}

fn credentials() -> Credentials {
    let arr = |port: u32| ArrLogin {
        url: format!("http://sonarr:{port}/"),
        key: Secret::new("0123456789abcdef"),
    };
    Credentials {
        user: "debridfs".to_owned(),
        password: Some(Secret::new("password")),
        key: None,
        arrs: vec![arr(8989), arr(8990)],
    }
}

#[tokio::test(start_paused = true)]
async fn two_arrs_see_and_remove_what_they_asked_for() {
    for late in [false, true] {
        let world = World::with(vec![cached(HASH, "Film.2024")], |config| {
            config.delete = DeletePolicy::Provider;
        })
        .await;
        let api = world.api_with(credentials());
        let first = logged_in(api.clone(), "debridfs", "password").await;
        let second = logged_in(api, "debridfs", "password").await;
        add(&first, "tv").await;
        if late {
            world.complete_in("tv").await;
        }
        add(&second, "tv-2").await;
        world.complete_in("tv").await;
        world.complete_in("tv-2").await;
        assert_eq!(world.torrents(HASH).len(), 1, "one torrent for both");
        assert_eq!((links(&world, "tv"), links(&world, "tv-2")), (2, 2));
        // In any order of lists, as each has its own session.
        assert_eq!(seen(&second, "tv-2").await, ["stoppedUP"]);
        assert_eq!(seen(&first, "tv").await, ["stoppedUP"]);
        delete(&second).await;
        assert_eq!((links(&world, "tv"), links(&world, "tv-2")), (2, 0));
        assert_eq!(seen(&first, "tv").await.len(), 1);
        assert_eq!(seen(&second, "tv-2").await.len(), 0);
        // Said once more it means nothing, and not what the other one has.
        delete(&second).await;
        assert_eq!(seen(&first, "tv").await.len(), 1);
        tokio::time::sleep(SOON).await;
        assert_eq!(world.torrents(HASH).len(), 1, "still wanted");
        delete(&first).await;
        assert_eq!(links(&world, "tv"), 0);
        world.until_torrents(HASH, 0).await;
        assert!(world.acquire.jobs().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn arrs_that_log_in_as_themselves_may_have_one_category() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let api = world.api_with(credentials());
    let key = "0123456789abcdef";
    let first = logged_in(api.clone(), "http://sonarr:8989", key).await;
    let second = logged_in(api.clone(), "http://sonarr:8990", key).await;
    let people = logged_in(api, "debridfs", "password").await;
    add(&first, "tv").await;
    add(&second, "tv").await;
    // Said again by the same arr it is the same request.
    add(&second, "tv").await;
    for arr in [&first, &second] {
        assert_eq!(seen(arr, "tv").await.len(), 1);
    }
    assert_eq!(seen(&people, "tv").await.len(), 2);
    world
        .until(hash(HASH), |job| job.step == Step::Complete)
        .await;
    while seen(&second, "tv").await != ["stoppedUP"] {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    delete(&first).await;
    assert_eq!(seen(&first, "tv").await.len(), 0);
    assert_eq!(seen(&second, "tv").await, ["stoppedUP"]);
    assert_eq!(
        links(&world, "tv"),
        2,
        "they lie where the other one has them"
    );
    delete(&second).await;
    assert_eq!(links(&world, "tv"), 0);
    assert!(world.acquire.jobs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_nothing_tells_who_asks_all_requests_are_meant() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let program = |name: &str| world.api().header("user-agent", name);
    let (sonarr, other, tool) = (program("Sonarr/4"), program("Sonarr/5"), program("tool"));
    add(&sonarr, "tv").await;
    add(&other, "tv-2").await;
    world.complete_in("tv-2").await;
    // By the category that was listed last, without a session.
    seen(&sonarr, "tv").await;
    let one = |said: Value| said["save_path"].as_str().unwrap().to_owned();
    let call = format!("torrents/properties?hash={HASH}");
    assert!(one(sonarr.get(&call).await.json()).ends_with("/tv"));
    assert!(one(other.get(&call).await.json()).ends_with("/tv-2"));
    // A tool lists everything, and torrents by their hash only once.
    let all = tool.get("torrents/info").await.json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let main = tool.get("sync/maindata").await.json();
    assert_eq!(main["torrents"].as_object().unwrap().len(), 1);
    let (rid, shown) = (
        main["rid"].clone(),
        main["torrents"][HASH]["category"].clone(),
    );
    delete(&sonarr).await;
    let main = tool.get(&format!("sync/maindata?rid={rid}")).await.json();
    assert_eq!(
        (&shown, &main["torrents"][HASH]["category"]),
        (&"tv".into(), &"tv-2".into())
    );
    assert!(main.get("torrents_removed").is_none(), "{main}");
    add(&sonarr, "tv").await;
    delete(&tool).await;
    assert!(world.acquire.jobs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sabnzbd_means_the_category_it_lists() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    for category in ["tv", "tv-2"] {
        let added = world.acquire.add(magnet(HASH, "x"), in_category(category));
        added.await.unwrap();
        world.complete_in(category).await;
    }
    let sab = world.sab();
    let call = |words: &str| format!("api?apikey={SAB_KEY}&output=json&{words}");
    let listed = sab.get(&call("mode=history&category=tv-2")).await.json();
    assert_eq!(listed["history"]["slots"].as_array().unwrap().len(), 1);
    let words = format!("mode=history&name=delete&value={HASH}&del_files=1");
    assert_eq!(sab.get(&call(&words)).await.json()["status"], true);
    let left: Vec<String> = (world.acquire.jobs().iter())
        .map(|job| job.category.clone())
        .collect();
    assert_eq!(left, ["tv"]);
    assert_eq!((links(&world, "tv"), links(&world, "tv-2")), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn two_requests_that_become_the_same_are_one() {
    let world = World::new(vec![cached(HASH, "Film.2024")]).await;
    for category in ["tv", "tv-2", "imported"] {
        let added = world.acquire.add(magnet(HASH, "x"), in_category(category));
        added.await.unwrap();
        world.complete_in(category).await;
    }
    let moved = world
        .acquire
        .set_category(Selection::All, "imported".to_owned());
    moved.await.unwrap();
    let jobs = world.acquire.jobs();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert!(
        jobs[0].at.as_ref().unwrap().ours,
        "with the right to its torrent"
    );
}

/// A world in which the provider downloads for longer than anybody waits.
async fn under_way() -> World {
    let release = ReleaseSpec {
        cached: false,
        ..cached(HASH, "Film.2024")
    };
    let world = World::new(vec![release]).await;
    let long = 30 * 24 * 3600 * 1000;
    world
        .sim
        .configure(|settings| settings.downloading_ms = long);
    world
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_under_way_gives_its_slot_back() {
    let world = under_way().await;
    for category in ["tv", "tv-2"] {
        let added = world.acquire.add(magnet(HASH, "x"), in_category(category));
        added.await.unwrap();
    }
    let waiting = |category: &str| {
        let jobs = world.acquire.jobs();
        jobs.iter()
            .any(|job| job.category == category && job.step == Step::Waiting)
    };
    while !(waiting("tv") && waiting("tv-2")) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(world.torrents(HASH).len(), 1);
    let of = |category: &str| {
        let jobs = world.acquire.jobs();
        let ids = jobs.iter().filter(|job| job.category == category);
        Selection::Of(ids.map(|job| job.id()).collect())
    };
    world.acquire.remove(of("tv"), true).await.unwrap();
    tokio::time::sleep(SOON).await;
    assert_eq!(world.torrents(HASH).len(), 1, "the other one wants it");
    world.acquire.remove(of("tv-2"), true).await.unwrap();
    world.until_torrents(HASH, 0).await;
    tokio::time::sleep(SOON).await;
    assert_eq!(world.acquire.status().deletions, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_is_not_taken_back() {
    let world = under_way().await;
    let waiting = |job: &debridfs_acquire::Job| job.step == Step::Waiting;
    world.grab(HASH, "x").await;
    world.until(hash(HASH), waiting).await;
    // Without its files, so the torrent is the account's from now on.
    world.acquire.remove(Selection::All, false).await.unwrap();
    world.grab(HASH, "x").await;
    world.until(hash(HASH), waiting).await;
    world.acquire.remove(Selection::All, true).await.unwrap();
    tokio::time::sleep(SOON).await;
    assert_eq!(world.torrents(HASH).len(), 1);
}

async fn as_the_program_before(
    world: &World,
    statements: &[&'static str],
) -> Vec<(String, String)> {
    let options = SqliteConnectOptions::new().filename(world.dir.path().join("state/jobs.db"));
    let mut connection: SqliteConnection = options.connect().await.unwrap();
    for statement in statements {
        sqlx::query(*statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let rows = sqlx::query_as("SELECT hash, json_extract(job, '$.category') FROM jobs");
    let rows = rows.fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows
}

#[tokio::test(start_paused = true)]
async fn the_program_before_knows_one_request_of_each_release() {
    let mut world = World::new(vec![cached(HASH, "Film.2024")]).await;
    let row = |category: &str| vec![(HASH.to_owned(), category.to_owned())];
    for category in ["tv", "tv-2", "tv-3"] {
        let added = world.acquire.add(magnet(HASH, "x"), in_category(category));
        added.await.unwrap();
        world.complete_in(category).await;
    }
    world.restart(|_| {}).await;
    assert_eq!(world.acquire.jobs().len(), 3);
    let of = |world: &World, category: &str| {
        let jobs = world.acquire.jobs();
        let ids = jobs.iter().filter(|job| job.category == category);
        Selection::Of(ids.map(|job| job.id()).collect())
    };
    assert_eq!(as_the_program_before(&world, &[]).await, row("tv"));
    world.acquire.remove(of(&world, "tv"), true).await.unwrap();
    assert_eq!(as_the_program_before(&world, &[]).await, row("tv-2"));
    world.stop().await;
    // It moves the one it knows, and drops its number.
    let moved =
        ["UPDATE jobs SET job = json_remove(json_set(job, '$.category', 'other'), '$.nth')"];
    as_the_program_before(&world, &moved).await;
    world.restart(|_| {}).await;
    let categories = |world: &World| {
        let jobs = world.acquire.jobs();
        let mut all: Vec<String> = jobs.iter().map(|job| job.category.clone()).collect();
        all.sort();
        all
    };
    assert_eq!(categories(&world), ["other", "tv-3"]);
    let edited = world.acquire.edit(Selection::All, |job| job.stopped = true);
    edited.await.unwrap();
    world.restart(|_| {}).await;
    assert_eq!(categories(&world), ["other", "tv-3"]);
    world.stop().await;
    // It asks for what another request is for, and then removes what it knows.
    let same = ["UPDATE jobs SET job = json_set(job, '$.category', 'tv-3')"];
    as_the_program_before(&world, &same).await;
    world.restart(|_| {}).await;
    assert_eq!(categories(&world), ["tv-3"]);
    world
        .acquire
        .add(magnet(HASH, "x"), in_category("tv"))
        .await
        .unwrap();
    world.complete_in("tv").await;
    world.stop().await;
    as_the_program_before(&world, &["DELETE FROM sources", "DELETE FROM jobs"]).await;
    world.restart(|_| {}).await;
    assert_eq!(categories(&world), ["tv"]);
    // What was handed in went with it: the hash is enough.
    for torrent in world.torrents(HASH) {
        world.sim.remove_torrent(0, &torrent).unwrap();
    }
    let begun = world.acquire.edit(Selection::All, |job| {
        job.step = Step::Placed;
        (job.at, job.adding) = (None, None);
    });
    begun.await.unwrap();
    world.complete_in("tv").await;
    assert_eq!(world.torrents(HASH).len(), 1);
    world.acquire.remove(Selection::All, true).await.unwrap();
    world.restart(|_| {}).await;
    assert!(world.acquire.jobs().is_empty());
}
