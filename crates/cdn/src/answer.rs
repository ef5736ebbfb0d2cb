//! Whether an HTTP answer is the asked part of the known file. Nothing that fails here is ever data.

use std::ops::Range;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use crate::error::Cause;

/// Checks the head of the answer to a GET of `asked` from a file of `size` bytes.
pub(crate) fn check(
    status: StatusCode,
    headers: &HeaderMap,
    asked: &Range<u64>,
    size: u64,
) -> Result<(), Cause> {
    if !status.is_success() {
        return Err(Cause::Status {
            status: status.as_u16(),
            x_error: text(headers, "x-error").map(|word| word.chars().take(64).collect()),
            retry_after: text(headers, RETRY_AFTER.as_str()).and_then(retry_after),
        });
    }
    let wrong = |why: String| Err(Cause::WrongAnswer(why));
    if status != StatusCode::PARTIAL_CONTENT {
        return wrong(format!("{} instead of 206", status.as_u16()));
    }
    match headers.get(CONTENT_ENCODING) {
        None => {}
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"identity") => {}
        Some(_) => return wrong("a content encoding".to_owned()),
    }
    if headers.get_all(CONTENT_RANGE).iter().count() != 1 {
        return wrong("not one Content-Range".to_owned());
    }
    let range = text(headers, CONTENT_RANGE.as_str()).and_then(content_range);
    let Some((first, last, total)) = range else {
        return wrong("an unreadable Content-Range".to_owned());
    };
    if total != size {
        return wrong(format!("a file of {total} bytes instead of {size}"));
    }
    if first != asked.start || last.checked_add(1) != Some(asked.end) {
        return wrong(format!(
            "bytes {first}-{last} instead of {}-{}",
            asked.start,
            asked.end - 1
        ));
    }
    if let Some(length) = text(headers, CONTENT_LENGTH.as_str())
        && length.parse() != Ok(asked.end - asked.start)
    {
        return wrong(format!(
            "a body of {length} bytes instead of {}",
            asked.end - asked.start
        ));
    }
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `bytes FIRST-LAST/TOTAL` (RFC 9110, 14.4); a total of `*` proves nothing and does not count.
fn content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (unit, rest) = value.split_once(' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (range, total) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((number(first)?, number(last)?, number(total)?))
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// Seconds or an HTTP date (RFC 9110, 10.2.3).
fn retry_after(value: &str) -> Option<Duration> {
    if let Some(seconds) = number(value) {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    let left = at.duration_since(jiff::Timestamp::now());
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    value.parse().expect("a header value"),
                )
            })
            .collect()
    }

    fn verdict(status: u16, pairs: &[(&'static str, &str)]) -> Result<(), Cause> {
        check(
            StatusCode::from_u16(status).unwrap(),
            &head(pairs),
            &(100..200),
            1000,
        )
    }

    #[test]
    fn only_the_asked_part_counts() {
        let right = ("content-range", "bytes 100-199/1000");
        assert_eq!(verdict(206, &[right]), Ok(()));
        assert_eq!(verdict(206, &[right, ("content-length", "100")]), Ok(()));
        assert_eq!(
            verdict(206, &[right, ("content-encoding", "identity")]),
            Ok(())
        );
        for (status, pairs) in [
            (200, &[right][..]),
            (200, &[("content-length", "1000")]),
            (204, &[right]),
            (206, &[]),
            (206, &[right, right]),
            (206, &[("content-range", "bytes 0-99/1000")]),
            (206, &[("content-range", "bytes 100-198/1000")]),
            (206, &[("content-range", "bytes 100-200/1000")]),
            (206, &[("content-range", "bytes 100-199/1001")]),
            (206, &[("content-range", "bytes 100-199/*")]),
            (206, &[("content-range", "bytes */1000")]),
            (206, &[("content-range", "bytes +100-199/1000")]),
            (206, &[("content-range", "items 100-199/1000")]),
            (
                206,
                &[("content-range", "bytes 100-18446744073709551615/1000")],
            ),
            (206, &[right, ("content-length", "99")]),
            (206, &[right, ("content-encoding", "gzip")]),
        ] {
            assert!(
                matches!(verdict(status, pairs), Err(Cause::WrongAnswer(_))),
                "{status} {pairs:?}"
            );
        }
    }

    #[test]
    fn refusals_keep_their_reason() {
        assert_eq!(
            verdict(503, &[("x-error", "link_expired"), ("retry-after", "7")]),
            Err(Cause::Status {
                status: 503,
                x_error: Some("link_expired".to_owned()),
                retry_after: Some(Duration::from_secs(7)),
            })
        );
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon"), None);
    }

    proptest! {
        #[test]
        fn any_content_range_is_read_or_refused(value in "[ -~]{0,40}") {
            if let Some((first, last, total)) = content_range(&value) {
                let again = format!("bytes {first}-{last}/{total}");
                prop_assert_eq!(content_range(&again), Some((first, last, total)));
            }
        }
    }
}
