//! What every front asks of its callers: that no page of another site makes a browser call, and that secrets are compared without
//! telling how much of them was right.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// A SHA-256.
pub(crate) type Digest32 = [u8; 32];

pub(crate) fn digest(text: &str) -> Digest32 {
    Sha256::digest(text.as_bytes()).into()
}

/// Compares in a time that depends on neither text.
pub(crate) fn same(a: &str, b: &str) -> Choice {
    digest(a).ct_eq(&digest(b))
}

/// Refuses what a browser sends for another site, and, when everybody may call (`open`), names that could be anybody's.
pub(crate) fn check_origin(headers: &HeaderMap, open: bool) -> Result<(), &'static str> {
    let value = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let host = value(header::HOST).unwrap_or_default();
    let foreign = [header::ORIGIN, header::REFERER]
        .into_iter()
        .filter_map(value)
        .any(|url| authority(url) != host);
    if foreign {
        return Err("it comes from a page of another site");
    }
    // A page may give its own name our address (DNS rebinding).
    if open && !host.is_empty() && !is_local(host) {
        return Err("without a password only IP addresses and localhost are answered");
    }
    Ok(())
}

/// Host and port of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether a `Host` is an IP address or `localhost`.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}
