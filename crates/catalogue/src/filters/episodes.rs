//! Whether a release holds episodes: by what one name says, or by numbers in a row across its films.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use debridfs_base::media::{disc_of, has_extension, is_video};
use regex::Regex;

use super::condition::SubjectFile;

/// `S01E02`, `S01.E02`, `S01EP02`, `1x02` (but not the `1x265` of `5.1x265`), `E02`, `Ep 02`, `OVA 2`, `SP1`, a day.
static EPISODE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?:^|[^\p{L}\d])(?:
        s\d{1,4}[\ ._-]{0,3}e(?:p|pisode)?[\ ._-]?\d{1,4}(?:\D|$)
        | \d{1,2}x(?:[013-9]\d{1,2}|2[0-57-9]\d?|26[0-37-9]?)(?:\D|$)
        | (?: e\d{2,4} | eps?[\ ._-]{0,3}\d{1,3} | (?:ova|oad|ona)[\ ._-]{0,3}\d{1,2} | sp\d{1,2}
            | cap[\ .]?\d{3,4}
            | (?:19|20)\d\d[\ ._-](?:0[1-9]|1[0-2])[\ ._-](?:0[1-9]|[12]\d|3[01])
          )(?:-?e\d{2,4})*(?:v\d)?(?:[^\p{L}\d]|$)
    )|第\s?\d{1,4}\s?[話话集]|제?\d{1,4}[화회](?:[^\p{L}]|$)",
    )
});

/// `Episode 2`, in the languages releases are named in.
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?:^|[^\p{L}\d])(?:
        (?:[eé]pisodes?|epis[oó]dio|episodio|folge|cap[ií]tulo|puntata|odcinek|odc|avsnitt|afsnit|
            aflevering|серия|эпизод|b[oö]l[uü]m)[\ ._-]{0,3}\d{1,4}
        | \d{1,4}[\ ._-]{1,2}(?:серия|b[oö]l[uü]m)
    )(?:[^\p{L}\d]|$)",
    )
});

/// Films whose titles say "Episode".
static FILM: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)star[\ ._-]{0,3}wars"));

/// `[Group] Title - 05 [1080p]`; the number is looked at.
static ANIME: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^[\[【][^\]】]+[\]】].*[\ _.][-–][\ _.]?(\d{1,4})(?:v\d)?(?:\ ?[-~]\ ?\d{1,4})?[\ _]?(?:[\[(【]|\.\w{2,4}$|-|$)",
    )
});

/// A season, as directories and packs are called.
static SEASON: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?:^|[^\p{L}\d])(?:
        (?:season|series|staffel|saison|temporada|stagione|sezon|seizoen|сезон)[\ ._-]{0,3}\d{1,4}
        | s\d{1,2} | specials
    )(?:[^\p{L}\d]|$)",
    )
});

/// Words before a number that counts the pieces of one film.
const PIECES: &[&str] = &[
    "cd", "disc", "disk", "dvd", "part", "pt", "teil", "vol", "volume",
];
/// Numbers that tell how a film is coded.
const CODINGS: &[u32] = &[264, 265, 266, 480, 540, 576, 720, 1080, 1440, 2160, 4320];
/// Films of these are streams of one disc, numbered whatever it holds.
const STREAMS: &[&str] = &["evo", "m2ts", "vob"];
/// Fewer numbers in a row may be a film and its sequel.
const ROW: usize = 3;

fn regex(pattern: &str) -> Regex {
    Regex::new(&format!("(?x){pattern}")).expect("a constant")
}

/// Whether a name of a release or a film says that it is an episode.
pub(super) fn is_episode(name: &str) -> bool {
    let anime = || {
        let number = ANIME.captures(name)?.get(1)?;
        (!is_year(number.as_str())).then_some(())
    };
    EPISODE.is_match(name) || (WORD.is_match(name) && !FILM.is_match(name)) || anime().is_some()
}

