//! Answers as the API should not give them.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use debridfs_provider::TorrentStatus;
use debridfs_provider::vendors::real_debrid::decode;
use jiff::Timestamp;

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

fn entry(more: &str) -> String {
    format!(r#"{{"id":"AAAA","hash":"{HASH}","status":"downloaded"{more}}}"#)
}

#[test]
fn one_bad_entry_does_not_lose_the_page() {
    let good = entry(r#","filename":"a""#);
    let bad = [
        "17",
        "null",
        "[]",
        "{}",
        r#"{"id":"BADHASH1","hash":"xyz","status":"downloaded"}"#,
        r#"{"id":"../etc","hash":"0123456789abcdef0123456789abcdef01234567","status":"queued"}"#,
        &entry(r#","links":"none""#),
        &entry(r#","links":["a",null]"#),
        r#"{"id":"NOSTATUS1","hash":"0123456789abcdef0123456789abcdef01234567"}"#,
    ];
    for bad in bad {
        let page = decode::torrents(format!("[{good},{bad},{good}]").as_bytes(), Some(3)).unwrap();
        assert_eq!(page.items.len(), 2, "{bad}");
        assert_eq!(page.unreadable.len(), 1, "{bad}");
        assert!(
            page.unreadable[0].starts_with("entry 2 ("),
            "{:?}",
            page.unreadable
        );
    }
    let many = vec!["1"; 5000].join(",");
    let page = decode::torrents(format!("[{many}]").as_bytes(), None).unwrap();
    assert_eq!(page.unreadable.len(), 100);
}

#[test]
fn a_cut_off_list_is_no_list() {
    let whole = format!("[{},{}]", entry(""), entry(""));
    for length in 0..whole.len() {
        assert!(
            decode::torrents(&whole.as_bytes()[..length], None).is_err(),
            "{length}"
        );
    }
    assert_eq!(
        decode::torrents(whole.as_bytes(), None)
            .unwrap()
            .items
            .len(),
        2
    );
    for none in ["", "null", "{}", "<html>", "\"\""] {
        assert!(decode::torrents(none.as_bytes(), None).is_err(), "{none}");
    }
    assert!(decode::torrents(b"[]", None).unwrap().items.is_empty());
}

#[test]
fn reads_odd_values() {
    let odd = entry(
        r#","filename":"\ud83d caf\u00e9","bytes":"12","progress":"37.5","added":"2026-01-02 03:04:05",
        "ended":"0000-00-00","links":["https:\/\/real-debrid.com\/d\/AAAAAAAAAAAAAXYZ","https://other.example/d/AAAAAAAAAAAAAAAAAAAA"]"#,
    );
    let page = decode::torrents(format!("[{odd}]").as_bytes(), None).unwrap();
    let item = &page.items[0];
    assert_eq!(item.filename, "\u{fffd} café");
    assert_eq!((item.bytes, item.progress), (12, 37.5));
    assert_eq!(item.added.to_string(), "2026-01-02T03:04:05Z");
    assert_eq!(item.ended, None);
    assert_eq!(item.links[0].0, "https://real-debrid.com/d/AAAAAAAAAAAAA");
    assert_eq!(
        item.links[1].0,
        "https://other.example/d/AAAAAAAAAAAAAAAAAAAA"
    );
    let page = decode::torrents(
        format!("[{}]", entry(r#","progress":1e9,"bytes":-5"#)).as_bytes(),
        None,
    )
    .unwrap();
    assert_eq!((page.items[0].progress, page.items[0].bytes), (100.0, 0));
    let new = entry("").replace("downloaded", "teleporting");
    let page = decode::torrents(format!("[{new}]").as_bytes(), None).unwrap();
    assert_eq!(
        page.items[0].status,
        TorrentStatus::Other("teleporting".to_owned())
    );
    let latin1 = entry(",\"filename\":\"caf\u{1}\"")
        .replace('\u{1}', "#")
        .into_bytes();
    let latin1: Vec<u8> = latin1
        .iter()
        .map(|byte| if *byte == b'#' { 0xe9 } else { *byte })
        .collect();
    let body = [b"[".as_slice(), &latin1, b"]"].concat();
    assert_eq!(
        decode::torrents(&body, None).unwrap().items[0].filename,
        "caf\u{fffd}"
    );
}

#[test]
fn no_file_of_a_torrent_is_left_out() {
    let with = |files: &str| decode::torrent(entry(&format!(r#","files":{files}"#)).as_bytes());
    assert_eq!(with("null").unwrap().files.len(), 0);
    assert_eq!(with("[]").unwrap().files.len(), 0);
    assert_eq!(
        with(r#"[{"id":1,"path":"/a","bytes":1,"selected":true}]"#)
            .unwrap()
            .files
            .len(),
        1
    );
    for bad in [
        "7",
        "[7]",
        r#"[{"id":1,"path":"/a","bytes":1}]"#,
        r#"[{"id":-1,"path":"/a","bytes":1,"selected":1}]"#,
        r#"[{"id":1,"path":null,"bytes":1,"selected":1}]"#,
        r#"[{"id":1,"path":"/a","bytes":-1,"selected":1}]"#,
        r#"[{"id":1,"path":"/a","bytes":1,"selected":2}]"#,
    ] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_size_of_zero_is_unknown() {
    let link = |more: &str| {
        decode::direct_link(
            format!(r#"{{"download":"https://1.example/d/X/file.mkv"{more}}}"#).as_bytes(),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap()
    };
    assert_eq!(link(r#","filesize":0"#).bytes, None);
    assert_eq!(link("").bytes, None);
    assert_eq!(link(r#","filesize":7"#).bytes, Some(7));
    assert_eq!(link("").filename, "file.mkv");
    assert!(!format!("{:?}", link("")).contains("1.example"));
}

#[test]
fn a_direct_link_is_a_url_of_the_web_that_a_server_could_take() {
    let link = |url: &str, size: &str| {
        let body = format!(r#"{{"download":"{url}","filesize":{size}}}"#);
        decode::direct_link(body.as_bytes(), Timestamp::UNIX_EPOCH)
    };
    let of_length = |length: usize| format!("https://x/{}", "a".repeat(length - 10));
    assert!(link(&of_length(8192), "1").is_ok());
    for bad in [
        "",
        "file:///etc/passwd",
        "ftp://1.example/d",
        "gopher://1.example/d",
        "https://",
        "//1.example/d",
        "/d/X",
        &of_length(8193),
        &of_length(1 << 20),
    ] {
        let error = link(bad, "1").unwrap_err().to_string();
        assert!(error.len() < 100, "{error}");
    }
    // What cannot be a size is none; a wrong one is found at the first answer of the CDN.
    for (size, read) in [
        ("-1", None),
        ("\"x\"", None),
        ("[]", None),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", Some(i64::MAX.unsigned_abs())),
        ("1e300", Some(i64::MAX.unsigned_abs())),
    ] {
        let bytes = link("https://1.example/d", size).unwrap().bytes;
        assert_eq!(bytes, read, "{size}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    let deep = "[".repeat(100_000);
    assert!(decode::torrents(deep.as_bytes(), None).is_err());
    assert!(decode::account(deep.as_bytes()).is_err());
    let inside = format!(
        "[{}]",
        entry(&format!(r#","x":{}{}"#, "[".repeat(5000), "]".repeat(5000)))
    );
    let page = decode::torrents(inside.as_bytes(), None).unwrap();
    assert_eq!((page.items.len(), page.unreadable.len()), (0, 1));
}
