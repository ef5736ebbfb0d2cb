//! What the fronts of the queue refuse of all callers.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use debridfs_listen::{Attempts, forwarding, has_foreign, is_rebound, peer};

/// The largest request of somebody who was let in: some hundred `.torrent` files of usual size, or
/// an nzb of a whole season.
pub(crate) const LARGEST_BODY: usize = 64 << 20;

/// Refuses what a browser sends for another site, and, when everybody may call (`open`), names that could be anybody's and what
/// a proxy passes on for somebody else.
pub(crate) fn check_origin(headers: &HeaderMap, open: bool) -> Result<(), &'static str> {
    if has_foreign(headers, &[header::ORIGIN, header::REFERER]) {
        return Err("it comes from a page of another site");
    }
    if open && forwarding(headers).is_some() {
        return Err(
            "it comes by a proxy, and without a password whoever reaches that would be let in: set `qbittorrent.password`",
        );
    }
    if open && is_rebound(headers) {
        return Err(
            "without a password only IP addresses and localhost are answered: set `qbittorrent.password`",
        );
    }
    Ok(())
}

/// Tells the log of a refusal, once a minute for each caller.
pub(crate) fn tell(attempts: &Arc<Attempts>, request: &Request, front: &str, reason: &str) {
    let peer = peer(request.extensions());
    if attempts.may_tell(peer) {
        let path = request.uri().path();
        tracing::warn!(?peer, front, path, reason, "a call was refused");
    }
}
