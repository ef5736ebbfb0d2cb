//! Which files of a release are wanted.

use std::collections::HashMap;

use debridfs_base::media::{
    AUDIO, BOOKS, DISC_INDEXES, PLAYLISTS, SUBTITLES, VIDEO, disc_of, is_video,
};

/// Wanted beside music: how a whole disc is cut into songs.
const CUE: &[&str] = &["cue"];

/// A sample is at most one so many-th of the largest film beside it.
const SAMPLE_SHARE: u64 = 5;

/// What makes a file wanted. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFilter {
    /// Extensions, in lower case and without the dot. A disc is wanted as a whole if those of its streams
    /// are.
    pub extensions: Vec<String>,
    /// Films smaller than this are left out; other files are not asked for their size.
    pub min_size: u64,
    /// Files larger than this are left out, and discs that hold one; 0 = none is.
    pub max_size: u64,
    /// Whether samples are wanted as well.
    pub samples: bool,
}

impl Default for FileFilter {
    fn default() -> Self {
        Self {
            extensions: [VIDEO, AUDIO, PLAYLISTS, DISC_INDEXES, CUE, SUBTITLES, BOOKS]
                .iter()
                .flat_map(|kind| kind.iter().map(ToString::to_string))
                .collect(),
            min_size: 0,
            max_size: 0,
            samples: false,
        }
    }
}

impl FileFilter {
    /// For each of `files` (path in the torrent and size) whether it is wanted.
    pub fn choose<'a>(&self, files: impl Iterator<Item = (&'a str, u64)> + Clone) -> Vec<bool> {
        let largest = files
            .clone()
            .filter(|(path, _)| is_video(path))
            .map(|(_, bytes)| bytes)
            .max()
            .unwrap_or(0);
        let mut discs: HashMap<&str, u64> = HashMap::new();
        for (path, bytes) in files.clone() {
            if let Some((disc, _)) = disc_of(path) {
                let largest = discs.entry(disc).or_default();
                *largest = bytes.max(*largest);
            }
        }
        files
            .map(|(path, bytes)| match disc_of(path) {
                Some((disc, streams)) => self.wants_disc(streams, discs[disc]),
                None => self.wants(path, bytes, largest),
            })
            .collect()
    }

    /// Whether a disc is wanted, by the extension of its streams and the size of its largest file.
    fn wants_disc(&self, streams: &str, largest: u64) -> bool {
        let known = self.extensions.iter().any(|known| known == streams);
        known && largest >= self.min_size && (self.max_size == 0 || largest <= self.max_size)
    }

    fn wants(&self, path: &str, bytes: u64, largest: u64) -> bool {
        let extension = extension(path);
        if !self.extensions.contains(&extension) {
            return false;
        }
        if self.max_size > 0 && bytes > self.max_size {
            return false;
        }
        let video = is_video(path);
        if video && bytes < self.min_size {
            return false;
        }
        let sample = video && says_sample(path) && bytes <= largest / SAMPLE_SHARE;
        self.samples || !sample
    }
}

/// Why none of `paths` is wanted, for people.
pub(crate) fn why_none<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> String {
    let count = paths.clone().count();
    let mut volumes = paths.filter(|path| is_archive(path));
    match volumes.next() {
        None => format!("none of its {count} files is wanted"),
        Some(first) => {
            let name = first.rsplit('/').next().unwrap_or(first);
            let more = volumes.count();
            format!(
                "it is packed in archives ({name} and {more} more files), which cannot be read in place"
            )
        }
    }
}

/// Whether a file is an archive, or a volume of one: `.rar`, `.r00` and on, `.zip`, `.7z`, `.7z.001` and on.
fn is_archive(path: &str) -> bool {
    let extension = extension(path);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match extension.as_str() {
        "rar" | "zip" | "7z" => true,
        _ if extension.strip_prefix(['r', 's', 'z']).is_some_and(digits) => true,
        _ => digits(&extension) && path.to_ascii_lowercase().contains(".7z."),
    }
}

fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase())
        .unwrap_or_default()
}

