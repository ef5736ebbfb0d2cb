//! Every decoder against arbitrary bytes: it may refuse, it never panics, and what it accepts keeps its promises. The corpora are in
//! `tests/__fuzz__`; the run time is set by `BOLERO_RANDOM_TEST_TIME_MS`.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use bolero::{TypeGenerator, check};
use debridfs_provider::InfoHash;
use debridfs_provider::vendors::real_debrid::{decode, verdicts};
use debridfs_provider::vendors::{all_debrid, debrid_link, torbox};
use debridfs_provider::{HosterLink, TorrentStatus};
use jiff::Timestamp;

#[test]
fn fuzz_torrents() {
    check!().for_each(|body: &[u8]| {
        let Ok(page) = decode::torrents(body, None) else {
            return;
        };
        for item in &page.items {
            assert!(!item.id.0.is_empty() && item.id.0.is_ascii());
            assert!((0.0..=100.0).contains(&item.progress));
        }
        assert!(page.unreadable.len() <= 100);
        assert!(page.unreadable.iter().all(|why| why.len() < 2000));
    });
}

#[test]
fn fuzz_torrent() {
    check!().for_each(|body: &[u8]| {
        if let Ok(info) = decode::torrent(body) {
            assert!(!info.summary.id.0.is_empty());
        }
    });
}

#[test]
fn fuzz_direct_link() {
    check!().for_each(|body: &[u8]| {
        if let Ok(link) = decode::direct_link(body, Timestamp::UNIX_EPOCH) {
            assert!(
                link.url
                    .to_ascii_lowercase()
                    .trim_start()
                    .starts_with("http")
            );
            assert_ne!(link.bytes, Some(0));
        }
    });
}

#[test]
fn fuzz_account() {
    check!().for_each(|body: &[u8]| drop(decode::account(body)));
}

#[test]
fn fuzz_small_answers() {
    check!().for_each(|body: &[u8]| {
        drop(decode::added(body));
        drop(decode::active_count(body));
        drop(decode::server_time(body));
    });
}

#[test]
fn fuzz_traffic() {
    check!().for_each(|body: &[u8]| drop(decode::traffic(body)));
}

#[test]
fn fuzz_downloads() {
    check!().for_each(|body: &[u8]| drop(decode::downloads(body, Some(1))));
}

#[test]
fn fuzz_errors() {
    check!().for_each(|body: &[u8]| {
        for status in [200, 202, 204, 401, 404, 429, 503, 999] {
            let status = http::StatusCode::from_u16(status).unwrap();
            if let Some(meaning) = verdicts::meaning(status, body) {
                assert!(meaning.words.len() < 1000);
            }
        }
    });
}

use torbox::List;

#[test]
fn fuzz_torbox_lists() {
    check!().for_each(|body: &[u8]| {
        for list in [List::Torrents, List::Usenet, List::Web] {
            if let Ok(page) = torbox::decode::list(list, body) {
                assert!(
                    page.items
                        .iter()
                        .all(|item| (0.0..=100.0).contains(&item.progress))
                );
                assert!(page.unreadable.iter().all(|why| why.len() < 2000));
            }
            if let Ok(info) = torbox::decode::torrent(list, body) {
                assert!(info.files.iter().all(|file| !file.path.is_empty()));
            }
        }
    });
}

#[test]
fn fuzz_torbox_small_answers() {
    check!().for_each(|body: &[u8]| {
        drop(torbox::decode::account(body));
        drop(torbox::decode::added(body));
        drop(torbox::decode::is_cached(body, InfoHash([7; 20])));
        if let Ok(link) = torbox::decode::direct_link(body, Timestamp::UNIX_EPOCH) {
            assert!(
                link.url
                    .to_ascii_lowercase()
                    .trim_start()
                    .starts_with("http")
            );
        }
    });
}

#[test]
fn fuzz_torbox_errors() {
    check!().for_each(|body: &[u8]| {
        for status in [200, 401, 404, 429, 500, 999] {
            let status = http::StatusCode::from_u16(status).unwrap();
            if let Some(meaning) = torbox::verdicts::meaning(true, status, body) {
                assert!(meaning.words.len() < 1000);
            }
        }
    });
}

#[test]
fn fuzz_alldebrid_lists() {
    check!().for_each(|body: &[u8]| {
        if let Ok(changes) = all_debrid::decode::changes(body) {
            for (number, fields) in &changes.magnets {
                if let Ok(item) = all_debrid::decode::summary(*number, fields) {
                    assert!((0.0..=100.0).contains(&item.progress));
                    let files = item.files.iter().flatten();
                    assert_eq!(files.filter(|file| file.selected).count(), item.links.len());
                }
            }
        }
        drop(all_debrid::decode::torrent(body));
        for tree in all_debrid::decode::trees(body).unwrap_or_default().values() {
            assert!(tree.files.iter().all(|file| !file.path.is_empty()));
        }
    });
}

#[test]
fn fuzz_alldebrid_small_answers() {
    check!().for_each(|body: &[u8]| {
        drop(all_debrid::decode::account(body));
        drop(all_debrid::decode::added(body));
        drop(all_debrid::decode::delayed(body));
        drop(all_debrid::decode::unlocked(body, Timestamp::UNIX_EPOCH));
    });
}

#[test]
fn fuzz_alldebrid_errors() {
    check!().for_each(|body: &[u8]| {
        for status in [200, 401, 404, 429, 500, 503, 999] {
            let status = http::StatusCode::from_u16(status).unwrap();
            if let Some(meaning) = all_debrid::verdicts::meaning(status, body) {
                assert!(meaning.words.len() < 1000);
            }
        }
    });
}

