//! `/torrents/…`.

use std::time::Duration;

use debridfs_sim::{
    FileSpec, Generated, LibrarySpec, LinkMode, Outcome, ReleaseSpec, Status, TorrentChange,
};
use serde_json::json;

use crate::support::{call, call_with, form, get, one_film, sim, torrents};

const UNKNOWN: &str =
    "magnet:?xt=urn:btih:00112233445566778899aabbccddeeff00112233&dn=Some.Film.2021";

fn two_hundred() -> LibrarySpec {
    LibrarySpec::generated(&Generated {
        releases: 250,
        ..Generated::default()
    })
}

async fn add(sim: &debridfs_sim::Sim, magnet: &str) -> String {
    let answer = call(sim, "POST", "torrents/addMagnet", &form("magnet", magnet)).await;
    assert_eq!(answer.status, 201);
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn status(sim: &debridfs_sim::Sim, id: &str) -> Status {
    torrents(sim)
        .iter()
        .find(|torrent| torrent.id == id)
        .unwrap()
        .status
}

#[tokio::test]
async fn the_list_has_the_vendors_shape_newest_first() {
    let sim = sim(&two_hundred());
    let answer = get(&sim, "torrents").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-total-count"), "250");
    let list = answer.json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 100);
    assert!(
        list.windows(2)
            .all(|pair| pair[0]["added"].as_str() > pair[1]["added"].as_str())
    );
    let first = &list[0];
    assert_eq!(first["host"], "real-debrid.com");
    assert_eq!(first["status"], "downloaded");
    assert_eq!(first["progress"], 100);
    assert_eq!(first["split"], 2000);
    assert_eq!(first["id"].as_str().unwrap().len(), 13);
    assert_eq!(first["hash"].as_str().unwrap().len(), 40);
    assert!(first["added"].as_str().unwrap().ends_with(".000Z"));
    assert_eq!(first["links"][0].as_str().unwrap().len(), 39);
    assert!(first.get("files").is_none());
}

