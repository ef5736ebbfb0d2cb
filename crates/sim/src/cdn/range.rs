//! The `Range` header (RFC 9110, section 14), as the CDN reads it.

/// Bytes `start..end` of a file, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// The byte after the last one.
    pub end: u64,
}

/// What a `Range` header asks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeRequest {
    /// Everything: no header, one that is not understood, or several ranges.
    Whole,
    /// One part.
    Part(ByteRange),
    /// Nothing that the file has: 416.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `size` bytes.
pub fn parse_range(header: Option<&str>, size: u64) -> RangeRequest {
    header
        .and_then(|text| parse(text, size))
        .unwrap_or(RangeRequest::Whole)
}

/// `None`: not a range that is understood; RFC 9110 wants such a header ignored.
fn parse(text: &str, size: u64) -> Option<RangeRequest> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let (start, end) = match (first, last) {
        (None, None) => return None,
        (None, Some(suffix)) => (size.saturating_sub(suffix), size),
        (Some(start), None) => (start, size),
        (Some(start), Some(last)) if last < start => return None,
        (Some(start), Some(last)) => (start, last.saturating_add(1).min(size)),
    };
    if start >= end || start >= size {
        return Some(RangeRequest::Unsatisfiable);
    }
    Some(RangeRequest::Part(ByteRange { start, end }))
}

/// `Some(None)` for an empty text; digits only, and a number too large is as good as infinite.
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_the_standard_has_them() {
        let part = |start, end| RangeRequest::Part(ByteRange { start, end });
        let cases = [
            (None, RangeRequest::Whole),
            (Some("bytes=0-0"), part(0, 1)),
            (Some("bytes=10-19"), part(10, 20)),
            (Some("bytes=90-"), part(90, 100)),
            (Some("bytes=90-1000"), part(90, 100)),
            (Some("bytes=-10"), part(90, 100)),
            (Some("bytes=-1000"), part(0, 100)),
            (Some("Bytes= 1-2 "), part(1, 3)),
            (Some("bytes=0-99999999999999999999999999"), part(0, 100)),
            (Some("bytes=100-"), RangeRequest::Unsatisfiable),
            (
                Some("bytes=99999999999999999999999999-"),
                RangeRequest::Unsatisfiable,
            ),
            (Some("bytes=-0"), RangeRequest::Unsatisfiable),
            (Some("bytes=5-4"), RangeRequest::Whole),
            (Some("bytes=-"), RangeRequest::Whole),
            (Some("bytes=+1-2"), RangeRequest::Whole),
            (Some("bytes=1-2,4-5"), RangeRequest::Whole),
            (Some("items=1-2"), RangeRequest::Whole),
            (Some("garbage"), RangeRequest::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(parse_range(header, 100), expected, "{header:?}");
        }
        assert_eq!(
            parse_range(Some("bytes=0-"), 0),
            RangeRequest::Unsatisfiable
        );
    }
}
