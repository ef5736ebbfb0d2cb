//! The task of one lane: fetches one range after the other until its cursor has enough.

use std::ops::Range;
use std::sync::Arc;

use debridfs_provider::{Part, Source};
use tokio::sync::Notify;
use tokio::time::sleep_until;

use crate::error::{Blame, Cause};
use crate::events::{EventKind, EventLog};
use crate::fetch::{self, Request};
use crate::file::FileRef;
use crate::hosts::Urgency;
use crate::reader::{Place, Reader};
use crate::stats::add;
use crate::supply::from_cache;
use crate::transfer::Transfer;
use crate::trouble::Trouble;

/// After so many wrong answers or failed connections in a row the link is not trusted any more.
const FAILURES_PER_LINK: u32 = 2;

/// What to fetch.
pub(crate) struct Order {
    pub(crate) file: FileRef,
    pub(crate) range: Range<u64>,
}

/// Fetches at `place` of `reader` as long as there is something to do; `wake` tells a lane that paused, `urgency` the queue how much it is
/// needed.
pub(crate) async fn pump(
    reader: Arc<Reader>,
    place: Place,
    wake: Arc<Notify>,
    urgency: Arc<Urgency>,
) {
    let mut trouble = Trouble::at(reader.source(place));
    while let Some(order) = reader.order(place, trouble.in_a_row > 0) {
        let Some(order) = from_cache(&reader, place, order).await else {
            continue;
        };
        let sources = order.file.sources.len();
        if let Err(cause) = fetch(&reader, place, &order, &wake, &urgency, &mut trouble).await {
            let counters = &reader.context().counters;
            add(&counters.retries, 1);
            if matches!(cause, Cause::WrongAnswer(_)) {
                add(&counters.wrong_answers, 1);
            }
            tracing::debug!(file = order.file.id, %cause, "a fetch failed");
            let before = trouble.source;
            trouble.note(&cause, sources);
            tell(
                &reader.context().events,
                &order.file,
                before,
                &trouble,
                &cause,
            );
            if reader.is_spare(place) {
                reader.refused(place);
                continue;
            }
            reader.trouble(place, cause);
            if let Some(until) = trouble.pause.take() {
                sleep_until(until).await;
            }
        }
    }
}

/// Puts a failure into the history of the file.
fn tell(events: &EventLog, file: &FileRef, before: usize, after: &Trouble, cause: &Cause) {
    let provider = |source: usize| match file.sources.len() {
        0 => "",
        count => &*file.sources[source % count].provider,
    };
    events.note(file.id, cause.event(), provider(before), &cause.to_string());
    if file.sources.len() > 1 && after.source != before {
        let next = provider(after.source);
        let torrent = &file.sources[after.source % file.sources.len()].torrent.0;
        let words = format!("going on with torrent {torrent}");
        events.note(file.id, EventKind::FailOver, next, &words);
    }
}

/// What `range` of a file of `size` bytes is in the object that the link of `source` gives, and the size of that.
fn in_link(source: &Source, range: &Range<u64>, size: u64) -> (Range<u64>, u64) {
    match source.part {
        None => (range.clone(), size),
        Some(Part { offset, container }) => (
            offset.saturating_add(range.start)..offset.saturating_add(range.end),
            container,
        ),
    }
}

/// Brings the bytes of `order` from the network: one request and its body.
async fn fetch(
    reader: &Arc<Reader>,
    place: Place,
    order: &Order,
    wake: &Notify,
    urgency: &Urgency,
    trouble: &mut Trouble,
) -> Result<(), Cause> {
    let context = reader.context();
    let source = trouble.source(&order.file.sources)?;
    let lease = match context.links.get(source, reader.call_priority()).await {
        Ok(lease) => lease,
        Err(no_link) => {
            trouble.soonest(no_link.until);
            return Err(no_link.cause);
        }
    };
    if lease.fresh {
        let words = match lease.link.key.is_first() {
            true => "a direct link was made".to_owned(),
            false => format!("a direct link was made with key {}", lease.link.key),
        };
        let events = &context.events;
        events.note(order.file.id, EventKind::LinkMade, &source.provider, &words);
    }
    let (range, size) = in_link(source, &order.range, order.file.size);
    let after_trouble = trouble.in_a_row > 0;
    let request = Request {
        range: &range,
        size,
        first_byte: context.config.first_byte_timeout(trouble.slow),
        other_sources: order.file.sources.len() > 1,
        spare: reader.is_spare(place),
        urgency,
    };
    let wanted = || reader.is_wanted(place, after_trouble);
    let opened = fetch::open(context, &lease, &request, wanted).await;
    let body = match opened {
        Ok(Some(body)) => body,
        Ok(None) => {
            if request.spare {
                reader.refused(place);
            }
            // Only what somebody waits for goes on.
            trouble.in_a_row += 1;
            return Ok(());
        }
        Err(cause) => {
            let distrusted = matches!(cause, Cause::WrongAnswer(_) | Cause::Connect(_))
                && (trouble.in_a_row + 1).is_multiple_of(FAILURES_PER_LINK);
            match cause.blame() {
                Blame::Link => lease.refused(),
                Blame::Key => lease.out_of_traffic(),
                Blame::Host | Blame::Chance if distrusted => lease.distrust(),
                Blame::Host | Blame::Chance => {}
            }
            return Err(cause);
        }
    };
    lease.worked();
    context.events.came(order.file.id, &source.provider);
    reader.opened(place, &body.lead().host, trouble.source);
    let transfer = Transfer {
        reader,
        place,
        urgency,
        lease: &lease,
        size,
        order,
        range,
    };
    transfer.run(body, wake, trouble).await
}
