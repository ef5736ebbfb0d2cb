//! The task of one lane: fetches one range after the other until its cursor has enough.

use debridfs_cdn::{Ask, Cause, Fetch, Need};

use crate::place::{Order, Place};
use crate::supply::from_cache;
use crate::transfer::Transfer;

/// Fetches at `place` as long as there is something to do.
pub(crate) async fn pump(place: Place, mut fetch: Fetch) {
    while let Some(order) = place.order(fetch.is_in_trouble()) {
        let Some(order) = from_cache(&place, order).await else {
            continue;
        };
        if let Err(cause) = bring(&place, &order, &mut fetch).await {
            fetch.failed(&cause, &order.file.sources);
            if fetch.is_hopeless(&order.file.sources) {
                if !place.hopeless(&cause) {
                    return;
                }
            } else if place.failed(cause) {
                fetch.pause().await;
            }
        }
    }
}

/// Brings the bytes of `order` from the network: one request and its body.
async fn bring(place: &Place, order: &Order, fetch: &mut Fetch) -> Result<(), Cause> {
    let after_trouble = fetch.is_in_trouble();
    let before = |most| place.before(order.range.start, most);
    let ask = Ask {
        before: &before,
        sources: &order.file.sources,
        size: order.file.size,
        range: &order.range,
        call: order.call,
    };
    let opened = fetch.open(&ask, || place.is_wanted(after_trouble)).await?;
    let Some(body) = opened else {
        if place.urgency.need() == Need::Spare {
            place.refused();
        }
        return Ok(());
    };
    place.opened(&body.lead().host, fetch.source());
    let file = &order.file;
    Transfer { place, file, ask }
        .run(body, order.range.start, fetch)
        .await
}
