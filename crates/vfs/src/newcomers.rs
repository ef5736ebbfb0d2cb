//! Which files of a library are new: those of releases that became ready after the library had been complete once.

use std::collections::HashSet;
use std::sync::Arc;

use debridfs_catalogue::{Contents, Library, is_video};
use debridfs_content::FileRef;
use debridfs_provider::InfoHash;
use tokio::sync::watch;

/// Samples and clips are read at once as they are.
const LEAST_SIZE: u64 = 50 << 20;

/// What was in the library before.
#[derive(Debug, Default)]
struct Newcomers {
    /// `None` until the library was complete: what is in it by then is not new.
    known: Option<HashSet<InfoHash>>,
}

impl Newcomers {
    /// The films of releases that `library` shows for the first time with their files.
    fn of(&mut self, library: &Library) -> Vec<FileRef> {
        // The first view is `__all__`.
        let Some(all) = library.views.first().filter(|_| library.listed) else {
            return Vec::new();
        };
        let ready = |contents: &Contents| matches!(contents, Contents::Known(_));
        let Some(known) = &mut self.known else {
            if all
                .entries
                .iter()
                .all(|entry| ready(&entry.release.contents))
            {
                let hashes = all.entries.iter().map(|entry| entry.release.hash);
                self.known = Some(hashes.collect());
            }
            return Vec::new();
        };
        let mut files = Vec::new();
        for entry in all.entries.iter() {
            let Contents::Known(tree) = &entry.release.contents else {
                continue;
            };
            if entry.release.bad.is_some() || !known.insert(entry.release.hash) {
                continue;
            }
            let films = tree
                .files
                .iter()
                .filter(|file| file.size >= LEAST_SIZE && is_video(&file.name));
            files.extend(films.map(|file| FileRef {
                id: file.id.0,
                size: file.size,
                sources: tree.sources(file).collect::<Vec<_>>().into(),
            }));
        }
        files
    }
}

/// Tells of new films until the library's sender is gone.
pub async fn follow_newcomers(
    mut library: watch::Receiver<Arc<Library>>,
    tell: impl Fn(Vec<FileRef>),
) {
    let mut newcomers = Newcomers::default();
    loop {
        let newest = library.borrow_and_update().clone();
        let files = newcomers.of(&newest);
        if !files.is_empty() {
            tell(files);
        }
        if library.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shelf, torrent};

    fn big(n: u32, name: &str, paths: Option<&[&str]>) -> debridfs_catalogue::TorrentRecord {
        let mut record = torrent(n, name, paths);
        for file in record
            .detail
            .iter_mut()
            .flat_map(|detail| &mut detail.files)
        {
            file.bytes = LEAST_SIZE;
        }
        record
    }

    #[test]
    fn only_films_of_releases_that_come_later_are_new() {
        let mut shelf = Shelf::new();
        let mut newcomers = Newcomers::default();
        let mut new = |torrents| newcomers.of(&shelf.of(torrents)).len();
        let old = || big(1, "Old", Some(&["/Old.mkv"]));
        // The first sync: what it brings little by little is the library as it is.
        assert_eq!(new(vec![old(), big(2, "Other", None)]), 0);
        assert_eq!(new(vec![old(), big(2, "Other", Some(&["/Other.mkv"]))]), 0);
        let other = || big(2, "Other", Some(&["/Other.mkv"]));
        // A new one, whose files are told later.
        assert_eq!(new(vec![old(), other(), big(3, "New", None)]), 0);
        let season = || big(3, "New", Some(&["/E01.mkv", "/E02.MKV", "/E01.nfo"]));
        assert_eq!(new(vec![old(), other(), season()]), 2);
        assert_eq!(new(vec![old(), other(), season()]), 0);
        // Gone for a while, and back: nothing new.
        assert_eq!(new(vec![old(), season()]), 0);
        assert_eq!(new(vec![old(), other(), season()]), 0);
        let small = torrent(4, "Sample", Some(&["/Sample.mkv"]));
        assert_eq!(new(vec![old(), other(), season(), small]), 0);
    }
}
