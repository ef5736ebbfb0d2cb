//! Arrs as they are read and told, against one that answers by a script.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod calls;
mod script;

use std::collections::BTreeSet;

use debridfs_provider::InfoHash;
use debridfs_services::{CallError, Dialect, FailedGrab, Replaced, Replacement, Version};
use serde_json::{Value, json};

use script::Script;

const HASH: &str = "00112233445566778899aabbccddeeff00112233";
const CAPITALS: &str = "00112233445566778899AABBCCDDEEFF00112233";
const QUEUE: &str = "GET /api/v3/queue?page=1&pageSize=500&includeUnknownSeriesItems=true";

fn hash() -> InfoHash {
    HASH.parse().unwrap()
}

fn sonarr() -> Script {
    Script::of("Sonarr", "/api/v3")
}

/// The call that asks for the history of the download.
fn history() -> String {
    format!("GET /api/v3/history?page=1&pageSize=500&downloadId={CAPITALS}")
}

fn page(records: &[Value]) -> Value {
    json!({ "totalRecords": records.len(), "records": records })
}

/// An entry of the history, at this minute.
fn event(id: i64, minute: u32, kind: &str, episode: i64) -> Value {
    json!({
        "id": id,
        "downloadId": CAPITALS,
        "date": format!("2026-11-01T10:{minute:02}:00Z"),
        "eventType": kind,
        "seriesId": 7,
        "episodeId": episode,
    })
}

/// An import, of a file of the release to a file of the library.
fn import(id: i64, minute: u32, episode: i64, dropped: &str, imported: &str) -> Value {
    let mut row = event(id, minute, "downloadFolderImported", episode);
    row["data"] = json!({ "droppedPath": dropped, "importedPath": imported });
    row
}

#[tokio::test]
async fn the_program_is_told_by_its_own_api_and_asked_once() {
    for (name, path, dialect) in [
        ("Sonarr", "/api/v3", Dialect::Sonarr),
        ("Radarr", "/api/v3", Dialect::Radarr),
        ("Whisparr", "/api/v3", Dialect::Other(Version::V3)),
        ("Lidarr", "/api/v1", Dialect::Lidarr),
        ("Readarr", "/api/v1", Dialect::Other(Version::V1)),
    ] {
        let command = format!("POST {path}/command");
        let (script, arr) = Script::of(name, path).answers(&command, 201, "{}").arr();
        assert_eq!(arr.dialect().await.unwrap(), dialect, "{name}");
        arr.refresh().await.unwrap();
        arr.refresh().await.unwrap();
        assert_eq!(
            script.asked(),
            [command.as_str(), command.as_str()],
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_is_no_arr_is_told_and_asked_again_the_next_time() {
    let (_, arr) = Script::default().arr();
    let error = arr.dialect().await.unwrap_err();
    assert!(
        error.to_string().contains("is the URL base missing?"),
        "{error}"
    );

    let (_, arr) = Script::default()
        .says("GET /api/v3/system/status", &json!({ "version": "1" }))
        .arr();
    let error = arr.dialect().await.unwrap_err();
    assert!(matches!(error, CallError::Odd(_)), "{error}");

    // A wrong key is not taken for the other version of the API.
    let (_, arr) = Script::of("Lidarr", "/api/v1")
        .answers("GET /api/v3/system/status", 401, "Unauthorized")
        .arr();
    let error = arr.dialect().await.unwrap_err();
    assert_eq!(error.to_string(), "answered 401: Unauthorized");
}

#[tokio::test]
async fn the_queue_is_read_to_its_end_and_downloads_are_told_by_their_hash() {
    let row =
        |id: i64, download: Value| json!({ "id": id, "title": "S01", "downloadId": download });
    let first = [
        row(1, json!(CAPITALS)),
        row(2, json!("other")),
        row(3, Value::Null),
    ];
    let second = [row(4, json!(HASH)), json!({ "id": 5 })];
    let (script, arr) = sonarr()
        .says(QUEUE, &json!({ "totalRecords": 5, "records": first }))
        .says(
            &QUEUE.replace("page=1", "page=2"),
            &json!({ "totalRecords": 5, "records": second }),
        )
        .arr();
    let entries = arr.queue(hash()).await.unwrap();
    let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [1, 4]);
    assert_eq!(script.asked().len(), 2);

    // A total that is never reached does not keep it asking.
    let (script, arr) = sonarr()
        .says(QUEUE, &json!({ "totalRecords": 900, "records": [] }))
        .arr();
    assert_eq!(arr.queue(hash()).await.unwrap(), []);
    assert_eq!(script.asked().len(), 1);

    let (_, arr) = sonarr()
        .says(QUEUE, &json!({ "records": [{ "title": "x" }] }))
        .arr();
    let error = arr.queue(hash()).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Odd(words) if words.contains("`id`")),
        "{error}"
    );
}

