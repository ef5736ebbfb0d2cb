//! Preconditions of a request for a file (RFC 9110, section 13).

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, Method, header};

use crate::ranges::part_of;

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
    /// These parts, two or more, in this order: 206 with a part of the body for each.
    Several(Vec<Range<u64>>),
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

    /// What a request asks for, in the order of RFC 9110, section 13.2.2. A range is meant with GET
    /// alone: a HEAD is told of the whole file (section 14.2).
    pub(crate) fn asked_for(&self, method: &Method, headers: &HeaderMap) -> Part {
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
        let Some(range) = get(header::RANGE).filter(|_| *method == Method::GET) else {
            return Part::Whole;
        };
        if get(header::IF_RANGE).is_some_and(|condition| !self.is_exactly(condition)) {
            return Part::Whole;
        }
        part_of(range, self.size)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        Version::new(0xab, 1000, 1_700_000_000)
    }

    fn asked(method: &Method, headers: &[(HeaderName, &str)]) -> Part {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        version().asked_for(method, &map)
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
            let headers = [range.clone(), condition.clone()];
            assert_eq!(asked(&Method::GET, &headers), part, "{condition:?}");
            let without_range = match part {
                Part::Range(_) => Part::Whole,
                other => other,
            };
            let of_head = asked(&Method::HEAD, &headers);
            assert_eq!(of_head, without_range, "HEAD: {condition:?}");
        }
        assert_eq!(asked(&Method::GET, &[]), Part::Whole);
        let beyond = [(header::RANGE, "bytes=5000-")];
        assert_eq!(asked(&Method::GET, &beyond), Part::Unsatisfiable);
        assert_eq!(asked(&Method::HEAD, &beyond), Part::Whole);
    }
}
