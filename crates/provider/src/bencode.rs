//! As much of bencode (BEP 3) as reading a `.torrent` needs. Nothing is built: a value is the bytes it is written in, and what is
//! not asked for is passed over.
//!
//! Written here because an info-hash is the hash of the bytes *as they stand in the file*: the published decoders give values, or
//! refuse files whose keys are not in order, of which there are many.

/// Lists and dictionaries nested deeper are an attack on the stack. As in libtorrent.
const DEPTH: u32 = 100;
/// Values and keys of one file: a file of a release takes about ten, and a release has 100 000 at most.
pub const MOST_VALUES: u32 = 2_000_000;

/// Digits, sign and end of any 64-bit number, and some zeros before.
const LONGEST_NUMBER: usize = 64;

/// A value, as the bytes it is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

/// Why bytes are no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// They are something else.
    NoBencode,
    /// They hold more than [`MOST_VALUES`].
    TooMany,
}

impl<'a> Value<'a> {
    /// The value that `bytes` begin with. What is behind it is no part of it: files of real trackers end with a newline, and
    /// libtorrent and MonoTorrent take them.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let mut left = MOST_VALUES;
        match skip(bytes, 0, &mut left) {
            Some(rest) => Ok(Self(&bytes[..bytes.len() - rest.len()])),
            _ if left == 0 => Err(Unreadable::TooMany),
            _ => Err(Unreadable::NoBencode),
        }
    }

    /// The bytes that it is written in.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// The value of a dictionary's entry, the first of that key.
    pub fn get(self, key: &str) -> Option<Self> {
        let mut rest = self.0.strip_prefix(b"d")?;
        while *rest.first()? != b'e' {
            let (found, behind_key) = text(rest)?;
            let (value, after) = first(behind_key)?;
            if found == key.as_bytes() {
                return Some(value);
            }
            rest = after;
        }
        None
    }

    /// A text; bytes that are no UTF-8 are replaced.
    pub fn text(self) -> Option<String> {
        let (text, _) = text(self.0)?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// The items of a list.
    pub fn list(self) -> Option<impl Iterator<Item = Self>> {
        let mut rest = self.0.strip_prefix(b"l")?;
        Some(std::iter::from_fn(move || {
            if *rest.first()? == b'e' {
                return None;
            }
            let (item, after) = first(rest)?;
            rest = after;
            Some(item)
        }))
    }

    /// A number that is a size.
    pub fn size(self) -> Option<u64> {
        let (digits, _) = digits(self.0)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

/// The value that `bytes` begin with, and what is behind it.
fn first(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    // They were counted when the whole was looked at.
    let mut uncounted = u32::MAX;
    let rest = skip(bytes, 0, &mut uncounted)?;
    Some((Value(&bytes[..bytes.len() - rest.len()]), rest))
}

/// What is behind the value that `bytes` begin with. Each value is taken off `left`; none is passed over once that is 0.
fn skip<'a>(bytes: &'a [u8], depth: u32, left: &mut u32) -> Option<&'a [u8]> {
    if depth > DEPTH {
        return None;
    }
    *left = left.checked_sub(1)?;
    match bytes.first()? {
        b'i' => digits(bytes).map(|(_, rest)| rest),
        b'l' => {
            let mut rest = &bytes[1..];
            while *rest.first()? != b'e' {
                rest = skip(rest, depth + 1, left)?;
            }
            Some(&rest[1..])
        }
        b'd' => {
            let mut rest = &bytes[1..];
            while *rest.first()? != b'e' {
                *left = left.checked_sub(1)?;
                let (_, behind_key) = text(rest)?;
                rest = skip(behind_key, depth + 1, left)?;
            }
            Some(&rest[1..])
        }
        _ => text(bytes).map(|(_, rest)| rest),
    }
}

/// The digits of a number, with its sign. One that is too large for us is no reason to refuse the file: it may be a date.
fn digits(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (digits, rest) = until(bytes.strip_prefix(b"i")?, b'e')?;
    let plain = digits.strip_prefix(b"-").unwrap_or(digits);
    let good = !plain.is_empty() && plain.iter().all(u8::is_ascii_digit);
    good.then_some((digits, rest))
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = until(bytes, b':')?;
    if !length.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = std::str::from_utf8(length).ok()?.parse().ok()?;
    rest.split_at_checked(length)
}