/// Whether the files of the release `name` are episodes.
pub(super) fn are_episodes(name: &str, files: &[SubjectFile<'_>]) -> bool {
    let films: Vec<&SubjectFile<'_>> = files
        .iter()
        .filter(|file| is_video(file.name) && !is_stream(file))
        .collect();
    let pack = SEASON.is_match(name);
    let of_season = |file: &SubjectFile<'_>| {
        let said = pack || SEASON.is_match(file.dir);
        // The number of the season itself counts no episode.
        said && !numbers(&SEASON.replace_all(stem(file.name), " ")).is_empty()
    };
    let mut each = films.iter();
    each.any(|file| is_episode(file.name) || of_season(file)) || are_in_a_row(&films)
}

fn is_stream(file: &SubjectFile<'_>) -> bool {
    let in_disc = || disc_of(&format!("{}/x", file.dir)).is_some();
    has_extension(file.name, STREAMS) || in_disc()
}

/// A number in a name, which begins behind `before`.
struct Number<'a> {
    before: &'a str,
    text: &'a str,
    value: u32,
}

/// The films of one directory that are called the same up to a number.
#[derive(Default)]
struct Row<'a> {
    numbers: BTreeSet<u32>,
    /// One of them is written as `01`.
    padded: bool,
    bytes: u64,
    names: Vec<&'a str>,
}

impl Row<'_> {
    fn is_one(&self) -> bool {
        let (Some(first), Some(last)) = (self.numbers.first(), self.numbers.last()) else {
            return false;
        };
        let count = self.numbers.len();
        let enough = count >= ROW || (count > 1 && self.padded);
        // Some may be missing.
        enough && ((last - first) as usize) < 2 * count && !self.is_collection()
    }

    /// Films that somebody numbered have a year each.
    fn is_collection(&self) -> bool {
        let years: Vec<&str> = self.names.iter().filter_map(|name| year_in(name)).collect();
        years.len() * 2 >= self.names.len() && years.iter().any(|year| *year != years[0])
    }
}

/// Whether most of what `films` hold is numbered in a row.
fn are_in_a_row(films: &[&SubjectFile<'_>]) -> bool {
    let mut rows: HashMap<(&str, String), Row<'_>> = HashMap::new();
    for file in films {
        for number in numbers(stem(file.name)) {
            let row = rows.entry((file.dir, number.before.to_lowercase()));
            let row = row.or_default();
            if row.numbers.insert(number.value) {
                row.padded |= number.text.starts_with('0');
                row.bytes = row.bytes.saturating_add(file.size);
                row.names.push(file.name);
            }
        }
    }
    let all: u64 = films
        .iter()
        .fold(0, |sum, file| sum.saturating_add(file.size));
    // The numbered extras of a film are less than the film.
    let mut largest: HashMap<&str, u64> = HashMap::new();
    for ((dir, _), row) in rows.iter().filter(|(_, row)| row.is_one()) {
        let bytes = largest.entry(dir).or_default();
        *bytes = row.bytes.max(*bytes);
    }
    let numbered: u64 = largest
        .values()
        .fold(0, |sum, bytes| sum.saturating_add(*bytes));
    !largest.is_empty() && numbered >= all / 2
}

/// The numbers in `stem` that may count episodes: no years, codings, decimals or parts of words.
fn numbers(stem: &str) -> Vec<Number<'_>> {
    let mut found = Vec::new();
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut at = 0;
    while let Some(start) = stem[at..].find(|c: char| c.is_ascii_digit()) {
        let start = at + start;
        let end = start + digits(&stem[start..]);
        at = end;
        let (before, text, after) = (&stem[..start], &stem[start..end], &stem[end..]);
        let in_word = before.ends_with(char::is_alphanumeric)
            || (after.starts_with(char::is_alphabetic) && !is_version(after));
        let whole = before.strip_suffix('.').map_or(0, |before| {
            before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len()
        });
        let part = after.strip_prefix('.').map_or(0, digits);
        let decimal = whole == 1 || (text.len() == 1 && (1..=2).contains(&part));
        let word = before.trim_end_matches(|c: char| !c.is_alphanumeric());
        let word = word
            .rsplit(|c: char| !c.is_alphabetic())
            .next()
            .unwrap_or_default();
        let piece = PIECES.iter().any(|known| known.eq_ignore_ascii_case(word));
        let Ok(value) = text.parse() else { continue };
        let other = text.len() > 4 || is_year(text) || CODINGS.contains(&value);
        if !(in_word || decimal || piece || other) {
            found.push(Number {
                before,
                text,
                value,
            });
        }
    }
    found
}

