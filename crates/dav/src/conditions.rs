//! Ranges and preconditions of a request for a file (RFC 9110, sections 13 and 14).

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, header};

/// What identifies the bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// A strong entity tag, with its quotes: an id stands for the same bytes for ever.
    pub(crate) etag: String,
    /// When it was changed last, in whole seconds.
    pub(crate) modified: SystemTime,
    /// Bytes.
    pub(crate) size: u64,
}

/// What of the file is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: 200.
    Whole,
    /// This part: 206.
    Range(Range<u64>),
    /// The caller has it: 304.
    Unchanged,
    /// The caller speaks of another version: 412.
    Failed,
    /// There is no such part: 416.
    Unsatisfiable,
}

impl Version {
    /// A version of `size` bytes, last changed `seconds` after 1970.
    pub(crate) fn new(id: u64, size: u64, seconds: i64) -> Self {
        let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Self {
            etag: format!("\"{id:x}-{size:x}\""),
            modified: UNIX_EPOCH + since,
            size,
        }
    }

    /// What `headers` ask for, in the order of RFC 9110, section 13.2.2.
    pub(crate) fn asked_for(&self, headers: &HeaderMap) -> Part {
        let get = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(tags) = get(header::IF_MATCH) {
            if !self.is_among(tags, false) {
                return Part::Failed;
            }
        } else if let Some(since) = get(header::IF_UNMODIFIED_SINCE).and_then(date)
            && self.modified > since
        {
            return Part::Failed;
        }
        if let Some(tags) = get(header::IF_NONE_MATCH) {
            if self.is_among(tags, true) {
                return Part::Unchanged;
            }
        } else if let Some(since) = get(header::IF_MODIFIED_SINCE).and_then(date)
            && self.modified <= since
        {
            return Part::Unchanged;
        }
        let Some(range) = get(header::RANGE) else {
            return Part::Whole;
        };
        if get(header::IF_RANGE).is_some_and(|condition| !self.is_exactly(condition)) {
            return Part::Whole;
        }
        range_of(range, self.size)
    }

    /// Whether the tag is in a list of them; weak ones count where only freshness matters.
    fn is_among(&self, tags: &str, weak: bool) -> bool {
        tags.split(',').map(str::trim).any(|tag| {
            let tag = match tag.strip_prefix("W/") {
                Some(_) if !weak => return false,
                Some(tag) => tag,
                None => tag,
            };
            tag == "*" || tag == self.etag
        })
    }

    /// `If-Range`: a strong tag, or the exact date.
    fn is_exactly(&self, condition: &str) -> bool {
        let condition = condition.trim();
        match condition.starts_with('"') || condition.starts_with("W/") {
            true => condition == self.etag,
            false => date(condition) == Some(self.modified),
        }
    }
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

/// The part that a `Range` means. What cannot be understood, and several ranges at once, mean the whole file, as the RFC allows.
fn range_of(range: &str, size: u64) -> Part {
    // An empty file has no part to refuse: players ask for "bytes=0-" whatever they play, and RFC 9110, 14.2 lets a server pass over it.
    if size == 0 {
        return Part::Whole;
    }
    let Some((unit, set)) = range.split_once('=') else {
        return Part::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Part::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else {
        return Part::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        return match number(last) {
            None => Part::Whole,
            Some(0) => Part::Unsatisfiable,
            Some(count) => Part::Range(size.saturating_sub(count)..size),
        };
    }
    let Some(first) = number(first) else {
        return Part::Whole;
    };
    let end = match last {
        "" => size,
        last => match number(last) {
            Some(last) if last >= first => last.saturating_add(1).min(size),
            _ => return Part::Whole,
        },
    };
    match first < size {
        true => Part::Range(first..end),
        false => Part::Unsatisfiable,
    }
}

/// Digits alone; one that is too large is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version() -> Version {
        Version::new(0xab, 1000, 1_700_000_000)
    }

    fn asked(headers: &[(HeaderName, &str)]) -> Part {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        version().asked_for(&map)
    }

    #[test]
    fn table_of_ranges() {
        for (range, part) in [
            ("bytes=0-0", Part::Range(0..1)),
            ("bytes=10-19", Part::Range(10..20)),
            ("Bytes = 10-", Part::Range(10..1000)),
            ("bytes=-1", Part::Range(999..1000)),
            ("bytes=-5000", Part::Range(0..1000)),
            ("bytes=999-99999999999999999999999", Part::Range(999..1000)),
            ("bytes=1000-", Part::Unsatisfiable),
            ("bytes=99999999999999999999-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=20-10", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes", Part::Whole),
        ] {
            assert_eq!(asked(&[(header::RANGE, range)]), part, "{range}");
        }
        assert_eq!(range_of("bytes=0-", 0), Part::Whole);
        assert_eq!(range_of("bytes=-5", 0), Part::Whole);
    }

    #[test]
    fn table_of_conditions() {
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
        let range = (header::RANGE, "bytes=0-9");
        let (tag, date) = ("\"ab-3e8\"", "Tue, 14 Nov 2023 22:13:20 GMT");
        let (before, after) = (
            "Tue, 14 Nov 2023 22:13:19 GMT",
            "Tue, 14 Nov 2023 22:13:21 GMT",
        );
        let ten = Part::Range(0..10);
        for (condition, part) in [
            ((IF_RANGE, tag), ten.clone()),
            ((IF_RANGE, date), ten.clone()),
            ((IF_RANGE, "\"other\""), Part::Whole),
            ((IF_RANGE, "W/\"ab-3e8\""), Part::Whole),
            ((IF_RANGE, before), Part::Whole),
            ((IF_NONE_MATCH, "\"x\", W/\"ab-3e8\""), Part::Unchanged),
            ((IF_NONE_MATCH, "*"), Part::Unchanged),
            ((IF_NONE_MATCH, "\"x\""), ten.clone()),
            ((IF_MODIFIED_SINCE, date), Part::Unchanged),
            ((IF_MODIFIED_SINCE, before), ten.clone()),
            ((IF_MODIFIED_SINCE, "yesterday"), ten.clone()),
            ((IF_MATCH, tag), ten.clone()),
            ((IF_MATCH, "*"), ten.clone()),
            ((IF_MATCH, "W/\"ab-3e8\""), Part::Failed),
            ((IF_MATCH, "\"x\""), Part::Failed),
            ((IF_UNMODIFIED_SINCE, after), ten.clone()),
            ((IF_UNMODIFIED_SINCE, before), Part::Failed),
        ] {
            assert_eq!(
                asked(&[range.clone(), condition.clone()]),
                part,
                "{condition:?}"
            );
        }
        assert_eq!(asked(&[]), Part::Whole);
    }

    proptest! {
        #[test]
        fn no_range_leads_out_of_the_file(text in "\\PC{0,40}", size in 0u64..2000) {
            for text in [text.clone(), format!("bytes={text}")] {
                if let Part::Range(range) = range_of(&text, size) {
                    prop_assert!(range.start < range.end && range.end <= size);
                }
            }
        }
    }
}