#[tokio::test]
async fn one_odd_record_does_not_spoil_the_others() {
    let delete = "DELETE /api/v3/queue/4?removeFromClient=true&blocklist=true&skipRedownload=false";
    let records = json!([
        null,
        7,
        { "id": null, "title": "x" },
        { "id": 3, "title": ["x"], "downloadId": CAPITALS },
        { "id": 4, "title": null, "downloadId": CAPITALS },
    ]);
    let queued = json!({ "totalRecords": null, "records": records });
    let (script, arr) = sonarr().says(QUEUE, &queued).answers(delete, 200, "").arr();
    let done = arr.fail_grab(hash(), true).await.unwrap();
    assert_eq!(done, FailedGrab::FromQueue);
    assert_eq!(script.asked(), [QUEUE, delete]);

    // The same of its history.
    let mut odd = event(9, 0, "grabbed", 1);
    odd["date"] = json!("yesterday");
    let mut grabbed = event(10, 0, "grabbed", 1);
    grabbed["data"] = Value::Null;
    let marked = "POST /api/v3/history/failed/10";
    let (script, arr) = sonarr()
        .says(QUEUE, &json!({ "records": null }))
        .says(&history(), &page(&[odd, grabbed]))
        .answers(marked, 200, "")
        .arr();
    let done = arr.fail_grab(hash(), true).await.unwrap();
    assert_eq!(done, FailedGrab::FromHistory);
    assert_eq!(script.asked(), [QUEUE, &history(), marked]);
}

#[tokio::test]
async fn a_grab_fails_where_the_arr_has_it() {
    let delete = "DELETE /api/v3/queue/4?removeFromClient=true&blocklist=true&skipRedownload=false";
    let queued = page(&[json!({ "id": 4, "downloadId": CAPITALS })]);
    let grabbed = page(&[event(10, 0, "grabbed", 1)]);
    let marked = "POST /api/v3/history/failed/10";

    let (script, arr) = sonarr().says(QUEUE, &queued).answers(delete, 200, "").arr();
    assert_eq!(
        arr.fail_grab(hash(), true).await.unwrap(),
        FailedGrab::FromQueue
    );
    assert_eq!(script.asked(), [QUEUE, delete]);

    // It left the queue in between.
    let (script, arr) = sonarr()
        .says(QUEUE, &queued)
        .says(&history(), &grabbed)
        .answers(marked, 200, "")
        .arr();
    assert_eq!(
        arr.fail_grab(hash(), true).await.unwrap(),
        FailedGrab::FromHistory
    );
    assert_eq!(script.asked().last().unwrap(), marked);

    // The history is left alone unless that was asked for.
    let (script, arr) = sonarr()
        .says(QUEUE, &page(&[]))
        .says(&history(), &grabbed)
        .arr();
    assert_eq!(
        arr.fail_grab(hash(), false).await.unwrap(),
        FailedGrab::Unknown
    );
    assert_eq!(script.asked(), [QUEUE, &history()]);

    for (rows, taken) in [
        (vec![], FailedGrab::Unknown),
        (
            vec![
                event(10, 0, "grabbed", 1),
                event(11, 5, "downloadFailed", 1),
            ],
            FailedGrab::Already,
        ),
        // Grabbed once more since: that grab has not failed.
        (
            vec![
                event(9, 0, "grabbed", 1),
                event(8, 5, "downloadFailed", 1),
                event(10, 9, "grabbed", 1),
            ],
            FailedGrab::FromHistory,
        ),
    ] {
        let (_, arr) = sonarr()
            .says(QUEUE, &page(&[]))
            .says(&history(), &page(&rows))
            .answers(marked, 200, "")
            .arr();
        assert_eq!(arr.fail_grab(hash(), true).await.unwrap(), taken);
    }

    let (_, arr) = sonarr().answers(QUEUE, 503, "starting").arr();
    let error = arr.fail_grab(hash(), true).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
}