#[test]
fn fuzz_debridlink_lists() {
    check!().for_each(|body: &[u8]| {
        for asked in [None, Some(0), Some(u64::MAX - 1)] {
            let Ok(page) = debrid_link::decode::page(body, asked) else {
                continue;
            };
            for torrent in page.items {
                let item = torrent.summary;
                assert!((0.0..=100.0).contains(&item.progress));
                assert!(debrid_link::decode::is_id(&item.id.0));
                let files: Vec<_> = item.files.iter().flatten().collect();
                assert!(files.iter().all(|file| !file.path.is_empty()));
                if item.status == TorrentStatus::Downloaded {
                    let selected = files.iter().filter(|file| file.selected);
                    assert_eq!(selected.count(), item.links.len());
                }
                for file in torrent.files {
                    drop(file.direct_link(Timestamp::UNIX_EPOCH));
                }
            }
        }
    });
}

#[test]
fn fuzz_debridlink_small_answers() {
    check!().for_each(|body: &[u8]| {
        drop(debrid_link::decode::account(body, Timestamp::UNIX_EPOCH));
        drop(debrid_link::decode::added(body));
        drop(debrid_link::decode::active_count(body));
        let text = String::from_utf8_lossy(body).into_owned();
        drop(debrid_link::decode::parts_of(&HosterLink(text)));
        for status in [200, 401, 404, 429, 500, 503, 999] {
            let status = http::StatusCode::from_u16(status).unwrap();
            if let Some(meaning) = debrid_link::verdicts::meaning(status, body) {
                assert!(meaning.words.len() < 1000);
            }
        }
    });
}

/// Sound bodies to begin with.
const BODIES: [&str; 19] = [
    include_str!("bodies/torrents.json"),
    include_str!("bodies/torrent.json"),
    include_str!("bodies/unrestrict.json"),
    include_str!("bodies/user.json"),
    include_str!("bodies/torbox/torrents.json"),
    include_str!("bodies/torbox/torrent.json"),
    include_str!("bodies/torbox/link.json"),
    include_str!("bodies/torbox/user.json"),
    include_str!("bodies/torbox/added.json"),
    include_str!("bodies/alldebrid/list.json"),
    include_str!("bodies/alldebrid/torrent.json"),
    include_str!("bodies/alldebrid/files.json"),
    include_str!("bodies/alldebrid/added.json"),
    include_str!("bodies/alldebrid/link.json"),
    include_str!("bodies/alldebrid/delayed.json"),
    include_str!("bodies/debridlink/list.json"),
    include_str!("bodies/debridlink/infos.json"),
    include_str!("bodies/debridlink/limits.json"),
    include_str!("bodies/debridlink/added.json"),
];

/// What is put into them.
const PIECES: [&[u8]; 20] = [
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"\\udc00\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\xff",
    b"\x00",
    b"\n",
    b"\xef\xbb\xbf",
    b"<html>",
];

#[derive(Debug, TypeGenerator)]
enum Edit {
    Set { at: u16, to: u8 },
    Delete { at: u16, length: u8 },
    Insert { at: u16, piece: u8 },
    CutOff { at: u16 },
}

fn edited(body: &str, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    for edit in edits {
        let place = |at: u16| usize::from(at) % (bytes.len() + 1);
        match edit {
            Edit::Set { at, to } => {
                let at = place(*at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *to;
                }
            }
            Edit::Delete { at, length } => {
                let at = place(*at);
                let end = bytes.len().min(at + usize::from(*length));
                drop(bytes.drain(at..end));
            }
            Edit::Insert { at, piece } => {
                let at = place(*at);
                let piece = PIECES[usize::from(*piece) % PIECES.len()];
                drop(bytes.splice(at..at, piece.iter().copied()));
            }
            Edit::CutOff { at } => {
                let at = place(*at);
                bytes.truncate(at);
            }
        }
    }
    bytes
}

#[test]
fn fuzz_edited_bodies() {
    check!()
        .with_type::<(u8, Vec<Edit>)>()
        .for_each(|(body, edits)| {
            let body = edited(BODIES[usize::from(*body) % BODIES.len()], edits);
            if let Ok(page) = decode::torrents(&body, None) {
                assert!(
                    page.items
                        .iter()
                        .all(|item| (0.0..=100.0).contains(&item.progress))
                );
            }
            drop(decode::torrent(&body));
            drop(decode::direct_link(&body, Timestamp::UNIX_EPOCH));
            drop(decode::account(&body));
            drop(decode::downloads(&body, None));
            drop(decode::traffic(&body));
            drop(verdicts::meaning(http::StatusCode::OK, &body));
            drop(torbox::decode::list(List::Torrents, &body));
            drop(torbox::decode::torrent(List::Usenet, &body));
            drop(torbox::decode::direct_link(&body, Timestamp::UNIX_EPOCH));
            drop(torbox::decode::account(&body));
            drop(torbox::decode::added(&body));
            drop(torbox::verdicts::meaning(true, http::StatusCode::OK, &body));
            if let Ok(changes) = all_debrid::decode::changes(&body) {
                let magnets = changes.magnets.iter();
                magnets.for_each(|(number, fields)| {
                    drop(all_debrid::decode::summary(*number, fields));
                });
            }
            drop(all_debrid::decode::trees(&body));
            drop(all_debrid::decode::added(&body));
            drop(all_debrid::decode::delayed(&body));
            drop(all_debrid::decode::unlocked(&body, Timestamp::UNIX_EPOCH));
            drop(all_debrid::verdicts::meaning(http::StatusCode::OK, &body));
        });
}
