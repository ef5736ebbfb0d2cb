//! Which files are films, music, parts of discs, subtitles, books or archives, by the extension of
//! their name; and what programs read of films.

/// Bytes at the start of a file that a program looks at to tell what it is.
pub const HEAD: u64 = 4 << 20;
/// Bytes at the end of a file that such a program looks at: indexes, tags.
pub const TAIL: u64 = 1 << 20;
/// Bytes a second. Above the 128 Mbit/s that a UHD Blu-ray may peak at: faster than this is a copy,
/// not playback.
pub const COPY_RATE: u64 = 20_000_000;

/// Extensions of films, of video streams and of disc images that hold them, in lower case.
pub const VIDEO: &[&str] = &[
    "3gp", "asf", "avc", "avi", "bin", "bivx", "dat", "divx", "dv", "dvr-ms", "evo", "f4v", "fli",
    "flv", "img", "iso", "m2ts", "m2v", "m4v", "mk3d", "mkv", "mov", "mp4", "mpeg", "mpg", "mts",
    "nrg", "nsv", "nuv", "ogm", "ogv", "pva", "qt", "rm", "rmvb", "svq3", "ts", "ty", "viv", "vob",
    "vp3", "webm", "wmv", "wtv", "xvid",
];

/// Extensions of music, audio books and soundtracks beside a video stream, in lower case.
pub const AUDIO: &[&str] = &[
    "aac", "ac3", "aif", "aifc", "aiff", "alac", "ape", "dff", "dsf", "dts", "dtshd", "eac3",
    "flac", "lpcm", "m4a", "m4b", "m4p", "mka", "mp2", "mp3", "oga", "ogg", "opus", "pcm", "thd",
    "truehd", "wav", "wma", "wv",
];

/// Extensions of playlists and addresses that arrs import as they do films, in lower case.
pub const PLAYLISTS: &[&str] = &["asx", "m3u", "strm", "wpl"];

/// Extensions of what tells a player the order of a disc's streams, in lower case.
pub const DISC_INDEXES: &[&str] = &["bdjo", "bdmv", "bup", "clpi", "ifo", "mpls"];

/// Directories of a disc, in upper case, each with the extension of its streams.
const DISC_DIRECTORIES: &[(&str, &str)] = &[
    ("AUDIO_TS", "vob"),
    ("BDMV", "m2ts"),
    ("CERTIFICATE", "m2ts"),
    ("HVDVD_TS", "evo"),
    ("VIDEO_TS", "vob"),
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

/// The disc that the file at `path` is a part of, by the directories of discs: the path in which that disc
/// lies, empty or with a `/` at its end, and the extension of its streams. A player needs all files of it.
pub fn disc_of(path: &str) -> Option<(&str, &'static str)> {
    let mut start = 0;
    for part in path.split_inclusive('/') {
        let directory = part.strip_suffix('/')?;
        let known = DISC_DIRECTORIES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(directory));
        if let Some((_, streams)) = known {
            return Some((&path[..start], streams));
        }
        start += part.len();
    }
    None
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

    /// The extensions in the tables `MediaFileExtensions` of Sonarr and Radarr, and in that of Lidarr.
    const ARRS_FILMS: &str = "3gp asf asx avc avi bin bivx dat divx dv dvr-ms fli flv ifo img iso m2ts \
        m2v m3u m4v mk3d mkv mov mp4 mpeg mpg nrg nsv nuv ogm ogv pva qt rm rmvb strm svq3 ts ty viv vob \
        vp3 webm wmv wpl wtv xvid";
    const ARRS_MUSIC: &str = "aif aifc aiff ape flac m4a m4b m4p mp2 mp3 oga ogg opus wav wma wv";

    #[test]
    fn whatever_the_arrs_import_is_in_a_list() {
        let films = [VIDEO, PLAYLISTS, DISC_INDEXES].concat();
        for extension in ARRS_FILMS.split_whitespace() {
            assert!(films.contains(&extension), "{extension}");
        }
        for extension in ARRS_MUSIC.split_whitespace() {
            assert!(AUDIO.contains(&extension), "{extension}");
        }
    }

    #[test]
    fn a_disc_is_known_by_its_directories() {
        for (path, disc) in [
            ("/Film/VIDEO_TS/VTS_01_0.IFO", Some(("/Film/", "vob"))),
            ("video_ts/VIDEO_TS.BUP", Some(("", "vob"))),
            ("Box/Disc 1/BDMV/index.bdmv", Some(("Box/Disc 1/", "m2ts"))),
            (
                "Box/Disc 1/BDMV/BACKUP/PLAYLIST/0.mpls",
                Some(("Box/Disc 1/", "m2ts")),
            ),
            ("/Film/CERTIFICATE/id.bdmv", Some(("/Film/", "m2ts"))),
            ("/Film/BDMV", None),
            ("/Film/BDMV extras/a.mkv", None),
            ("film.mkv", None),
        ] {
            assert_eq!(disc_of(path), disc, "{path}");
        }
    }

    #[test]
    fn lists_are_sorted_in_lower_case_and_name_nothing_twice() {
        let mut all = Vec::new();
        for list in [
            VIDEO,
            AUDIO,
            PLAYLISTS,
            DISC_INDEXES,
            SUBTITLES,
            BOOKS,
            WRAPPERS,
        ] {
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
