//! The path of a file in its torrent, the same whichever vendor tells it.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// What a vendor's paths of files begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathsBegin {
    /// Below the torrent's top directory.
    BelowTop,
    /// With the torrent's top directory, except in a torrent of a single file, which has none.
    WithTop,
}

/// `path` as every vendor's path of the same file comes out: relative to the torrent's top
/// directory, with `/` between its parts. Empty parts, `.` and `..` are dropped and never followed,
/// `\` parts as `/` does, and characters are composed (NFC), as some vendors' file systems do that.
pub fn canonical_path(path: &str, begin: PathsBegin) -> Cow<'_, str> {
    let trimmed = path.trim_start_matches('/');
    let is_part = |part: &&str| !matches!(*part, "" | "." | "..");
    let canonical =
        trimmed.split('/').all(|part| is_part(&part)) && !trimmed.contains('\\') && is_nfc(trimmed);
    if canonical && begin == PathsBegin::BelowTop {
        return Cow::Borrowed(trimmed);
    }
    let mut parts: Vec<&str> = trimmed.split(['/', '\\']).filter(is_part).collect();
    if begin == PathsBegin::WithTop && parts.len() > 1 {
        parts.remove(0);
    }
    Cow::Owned(parts.join("/").nfc().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn table_of_paths() {
        use PathsBegin::{BelowTop, WithTop};
        for (path, begin, canonical) in [
            // A torrent of a single file.
            ("/Film.mkv", BelowTop, "Film.mkv"),
            ("Film.mkv", WithTop, "Film.mkv"),
            // A torrent of several files, as two vendors tell them.
            ("/E01.mkv", BelowTop, "E01.mkv"),
            ("Show.S01/E01.mkv", WithTop, "E01.mkv"),
            ("/Subs/E01.srt", BelowTop, "Subs/E01.srt"),
            ("Show.S01/Subs/E01.srt", WithTop, "Subs/E01.srt"),
            ("/Show.S01/Show.S01/a.mkv", WithTop, "Show.S01/a.mkv"),
            // Windows separators.
            ("Subs\\E01.srt", BelowTop, "Subs/E01.srt"),
            ("Show.S01\\Subs\\E01.srt", WithTop, "Subs/E01.srt"),
            // Dot parts and empty parts.
            ("//Film//Extra/./a.mkv", BelowTop, "Film/Extra/a.mkv"),
            ("/Film/../b.mkv", BelowTop, "Film/b.mkv"),
            ("/../../etc/passwd", BelowTop, "etc/passwd"),
            ("./Show.S01/E01.mkv", WithTop, "E01.mkv"),
            ("/Film/Extra/", BelowTop, "Film/Extra"),
            ("...", BelowTop, "..."),
            ("", BelowTop, ""),
            ("/", WithTop, ""),
            // Unicode: decomposed as macOS writes it, and composed.
            ("/u\u{308}ber.mkv", BelowTop, "\u{fc}ber.mkv"),
            ("/\u{fc}ber.mkv", BelowTop, "\u{fc}ber.mkv"),
            ("/\u{1F3AC} d.mkv", BelowTop, "\u{1F3AC} d.mkv"),
            // White space is part of a name.
            ("/ a /b .mkv", BelowTop, " a /b .mkv"),
        ] {
            assert_eq!(canonical_path(path, begin), canonical, "{path:?}");
        }
    }

    #[test]
    fn what_is_canonical_is_not_copied() {
        let path = canonical_path("/Show/E01.mkv", PathsBegin::BelowTop);
        assert!(matches!(path, Cow::Borrowed("Show/E01.mkv")));
    }

    proptest! {
        #[test]
        fn a_canonical_path_stays_as_it_is(path in "[a/.\\\\\u{308}u ]{0,12}") {
            let once = canonical_path(&path, PathsBegin::BelowTop).into_owned();
            prop_assert_eq!(canonical_path(&once, PathsBegin::BelowTop), once.as_str());
        }
    }
}