#[tokio::test]
async fn only_files_that_came_of_the_release_and_are_there_still_are_deleted() {
    let rows = [
        event(10, 0, "grabbed", 1),
        import(11, 1, 1, "/mnt/dfs/x/S01E01.mkv", "/tv/Show/S01E01.mkv"),
        import(12, 1, 2, r"Z:\dfs\x\S01E02.mkv", "/tv/Show/S01E02.mkv"),
        import(13, 1, 3, "/mnt/dfs/x/S01E03.mkv", "/tv/Show/S01E03.mkv"),
    ];
    let files = json!([
        { "id": 1, "path": "/tv/Show/S01E01.mkv" },
        { "id": 2, "path": "/tv/Show/S01E02.mkv" },
        // In place of the one that was imported.
        { "id": 3, "path": "/tv/Show/S01E03.better.mkv" },
        { "id": 4, "path": "/tv/Show/S02E01.mkv" },
    ]);
    let script = || {
        sonarr()
            .says(&history(), &page(&rows))
            .says("GET /api/v3/episodefile?seriesId=7", &files)
            .answers("DELETE /api/v3/episodefile/1", 200, "")
            .answers("POST /api/v3/history/failed/10", 200, "")
    };
    let deleted = |script: &Script| {
        let mut asked = script.asked();
        asked.retain(|call| call.starts_with("DELETE"));
        asked
    };
    let (all, arr) = script().arr();
    // The second one is gone by the time that it is to be deleted.
    let replaced = arr.replace(hash(), &[]).await.unwrap();
    assert_eq!(replaced, Replaced::Searched { files: 1 });
    let both = [
        "DELETE /api/v3/episodefile/1",
        "DELETE /api/v3/episodefile/2",
    ];
    assert_eq!(deleted(&all), both);

    let (one, arr) = script().arr();
    arr.replace(hash(), &["S01E02.mkv"]).await.unwrap();
    assert_eq!(deleted(&one), [both[1]]);

    let failed = [&rows[..], &[event(14, 9, "downloadFailed", 1)]].concat();
    let (script, arr) = sonarr().says(&history(), &page(&failed)).arr();
    assert_eq!(arr.replace(hash(), &[]).await.unwrap(), Replaced::Already);
    assert_eq!(script.asked(), [history()]);

    let (_, arr) = sonarr().says(&history(), &page(&[])).arr();
    assert_eq!(arr.replace(hash(), &[]).await.unwrap(), Replaced::Unknown);
}

#[tokio::test]
async fn a_replacement_is_whole_when_every_episode_came_from_elsewhere() {
    let newest = "GET /api/v3/history?page=1&pageSize=500&sortKey=date&sortDirection=descending";
    let of_release = [
        event(1, 0, "grabbed", 1),
        event(2, 1, "downloadFolderImported", 1),
        event(3, 1, "downloadFolderImported", 2),
        event(4, 2, "downloadFailed", 1),
    ];
    let from = |id, minute, kind: &str, episode, download: &str| {
        let mut row = event(id, minute, kind, episode);
        row["downloadId"] = json!(download);
        row
    };
    let imported = "downloadFolderImported";
    let new = |rows: &[Value]| {
        let rows: Vec<_> = rows.iter().chain(&of_release).cloned().collect();
        sonarr()
            .says(&history(), &page(&of_release))
            .says(newest, &page(&rows))
    };
    for (rows, replacement) in [
        (
            vec![from(9, 9, imported, 1, "AA"), from(8, 8, imported, 2, "BB")],
            Replacement::Whole {
                from: BTreeSet::from(["AA".into(), "BB".into()]),
            },
        ),
        (vec![from(9, 9, imported, 1, "AA")], Replacement::Missing),
        // Imported, and gone again: the newest word counts.
        (
            vec![
                from(9, 9, "episodeFileDeleted", 1, "AA"),
                from(8, 8, imported, 1, "AA"),
                from(7, 7, imported, 2, "AA"),
            ],
            Replacement::Missing,
        ),
        // The same release again is not another one.
        (
            vec![
                from(9, 9, imported, 1, CAPITALS),
                from(8, 8, imported, 2, "BB"),
            ],
            Replacement::Missing,
        ),
        // Of other episodes.
        (
            vec![from(9, 9, imported, 5, "AA"), from(8, 8, imported, 6, "AA")],
            Replacement::Missing,
        ),
    ] {
        let (_, arr) = new(&rows).arr();
        assert_eq!(
            arr.replacement(hash()).await.unwrap(),
            replacement,
            "{rows:?}"
        );
    }

    // It was never told, or had imported nothing.
    for rows in [
        &of_release[..3],
        &[of_release[0].clone(), of_release[3].clone()],
    ] {
        let (_, arr) = sonarr().says(&history(), &page(rows)).arr();
        let replacement = arr.replacement(hash()).await.unwrap();
        assert_eq!(replacement, Replacement::Unknown);
    }
}
