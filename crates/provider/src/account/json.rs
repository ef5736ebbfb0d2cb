//! Tolerant reading of JSON as APIs really write it: bytes that are not UTF-8, half surrogate
//! pairs, raw control characters, numbers as text, `[]` for an empty object, HTML where JSON was
//! promised.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Longest part of somebody else's text that goes into a message of ours.
const LONGEST_QUOTE: usize = 80;

/// Values in the largest sound answer: 100 000 files, or 5000 torrents of a hundred links, have half a
/// million. Each becomes some 100 bytes, so a body of 64 MiB that is nothing but values would take
/// gigabytes.
const MOST_VALUES: usize = 2_000_000;

/// Somebody else's text for a message: short, on one line, without URLs.
pub(crate) fn quote(text: &str) -> String {
    text.split_whitespace()
        .map(|word| match word.contains("://") {
            true => "<url>",
            false => word,
        })
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|char| !char.is_control())
        .take(LONGEST_QUOTE)
        .collect()
}

/// The whole body as a value.
pub(crate) fn parse(body: &[u8]) -> Result<Value, String> {
    check_values(body)?;
    let text = repair(body);
    serde_json::from_str(&text).map_err(|error| explain(&text, &error))
}

/// The elements of a list, each apart, so that one bad one does not spoil the others.
pub(crate) fn parse_list(body: &[u8]) -> Result<Vec<Result<Value, String>>, String> {
    check_values(body)?;
    let text = repair(body);
    if text.trim_start().starts_with('{') {
        return Err("an object where a list was promised".to_owned());
    }
    let elements: Vec<&RawValue> =
        serde_json::from_str(&text).map_err(|error| explain(&text, &error))?;
    Ok(elements
        .into_iter()
        .map(|element| {
            serde_json::from_str(element.get())
                .map_err(|error: serde_json::Error| error.to_string())
        })
        .collect())
}

/// Refuses a body of absurdly many values, by the commas in it: those in texts count as well.
fn check_values(body: &[u8]) -> Result<(), String> {
    let commas = body.iter().filter(|byte| **byte == b',').count();
    match commas <= MOST_VALUES {
        true => Ok(()),
        false => Err(format!("more than {MOST_VALUES} values")),
    }
}

/// The text of each field of an object, for one that is large.
pub(crate) fn members(body: &[u8]) -> Result<BTreeMap<String, String>, String> {
    check_values(body)?;
    let text = repair(body);
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(&text).map_err(|error| explain(&text, &error))?;
    let members = members.into_iter();
    Ok(members
        .map(|(key, value)| (key, value.get().to_owned()))
        .collect())
}

fn explain(text: &str, error: &serde_json::Error) -> String {
    let start = text.trim_start();
    if start.is_empty() {
        "an empty body".to_owned()
    } else if start.starts_with('<') {
        "an HTML page instead of JSON (a proxy, a login page, or the provider's maintenance page)"
            .to_owned()
    } else if error.is_eof() {
        format!("the body is cut off after {} bytes", text.len())
    } else {
        // Its text quotes no content beyond one character.
        format!("not JSON: {error}")
    }
}

