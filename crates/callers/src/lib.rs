//! What HTTP fronts ask of their callers: where a browser's call comes from, whether the name of a host could be anybody's, and whether a
//! secret is the right one. Each front decides by itself what it makes of that.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use http::header::{AsHeaderName, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// A SHA-256.
pub type Digest32 = [u8; 32];

/// The SHA-256 of a text: what is kept of a secret, and looked up in its place, so that the time it takes tells nothing.
pub fn digest(text: &str) -> Digest32 {
    Sha256::digest(text.as_bytes()).into()
}

/// Compares in a time that depends on neither text.
pub fn same(a: &str, b: &str) -> Choice {
    digest(a).ct_eq(&digest(b))
}

/// A header's value, the first if there are several; nothing if it is no text.
pub fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Host and port of a URL, as in `Origin` and `Referer`; all of what is none.
pub fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether a `Host` is an IP address or `localhost`. Any other name may be given our address by whoever owns it (DNS rebinding).
pub fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Says in an answer that it is what it says it is, and true only now.
pub fn mark_answer(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_nobody_else_can_own() {
        for host in [
            "127.0.0.1:8282",
            "192.168.1.2",
            "LocalHost:1",
            "[::1]:8282",
            "[fe80::1]",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil:1",
            "[x]",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn what_a_page_is_of() {
        for (url, host) in [
            ("http://box:8282", "box:8282"),
            ("https://box:8282/queue?x#y", "box:8282"),
            ("https://box?x", "box"),
            ("null", "null"),
            ("", ""),
        ] {
            assert_eq!(authority(url), host, "{url}");
        }
    }

    #[test]
    fn secrets_are_compared_as_a_whole() {
        assert!(bool::from(same("secret", "secret")));
        for other in ["", "secre", "secret ", "Secret"] {
            assert!(!bool::from(same("secret", other)), "{other:?}");
        }
    }
}
