//! Debrid-Link's answers as they are recorded, and in every shape they come in.

use debridfs_provider::vendors::debrid_link::decode::{
    account, active_count, added, is_id, page, parts_of,
};
use debridfs_provider::{ActiveCount, HosterLink, TorrentStatus, TorrentSummary};
use jiff::Timestamp;

const LIST: &str = include_str!("bodies/debridlink/list.json");

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A torrent with these fields besides.
fn torrent(more: &str) -> TorrentSummary {
    let hash = "a".repeat(40);
    let body = format!(
        r#"{{"success":true,"value":[{{"id":"x","hashString":"{hash}","totalSize":9,{more}}}]}}"#
    );
    let read = page(body.as_bytes(), None).unwrap();
    assert_eq!(read.unreadable, Vec::<String>::new());
    read.items.into_iter().next().unwrap().summary
}

fn paths(summary: &TorrentSummary) -> Vec<&str> {
    let files = summary.files.as_ref().unwrap().iter();
    files.map(|file| &*file.path).collect()
}

#[test]
fn the_account() {
    let read = account(include_bytes!("bodies/debridlink/infos.json"), now()).unwrap();
    assert_eq!((&*read.username, read.premium), ("someone", true));
    assert_eq!(read.plan, None);
    assert_eq!(read.expires.unwrap().as_second(), 1_800_864_000);
    let of = |fields: &str| {
        let body = format!(r#"{{"success":true,"value":{{"username":"u",{fields}}}}}"#);
        account(body.as_bytes(), now())
    };
    let free = of(r#""accountType":0,"premiumLeft":0"#).unwrap();
    assert_eq!((free.premium, free.expires), (false, None));
    let lifetime = of(r#""accountType":2,"premiumLeft":0"#).unwrap();
    assert!(lifetime.premium && lifetime.expires.is_none());
    assert_eq!(lifetime.plan.as_deref(), Some("lifetime"));
    let absurd = format!(r#""accountType":1,"premiumLeft":{}"#, i64::MAX);
    assert_eq!(of(&absurd).unwrap().expires, None);
    assert!(of(r#""premiumLeft":5"#).is_err());
}

#[test]
fn a_list_with_its_files() {
    let read = page(LIST.as_bytes(), Some(0)).unwrap();
    assert_eq!((read.next, read.unreadable.len()), (None, 0));
    let lines: Vec<_> = read.items.iter().map(|torrent| &torrent.summary).collect();
    let [new, show, many] = lines[..] else {
        panic!("{lines:?}")
    };
    // Verification and downloading at once.
    assert_eq!(new.status, TorrentStatus::Downloading);
    assert_eq!((new.progress, new.links.len()), (25.0, 0));
    assert_eq!(show.status, TorrentStatus::Downloaded);
    assert_eq!(show.added.as_second(), 1_760_000_200);
    assert_eq!(
        show.content.to_string(),
        "0123456789abcdef0123456789abcdef01234567"
    );
    assert_eq!(paths(show), ["E01.mkv", "Subs/E01.srt", "sample.mkv"]);
    let files = show.files.as_ref().unwrap();
    let selected: Vec<_> = files.iter().map(|file| file.selected).collect();
    assert_eq!(
        selected,
        [true, true, false],
        "what was left out is never there"
    );
    let links: Vec<_> = show.links.iter().map(|link| &*link.0).collect();
    assert_eq!(links, ["b2/b2-0", "b2/b2-1"]);
    // Many files show as a ZIP until they are asked for.
    assert_eq!(many.status, TorrentStatus::Downloaded);
    assert_eq!((&many.files, many.links.len()), (&None, 0));
    let file = read.items[1].files[0].clone();
    let link = file.direct_link(now()).unwrap();
    assert_eq!((&*link.filename, link.bytes), ("E01.mkv", Some(2048)));
    assert_eq!(link.url, "https://seed12.example/dl/b2/0/E01.mkv");
}

#[test]
fn a_page_tells_which_one_follows() {
    let of = |pagination: &str, items: &str, asked| {
        let body = format!(r#"{{"success":true,"value":[{items}],"pagination":{pagination}}}"#);
        page(body.as_bytes(), Some(asked)).map(|page| page.next)
    };
    assert_eq!(of(r#"{"next":-1}"#, "", 0), Ok(None));
    assert_eq!(of(r#"{"next":3}"#, "7", 2), Ok(Some(3)));
    // A list that would be read for ever, and one whose pages would be passed over.
    for (pagination, items, asked) in [
        (r#"{"next":0}"#, "7", 0),
        (r#"{"next":1}"#, "7", 1),
        (r#"{"next":5}"#, "7", 1),
        (r#"{"next":1}"#, "", 0),
        ("{}", "7", 0),
        ("null", "7", 0),
    ] {
        assert!(of(pagination, items, asked).is_err(), "{pagination}");
    }
    // Nothing of this is an empty list.
    for body in [
        r#"{"success":true}"#,
        r#"{"success":true,"value":null,"pagination":{"next":-1}}"#,
        r#"{"success":true,"value":{},"pagination":{"next":-1}}"#,
        r#"{"success":true,"value":[]}"#,
        "<html>",
        "",
    ] {
        assert!(page(body.as_bytes(), Some(0)).is_err(), "{body}");
    }
}

#[test]
fn bad_entries_are_named_and_left_out() {
    let hash = "a".repeat(40);
    for entry in [
        "7".to_owned(),
        format!(r#"{{"hashString":"{hash}","status":100}}"#),
        format!(r#"{{"id":"../account","hashString":"{hash}","status":100}}"#),
        format!(r#"{{"id":"a,b","hashString":"{hash}","status":100}}"#),
        r#"{"id":"a","hashString":"x","status":100}"#.to_owned(),
        format!(r#"{{"id":"a","hashString":"{hash}"}}"#),
        format!(
            r#"{{"id":"a","hashString":"{hash}","status":100,"files":[{{"id":"a-0","name":"x"}}]}}"#
        ),
        format!(
            r#"{{"id":"a","hashString":"{hash}","status":100,"files":[{{"id":"a/0","name":"x","size":1}}]}}"#
        ),
        format!(
            r#"{{"id":"a","hashString":"{hash}","status":100,"files":[{{"id":"a-0","name":"..","size":1}}]}}"#
        ),
        format!(r#"{{"id":"a","hashString":"{hash}","status":100,"files":{{}}}}"#),
    ] {
        let body = format!(r#"{{"success":true,"value":[{entry}]}}"#);
        let read = page(body.as_bytes(), None).unwrap();
        assert_eq!((read.items.len(), read.unreadable.len()), (0, 1), "{entry}");
    }
}

#[test]
fn table_of_states() {
    use TorrentStatus::{
        Downloaded, Downloading, Error, MagnetConversion, Queued, Uploading, WaitingFilesSelection,
    };
    let file = |percent: u32, url: &str| {
        format!(
            r#""files":[{{"id":"x-0","name":"a.mkv","size":9,"downloadPercent":{percent},"downloadUrl":"{url}"}}]"#
        )
    };
    let (whole, part) = (file(100, "http://h.example/a.mkv"), file(10, ""));
    for (fields, status) in [
        (format!(r#""status":100,{whole}"#), Downloaded),
        (format!(r#""status":108,{whole}"#), Downloaded),
        (
            format!(r#""status":8,"downloadPercent":100,{whole}"#),
            Downloaded,
        ),
        // An error that a tracker told does not matter.
        (format!(r#""status":100,"error":2,{whole}"#), Downloaded),
        (format!(r#""status":100,{}"#, file(100, "")), Uploading),
        (format!(r#""status":100,{part}"#), Uploading),
        (
            format!(r#""status":8,"downloadPercent":40,{part}"#),
            Downloading,
        ),
        (format!(r#""status":4,{part}"#), Downloading),
        (format!(r#""status":6,{part}"#), Downloading),
        (format!(r#""status":4,"error":1,{part}"#), Downloading),
        (format!(r#""status":4,"error":3,{part}"#), Error),
        (format!(r#""status":0,{part}"#), Queued),
        (format!(r#""status":1,{part}"#), Queued),
        (format!(r#""status":2,{part}"#), Queued),
        (
            format!(r#""status":0,"wait":true,{part}"#),
            WaitingFilesSelection,
        ),
        (
            r#""status":4,"totalSize":0,"files":[]"#.to_owned(),
            MagnetConversion,
        ),
        (r#""status":100,"isZip":true"#.to_owned(), Downloaded),
        (
            format!(r#""status":16,{part}"#),
            TorrentStatus::Other("debrid-link: 16".to_owned()),
        ),
    ] {
        assert_eq!(torrent(&fields).status, status, "{fields}");
    }
}

#[test]
fn names_with_and_without_the_top_directory_are_the_same_paths() {
    let named = |names: &[&str]| {
        let files = names.iter().enumerate().map(|(at, name)| {
            format!(r#"{{"id":"x-{at}","name":"{name}","size":1,"downloadPercent":100,"downloadUrl":"http://h.example/{at}"}}"#)
        });
        let files: Vec<_> = files.collect();
        let read = torrent(&format!(r#""status":100,"files":[{}]"#, files.join(",")));
        paths(&read).join(" ")
    };
    assert_eq!(
        named(&["Show/E01.mkv", "Show/Subs/a.srt"]),
        "E01.mkv Subs/a.srt"
    );
    assert_eq!(named(&["/Show/E01.mkv"]), "E01.mkv");
    assert_eq!(named(&["E01.mkv", "Subs/a.srt"]), "E01.mkv Subs/a.srt");
    assert_eq!(named(&["E01.mkv"]), "E01.mkv");
    assert_eq!(named(&["A/a.mkv", "B/a.mkv"]), "A/a.mkv B/a.mkv");
}

#[test]
fn small_answers() {
    let body = include_bytes!("bodies/debridlink/limits.json");
    let (active, limit) = (3, 20);
    assert_eq!(active_count(body).unwrap(), ActiveCount { active, limit });
    assert!(active_count(br#"{"success":true,"value":{}}"#).is_err());
    let id = added(include_bytes!("bodies/debridlink/added.json")).unwrap();
    assert_eq!(id.0, "d4");
    assert!(added(br#"{"success":true,"value":{"id":"a/b"}}"#).is_err());
    let parts = |text: &str| {
        let link = HosterLink(text.to_owned());
        parts_of(&link).map(|(id, file)| (id.0, file.to_owned()))
    };
    assert_eq!(parts("a1/a1-0"), Some(("a1".to_owned(), "a1-0".to_owned())));
    for bad in [
        "",
        "a1",
        "a1/",
        "/a1",
        "a1/../b",
        "a1/b/c",
        "https://h.example/d/1",
    ] {
        assert_eq!(parts(bad), None, "{bad}");
    }
    assert!(is_id("aB3_-"));
    for bad in ["", "a b", "a/b", "a,b", "a?b", "ä", &"a".repeat(129)] {
        assert!(!is_id(bad), "{bad}");
    }
}
