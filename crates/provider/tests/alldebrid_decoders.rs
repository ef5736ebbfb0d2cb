//! AllDebrid's answers as they are recorded, and in every shape they come in.

use debridfs_provider::vendors::all_debrid::decode::{
    self, Added, Delayed, Unlocked, account, added, changes, delayed, trees, unlocked,
};
use debridfs_provider::{TorrentStatus, TorrentSummary};
use jiff::Timestamp;

const LIST: &str = include_str!("bodies/alldebrid/list.json");
const FILES: &str = include_str!("bodies/alldebrid/files.json");

/// A torrent of a list with these fields besides.
fn torrent(more: &str) -> TorrentSummary {
    let body = format!(
        r#"{{"status":"success","data":{{"magnets":[{{"id":7,"hash":"{}",{more}}}]}}}}"#,
        "a".repeat(40)
    );
    decode::torrent(body.as_bytes()).unwrap()
}

#[test]
fn the_account() {
    let read = account(include_bytes!("bodies/alldebrid/user.json")).unwrap();
    assert_eq!((&*read.username, read.premium), ("someone", true));
    let end = Timestamp::from_second(1_900_000_000).unwrap();
    assert_eq!((read.expires, read.plan), (Some(end), None));
}

#[test]
fn a_list_and_its_shapes() {
    let read = changes(LIST.as_bytes()).unwrap();
    assert_eq!((read.whole, read.counter), (true, Some(1)));
    let lines = read.magnets.iter();
    let lines: Vec<_> = lines
        .map(|(number, fields)| decode::summary(*number, fields).unwrap())
        .collect();
    let [ready, downloading, unnamed] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!((&*ready.id.0, &*ready.filename), ("123", "Show.S01"));
    assert_eq!(ready.status, TorrentStatus::Downloaded);
    assert_eq!((ready.progress, ready.bytes), (100.0, 3072));
    assert_eq!(ready.added.as_second(), 1_760_000_000);
    assert_eq!(ready.ended.unwrap().as_second(), 1_760_000_060);
    assert_eq!((&ready.files, ready.links.len()), (&None, 0));
    assert_eq!(downloading.status, TorrentStatus::Downloading);
    assert_eq!((downloading.progress, downloading.ended), (25.0, None));
    assert_eq!(unnamed.status, TorrentStatus::MagnetConversion);
    assert_eq!(unnamed.filename, "");

    let one = r#"{"id":1,"hash":"x"}"#;
    for (magnets, count) in [
        ("[]".to_owned(), 0),
        ("{}".to_owned(), 0),
        (one.to_owned(), 1),
        (format!("[{one},{one}]"), 2),
        (format!(r#"{{"0":{one},"3":{one}}}"#), 2),
        (format!("[{one},7]"), 1),
    ] {
        let body = format!(r#"{{"status":"success","data":{{"magnets":{magnets}}}}}"#);
        let read = changes(body.as_bytes()).unwrap();
        assert_eq!(read.magnets.len(), count, "{body}");
        assert!(read.whole, "there is no live mode in {body}");
        assert_eq!(read.unreadable.len(), usize::from(body.contains("7]")));
    }
    // Nothing of this is an empty list.
    for body in [
        r#"{"status":"success"}"#,
        r#"{"status":"success","data":null}"#,
        r#"{"status":"success","data":{}}"#,
        r#"{"status":"success","data":[]}"#,
        r#"{"status":"success","data":{"magnets":null}}"#,
        "<html>",
        "",
    ] {
        assert!(changes(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn states_and_progress() {
    use TorrentStatus::*;
    for (code, status) in [
        (0, Queued),
        (1, Downloading),
        (2, Compressing),
        (3, Uploading),
        (4, Downloaded),
        (5, Error),
        (6, Error),
        (7, Dead),
        (8, Error),
        (9, Error),
        (10, Error),
        (11, Error),
        (12, Error),
        (13, Error),
        (14, Error),
        (15, Dead),
    ] {
        let read = torrent(&format!(r#""statusCode":{code},"filename":"n","size":10"#));
        assert_eq!(read.status, status, "{code}");
    }
    let read = torrent(r#""statusCode":99,"filename":"n""#);
    assert_eq!(read.status.word(), "alldebrid: 99");
    // In "uploading" the other counter counts.
    let uploading = r#""statusCode":3,"filename":"n","size":10,"downloaded":10,"uploaded":4"#;
    assert_eq!(torrent(uploading).progress, 40.0);
    // Waiting for servers: everything is zero for ten minutes.
    let waiting = torrent(r#""statusCode":1,"filename":"n","size":0,"downloaded":0"#);
    assert_eq!((waiting.status, waiting.progress), (Downloading, 0.0));
}

#[test]
fn trees_of_files() {
    let mut read = trees(FILES.as_bytes()).unwrap();
    let tree = read.remove(&123).unwrap();
    let files = tree.files.iter();
    let files: Vec<_> = files
        .map(|file| (file.id, &*file.path, file.bytes, file.selected))
        .collect();
    assert_eq!(
        files,
        [
            (1, "E01.mkv", 1024, true),
            (2, "Subs/E01.srt", 48, true),
            (3, "lost.nfo", 2000, false),
        ]
    );
    let links: Vec<_> = tree.links.iter().map(|link| &*link.0).collect();
    let wanted = [
        "https://alldebrid.com/f/AAAA",
        "https://alldebrid.com/f/BBBB",
    ];
    assert_eq!(links, wanted);
    // One that is not ready, and one whose tree is nonsense, do not spoil the others.
    let body = r#"{"status":"success","data":{"magnets":{
        "0":{"id":1,"error":{"code":"MAGNET_INVALID_ID","message":"m"}},
        "1":{"id":"2","files":[{"n":"a.mkv","s":5,"l":"https://alldebrid.com/f/C"}]},
        "2":{"id":3,"files":[{"s":5}]}, "3":{"id":4,"files":[]}, "4":{"id":5,"files":[{"n":"..","s":1}]}}}}"#;
    let read = trees(body.as_bytes()).unwrap();
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!(read[&2].files[0].path, "a.mkv");
    // A list that has files is taken at its word.
    let with =
        torrent(r#""statusCode":4,"files":[{"n":"a","s":1,"l":"https://alldebrid.com/f/C"}]"#);
    assert_eq!((with.files.unwrap().len(), with.links.len()), (1, 1));
}

#[test]
fn additions() {
    let wanted = Added {
        number: 123,
        ready: true,
    };
    assert_eq!(
        added(include_bytes!("bodies/alldebrid/added.json")).unwrap(),
        wanted
    );
    let file = br#"{"status":"success","data":{"files":[{"file":"f","name":"n","hash":"h","id":123,"size":1,"ready":true}]}}"#;
    assert_eq!(added(file).unwrap(), wanted);
    let waits = br#"{"status":"success","data":{"magnets":[{"id":"9","ready":false}]}}"#;
    assert!(!added(waits).unwrap().ready);
    assert!(added(br#"{"status":"success","data":{"magnets":[]}}"#).is_err());
}

#[test]
fn links() {
    let now = Timestamp::UNIX_EPOCH;
    let body = include_bytes!("bodies/alldebrid/link.json");
    let Unlocked::Ready(link) = unlocked(body, now).unwrap() else {
        panic!("it is ready")
    };
    assert_eq!(link.url, "https://abc.debrid.it/dl/xyz/E01.mkv");
    assert_eq!((&*link.filename, link.bytes), ("E01.mkv", Some(1024)));
    for body in [
        r#"{"status":"success","data":{"link":"","delayed":5,"filename":"f","filesize":0}}"#,
        r#"{"status":"success","data":{"delayed":"5"}}"#,
    ] {
        assert_eq!(
            unlocked(body.as_bytes(), now).unwrap(),
            Unlocked::Delayed(5)
        );
    }
    let other = r#"{"status":"success","data":{"link":"file:///etc/passwd"}}"#;
    assert!(unlocked(other.as_bytes(), now).is_err());
    let read = |status: u8| {
        let body = format!(
            r#"{{"status":"success","data":{{"status":{status},"time_left":4,"link":"u"}}}}"#
        );
        delayed(body.as_bytes())
    };
    assert_eq!(read(1).unwrap(), Delayed::Processing);
    assert_eq!(read(2).unwrap(), Delayed::Ready("u".to_owned()));
    assert_eq!(read(3).unwrap(), Delayed::Failed);
    assert!(read(4).is_err());
}
