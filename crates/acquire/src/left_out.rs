//! Which files decide about a release, and what is left out of one because it is dead: a release is
//! taken for its films, and a subtitle that is gone is no reason to do without them.

use std::collections::BTreeMap;

use debridfs_base::media::{BOOKS, has_extension, is_audio, is_video};

use crate::filter::says_sample;
use crate::job::JobFile;

/// Files that are named; of the others only the number is told.
const NAMED: usize = 3;

/// The paths of the wanted ones of `files`, and whether each decides: films, or the music or books of a
/// release without films. Where there is nothing of these, all do. Those that decide come first.
pub(crate) fn deciding_first(files: &[JobFile]) -> Vec<(bool, &str)> {
    let wanted = files.iter().filter(|file| file.wanted);
    let wanted: Vec<&str> = wanted.map(|file| &*file.path).collect();
    let film = |path: &str| is_video(path) && !says_sample(path);
    let kinds: [&dyn Fn(&str) -> bool; 4] = [
        &film,
        &is_audio,
        &|path| has_extension(path, BOOKS),
        &|_| true,
    ];
    let decides = kinds
        .into_iter()
        .find(|is_kind| wanted.iter().any(|path| is_kind(path)));
    let decides = |path: &str| decides.is_none_or(|is_kind| is_kind(path));
    let mut judged: Vec<_> = wanted.iter().map(|path| (decides(path), *path)).collect();
    judged.sort_by_key(|(decides, _)| !decides);
    judged
}

/// Whether the file at `path` decides about the release of `files`.
pub(crate) fn decides(files: &[JobFile], path: &str) -> bool {
    let judged = deciding_first(files);
    judged
        .into_iter()
        .any(|(decides, other)| decides && other == path)
}

/// Leaves the `dead` ones out of `files`; what to tell people of it.
pub(crate) fn of(files: &mut [JobFile], dead: &BTreeMap<String, String>) -> Option<String> {
    for file in files {
        file.wanted &= !dead.contains_key(&file.path);
    }
    let named: Vec<&str> = dead.values().take(NAMED).map(String::as_str).collect();
    let more = match dead.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("; {more} more"),
        None => String::new(),
    };
    (!named.is_empty()).then(|| format!("left out: {}{more}", named.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<JobFile> {
        let file = |path: &&str| JobFile {
            path: (*path).to_owned(),
            bytes: 1,
            wanted: true,
        };
        paths.iter().map(file).collect()
    }

    #[test]
    fn films_decide_or_what_the_release_has_in_their_place() {
        let table: [(&[&str], &[&str]); 5] = [
            (
                &["a.srt", "Sample/f.mkv", "f.mkv", "g.mkv", "f.ac3", "x.pdf"],
                &["f.mkv", "g.mkv"],
            ),
            (
                &["01.flac", "cover.jpg", "02.flac", "album.cue"],
                &["01.flac", "02.flac"],
            ),
            (&["a.epub", "a.jpg"], &["a.epub"]),
            (&["a.srt", "b.srt"], &["a.srt", "b.srt"]),
            (
                &["VIDEO_TS/VTS_01_1.VOB", "VIDEO_TS/VTS_01_0.IFO"],
                &["VIDEO_TS/VTS_01_1.VOB"],
            ),
        ];
        for (paths, deciding) in table {
            let files = files(paths);
            let judged = deciding_first(&files);
            let found: Vec<&str> = (judged.iter().take_while(|(decides, _)| *decides))
                .map(|(_, path)| *path)
                .collect();
            assert_eq!(found, deciding, "{paths:?}");
            assert_eq!(judged.len(), paths.len());
            for path in paths {
                assert_eq!(decides(&files, path), deciding.contains(path), "{path}");
            }
        }
    }

    #[test]
    fn what_is_left_out_is_told_and_not_wanted() {
        let mut files = files(&["f.mkv", "1.srt", "2.srt", "3.srt", "4.srt"]);
        assert_eq!(of(&mut files, &BTreeMap::new()), None);
        let dead = |paths: &[&str]| {
            let dead = paths
                .iter()
                .map(|path| (path.to_string(), format!("{path} is dead")));
            dead.collect::<BTreeMap<_, _>>()
        };
        let words = of(&mut files, &dead(&["2.srt"])).unwrap();
        assert_eq!(words, "left out: 2.srt is dead");
        let wanted: Vec<bool> = files.iter().map(|file| file.wanted).collect();
        assert_eq!(wanted, [true, true, false, true, true]);
        let words = of(&mut files, &dead(&["1.srt", "2.srt", "3.srt", "4.srt"])).unwrap();
        assert!(words.ends_with("3.srt is dead; 1 more"), "{words}");
    }
}
