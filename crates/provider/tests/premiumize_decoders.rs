//! Answers of Premiumize, recorded by the shapes that its clients have met, and others.

use debridfs_provider::TorrentStatus;
use debridfs_provider::vendors::premiumize::decode;
use jiff::Timestamp;

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

#[test]
fn an_account() {
    let info = decode::info(include_bytes!("bodies/premiumize/account.json"), now()).unwrap();
    assert!(info.account.premium);
    assert_eq!(info.account.expires.unwrap().as_second(), 1_830_000_000);
    assert_eq!(info.account.fair_use, Some(0.25));
    assert_eq!(
        (&*info.customer, &*info.space),
        ("123456789", "8589934592.0")
    );
    for (until, premium) in [
        ("0", false),
        ("null", false),
        ("1799999999", false),
        ("1800000001", true),
    ] {
        let body = format!(r#"{{"customer_id":7,"premium_until":{until}}}"#);
        let info = decode::info(body.as_bytes(), now()).unwrap();
        assert_eq!(info.account.premium, premium, "{until}");
        assert_eq!(info.customer, "7");
    }
    let body = br#"{"status":"success","customer_id":"7"}"#;
    assert!(
        decode::info(body, now()).is_err(),
        "nothing said of the subscription"
    );
}

#[test]
fn transfers_tell_a_hash_only_in_a_magnet() {
    let body = include_bytes!("bodies/premiumize/transfers.json");
    let (transfers, unreadable) = decode::transfers(body).unwrap();
    use TorrentStatus::{Dead, Downloaded, Downloading, Error, Queued};
    let told = transfers.iter().map(|transfer| {
        let hash = transfer.hash.is_some();
        (
            &transfer.status,
            transfer.progress,
            hash,
            transfer.folder.as_deref(),
        )
    });
    let other = TorrentStatus::from_word("premiumize: unpacking");
    let wanted = [
        (&Downloading, 45.0, false, Some("F1")),
        (&Downloaded, 100.0, true, None),
        (&Queued, 0.0, false, Some("F2")),
        (&Dead, 0.0, false, None),
        (&Error, 0.0, false, None),
        (&other, 0.0, false, None),
    ];
    assert_eq!(told.collect::<Vec<_>>(), wanted);
    assert_eq!(transfers[1].file.as_deref(), Some("K9"));
    assert_eq!(unreadable.len(), 2, "{unreadable:?}");
}

#[test]
fn files_have_canonical_paths_and_bad_ones_are_named() {
    let (files, unreadable) =
        decode::files(include_bytes!("bodies/premiumize/files.json")).unwrap();
    let paths: Vec<_> = files
        .iter()
        .map(|file| (&*file.id, &*file.path, file.bytes))
        .collect();
    let hash = "0123456789abcdef0123456789abcdef01234567";
    let first = format!("debridfs/{hash}/Show.S01/E01.mkv");
    let wanted = [
        ("K1", &*first, 1024),
        ("K9", "Film.2024.mkv", 2048),
        ("K10", "Movies/a.mkv", 1),
    ];
    assert_eq!(paths, wanted);
    let created = files
        .iter()
        .map(|file| file.created.map(|at| at.as_second()));
    let wanted = [Some(1_760_000_000), Some(1_750_000_000), None];
    assert_eq!(created.collect::<Vec<_>>(), wanted);
    assert_eq!(unreadable.len(), 3, "{unreadable:?}");
}

#[test]
fn a_list_is_empty_only_if_it_says_so() {
    for body in [
        &b"{}"[..],
        br#"{"status":"success"}"#,
        b"",
        b"<html>",
        b"[]",
    ] {
        assert!(decode::files(body).is_err());
        assert!(decode::transfers(body).is_err());
        assert!(decode::folder(body).is_err());
    }
    let empty = br#"{"status":"success","files":[],"transfers":[],"content":[]}"#;
    assert_eq!(decode::files(empty).unwrap().0, []);
    assert_eq!(decode::transfers(empty).unwrap().0, []);
    assert_eq!(decode::folder(empty).unwrap(), []);
}

#[test]
fn small_answers() {
    let folder = decode::folder(include_bytes!("bodies/premiumize/folder.json")).unwrap();
    let told: Vec<_> = folder
        .iter()
        .map(|entry| (&*entry.name, entry.is_folder))
        .collect();
    assert_eq!(told, [("debridfs", true), ("Film.2024.mkv", false)]);
    let item = decode::item(include_bytes!("bodies/premiumize/item.json"), now()).unwrap();
    assert_eq!((&*item.filename, item.bytes), ("Film.2024.mkv", Some(2048)));
    let direct = decode::direct(include_bytes!("bodies/premiumize/direct.json")).unwrap();
    assert_eq!(
        (&*direct[0].path, direct[0].bytes),
        ("Show.S01/E01.mkv", 1024)
    );
    assert_eq!(
        decode::cached(include_bytes!("bodies/premiumize/cached.json")),
        Ok(true)
    );
    for (body, cached) in [
        (r#"{"response":[false]}"#, Some(false)),
        (r#"{"response":[true,true]}"#, None),
        (r#"{"response":[]}"#, None),
        (r#"{"status":"success"}"#, None),
    ] {
        assert_eq!(decode::cached(body.as_bytes()).ok(), cached, "{body}");
    }
    assert_eq!(decode::created(br#"{"id":"F1"}"#).unwrap(), "F1");
    assert!(decode::created(br#"{"id":"F/1"}"#).is_err());
    for link in ["", "ftp://a.example/x", "nothing"] {
        let body = format!(r#"{{"link":"{link}","size":1}}"#);
        assert!(decode::item(body.as_bytes(), now()).is_err(), "{link}");
    }
}

#[test]
fn fuzz_premiumize_answers() {
    bolero::check!().for_each(|body: &[u8]| {
        if let Ok((transfers, unreadable)) = decode::transfers(body) {
            assert!(
                transfers
                    .iter()
                    .all(|one| (0.0..=100.0).contains(&one.progress))
            );
            assert!(transfers.iter().all(|one| decode::is_id(&one.id)));
            assert!(unreadable.len() <= 100);
        }
        if let Ok((files, _)) = decode::files(body) {
            assert!(
                files
                    .iter()
                    .all(|file| decode::is_id(&file.id) && !file.path.is_empty())
            );
        }
        drop(decode::info(body, now()));
        drop(decode::folder(body));
        drop(decode::created(body));
        drop(decode::cached(body));
        drop(decode::item(body, now()));
        drop(decode::direct(body));
        for status in [200, 404, 429, 503, 999] {
            let status = http::StatusCode::from_u16(status).unwrap();
            let said = debridfs_provider::vendors::premiumize::verdicts::meaning(status, body);
            assert!(said.is_none_or(|said| said.words.len() < 1000));
        }
    });
}
