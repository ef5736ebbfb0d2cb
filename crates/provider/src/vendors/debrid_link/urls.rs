//! Direct links that came along with one that was asked for.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::decode::File;
use crate::TorrentId;

/// Torrents whose links are kept: those that somebody walks through now.
const MOST_TORRENTS: usize = 32;
/// Links are the same for months, but the account may lose the torrent.
const KEPT: Duration = Duration::from_secs(600);

/// Files whose links nobody was given yet.
#[derive(Default)]
pub(super) struct Urls(Mutex<Vec<Entry>>);

struct Entry {
    torrent: TorrentId,
    at: Instant,
    files: Vec<File>,
}

impl Urls {
    /// A file with its link, for the last time.
    pub(super) fn take(&self, torrent: &TorrentId, file: &str) -> Option<File> {
        let mut entries = self.0.lock();
        entries.retain(|entry| entry.at.elapsed() < KEPT && !entry.files.is_empty());
        let entry = entries.iter_mut().find(|entry| entry.torrent == *torrent)?;
        let at = entry.files.iter().position(|known| known.id == file)?;
        Some(entry.files.swap_remove(at))
    }

    /// Keeps those of the files of a torrent that have links, in place of older ones.
    pub(super) fn put(&self, torrent: &TorrentId, mut files: Vec<File>) {
        files.retain(|file| !file.url.is_empty());
        let mut entries = self.0.lock();
        entries.retain(|entry| entry.torrent != *torrent);
        if entries.len() >= MOST_TORRENTS {
            entries.remove(0);
        }
        entries.push(Entry {
            torrent: torrent.clone(),
            at: Instant::now(),
            files,
        });
    }
}