/// What is before and behind the first `end`, which comes within the digits of a number: what is further away is not looked for.
fn until(bytes: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let near = &bytes[..bytes.len().min(LONGEST_NUMBER)];
    let at = near.iter().position(|byte| *byte == end)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_bytes() {
        let value = Value::parse(b"d1:bi-7e1:ald1:x1:yeee").unwrap();
        assert_eq!(value.get("b").unwrap().raw(), b"i-7e");
        assert_eq!(value.get("a").unwrap().raw(), b"ld1:x1:yee");
        let mut items = value.get("a").unwrap().list().unwrap();
        let item = items.next().unwrap().get("x").unwrap();
        assert_eq!((item.text().as_deref(), items.next()), (Some("y"), None));
        assert_eq!(value.get("c"), None);
        let size = value.get("b").unwrap().size();
        assert_eq!(size, None, "a size is not negative");
    }

    #[test]
    fn what_is_behind_a_value_is_no_part_of_it() {
        for behind in ["", "\n", "\r\n", "\0\0", "e", "d3:abc", "<!-- page -->"] {
            let file = format!("d1:ai1ee{behind}");
            assert_eq!(Value::parse(file.as_bytes()).unwrap().raw(), b"d1:ai1ee");
        }
        let deep = [b"l".repeat(100), b"e".repeat(100)].concat();
        assert!(Value::parse(&deep).is_ok());
        let late = Value::parse(b"d4:datei99999999999999999999ee").unwrap();
        assert_eq!(late.get("date").unwrap().size(), None);
    }

    #[test]
    fn other_bytes_are_refused() {
        for bad in [
            &b""[..],
            b"d",
            b"i1",
            b"i1.5e",
            b"di1ei2ee",
            b"ie",
            b"i-e",
            b"5:abc",
            b"-1:a",
            b"99999999999999999999:a",
        ] {
            let error = Err(Unreadable::NoBencode);
            assert_eq!(Value::parse(bad), error, "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(Value::parse(&[b'l'; 100_000]), Err(Unreadable::NoBencode));
    }

    #[test]
    fn values_are_counted_and_take_no_memory() {
        // The list itself is one.
        let lists = |count: u32| [&b"l"[..], &b"le".repeat(count as usize), b"e"].concat();
        let most = lists(MOST_VALUES - 1);
        assert_eq!(
            Value::parse(&most).unwrap().list().unwrap().count(),
            most.len() / 2 - 1
        );
        assert_eq!(Value::parse(&lists(MOST_VALUES)), Err(Unreadable::TooMany));
        assert_eq!(size_of::<Value<'_>>(), size_of::<&[u8]>());
    }

    /// All values in `value`, by the ways there are into it.
    fn walk(value: Value<'_>) -> usize {
        let items = value.list().map_or(0, |items| items.map(walk).sum());
        value.text();
        value.size();
        value.get("a").map_or(0, walk) + items + 1
    }

    #[test]
    fn fuzz_any_bytes_are_answered() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok(value) = Value::parse(bytes) {
                assert!(bytes.starts_with(value.raw()));
                assert!(walk(value) <= bytes.len());
            }
        });
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(texts in proptest::collection::vec(".{0,20}", 0..20), size: u32) {
            let mut written = b"d5:texts".to_vec();
            written.push(b'l');
            for text in &texts {
                written.extend(format!("{}:{text}", text.len()).bytes());
            }
            written.extend(format!("e4:sizei{size}ee").bytes());
            let value = Value::parse(&written).unwrap();
            let read: Vec<String> = value.get("texts").unwrap().list().unwrap().filter_map(Value::text).collect();
            proptest::prop_assert_eq!(read, texts);
            proptest::prop_assert_eq!(value.get("size").unwrap().size(), Some(u64::from(size)));
        }
    }
}
