//! The cache before the network: what of an order is on disk comes from there, and only the rest is asked of a CDN.

use debridfs_cache::Supply;

use crate::cursor::Flow;
use crate::place::{Order, Place};
use crate::tuning::supply::{LIMIT, SOON, STEP, WORTH_A_REQUEST};

/// Supplies the first part of `order` from the cache. Returns what is to be fetched instead, or `None` if anything was supplied.
pub(crate) async fn from_cache(place: &Place, order: Order) -> Option<Order> {
    let Some(cache) = &place.context().cache else {
        return Some(order);
    };
    let Order {
        file,
        mut range,
        call,
    } = order;
    let mut supplied = false;
    let mut arrived = false;
    loop {
        let part = match cache.supply(file.file_id(), &range) {
            Supply::Cached(part) => part,
            Supply::Absent(_)
                if !arrived && cache.arrival(file.file_id(), range.start, SOON).await =>
            {
                arrived = true;
                continue;
            }
            Supply::Absent(_) => break,
        };
        let part = part.start..part.end.min(part.start + STEP);
        let Some(pieces) = cache.read(file.file_id(), &part, LIMIT).await else {
            break;
        };
        supplied = true;
        for bytes in pieces {
            let at = range.start;
            range.start += bytes.len() as u64;
            if place.push(at, bytes) != Flow::More {
                return None;
            }
        }
        if range.is_empty() {
            return None;
        }
    }
    if supplied {
        // The cursor says what comes next: meanwhile it may be something else.
        return None;
    }
    let mut at = range.start;
    while at < range.end {
        match cache.supply(file.file_id(), &(at..range.end)) {
            Supply::Cached(part)
                if at > range.start && part.end - part.start >= WORTH_A_REQUEST =>
            {
                range.end = part.start;
            }
            Supply::Cached(part) | Supply::Absent(part) => at = part.end,
        }
    }
    Some(Order { file, range, call })
}