/// Whether a directory or the file is called a sample: the word alone, so that "Samples.of.Life" and "Special" are none.
pub(crate) fn says_sample(path: &str) -> bool {
    path.split(|c: char| !c.is_alphanumeric())
        .any(|word| word.eq_ignore_ascii_case("sample"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;
    const MB: u64 = 1 << 20;

    fn chosen<'a>(filter: &FileFilter, files: &[(&'a str, u64)]) -> Vec<&'a str> {
        let verdicts = filter.choose(files.iter().copied());
        let wanted = files.iter().zip(verdicts).filter(|(_, wanted)| *wanted);
        wanted.map(|((path, _), _)| *path).collect()
    }

    #[test]
    fn samples_go_and_what_only_sounds_like_one_stays() {
        let files = [
            ("/Film.2024.mkv", 8 * GB),
            ("/Film.2024-sample.mkv", 60 * MB),
            ("/Sample/film.mkv", 50 * MB),
            ("/Show - Special.mkv", 200 * MB),
            ("/Extras/Making of.mkv", 90 * MB),
            ("/Samples of Life.mkv", 100 * MB),
            ("/trailer.mkv", 40 * MB),
            ("/sample.srt", 40),
            ("/Film.2024.srt", 90_000),
            ("/Film.nfo", 300),
            ("/RARBG.txt", 30),
        ];
        assert_eq!(
            chosen(&FileFilter::default(), &files),
            [
                "/Film.2024.mkv",
                "/Show - Special.mkv",
                "/Extras/Making of.mkv",
                "/Samples of Life.mkv",
                "/trailer.mkv",
                "/sample.srt",
                "/Film.2024.srt",
            ]
        );
        let with_samples = FileFilter {
            samples: true,
            ..FileFilter::default()
        };
        assert_eq!(chosen(&with_samples, &files).len(), 9);
    }

    #[test]
    fn a_film_called_sample_is_none() {
        let files = [("/The.Sample.2024.mkv", 8 * GB)];
        assert_eq!(chosen(&FileFilter::default(), &files).len(), 1);
        let season = [("/Sample.S01E01.mkv", GB), ("/Sample.S01E02.mkv", GB + MB)];
        assert_eq!(chosen(&FileFilter::default(), &season).len(), 2);
    }

    #[test]
    fn what_is_packed_says_so() {
        let why = |paths: &[&'static str]| why_none(paths.iter().copied());
        assert_eq!(why(&["/a.txt", "/b.nfo"]), "none of its 2 files is wanted");
        let words = why(&[
            "/Film/film.rar",
            "/Film/film.r00",
            "/Film/film.R01",
            "/film.nfo",
        ]);
        assert!(words.contains("film.rar and 2 more"), "{words}");
        for archive in ["/x.7z.001", "/x.zip", "/x.z01", "/x.s00"] {
            assert!(why(&[archive]).contains("packed"), "{archive}");
        }
        for other in ["/x.001", "/x.rare", "/rar", "/x.r", "/x.r0a"] {
            assert!(!why(&[other]).contains("packed"), "{other}");
        }
    }

    #[test]
    fn a_pack_of_seasons_keeps_what_each_of_them_has() {
        let files = [
            ("/Show/Season 1/E01.mkv", GB),
            ("/Show/Season 1/Sample/E01.mkv", 30 * MB),
            ("/Show/Season 2/E01.mkv", GB),
            ("/Show/Season 0/E01 - Special.mkv", 90 * MB),
            ("/Show/Extras/E01.mkv", 40 * MB),
        ];
        let wanted = chosen(&FileFilter::default(), &files);
        assert_eq!(wanted.len(), 4, "{wanted:?}");
        assert!(!wanted.contains(&"/Show/Season 1/Sample/E01.mkv"));
    }

    #[test]
    fn what_arrs_import_is_wanted() {
        let films = "a.mk3d a.m2v a.avc a.dvr-ms a.ty a.iso a.strm a.m3u";
        let music = "a.ac3 a.dts a.eac3 a.flac a.ape a.wv a.m4b a.cue";
        for path in films.split(' ').chain(music.split(' ')) {
            assert_eq!(chosen(&FileFilter::default(), &[(path, GB)]), [path]);
        }
    }

    #[test]
    fn a_disc_is_wanted_whole_or_not_at_all() {
        let dvd = [
            ("/Film/VIDEO_TS/VIDEO_TS.IFO", 12_288),
            ("/Film/VIDEO_TS/VIDEO_TS.BUP", 12_288),
            ("/Film/VIDEO_TS/VTS_01_0.VOB", MB),
            ("/Film/VIDEO_TS/VTS_01_1.VOB", GB),
        ];
        let blu_ray = [
            ("/Film/BDMV/index.bdmv", 300),
            ("/Film/BDMV/MovieObject.bdmv", 900),
            ("/Film/BDMV/PLAYLIST/00001.mpls", 500),
            ("/Film/BDMV/CLIPINF/00001.clpi", 500),
            ("/Film/BDMV/STREAM/00000.m2ts", MB),
            ("/Film/BDMV/STREAM/00001.m2ts", 30 * GB),
            ("/Film/BDMV/AUXDATA/sound.bdmv", 90),
            ("/Film/BDMV/JAR/00000.jar", 90),
            ("/Film/BDMV/BACKUP/index.bdmv", 300),
            ("/Film/CERTIFICATE/id.bdmv", 100),
        ];
        let filter = |extensions: &[&str], min_size, max_size| FileFilter {
            extensions: extensions.iter().map(ToString::to_string).collect(),
            min_size,
            max_size,
            samples: false,
        };
        for disc in [&dvd[..], &blu_ray] {
            let mut files = disc.to_vec();
            files.extend([("/Film/Film.nfo", 90), ("/Film/cover.jpg", 90)]);
            let whole: Vec<&str> = disc.iter().map(|(path, _)| *path).collect();
            assert_eq!(chosen(&FileFilter::default(), &files), whole);
            let only = ["vob", "m2ts"];
            assert_eq!(chosen(&filter(&only, 500 * MB, 0), &files), whole);
            assert_eq!(chosen(&filter(&only, 0, 900 * MB), &files), [""; 0]);
            assert_eq!(chosen(&filter(&["mkv"], 0, 0), &files), [""; 0]);
        }
        // Without the directories of a disc its index is wanted all the same.
        let loose = [("/VTS_01_0.IFO", 90), ("/VTS_01_1.VOB", GB)];
        assert_eq!(chosen(&FileFilter::default(), &loose).len(), 2);
    }

    #[test]
    fn sizes_and_extensions() {
        let filter = FileFilter {
            extensions: vec!["mkv".into(), "srt".into()],
            min_size: 100 * MB,
            max_size: 10 * GB,
            samples: false,
        };
        let files = [
            ("/a.MKV", GB),
            ("/small.mkv", 99 * MB),
            ("/huge.mkv", 11 * GB),
            ("/a.srt", 1),
            ("/a.mp4", GB),
            ("/mkv", GB),
            ("/dir.mkv/file", GB),
        ];
        assert_eq!(chosen(&filter, &files), ["/a.MKV", "/a.srt"]);
    }
}
