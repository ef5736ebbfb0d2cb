//! As much of bencode (BEP 3) as reading a `.torrent` needs.
//!
//! Written here because an info-hash is the hash of the bytes *as they stand in the file*: the published decoders give values, or
//! refuse files whose keys are not in order, of which there are many.

/// Lists and dictionaries nested deeper are an attack on the stack.
const DEPTH: u32 = 32;

/// A value that borrows from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(i64),
    Text(&'a [u8]),
    List(Vec<Value<'a>>),
    Dictionary(Vec<Entry<'a>>),
}

/// A key, its value, and the bytes that the value is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: Value<'a>,
    pub(crate) raw: &'a [u8],
}

impl<'a> Value<'a> {
    /// The value that is all of `bytes`; `None` if they are something else.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        match value(bytes, 0)? {
            (value, []) => Some(value),
            _ => None,
        }
    }

    /// The entry of a dictionary.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry<'a>> {
        match self {
            Self::Dictionary(entries) => entries.iter().find(|entry| entry.key == key.as_bytes()),
            _ => None,
        }
    }

    /// The value of a dictionary's entry.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A text; bytes that are no UTF-8 are replaced.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }

    /// The items of a list.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// A number that is a size.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Self::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

fn value(bytes: &[u8], depth: u32) -> Option<(Value<'_>, &[u8])> {
    if depth > DEPTH {
        return None;
    }
    match bytes.first()? {
        b'i' => {
            let (digits, rest) = until(&bytes[1..], b'e')?;
            let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
            Some((Value::Number(number), rest))
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
                let (key, behind_key) = text(rest)?;
                let (value, after) = value(behind_key, depth + 1)?;
                let raw = &behind_key[..behind_key.len() - after.len()];
                entries.push(Entry { key, value, raw });
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
    let length = std::str::from_utf8(length).ok()?.parse().ok()?;
    rest.split_at_checked(length)
}

fn until(bytes: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == end)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_bytes() {
        let value = Value::parse(b"d1:bi-7e1:ald1:x1:yeee").unwrap();
        assert_eq!(value.get("b"), Some(&Value::Number(-7)));
        assert_eq!(value.entry("a").unwrap().raw, b"ld1:x1:yee");
        assert_eq!(
            value.get("b").unwrap().size(),
            None,
            "a size is not negative"
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        for bad in [
            &b""[..],
            b"d",
            b"i1",
            b"i1.5e",
            b"de ",
            b"di1ei2ee",
            b"5:abc",
            b"-1:a",
            b"99999999999999999999:a",
        ] {
            assert_eq!(Value::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(Value::parse(&[b'l'; 100_000]), None);
    }

    #[test]
    fn fuzz_any_bytes_are_answered() {
        bolero::check!().for_each(|bytes: &[u8]| drop(Value::parse(bytes)));
    }
}
