//! TorBox's answers, as they should be and as they should not. The bodies are written from the vendor's documents, with values of ours.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use debridfs_provider::vendors::torbox::{List, decode};
use debridfs_provider::{ContentId, ContentKind, InfoHash, TorrentStatus};
use jiff::Timestamp;

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";
const FILE: &str = r#"[{"id":0,"name":"a.mkv","size":1}]"#;

fn enveloped(data: &str) -> String {
    format!(r#"{{"success":true,"error":null,"detail":"d","data":{data}}}"#)
}

/// A torrent with these fields besides.
fn entry(more: &str) -> String {
    format!(r#"{{"id":7,"hash":"{HASH}","name":"n","size":1{more}}}"#)
}

fn status(state: &str, finished: bool, present: bool, files: &str) -> TorrentStatus {
    let more = format!(
        r#","download_state":"{state}","download_finished":{finished},"download_present":{present},"files":{files}"#
    );
    let body = enveloped(&entry(&more));
    let info = decode::torrent(List::Torrents, body.as_bytes()).unwrap();
    info.summary.status
}

#[test]
fn a_ready_torrent_has_its_files_and_links() {
    let body = include_str!("bodies/torbox/torrent.json");
    let info = decode::torrent(List::Torrents, body.as_bytes()).unwrap();
    let summary = &info.summary;
    assert_eq!(summary.id.0, "5");
    assert_eq!(summary.content.to_string(), HASH);
    assert_eq!(summary.filename, "Show.S01");
    assert_eq!((summary.bytes, summary.progress), (10_485_760_000, 100.0));
    assert_eq!(summary.status, TorrentStatus::Downloaded);
    assert_eq!(summary.added.to_string(), "2026-01-02T03:04:05Z");
    let links: Vec<_> = summary.links.iter().map(|link| &*link.0).collect();
    assert_eq!(links, ["5/0", "5/1"], "0 is a file like others");
    let files: Vec<_> = info
        .files
        .iter()
        .map(|file| (file.id, &*file.path, file.bytes, file.selected))
        .collect();
    let expected = [
        (0, "Show.S01E01.mkv", 5_242_880_000, true),
        (1, "Subs/Show.S01E01.srt", 50_000, true),
    ];
    assert_eq!(files, expected, "below the torrent's top directory");
    assert_eq!(summary.files.as_ref(), Some(&info.files));
}

#[test]
fn a_list_tells_no_total_and_has_files() {
    let body = include_str!("bodies/torbox/torrents.json");
    let page = decode::list(List::Torrents, body.as_bytes()).unwrap();
    assert_eq!((page.total, page.unreadable.len()), (None, 0));
    let [unresolved, ready] = &page.items[..] else {
        panic!("{page:?}");
    };
    assert_eq!(unresolved.status, TorrentStatus::MagnetConversion);
    assert_eq!(
        (unresolved.bytes, unresolved.links.len()),
        (0, 0),
        "-1 is not known"
    );
    assert_eq!(ready.status, TorrentStatus::Downloaded);
    assert_eq!(ready.files.as_ref().map(Vec::len), Some(1));
}

#[test]
fn downloads_without_an_info_hash_have_ids_of_their_own() {
    let body = include_str!("bodies/torbox/usenet.json");
    let usenet = decode::list(List::Usenet, body.as_bytes()).unwrap().items;
    let web = decode::list(List::Web, body.as_bytes()).unwrap().items;
    assert_eq!(
        (&*usenet[0].id.0, &*usenet[0].links[0].0),
        ("usenet:5", "usenet:5/3")
    );
    assert_eq!((&*web[0].id.0, &*web[0].links[0].0), ("web:5", "web:5/3"));
    let name = b"torbox:9e107d9d372bb6826bd81d3542a419d6";
    assert_eq!(usenet[0].content, ContentId::of(ContentKind::Usenet, name));
    assert_eq!(web[0].content, ContentId::of(ContentKind::Web, name));
    // Without a hash, the id names it.
    let bare = body.replace("9e107d9d372bb6826bd81d3542a419d6", "");
    let bare = decode::list(List::Usenet, bare.as_bytes()).unwrap().items;
    assert_eq!(
        bare[0].content,
        ContentId::of(ContentKind::Usenet, b"torbox:usenet:5")
    );
    assert!(
        decode::list(List::Torrents, body.as_bytes())
            .unwrap()
            .items
            .is_empty(),
        "no info-hash"
    );
}

#[test]
fn table_of_states() {
    use TorrentStatus::{
        Compressing, Dead, Downloaded, Downloading, Error, MagnetConversion, Other, Queued,
        Uploading,
    };
    for state in [
        "cached",
        "completed",
        "uploading",
        "uploading (no peers)",
        "paused",
        "stalled (no seeds)",
        "",
    ] {
        assert_eq!(status(state, true, true, FILE), Downloaded, "{state}");
    }
    for (state, expected) in [
        ("queued", Queued),
        ("paused", Queued),
        ("checking", Queued),
        ("checkingResumeData", Queued),
        ("metaDL", MagnetConversion),
        ("downloading", Downloading),
        ("stalledDL", Downloading),
        ("stalled (no seeds)", Downloading),
        ("processing", Compressing),
        ("uploading", Uploading),
        ("completed", Uploading),
        ("cached", Uploading),
        ("expired", Dead),
        ("reported missing", Dead),
        ("failed (no such article)", Error),
        ("error", Error),
        ("missingFiles", Error),
        ("new word", Other("torbox: new word".to_owned())),
    ] {
        assert_eq!(status(state, false, false, FILE), expected, "{state}");
    }
    // Ten seconds and more between the end of the download and the file's being there.
    assert_eq!(status("downloading", true, false, FILE), Uploading);
    assert_eq!(
        status("completed", true, true, "[]"),
        Uploading,
        "nothing to read"
    );
    assert_eq!(status("expired", true, false, FILE), Dead);
}

#[test]
fn progress_is_a_share_and_odd_values_are_borne() {
    let of = |progress: &str| {
        let body = enveloped(&entry(&format!(r#","progress":{progress}"#)));
        decode::torrent(List::Torrents, body.as_bytes())
            .unwrap()
            .summary
            .progress
    };
    assert_eq!(of("0.375"), 37.5);
    assert_eq!(of("\"0.5\""), 50.0);
    for (odd, expected) in [("-1", 0.0), ("7", 100.0), ("null", 0.0), ("1e999", 0.0)] {
        let body = enveloped(&entry(&format!(r#","progress":{odd}"#)));
        if let Ok(info) = decode::torrent(List::Torrents, body.as_bytes()) {
            assert_eq!(info.summary.progress, expected, "{odd}");
        }
    }
}

#[test]
fn one_bad_entry_does_not_lose_the_page() {
    let good = entry("");
    let bad = [
        "17",
        "null",
        "{}",
        r#"{"id":-7,"hash":"0123456789abcdef0123456789abcdef01234567"}"#,
        r#"{"id":7,"hash":"xyz"}"#,
        &entry(r#","files":"none""#),
        &entry(r#","files":[{"id":0,"name":"a"}]"#),
        &entry(r#","files":[{"name":"a","size":1}]"#),
        &entry(r#","files":[{"id":0,"name":"../","size":1}]"#),
        &entry(r#","files":[{"id":4294967296,"name":"a","size":1}]"#),
    ];
    for bad in bad {
        let body = enveloped(&format!("[{good},{bad},{good}]"));
        let page = decode::list(List::Torrents, body.as_bytes()).unwrap();
        assert_eq!((page.items.len(), page.unreadable.len()), (2, 1), "{bad}");
    }
}

#[test]
fn only_an_answer_that_says_so_is_an_empty_list() {
    let list = |body: &str| decode::list(List::Torrents, body.as_bytes());
    for empty in [
        enveloped("[]"),
        enveloped("null"),
        r#"{"success":true}"#.to_owned(),
    ] {
        assert!(list(&empty).unwrap().items.is_empty(), "{empty}");
    }
    for none in [
        "",
        "null",
        "{}",
        "[]",
        "<html>",
        r#"{"detail":"Not Found"}"#,
        r#"{"success":false,"data":null}"#,
        r#"{"success":true,"data":{}}"#,
    ] {
        assert!(list(none).is_err(), "{none}");
    }
    let whole = include_str!("bodies/torbox/torrents.json").trim_end();
    for length in 0..whole.len() {
        assert!(list(&whole[..length]).is_err(), "cut off after {length}");
    }
}

#[test]
fn a_direct_link_is_an_http_url() {
    let now = Timestamp::UNIX_EPOCH;
    let link = decode::direct_link(include_bytes!("bodies/torbox/link.json"), now).unwrap();
    assert_eq!(
        link.url,
        "https://nexus-007.example/dld/Show.S01E01.mkv?token=DIRECTLINK"
    );
    assert_eq!(
        (&*link.filename, link.bytes, link.resolved_at),
        ("Show.S01E01.mkv", None, now)
    );
    for data in [
        "null",
        "7",
        "\"\"",
        "\"ftp://a.example/b\"",
        "\"no url\"",
        "[]",
        &format!("\"https://a.example/{}\"", "x".repeat(9000)),
    ] {
        let error = decode::direct_link(enveloped(data).as_bytes(), now).unwrap_err();
        assert!(!error.to_string().contains("a.example"), "{error}");
    }
}

#[test]
fn an_account_tells_plan_and_end() {
    let account = decode::account(include_bytes!("bodies/torbox/user.json")).unwrap();
    assert_eq!(
        (&*account.username, account.premium),
        ("somebody@example.com", true)
    );
    assert_eq!(account.plan.as_deref(), Some("pro"));
    assert_eq!(account.expires.unwrap().to_string(), "2027-06-01T00:00:00Z");
    for (plan, name, premium) in [
        (0, "free", false),
        (1, "essential", true),
        (3, "standard", true),
        (9, "plan 9", true),
    ] {
        let body = enveloped(&format!(r#"{{"id":1,"plan":{plan}}}"#));
        let account = decode::account(body.as_bytes()).unwrap();
        assert_eq!(
            (account.plan.as_deref(), account.premium),
            (Some(name), premium)
        );
        assert_eq!(account.username, "1");
    }
    assert!(decode::account(enveloped(r#"{"id":1}"#).as_bytes()).is_err());
}

#[test]
fn what_is_added_is_a_torrent() {
    let id = decode::added(include_bytes!("bodies/torbox/added.json")).unwrap();
    assert_eq!(id.unwrap().0, "41");
    let queued = enveloped(r#"{"torrent_id":null,"queued_id":3}"#);
    assert_eq!(decode::added(queued.as_bytes()), Ok(None));
    assert!(decode::added(enveloped("{}").as_bytes()).is_err());
}

#[test]
fn what_is_cached_is_named_by_its_hash() {
    let hash = InfoHash([0xab; 20]);
    let upper = hash.to_string().to_ascii_uppercase();
    for (data, cached) in [
        (format!(r#"{{"{hash}":{{"name":"x","size":1}}}}"#), true),
        (format!(r#"{{"{upper}":{{"name":"x"}}}}"#), true),
        (
            format!(r#"{{"{}":{{}}}}"#, hash.to_string().replace('a', "c")),
            false,
        ),
        ("{}".to_owned(), false),
        ("[]".to_owned(), false),
        ("null".to_owned(), false),
    ] {
        let said = decode::is_cached(enveloped(&data).as_bytes(), hash);
        assert_eq!(said.ok(), Some(cached), "{data}");
    }
    assert!(decode::is_cached(enveloped("7").as_bytes(), hash).is_err());
    assert!(decode::is_cached(b"{}", hash).is_err());
}
