//! Where a call comes from: browsers send calls for pages of other sites, too. Each front decides
//! which of these it asks about.

use std::net::IpAddr;

use axum::http::header::{AsHeaderName, CACHE_CONTROL, HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Whether one of `names` (`Origin`, `Referer`) names another site than the one that is called.
pub fn has_foreign(headers: &HeaderMap, names: &[HeaderName]) -> bool {
    let host = text(headers, HOST).unwrap_or_default();
    names
        .iter()
        .filter_map(|name| text(headers, name))
        .any(|url| !is_of(url, host))
}

/// Whether `url` is of the site that is called as `host`. Letter case is none of a host's (RFC 3986, 3.2.2), and the port that a
/// scheme has by itself may be written or left out.
fn is_of(url: &str, host: &str) -> bool {
    let own_port = match url.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => ":80",
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => ":443",
        _ => "",
    };
    let without = |host| str::strip_suffix(host, own_port).unwrap_or(host);
    without(authority(url)).eq_ignore_ascii_case(without(host))
}

/// Whether a browser says by `Sec-Fetch-Site` that a page of another site sends it.
pub fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = text(headers, "sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

/// Whether the host is called by a name that its owner may have given our address (DNS rebinding):
/// any but an IP address and `localhost`.
pub fn is_rebound(headers: &HeaderMap) -> bool {
    let host = text(headers, HOST).unwrap_or_default();
    !host.is_empty() && !is_local(host)
}

/// The header by which a proxy says that it passes the call on for somebody else, if there is one.
/// Without a login whoever reaches the proxy would be taken for somebody at this machine.
pub fn forwarding(headers: &HeaderMap) -> Option<&HeaderName> {
    headers.keys().find(|name| {
        let name = name.as_str();
        matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-")
    })
}

/// Says in an answer that it is what it says it is, and true only now.
pub fn mark_answer(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// A header's value, the first if there are several; nothing if it is no text.
fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Host and port of a URL, as in `Origin` and `Referer`; all of what is not a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::header::{ORIGIN, REFERER};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        pairs.collect()
    }

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
        assert!(is_rebound(&headers(&[("host", "evil.example")])));
        assert!(!is_rebound(&headers(&[("host", "localhost:1")])));
        assert!(!is_rebound(&headers(&[])), "HTTP/1.0 names no host");
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
    fn a_host_is_the_same_in_any_letters_and_with_its_schemes_port() {
        for (url, host) in [
            ("http://LOCALHOST:8283", "localhost:8283"),
            ("http://localhost/x", "Localhost"),
            ("http://box:80/", "box"),
            ("http://box", "box:80"),
            ("HTTPS://box", "box:443"),
            ("https://[fe80::1]:443/", "[FE80::1]"),
        ] {
            assert!(is_of(url, host), "{url} {host}");
        }
        for (url, host) in [
            ("https://box:80", "box"),
            ("http://box:443", "box"),
            ("http://box", "box:8080"),
            ("http://box:8080", "box"),
            ("http://evil.example", "box"),
            ("null", "box"),
            ("http://:80", "box"),
            ("box:80", "box"),
        ] {
            assert!(!is_of(url, host), "{url} {host}");
        }
    }

    #[test]
    fn proxies_say_that_they_are_there() {
        for name in [
            "forwarded",
            "via",
            "x-real-ip",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
        ] {
            let called = headers(&[("host", "localhost"), (name, "x")]);
            assert_eq!(forwarding(&called).map(HeaderName::as_str), Some(name));
        }
        let called = headers(&[("host", "localhost"), ("x-forward", "x"), ("viaduct", "x")]);
        assert_eq!(forwarding(&called), None);
    }

    #[test]
    fn only_the_headers_that_were_asked_about_count() {
        let called = headers(&[
            ("host", "box:8282"),
            ("origin", "http://box:8282"),
            ("referer", "http://evil.example/page"),
        ]);
        assert!(!has_foreign(&called, &[ORIGIN]));
        assert!(has_foreign(&called, &[ORIGIN, REFERER]));
        assert!(!has_foreign(
            &headers(&[("host", "box")]),
            &[ORIGIN, REFERER]
        ));
    }

    #[test]
    fn browsers_tell_of_other_sites() {
        for (site, foreign) in [
            ("same-origin", false),
            ("none", false),
            ("same-site", true),
            ("cross-site", true),
        ] {
            let called = headers(&[("sec-fetch-site", site)]);
            assert_eq!(is_cross_site(&called), foreign, "{site}");
        }
        assert!(
            !is_cross_site(&headers(&[])),
            "not every caller is a browser"
        );
    }
}
