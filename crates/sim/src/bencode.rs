//! As much of a `.torrent` file (BEP 3) as the vendor reads of it: the hash of its `info`, its name and its files.
//!
//! Deliberately not shared with the product, which reads the same format in `acquire`: what hands in
//! a torrent is tested against what takes it, and one decoder for both would agree with itself about
//! a wrong hash.

use sha1::{Digest, Sha1};

/// What a `.torrent` file describes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TorrentFile {
    pub(crate) hash: String,
    pub(crate) name: String,
    /// Paths with a leading `/`, and sizes.
    pub(crate) files: Vec<(String, u64)>,
}

/// Dictionaries and lists may be nested so deep; more is an attack.
const DEPTH: u32 = 32;

#[derive(Debug)]
enum Value<'a> {
    Number(i64),
    Text(&'a [u8]),
    List(Vec<Value<'a>>),
    /// Entries, each with the bytes that its value is written in.
    Dictionary(Vec<(&'a [u8], Value<'a>, &'a [u8])>),
}

/// Reads a `.torrent` file; `None` if it is none.
pub(crate) fn parse(bytes: &[u8]) -> Option<TorrentFile> {
    let (root, rest) = value(bytes, 0)?;
    let (info, raw) = root.entry(b"info")?;
    if !rest.is_empty() {
        return None;
    }
    let hash = Sha1::digest(raw)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = info.entry(b"name")?.0.text()?;
    let files = match info.entry(b"files") {
        None => vec![(format!("/{name}"), info.entry(b"length")?.0.size()?)],
        Some((Value::List(files), _)) => files.iter().map(file).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    Some(TorrentFile { hash, name, files })
}

fn file(value: &Value<'_>) -> Option<(String, u64)> {
    let Value::List(parts) = value.entry(b"path")?.0 else {
        return None;
    };
    let mut path = String::new();
    for part in parts {
        path.push('/');
        path.push_str(&part.text()?);
    }
    Some((path, value.entry(b"length")?.0.size()?))
}

impl<'a> Value<'a> {
    fn entry(&self, key: &[u8]) -> Option<(&Value<'a>, &'a [u8])> {
        let Self::Dictionary(entries) = self else {
            return None;
        };
        entries
            .iter()
            .find(|(name, ..)| *name == key)
            .map(|(_, value, raw)| (value, *raw))
    }

    fn text(&self) -> Option<String> {
        let Self::Text(bytes) = self else { return None };
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    fn size(&self) -> Option<u64> {
        let Self::Number(number) = self else {
            return None;
        };
        u64::try_from(*number).ok()
    }
}

fn value(bytes: &[u8], depth: u32) -> Option<(Value<'_>, &[u8])> {
    if depth > DEPTH {
        return None;
    }
    match bytes.first()? {
        b'i' => {
            let (number, rest) = until(&bytes[1..], b'e')?;
            Some((
                Value::Number(std::str::from_utf8(number).ok()?.parse().ok()?),
                rest,
            ))
        }
        b'l' => {
            let mut items = Vec::new();
            let mut rest = &bytes[1..];
            while *rest.first()? != b'e' {
                let (item, after) = value(rest, depth + 1)?;
                items.push(item);
                rest = after;
            }
            Some((Value::List(items), &rest[1..]))
        }
        b'd' => {
            let mut entries = Vec::new();
            let mut rest = &bytes[1..];
            while *rest.first()? != b'e' {
                let (key, after_key) = text(rest)?;
                let (entry, after) = value(after_key, depth + 1)?;
                entries.push((key, entry, &after_key[..after_key.len() - after.len()]));
                rest = after;
            }
            Some((Value::Dictionary(entries), &rest[1..]))
        }
        _ => text(bytes).map(|(text, rest)| (Value::Text(text), rest)),
    }
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = until(bytes, b':')?;
    if !length.iter().all(u8::is_ascii_digit) {
        return None;
    }
    rest.split_at_checked(std::str::from_utf8(length).ok()?.parse().ok()?)
}

fn until(bytes: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == end)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torrents_are_read() {
        let one = b"d8:announce3:foo4:infod6:lengthi42e4:name5:a.mkv12:piece lengthi1e6:pieces0:ee";
        let torrent = parse(one).unwrap();
        assert_eq!(torrent.name, "a.mkv");
        assert_eq!(torrent.files, [("/a.mkv".to_owned(), 42)]);
        assert_eq!(torrent.hash.len(), 40);
        let many = b"d4:infod5:filesld6:lengthi1e4:pathl1:d5:b.mkveed6:lengthi2e4:pathl5:c.srteee4:name1:nee";
        assert_eq!(
            parse(many).unwrap().files,
            [("/d/b.mkv".to_owned(), 1), ("/c.srt".to_owned(), 2)]
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        for bad in [
            &b""[..],
            b"d",
            b"de",
            b"i1e",
            b"d4:info",
            b"d4:infodee",
            b"99999999999999999999:x",
            b"-1:x",
            b"d4:infod6:lengthi-1e4:name1:aee",
            b"d4:infod6:lengthi1e4:name1:aeex",
        ] {
            assert_eq!(parse(bad), None);
        }
        assert_eq!(parse(&[b'l'; 100_000]), None);
    }

    #[test]
    fn fuzz_any_bytes_are_answered() {
        bolero::check!().for_each(|bytes: &[u8]| drop(parse(bytes)));
    }
}
