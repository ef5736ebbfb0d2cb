//! Which films of a library are new: those of releases that became ready after the first sync of their account.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use debridfs_base::media::is_video;
use debridfs_catalogue::{ALL, Library, ReleaseTree};
use debridfs_content::FileRef;
use debridfs_provider::ContentId;
use itertools::EitherOrBoth;
use tokio::sync::watch;

use crate::sources::file_ref;

/// Samples and clips are read at once as they are.
const LEAST_SIZE: u64 = 50 << 20;

/// What was in the library before.
#[derive(Debug, Default)]
struct Newcomers {
    /// The library that was seen last; `None` until one was shown: the films in that are not new.
    before: Option<Arc<Library>>,
    /// Every release that was ever in it with its files.
    known: HashSet<ContentId>,
    /// Files that were new in an earlier run of the program, and are so still.
    unfilled: BTreeSet<u64>,
}

/// The films of a release.
fn films_of(tree: &ReleaseTree) -> impl Iterator<Item = FileRef> + '_ {
    let films = tree
        .files
        .iter()
        .filter(|file| file.size >= LEAST_SIZE && is_video(&file.name));
    films.map(|file| file_ref(tree, file))
}

impl Newcomers {
    /// The films of releases that `library` shows for the first time with their files, and those of an earlier run. What was
    /// there at an account's first sync is not new, however late its name or its files come.
    fn of(&mut self, library: &Arc<Library>) -> Vec<FileRef> {
        let Some(all) = library.view(ALL).filter(|_| library.listed) else {
            return Vec::new();
        };
        let before = self.before.replace(library.clone());
        let mut films = Vec::new();
        let earlier = before.as_ref().and_then(|before| before.view(ALL));
        for entry in all.differences(earlier).filter_map(EitherOrBoth::right) {
            let release = &entry.release;
            if let Some(tree) = release.tree()
                && release.bad.is_none()
                && self.known.insert(release.id)
            {
                let new = before.is_some() && !library.was_there_first(release);
                films.extend(films_of(tree).filter(|film| self.unfilled.remove(&film.id) || new));
            }
        }
        films
    }
}

/// Tells of new films until the library's sender is gone; of those in `unfilled`, of which an earlier run of the program was told in vain, as soon as
/// they are shown.
pub async fn follow_newcomers(
    mut library: watch::Receiver<Arc<Library>>,
    unfilled: BTreeSet<u64>,
    tell: impl Fn(Vec<FileRef>),
) {
    let mut newcomers = Newcomers {
        unfilled,
        ..Newcomers::default()
    };
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
    use crate::testing::{Shelf, at, torrent};

    /// Torrents 1 and 2 were there at the first sync.
    fn after_first_sync(library: Arc<Library>) -> Arc<Library> {
        let mut library = (*library).clone();
        library.first_until.insert("rd".to_owned(), at(2));
        Arc::new(library)
    }

    fn big(n: u32, name: &str, paths: Option<&[&str]>) -> debridfs_catalogue::Copy {
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
        let mut new = |torrents| newcomers.of(&after_first_sync(shelf.of(torrents))).len();
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

    #[test]
    fn what_was_there_first_is_not_new_however_late_it_comes() {
        let mut shelf = Shelf::new();
        let mut newcomers = Newcomers::default();
        let mut waiting = (*shelf.of(vec![])).clone();
        waiting.listed = false;
        assert_eq!(newcomers.of(&Arc::new(waiting)), []);
        let new = big(3, "New", Some(&["/New.mkv"]));
        let first = after_first_sync(shelf.of(vec![new.clone()]));
        assert_eq!(
            newcomers.of(&first),
            [],
            "it was there when the engine started"
        );
        // Named at last: after the first sync, or in that of an account that came later.
        let late = big(2, "Late", Some(&["/Late.mkv"]));
        let second = after_first_sync(shelf.of(vec![new.clone(), late.clone()]));
        assert_eq!(newcomers.of(&second), []);
        // One that became ready after it was listed.
        let mut ready = big(1, "Ready", Some(&["/Ready.mkv"]));
        ready.ended = Some(at(3));
        let third = after_first_sync(shelf.of(vec![new, late, ready]));
        assert_eq!(newcomers.of(&third).len(), 1);
    }

    #[test]
    fn what_an_earlier_run_did_not_come_to_is_told_again_once() {
        let mut shelf = Shelf::new();
        let season = || big(3, "New", Some(&["/E01.mkv", "/E02.mkv"]));
        let mut first = Newcomers::default();
        assert_eq!(first.of(&shelf.of(vec![])).len(), 0);
        let files = first.of(&shelf.of(vec![season()]));
        assert_eq!(files.len(), 2);
        let mut second = Newcomers {
            unfilled: [files[1].id, 7].into(),
            ..Newcomers::default()
        };
        let mut again = |torrents| second.of(&shelf.of(torrents));
        let late = || big(1, "Late", Some(&["/Late.mkv"]));
        let first = again(vec![season(), big(1, "Late", None)]);
        assert_eq!(first, [files[1].clone()]);
        // It was new before this run, and its files were not known yet.
        assert_eq!(again(vec![season(), late()]).len(), 1);
        assert_eq!(again(vec![season(), late()]), []);
    }
}
