//! Words of others on a terminal: names of releases, reasons of providers, lines of logs.
//!
//! A terminal obeys some characters in place of showing them: they set its title or clipboard, hide and overwrite what was printed,
//! begin lines that look like another program's, or turn the order of letters around.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal obeys `c`, or shows nothing for it.
///
/// Control characters (C0, DEL and C1), separators of lines, and what sets the direction of text or is invisible beside it: the
/// characters of `Bidi_Control` in Unicode 16.0, its deprecated and interlinear format characters, tags, and the byte order mark.
/// Joiners are not among them, as scripts and emoji need them.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` as one line that no terminal obeys: what it would is written as in Rust (`\n`, `\u{1b}`).
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, is_obeyed, |out, c| out.extend(c.escape_default()))
}

/// As [`escaped`], with the ends of lines left.
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    let meant = |c| c != '\n' && is_obeyed(c);
    replaced(text, meant, |out, c| out.extend(c.escape_default()))
}

/// JSON that no terminal obeys. In what a serializer wrote such characters stand in strings alone, where `\u001b` means the same.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    let meant = |c| c != '\n' && is_obeyed(c);
    replaced(json, meant, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

/// `text` with `_` for what a terminal obeys: a name as it is stored and handed on.
pub fn cleaned(text: &str) -> Cow<'_, str> {
    replaced(text, is_obeyed, |out, _| out.push('_'))
}

fn replaced(
    text: &str,
    meant: impl Fn(char) -> bool,
    by: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    if !text.contains(&meant) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match meant(c) {
            true => by(&mut out, c),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table_of_words() {
        for (given, shown) in [
            ("Film.2024 (1080p) — Amélie 映画 עברית 👩\u{200d}🚀", None),
            ("a\u{1b}]52;c;x\u{7}b", Some("a\\u{1b}]52;c;x\\u{7}b")),
            ("a\r\n\tb\u{7f}", Some("a\\r\\n\\tb\\u{7f}")),
            (
                "\u{9b}31m\u{202e}gpj.exe",
                Some("\\u{9b}31m\\u{202e}gpj.exe"),
            ),
            (
                "\u{2028}\u{2066}\u{feff}",
                Some("\\u{2028}\\u{2066}\\u{feff}"),
            ),
        ] {
            assert_eq!(escaped(given), shown.unwrap_or(given));
        }
        assert_eq!(escaped_lines("a\nb\u{1b}"), "a\nb\\u{1b}");
        assert_eq!(cleaned("a\nb\u{202e}c"), "a_b_c");
    }

    proptest! {
        #[test]
        fn nothing_obeyed_is_left_and_json_means_the_same(text: String) {
            prop_assert!(!escaped(&text).contains(is_obeyed));
            let json = serde_json::to_string_pretty(&[&text]).unwrap();
            let shown = escaped_json(&json);
            prop_assert!(!shown.replace('\n', "").contains(is_obeyed));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), [text]);
        }
    }
}
