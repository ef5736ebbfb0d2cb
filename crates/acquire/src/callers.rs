//! What the fronts of the queue refuse of all callers.

use axum::http::{HeaderMap, header};
use debridfs_listen::{has_foreign, is_rebound};

/// Refuses what a browser sends for another site, and, when everybody may call (`open`), names that could be anybody's.
pub(crate) fn check_origin(headers: &HeaderMap, open: bool) -> Result<(), &'static str> {
    if has_foreign(headers, &[header::ORIGIN, header::REFERER]) {
        return Err("it comes from a page of another site");
    }
    if open && is_rebound(headers) {
        return Err("without a password only IP addresses and localhost are answered");
    }
    Ok(())
}
