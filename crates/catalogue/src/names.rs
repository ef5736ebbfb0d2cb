//! Legal and unique names out of any text.
//!
//! What is legal is kept as it is, so that paths are those other programs show. A name has 1 to 255 bytes, is not `.` or `..`, and has no `/`, no NUL, no control
//! character (they break scripts and terminals) and no white space at its ends (clients that follow Windows rules cannot name such files).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The longest name in bytes (`NAME_MAX`).
pub const LONGEST: usize = 255;
/// The longest extension, with its dot, that is kept when a name is cut.
const LONGEST_EXTENSION: usize = 16;
/// The name of what has no name.
const NAMELESS: &str = "unnamed";

/// `text` as a legal name.
pub fn legal(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    match trimmed {
        "" => return Cow::Borrowed(NAMELESS),
        "." => return Cow::Borrowed("_"),
        ".." => return Cow::Borrowed("__"),
        _ => {}
    }
    let illegal = |c: char| c == '/' || c.is_control();
    if trimmed.len() <= LONGEST && !trimmed.contains(illegal) {
        return Cow::Borrowed(trimmed);
    }
    let replaced = trimmed.replace(illegal, "_");
    Cow::Owned(cut(&replaced, "", true))
}

/// `name` with `suffix` before its extension (of a file) or at its end (of a directory), cut to fit.
pub fn suffixed(name: &str, suffix: &str, is_file: bool) -> String {
    cut(name, suffix, is_file)
}

/// Stem, suffix and extension, with the stem cut at a character so that the whole fits.
fn cut(name: &str, suffix: &str, is_file: bool) -> String {
    let dot = if is_file {
        extension_start(name)
    } else {
        name.len()
    };
    let (stem, extension) = name.split_at(dot);
    let room = LONGEST - suffix.len() - extension.len();
    let mut end = stem.len().min(room);
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    let stem = if end < stem.len() || !suffix.is_empty() {
        stem[..end].trim_end()
    } else {
        stem
    };
    format!("{stem}{suffix}{extension}")
}

/// Where the extension of a file begins: its dot, or the end of the name.
fn extension_start(name: &str) -> usize {
    match name.rfind('.') {
        Some(dot) if dot > 0 && dot + 1 < name.len() && name.len() - dot <= LONGEST_EXTENSION => {
            dot
        }
        _ => name.len(),
    }
}

/// The names of one directory; whoever comes later to a name that is taken gets `name [2]`, `name [3]` …
#[derive(Debug, Default)]
pub struct NameSet {
    taken: HashSet<String>,
    /// The next number to try for a name, so that many of one name stay cheap.
    next: HashMap<String, u64>,
}

impl NameSet {
    /// Takes a legal name; for files the number stands before the extension.
    pub fn claim(&mut self, name: &str, is_file: bool) -> String {
        if self.taken.insert(name.to_owned()) {
            return name.to_owned();
        }
        let next = self.next.entry(name.to_owned()).or_insert(2);
        loop {
            let candidate = suffixed(name, &format!(" [{next}]"), is_file);
            *next += 1;
            if self.taken.insert(candidate.clone()) {
                return candidate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn table_of_names() {
        let long = "x".repeat(300);
        let cases: &[(&str, &str)] = &[
            ("Film.2024.mkv", "Film.2024.mkv"),
            ("", "unnamed"),
            (" \t ", "unnamed"),
            (".", "_"),
            ("..", "__"),
            (" .. ", "__"),
            ("...", "..."),
            (".hidden", ".hidden"),
            ("a/b", "a_b"),
            ("/", "_"),
            ("a\0b\nc\u{7f}\u{85}d", "a_b_c__d"),
            ("name ", "name"),
            ("name.", "name."),
            ("Ünïcødé \u{1F3AC}", "Ünïcødé \u{1F3AC}"),
            ("a:b*c?\"<>|\\", "a:b*c?\"<>|\\"),
            (&long, &long[..255]),
        ];
        for (text, name) in cases {
            assert_eq!(legal(text), *name, "{text:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension_and_whole_characters() {
        let name = legal(&format!("{}.mkv", "é".repeat(200))).into_owned();
        assert_eq!(name, format!("{}.mkv", "é".repeat(125)));
        let name = legal(&format!("{}.{}", "a".repeat(250), "b".repeat(40))).into_owned();
        assert_eq!(name, format!("{}.bbbb", "a".repeat(250)));
    }

    #[test]
    fn suffixes_stand_before_the_extension_of_files_only() {
        assert_eq!(suffixed("a.mkv", " [2]", true), "a [2].mkv");
        assert_eq!(
            suffixed("Film.2024", " [0123abcd]", false),
            "Film.2024 [0123abcd]"
        );
        assert_eq!(suffixed(".hidden", " [2]", true), ".hidden [2]");
        assert_eq!(suffixed("a.", " [2]", true), "a. [2]");
        assert_eq!(
            suffixed(&"x".repeat(255), " [2]", false),
            format!("{} [2]", "x".repeat(251))
        );
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut names = NameSet::default();
        assert_eq!(names.claim("a [2].srt", true), "a [2].srt");
        assert_eq!(names.claim("a.srt", true), "a.srt");
        assert_eq!(names.claim("a.srt", true), "a [3].srt");
        assert_eq!(names.claim("a.srt", true), "a [4].srt");
        assert_eq!(
            names.claim("A.srt", true),
            "A.srt",
            "case tells names apart"
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_a_legal_name(text in any::<String>(), long in "\\PC{0,400}", is_file: bool) {
            for text in [text, long] {
                let name = legal(&text).into_owned();
                let suffixed = suffixed(&name, " [0123456789abcdef]", is_file);
                for name in [&name, &suffixed] {
                    prop_assert!((1..=LONGEST).contains(&name.len()));
                    prop_assert!(!name.contains(|c: char| c == '/' || c.is_control()));
                    prop_assert!(name != "." && name != "..");
                }
                prop_assert_eq!(legal(&name), name.as_str(), "legal names stay as they are");
            }
        }
    }
}