/// The body as text that a strict JSON reader takes as far as its structure allows.
fn repair(body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let bytes = text.as_bytes();
    let suspicious = |at: usize, byte: u8| {
        byte < 0x20 || (byte == b'\\' && matches!(bytes.get(at + 1), Some(b'u')))
    };
    if !bytes
        .iter()
        .enumerate()
        .any(|(at, byte)| suspicious(at, *byte))
    {
        return text.into_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut at = 0;
    // Copies whole characters: every byte that is looked at is ASCII, where a character begins and
    // ends.
    while let Some(rest) = text.get(at..) {
        let Some(char) = rest.chars().next() else {
            break;
        };
        let mut step = char.len_utf8();
        match char {
            '"' => {
                in_string = !in_string;
                out.push('"');
            }
            '\\' if in_string => {
                let (kept, length) = escape(rest);
                out.push_str(kept);
                step = length;
            }
            char if in_string && (char as u32) < 0x20 => out.push(' '),
            char => out.push(char),
        }
        at += step;
    }
    out
}

/// The escape at the beginning of `rest`: what to write for it, and its length. Half a surrogate
/// pair becomes U+FFFD.
fn escape(rest: &str) -> (&str, usize) {
    const PAIR: usize = 12;
    const SINGLE: usize = 6;
    let unit = |from: usize| {
        let digits = rest
            .get(from..from + SINGLE)?
            .strip_prefix("\\u")
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    match unit(0) {
        Some(0xD800..=0xDBFF) => match unit(SINGLE) {
            Some(0xDC00..=0xDFFF) => (&rest[..PAIR], PAIR),
            _ => ("\\ufffd", SINGLE),
        },
        Some(0xDC00..=0xDFFF) => ("\\ufffd", SINGLE),
        Some(_) => (&rest[..SINGLE], SINGLE),
        None => match rest.as_bytes().get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => (&rest[..2], 2),
            // No escape that JSON knows: a plain backslash was meant.
            _ => ("\\\\", 1),
        },
    }
}

/// An object's fields; some APIs write an empty object as `[]`.
pub(crate) fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Array(elements) if elements.is_empty() => Ok(Map::new()),
        other => Err(format!("{} where an object was promised", kind(&other))),
    }
}

/// Text; numbers are taken as their digits.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A whole number, also when written as text or with a fraction.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(yes) => Some(i64::from(*yes)),
        _ => None,
    }
}

/// A number of bytes: not negative.
pub(crate) fn size(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) if number.is_u64() => number.as_u64(),
        other => integer(other).and_then(|size| u64::try_from(size).ok()),
    }
}

/// A finite number, also when written as text.
pub(crate) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|float| float.is_finite())
}

/// A time: ISO 8601 with a zone, or without one, which is taken as UTC.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?.trim();
    text.parse::<Timestamp>().ok().or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    })
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_api_should_not_write() {
        let text = |body: &[u8]| parse(body).map(|value| value.as_str().map(str::to_owned));
        let string = |body: &[u8]| text(body).unwrap().unwrap();
        assert_eq!(string(br#""a\ud83dz""#), "a\u{fffd}z");
        assert_eq!(string(br#""\udc00""#), "\u{fffd}");
        assert_eq!(string(br#""\ud83d\ud83d\ude00""#), "\u{fffd}\u{1f600}");
        assert_eq!(string(br#""\\ud83d""#), "\\ud83d");
        assert_eq!(string(b"\"\xff\xfe\""), "\u{fffd}\u{fffd}");
        assert_eq!(string(b"\"a\tb\nc\\u0041\""), "a b cA");
        assert_eq!(string(br#""C:\x\u12\_""#), "C:\\x\\u12\\_");
        assert_eq!(string(b"\xef\xbb\xbf\"bom\""), "bom");
        assert_eq!(string("\"é\\u00e9\"".as_bytes()), "éé");
    }

    #[test]
    fn says_what_it_got() {
        let why = |body: &[u8]| parse(body).unwrap_err();
        assert!(why(b"<html>").contains("HTML"));
        assert!(why(b"").contains("empty"));
        assert!(why(b"{\"a\":[1,").contains("cut off"));
        assert!(why(b"{]").contains("not JSON"));
    }

    #[test]
    fn no_answer_has_values_without_end() {
        let values = |count: usize| format!("[{}0]", "0,".repeat(count));
        let sound = values(MOST_VALUES).into_bytes();
        assert_eq!(parse_list(&sound).unwrap().len(), MOST_VALUES + 1);
        let absurd = values(MOST_VALUES + 1).into_bytes();
        for error in [
            parse(&absurd).unwrap_err(),
            parse_list(&absurd).unwrap_err(),
        ] {
            assert!(error.contains("more than 2000000 values"), "{error}");
        }
    }

    #[test]
    fn a_quote_holds_no_url() {
        assert_eq!(
            quote("see https://1.download/d/SECRET\nnow"),
            "see <url> now"
        );
        assert_eq!(quote(&"x".repeat(500)).len(), LONGEST_QUOTE);
    }
}
