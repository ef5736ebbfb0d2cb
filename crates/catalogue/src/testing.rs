//! Torrents for tests.

use debridfs_provider::{ContentId, HosterLink, InfoHash, TorrentFile, TorrentId, TorrentStatus};
use jiff::{SignedDuration, Timestamp};

use crate::{Copy, CopyDetail};

/// The moment tests take as now.
pub(crate) fn now() -> Timestamp {
    at(100_000)
}

/// `seconds` after the beginning of the tests' time.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_700_000_000 + seconds)
}

/// The info-hash number `n`; its first 8 digits are `n`.
pub(crate) fn hash(n: u32) -> ContentId {
    let mut bytes = [0xab; 20];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    InfoHash(bytes).into()
}

/// A ready torrent of provider `rd`, added `n` seconds after the beginning, with one link and without an answered info call.
pub(crate) fn record(n: u32, filename: &str) -> Copy {
    Copy {
        provider: "rd".into(),
        id: TorrentId(format!("T{n}")),
        content: hash(n),
        filename: filename.into(),
        bytes: 1000,
        status: TorrentStatus::Downloaded,
        added: at(i64::from(n)),
        ended: Some(at(i64::from(n))),
        links: vec![HosterLink(format!("https://host/d/{n}-0"))],
        detail: None,
        archive: None,
        removed: None,
    }
}

/// As [`record`], with files (all selected, of 100, 101 … bytes) and a link for each.
pub(crate) fn known(n: u32, filename: &str, paths: &[&str]) -> Copy {
    let mut record = record(n, filename);
    record.links = (0..paths.len())
        .map(|i| HosterLink(format!("https://host/d/{n}-{i}")))
        .collect();
    record.detail = Some(CopyDetail {
        original_filename: filename.into(),
        files: paths
            .iter()
            .enumerate()
            .map(|(i, path)| TorrentFile {
                id: i as u32 + 1,
                path: (*path).into(),
                bytes: 100 + i as u64,
                selected: true,
            })
            .collect(),
    });
    record
}
