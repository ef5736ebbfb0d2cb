//! Which files are films, music, subtitles, books or archives, by the extension of their name; and what
//! programs read of films.

/// Bytes at the start of a file that a program looks at to tell what it is.
pub const HEAD: u64 = 4 << 20;
/// Bytes at the end of a file that such a program looks at: indexes, tags.
pub const TAIL: u64 = 1 << 20;
/// Bytes a second. Above the 128 Mbit/s that a UHD Blu-ray may peak at: faster than this is a copy,
/// not playback.
pub const COPY_RATE: u64 = 20_000_000;

/// Extensions of films and of disc images that hold them, in lower case.
pub const VIDEO: &[&str] = &[
    "3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "img", "iso", "m2ts", "m2v", "m4v", "mk3d",
    "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "nrg", "nsv", "ogm", "ogv", "rm", "rmvb", "ts",
    "vob", "webm", "wmv", "wtv", "xvid",
];

/// Extensions of music and audio books, in lower case.
pub const AUDIO: &[&str] = &[
    "aac", "ac3", "aif", "aifc", "aiff", "alac", "ape", "dsf", "dts", "flac", "m4a", "m4b", "m4p",
    "mka", "mp2", "mp3", "oga", "ogg", "opus", "wav", "wma", "wv",
];

/// Extensions of subtitles, in lower case.
pub const SUBTITLES: &[&str] = &[
    "ass", "idx", "pgs", "smi", "srt", "ssa", "sub", "sup", "ttml", "vtt",
];

/// Extensions of books and comics, in lower case.
pub const BOOKS: &[&str] = &["azw3", "cb7", "cbr", "cbz", "epub", "mobi", "pdf"];

/// Extensions of archives and of what wraps a release, in lower case.
pub const WRAPPERS: &[&str] = &["7z", "gz", "nzb", "rar", "tar", "tgz", "torrent", "zip"];

/// Whether a file is a film by its name.
pub fn is_video(name: &str) -> bool {
    has_extension(name, VIDEO)
}

/// Whether a file is music or an audio book by its name.
pub fn is_audio(name: &str) -> bool {
    has_extension(name, AUDIO)
}

/// Whether `name` ends in one of `extensions`, in any case.
pub fn has_extension(name: &str, extensions: &[&str]) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        extensions
            .iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_judged_by_what_follows_its_last_dot() {
        for name in ["a.mkv", "a.b.MK3D", ".wtv", "dir.x/film.m2ts"] {
            assert!(is_video(name), "{name}");
        }
        for name in ["mkv", "a.mkv.txt", "a.", "", "a.srt", "a.flac"] {
            assert!(!is_video(name), "{name}");
        }
        assert!(is_audio("Song.FLAC") && !is_audio("film.mkv"));
    }

    #[test]
    fn lists_are_sorted_in_lower_case_and_name_nothing_twice() {
        let mut all = Vec::new();
        for list in [VIDEO, AUDIO, SUBTITLES, BOOKS, WRAPPERS] {
            assert!(list.is_sorted());
            all.extend(list);
        }
        assert!(
            all.iter()
                .all(|name: &&str| **name == name.to_ascii_lowercase())
        );
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