#[tokio::test]
async fn pages_by_offset_and_by_page_are_parts_of_the_whole() {
    let sim = sim(&two_hundred());
    let whole = get(&sim, "torrents?limit=5000").await.json();
    let whole = whole.as_array().unwrap();
    assert_eq!(whole.len(), 250);
    assert_eq!(
        get(&sim, "torrents?offset=20&limit=30").await.json(),
        json!(whole[20..50])
    );
    assert_eq!(
        get(&sim, "torrents?page=3&limit=40").await.json(),
        json!(whole[80..120])
    );
    assert_eq!(
        get(&sim, "torrents?page=3").await.json(),
        json!(whole[200..])
    );
    let beyond = get(&sim, "torrents?offset=250").await;
    assert_eq!(
        (beyond.status.as_u16(), beyond.header("x-total-count")),
        (204, "250")
    );
    for bad in ["limit=5001", "limit=x", "offset=-1", "filter=other"] {
        assert_eq!(
            get(&sim, &format!("torrents?{bad}")).await.code(),
            (400, 2),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn an_empty_account_answers_204_with_no_body() {
    let sim = sim(&LibrarySpec::default());
    for path in ["torrents", "torrents?filter=active", "downloads"] {
        let answer = get(&sim, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-total-count")),
            (204, "0")
        );
        assert!(answer.body.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_etag_saves_the_body_until_something_changes() {
    let sim = sim(&two_hundred());
    let first = get(&sim, "torrents").await;
    let etag = first.header("etag").to_owned();
    let again = call_with(&sim, "GET", "torrents", "", &[("if-none-match", &etag)]).await;
    assert_eq!(again.status, 304);
    assert!(again.body.unwrap().is_empty());
    let id = torrents(&sim)[0].id.clone();
    call(&sim, "DELETE", &format!("torrents/delete/{id}"), "").await;
    let changed = call_with(&sim, "GET", "torrents", "", &[("if-none-match", &etag)]).await;
    assert_eq!(changed.status, 200);
    assert_eq!(sim.counters().outcome("torrents", "304"), 1);
}

#[tokio::test]
async fn info_tells_files_and_the_order_of_links_is_theirs() {
    let mut release = ReleaseSpec::new(
        "Show.S01",
        vec![
            FileSpec::generated("/Show.S01E01.mkv", 10),
            FileSpec::generated("/info.nfo", 5),
            FileSpec::generated("/Show.S01E02.mkv", 20),
        ],
    );
    release.files[1].selected = false;
    release.original_name = Some("Show S01".into());
    let sim = sim(&LibrarySpec {
        seed: 1,
        releases: vec![release],
    });
    let torrent = &torrents(&sim)[0];
    let info = get(&sim, &format!("torrents/info/{}", torrent.id))
        .await
        .json();
    assert_eq!(info["filename"], "Show.S01");
    assert_eq!(info["original_filename"], "Show S01");
    assert_eq!(
        (info["bytes"].as_u64(), info["original_bytes"].as_u64()),
        (Some(30), Some(35))
    );
    assert_eq!(
        info["files"],
        json!([
            {"id": 1, "path": "/Show.S01E01.mkv", "bytes": 10, "selected": 1},
            {"id": 2, "path": "/info.nfo", "bytes": 5, "selected": 0},
            {"id": 3, "path": "/Show.S01E02.mkv", "bytes": 20, "selected": 1},
        ])
    );
    let links = info["links"].as_array().unwrap();
    assert_eq!(links.len(), 2);
    let second = call(
        &sim,
        "POST",
        "unrestrict/link",
        &form("link", links[1].as_str().unwrap()),
    )
    .await
    .json();
    assert_eq!(
        (second["filename"].as_str(), second["filesize"].as_u64()),
        (Some("Show.S01E02.mkv"), Some(20))
    );
    assert_eq!(
        get(&sim, "torrents/info/AAAAAAAAAAAAA").await.code(),
        (404, 7)
    );
    assert_eq!(get(&sim, "torrents/info/x").await.code(), (404, 7));
}

#[tokio::test(start_paused = true)]
async fn an_uncached_magnet_goes_through_every_state() {
    let sim = sim(&LibrarySpec::default());
    let id = add(&sim, UNKNOWN).await;
    let info = get(&sim, &format!("torrents/info/{id}")).await.json();
    assert_eq!(info["status"], "magnet_conversion");
    assert_eq!(
        (info["bytes"].as_u64(), &info["files"], &info["links"]),
        (Some(0), &json!([]), &json!([]))
    );
    assert_eq!(
        call(
            &sim,
            "POST",
            &format!("torrents/selectFiles/{id}"),
            "files=all"
        )
        .await
        .code(),
        (400, 2)
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(status(&sim, &id), Status::WaitingFilesSelection);
    assert_eq!(get(&sim, "torrents/activeCount").await.json()["nb"], 0);
    let selected = call(
        &sim,
        "POST",
        &format!("torrents/selectFiles/{id}"),
        "files=1",
    )
    .await;
    assert_eq!(selected.status, 204);
    assert_eq!(status(&sim, &id), Status::Queued);
    assert_eq!(get(&sim, "torrents/activeCount").await.json()["nb"], 1);
    assert_eq!(
        get(&sim, "torrents?filter=active")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    sim.advance(Duration::from_secs(11));
    let info = get(&sim, &format!("torrents/info/{id}")).await.json();
    assert_eq!(
        (info["status"].as_str(), info["progress"].as_u64()),
        (Some("downloading"), Some(50))
    );
    assert!(info["speed"].as_u64() > Some(0) && info["seeders"].as_u64() > Some(0));
    sim.configure(|settings| settings.compressing_ms = 1000);
    sim.advance(Duration::from_secs(10));
    assert_eq!(status(&sim, &id), Status::Compressing);
    sim.advance(Duration::from_secs(1));
    assert_eq!(status(&sim, &id), Status::Uploading);
    sim.advance(Duration::from_secs(3600));
    let info = get(&sim, &format!("torrents/info/{id}")).await.json();
    assert_eq!(
        (
            info["status"].as_str(),
            info["links"].as_array().unwrap().len()
        ),
        (Some("downloaded"), 1)
    );
    // It was ready when its time was over, not when somebody looked.
    assert_eq!(info["ended"], "2026-06-01T12:00:27.000Z");
    assert_eq!(get(&sim, "torrents/activeCount").await.json()["nb"], 0);
}

#[tokio::test]
async fn a_cached_hash_is_ready_once_selected_and_a_second_add_is_a_second_torrent() {
    let sim = sim(&one_film(1000));
    let hash = torrents(&sim)[0].hash.clone();
    let magnet = format!("magnet:?xt=urn:btih:{hash}");
    let (a, b) = (add(&sim, &magnet).await, add(&sim, &magnet).await);
    assert_ne!(a, b);
    assert_eq!(torrents(&sim).len(), 3);
    assert_eq!(
        call(
            &sim,
            "POST",
            &format!("torrents/selectFiles/{a}"),
            "files=all"
        )
        .await
        .status,
        204
    );
    assert_eq!(status(&sim, &a), Status::Downloaded);
    assert_eq!(
        call(
            &sim,
            "POST",
            &format!("torrents/selectFiles/{a}"),
            "files=all"
        )
        .await
        .status,
        202
    );
    assert_eq!(
        call(
            &sim,
            "POST",
            &format!("torrents/selectFiles/{b}"),
            "files=2"
        )
        .await
        .code(),
        (400, 2)
    );
    assert_eq!(
        call(&sim, "POST", &format!("torrents/selectFiles/{b}"), "")
            .await
            .code(),
        (400, 1)
    );
    assert_eq!(
        call(
            &sim,
            "POST",
            "torrents/selectFiles/AAAAAAAAAAAAA",
            "files=all"
        )
        .await
        .code(),
        (404, 7)
    );
    // Both torrents hold the same bytes behind different links.
    let all = torrents(&sim);
    assert_ne!(all[0].links, all[2].links);
    assert_eq!(all[1].files[0].key, all[2].files[0].key);
}

#[tokio::test]
async fn failures_of_torrents() {
    for (outcome, expected) in [
        (Outcome::MagnetError, Status::MagnetError),
        (Outcome::Error, Status::Error),
        (Outcome::Virus, Status::Virus),
        (Outcome::Dead, Status::Dead),
    ] {
        let mut release = ReleaseSpec::new("Bad", vec![FileSpec::generated("/bad.mkv", 9)]);
        (release.copies, release.cached, release.outcome) = (0, false, outcome);
        release.hash = Some("a".repeat(40));
        let sim = sim(&LibrarySpec {
            seed: 1,
            releases: vec![release],
        });
        let id = add(&sim, &format!("magnet:?xt=urn:btih:{}", "A".repeat(40))).await;
        sim.advance(Duration::from_secs(10));
        call(
            &sim,
            "POST",
            &format!("torrents/selectFiles/{id}"),
            "files=all",
        )
        .await;
        sim.advance(Duration::from_secs(60));
        assert_eq!(status(&sim, &id), expected);
        assert_eq!(torrents(&sim)[0].links.len(), 0);
    }
}

#[tokio::test]
async fn infringing_hashes_and_bad_magnets_are_refused() {
    let mut release = ReleaseSpec::new("Claimed", vec![FileSpec::generated("/c.mkv", 9)]);
    (release.copies, release.outcome, release.hash) =
        (0, Outcome::Infringing, Some("b".repeat(40)));
    let sim = sim(&LibrarySpec {
        seed: 1,
        releases: vec![release],
    });
    let magnet = form("magnet", &format!("magnet:?xt=urn:btih:{}", "b".repeat(40)));
    assert_eq!(
        call(&sim, "POST", "torrents/addMagnet", &magnet)
            .await
            .code(),
        (451, 35)
    );
    assert_eq!(
        call(&sim, "POST", "torrents/addMagnet", "").await.code(),
        (400, 1)
    );
    assert_eq!(
        call(&sim, "POST", "torrents/addMagnet", "magnet=hello")
            .await
            .code(),
        (400, 30)
    );
}

#[tokio::test]
async fn slots_are_limited_and_queued_torrents_wait_for_one() {
    let sim = sim(&LibrarySpec::default());
    sim.configure(|settings| (settings.active_limit, settings.parallel_downloads) = (2, 1));
    let magnet = |n: u8| format!("magnet:?xt=urn:btih:{:040x}", n);
    let (a, b) = (add(&sim, &magnet(1)).await, add(&sim, &magnet(2)).await);
    let full = call(
        &sim,
        "POST",
        "torrents/addMagnet",
        &form("magnet", &magnet(3)),
    )
    .await;
    assert_eq!(full.code(), (509, 21));
    sim.advance(Duration::from_secs(2));
    let c = add(&sim, &magnet(3)).await;
    sim.advance(Duration::from_secs(2));
    for id in [&a, &b] {
        call(
            &sim,
            "POST",
            &format!("torrents/selectFiles/{id}"),
            "files=all",
        )
        .await;
    }
    sim.advance(Duration::from_secs(2));
    assert_eq!(
        (status(&sim, &a), status(&sim, &b)),
        (Status::Downloading, Status::Queued)
    );
    let select = call(
        &sim,
        "POST",
        &format!("torrents/selectFiles/{c}"),
        "files=all",
    )
    .await;
    assert_eq!(select.code(), (509, 21));
    sim.advance(Duration::from_secs(20));
    assert_eq!(
        (status(&sim, &a), status(&sim, &b)),
        (Status::Uploading, Status::Downloading)
    );
    let count = get(&sim, "torrents/activeCount").await.json();
    assert_eq!(
        (count["nb"].as_u64(), count["limit"].as_u64()),
        (Some(2), Some(2))
    );
    assert_eq!(count["list"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_torrent_file_is_added_by_its_bytes() {
    let sim = sim(&LibrarySpec::default());
    let file = "d4:infod5:filesld6:lengthi7e4:pathl4:Subs5:e.srteed6:lengthi9e4:pathl5:f.mkveee4:name4:Some12:piece lengthi1e6:pieces0:ee";
    let answer = call(&sim, "PUT", "torrents/addTorrent", file).await;
    assert_eq!(answer.status, 201);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let info = get(&sim, &format!("torrents/info/{id}")).await.json();
    assert_eq!(info["status"], "waiting_files_selection");
    assert_eq!(info["files"][0]["path"], "/Subs/e.srt");
    assert_eq!(info["files"][1]["bytes"], 9);
    assert_eq!(
        call(&sim, "PUT", "torrents/addTorrent", "no torrent")
            .await
            .code(),
        (400, 30)
    );
    assert_eq!(
        call(&sim, "POST", "torrents/addTorrent", file).await.code(),
        (405, 4)
    );
}

#[tokio::test]
async fn deleting_takes_the_links_along() {
    let sim = sim(&one_film(1000));
    let torrent = torrents(&sim)[0].clone();
    assert_eq!(
        call(
            &sim,
            "DELETE",
            &format!("torrents/delete/{}", torrent.id),
            ""
        )
        .await
        .status,
        204
    );
    let again = call(
        &sim,
        "DELETE",
        &format!("torrents/delete/{}", torrent.id),
        "",
    )
    .await;
    assert_eq!(again.code(), (404, 7));
    let gone = call(
        &sim,
        "POST",
        "unrestrict/link",
        &form("link", &torrent.links[0]),
    )
    .await;
    assert_eq!(gone.code(), (404, 7));
    assert_eq!(get(&sim, "torrents").await.status, 204);
}

#[tokio::test]
async fn links_packed_missing_and_late() {
    let files = || {
        (1..=3)
            .map(|n| FileSpec::generated(format!("/E{n}: x.mkv"), n * 1000))
            .collect()
    };
    let mut spec = LibrarySpec {
        seed: 1,
        releases: Vec::new(),
    };
    for mode in [
        LinkMode::Packed,
        LinkMode::Missing(2),
        LinkMode::LateMs(60_000),
    ] {
        let mut release = ReleaseSpec::new(format!("{mode:?}"), files());
        release.links = mode;
        spec.releases.push(release);
    }
    let sim = sim(&spec);
    let all = torrents(&sim);
    let count = |index: usize| torrents(&sim)[index].links.len();
    // Newest first.
    assert_eq!((count(0), count(1), count(2)), (0, 1, 1));
    sim.advance(Duration::from_secs(60));
    assert_eq!(count(0), 3);
    let packed = call(
        &sim,
        "POST",
        "unrestrict/link",
        &form("link", &all[2].links[0]),
    )
    .await
    .json();
    assert_eq!(packed["filename"], "Packed.rar");
    assert_eq!(packed["mimeType"], "application/x-rar-compressed");
    let size = packed["filesize"].as_u64().unwrap();
    assert!(size > 6000 && size < 7000);
    let archive = sim.expected(0, &all[2].links[0], 0, size as usize).unwrap();
    let mut film = vec![0; 2000];
    debridfs_sim::content::fill(all[2].files[1].key.unwrap(), 0, &mut film);
    assert!(archive.windows(film.len()).any(|window| window == film));
    assert!(archive.windows(9).any(|window| window == b"E2_ x.mkv"));
    let change = TorrentChange {
        links: Some(LinkMode::OneEach),
        ..TorrentChange::default()
    };
    sim.alter_torrent(0, &all[2].id, change).unwrap();
    assert_eq!(count(2), 3);
}

#[tokio::test]
async fn instant_availability_is_withdrawn() {
    let sim = sim(&one_film(1));
    let hash = torrents(&sim)[0].hash.clone();
    assert_eq!(
        get(&sim, &format!("torrents/instantAvailability/{hash}"))
            .await
            .code(),
        (403, 37)
    );
    assert_eq!(
        get(&sim, "torrents/availableHosts").await.json()[0]["host"],
        "real-debrid.com"
    );
}

#[tokio::test]
async fn what_was_downloaded_is_cached_for_the_next_add() {
    let sim = sim(&one_film(10));
    let hash = "ab".repeat(20);
    let add = async || {
        let magnet = form("magnet", &format!("magnet:?xt=urn:btih:{hash}&dn=New"));
        let added = call(&sim, "POST", "torrents/addMagnet", &magnet)
            .await
            .json();
        added["id"].as_str().unwrap().to_owned()
    };
    let status = async |id: &str| {
        let info = get(&sim, &format!("torrents/info/{id}")).await.json();
        info["status"].as_str().unwrap().to_owned()
    };
    let select = async |id: &str| {
        let path = format!("torrents/selectFiles/{id}");
        assert_eq!(call(&sim, "POST", &path, "files=all").await.status, 204);
    };
    let first = add().await;
    assert_eq!(status(&first).await, "magnet_conversion");
    sim.advance(std::time::Duration::from_secs(10));
    select(&first).await;
    assert_eq!(status(&first).await, "queued");
    sim.advance(std::time::Duration::from_secs(60));
    assert_eq!(status(&first).await, "downloaded");
    call(&sim, "DELETE", &format!("torrents/delete/{first}"), "").await;
    let second = add().await;
    assert_eq!(status(&second).await, "waiting_files_selection");
    select(&second).await;
    assert_eq!(status(&second).await, "downloaded");
}
