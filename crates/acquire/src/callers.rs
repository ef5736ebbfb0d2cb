//! What the fronts of the queue refuse of all callers.

use axum::http::{HeaderMap, header};
use debridfs_callers::{authority, is_local, text};

/// Refuses what a browser sends for another site, and, when everybody may call (`open`), names that could be anybody's.
pub(crate) fn check_origin(headers: &HeaderMap, open: bool) -> Result<(), &'static str> {
    let host = text(headers, header::HOST).unwrap_or_default();
    let foreign = [header::ORIGIN, header::REFERER]
        .into_iter()
        .filter_map(|name| text(headers, name))
        .any(|url| authority(url) != host);
    if foreign {
        return Err("it comes from a page of another site");
    }
    if open && !host.is_empty() && !is_local(host) {
        return Err("without a password only IP addresses and localhost are answered");
    }
    Ok(())
}