/// The `v2` of a second try.
fn is_version(after: &str) -> bool {
    let mut chars = after.chars();
    chars.next().is_some_and(|c| c.eq_ignore_ascii_case(&'v'))
        && chars.next().is_some_and(|c| c.is_ascii_digit())
}

fn is_year(digits: &str) -> bool {
    digits.len() == 4 && (digits.starts_with("19") || digits.starts_with("20"))
}

fn year_in(name: &str) -> Option<&str> {
    let mut runs = name.split(|c: char| !c.is_ascii_digit());
    runs.find(|run| is_year(run))
}

/// `name` without its extension.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    #[test]
    fn a_name_says_that_it_is_an_episode() {
        for name in [
            "Show.S01E02.mkv",
            "show s1e2",
            "S01E02 - Name.mkv",
            "Show.S01.E02.1080p",
            "Show S01 - E02",
            "Show S01EP02",
            "a_s01_e02_b",
            "Show.S00E01.Special.mkv",
            "Show.S01E01E02.mkv",
            "Show.S01E01-E02.mkv",
            "Show.S01E01-02.mkv",
            "[x] S2024E113",
            "Show 1x02",
            "Show.10x02.mkv",
            "Show - 1x260 - Name",
            "Show Season 1 Episode 2",
            "Show - Episode 2.mkv",
            "Show.Episode.12.1080p",
            "Show Épisode 3",
            "Show Folge 7",
            "Show Capítulo 4",
            "Show [Cap.102]",
            "Show Ep 02",
            "Show.Ep.2.mkv",
            "Show EP12v2",
            "Show.E02.mkv",
            "Show E02E03",
            "Show.E01-E02.1080p",
            "[Group] Title - 05 [1080p].mkv",
            "[Group]_Title_-_05_[1080p].mkv",
            "[Group] Title - 05v2 (1080p) [ABCD1234].mkv",
            "[Group] Title S2 - 11 [1080p]",
            "[Group] Title - 1071.mkv",
            "[Group] Title - 01-12 [BD]",
            "【Group】 Title - 05 【1080p】",
            "Title OVA 2.mkv",
            "Title OVA - 02",
            "Title.OAD1",
            "Title SP1.mkv",
            "作品 第02話.mkv",
            "Сериал 5 серия",
            "Show.2024.05.17.720p.WEB",
        ] {
            assert!(is_episode(name), "{name}");
        }
    }

    #[test]
    fn films_are_no_episodes() {
        for name in [
            "Show.S01",
            "2001 A Space Odyssey",
            "2001.A.Space.Odyssey.1968.1080p.BluRay.x264",
            "Ocean's 8",
            "Oceans.8.2018.2160p.UHD.BluRay.x265.10bit.HDR.DTS-HD.MA.TrueHD.7.1",
            "1917",
            "1917.2019.1080p",
            "300.2006.mkv",
            "Se7en.1995",
            "Apollo 13",
            "12.12.The.Day.2023.1080p",
            "Film.2012.2009.1080p",
            "1920x1080",
            "Film 640x480",
            "x264",
            "Film.1080p.DDP5.1x265-GRP",
            "DDP5.1x",
            "Film 5.1",
            "Film.AAC2.0.H.264",
            "Film Part 1",
            "Film.Part.2.2011",
            "Film.CD1.avi",
            "Film cd 2",
            "Kill Bill Vol. 2",
            "Movie.2024",
            "es01e",
            "WALL-E 2008",
            "Film [E1234AB5].mkv",
            "[Group] Film - 2016 [1080p]",
            "[Group] Evangelion 2.22 [BD]",
            "Star.Wars.Episode.4.A.New.Hope.1977",
            "Star Wars Episode V",
            "Artist - Title EP 2019",
            "Supernova 2020",
        ] {
            assert!(!is_episode(name), "{name}");
            let file = format!("{name}.mkv");
            let files = [at("", &file, GB)];
            assert!(
                !are_episodes(name, &files) || SEASON.is_match(name),
                "{name}"
            );
        }
    }

    fn at<'a>(dir: &'a str, name: &'a str, size: u64) -> SubjectFile<'a> {
        SubjectFile { dir, name, size }
    }

    fn episodes(release: &str, paths: &[&str]) -> bool {
        let files: Vec<SubjectFile<'_>> = paths
            .iter()
            .map(|path| {
                let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
                at(dir, name, if name.contains("Extra") { GB / 10 } else { GB })
            })
            .collect();
        are_episodes(release, &files)
    }

    #[test]
    fn releases_with_numbers_in_a_row_have_episodes() {
        let table: [(&str, &[&str]); 12] = [
            ("Show", &["01 - Pilot.mkv", "02 - Next.mkv"]),
            ("Show", &["1. Pilot.mkv", "2. Next.mkv", "3. Last.mkv"]),
            (
                "Show",
                &["Show 1.mkv", "Show 2.mkv", "Show 3.mkv", "Show Extra.mkv"],
            ),
            (
                "Show",
                &[
                    "Show - 101 - A.mkv",
                    "Show - 102 - B.mkv",
                    "Show - 104 - C.mkv",
                ],
            ),
            ("Show (2019)", &["Show 2019 01.mkv", "Show 2019 02.mkv"]),
            (
                "[G] Show",
                &["[G] Show 01 [1080p].mkv", "[G] Show 02v2 [1080p].mkv"],
            ),
            ("Show", &["Season 1/05 - Name.mkv"]),
            ("Show", &["Show/Season 01/Show 05 720p.mkv"]),
            ("Show", &["Staffel 2/Show - 3.mkv", "Staffel 1/Name.mkv"]),
            ("Show.S02.1080p", &["05 - Name.mkv"]),
            // A pack of several seasons, of which none is half of it.
            (
                "Show",
                &[
                    "A/01.mkv", "A/02.mkv", "B/01.mkv", "B/02.mkv", "C/01.mkv", "C/02.mkv",
                ],
            ),
            ("Show", &["Show.Extra.mkv", "x.nfo", "Show.S01E01.mkv"]),
        ];
        for (release, paths) in table {
            assert!(episodes(release, paths), "{release}: {paths:?}");
        }
    }

    #[test]
    fn releases_of_films_have_none() {
        let table: [(&str, &[&str]); 14] = [
            ("Film", &["Film.CD1.avi", "Film.CD2.avi", "Film.CD3.avi"]),
            (
                "Film",
                &["Film Part 1.mkv", "Film Part 2.mkv", "Film Part 3.mkv"],
            ),
            ("Kill Bill", &["Kill Bill 1.mkv", "Kill Bill 2.mkv"]),
            (
                "Saw",
                &["Saw 1 (2004).mkv", "Saw 2 (2005).mkv", "Saw 3 (2006).mkv"],
            ),
            (
                "Bond",
                &[
                    "01 Dr No 1962.mkv",
                    "02 From Russia 1963.mkv",
                    "03 Gold 1964.mkv",
                ],
            ),
            (
                "Trilogy",
                &["Film 2001.mkv", "Film 2002.mkv", "Film 2003.mkv"],
            ),
            (
                "Film",
                &[
                    "Film.mkv",
                    "Extras/Extra 1.mkv",
                    "Extras/Extra 2.mkv",
                    "Extras/Extra 3.mkv",
                ],
            ),
            (
                "Film",
                &[
                    "VIDEO_TS/VTS_01_1.VOB",
                    "VIDEO_TS/VTS_01_2.VOB",
                    "VIDEO_TS/VTS_01_3.VOB",
                ],
            ),
            (
                "Film",
                &[
                    "BDMV/STREAM/00001.m2ts",
                    "BDMV/STREAM/00002.m2ts",
                    "BDMV/STREAM/00003.m2ts",
                ],
            ),
            (
                "Album",
                &["01 - Song.flac", "02 - Song.flac", "03 - Song.flac"],
            ),
            (
                "Film",
                &["Film 480p.mkv", "Film 720p.mkv", "Film 1080p.mkv"],
            ),
            ("Film", &["Film 5.1.mkv", "Film 5.2.mkv", "Film 5.3.mkv"]),
            ("Show Season 1", &["Documentary.1080p.DDP5.1.mkv"]),
            ("Series 7 (2001)", &["Series.7.The.Contenders.2001.mkv"]),
        ];
        for (release, paths) in table {
            assert!(!episodes(release, paths), "{release}: {paths:?}");
        }
    }
}
