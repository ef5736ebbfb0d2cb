//! The task that fetches for one cursor: what is tried after a failure, and when it stops.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::{Part, Source};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::cursor::Flow;
use crate::error::{Blame, Cause};
use crate::fetch::{self, Body, Request};
use crate::file::FileRef;
use crate::reader::Reader;
use crate::stats::add;

/// While others wait for the host, a transfer gives its place up after so many bytes.
const FAIR_TRANSFER: u64 = 8 << 20;
/// A body that brings at least so much before it fails was no failure of the source.
const PROGRESS: u64 = 64 << 10;
/// First pause between attempts, and the longest: reading goes on within a second of a host's recovery.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(700);
/// After so many failures in a row another source is tried.
const FAILURES_PER_SOURCE: u32 = 3;
/// After so many wrong answers or failed connections in a row the link is not trusted any more.
const FAILURES_PER_LINK: u32 = 2;

/// What to fetch.
pub(crate) struct Order {
    pub(crate) file: FileRef,
    pub(crate) range: Range<u64>,
}

/// Fetches for `cursor` of `reader` as long as it needs more; `wake` tells a pump that paused.
pub(crate) async fn pump(reader: Arc<Reader>, cursor: u64, wake: Arc<Notify>) {
    let mut trouble = Trouble::default();
    while let Some(order) = reader.order(cursor, trouble.in_a_row > 0) {
        let sources = order.file.sources.len();
        if let Err(cause) = fetch(&reader, cursor, &order, &wake, &mut trouble).await {
            let counters = &reader.context().counters;
            add(&counters.retries, 1);
            if matches!(cause, Cause::WrongAnswer(_)) {
                add(&counters.wrong_answers, 1);
            }
            tracing::debug!(file = order.file.id, %cause, "a fetch failed");
            trouble.note(&cause, sources);
            reader.trouble(cursor, cause);
            if let Some(until) = trouble.pause.take() {
                sleep_until(until).await;
            }
        }
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

/// One request and its body.
async fn fetch(
    reader: &Reader,
    cursor: u64,
    order: &Order,
    wake: &Notify,
    trouble: &mut Trouble,
) -> Result<(), Cause> {
    let context = reader.context();
    let source = trouble.source(&order.file.sources)?;
    let lease = match context.links.get(source).await {
        Ok(lease) => lease,
        Err(no_link) => {
            trouble.soonest(no_link.until);
            return Err(no_link.cause);
        }
    };
    let (range, size) = in_link(source, &order.range, order.file.size);
    let after_trouble = trouble.in_a_row > 0;
    let request = Request {
        range: &range,
        size,
        first_byte: context.config.first_byte_timeout(trouble.slow),
        other_sources: order.file.sources.len() > 1,
    };
    let wanted = || reader.is_wanted(cursor, after_trouble);
    let opened = fetch::open(context, &lease, &request, wanted).await;
    let mut body = match opened {
        Ok(Some(body)) => body,
        Ok(None) => {
            // Only what somebody waits for goes on.
            trouble.in_a_row += 1;
            return Ok(());
        }
        Err(cause) => {
            let distrusted = matches!(cause, Cause::WrongAnswer(_) | Cause::Connect(_))
                && (trouble.in_a_row + 1).is_multiple_of(FAILURES_PER_LINK);
            if cause.blame() == Blame::Link {
                lease.refused();
            } else if distrusted {
                lease.distrust();
            }
            return Err(cause);
        }
    };
    lease.worked();
    transfer(reader, cursor, &mut body, wake, trouble).await
}

/// Moves a body into the window; stops reading from it while the window is full.
async fn transfer(
    reader: &Reader,
    cursor: u64,
    body: &mut Body,
    wake: &Notify,
    trouble: &mut Trouble,
) -> Result<(), Cause> {
    let context = reader.context();
    let stall = context.config.stall_timeout();
    let mut moved = 0;
    loop {
        let Some(bytes) = body.next(context, stall).await? else {
            *trouble = Trouble::at(trouble.source);
            return Ok(());
        };
        moved += bytes.len() as u64;
        if moved >= PROGRESS {
            *trouble = Trouble::at(trouble.source);
        }
        let mut flow = reader.push(cursor, bytes);
        while flow == Flow::Full {
            if body.is_complete() {
                break;
            }
            tokio::select! {
                () = wake.notified() => flow = reader.flow(cursor),
                () = body.host().crowd.arrival() => return Ok(()),
                () = context.hosts.crowd.arrival() => return Ok(()),
                () = sleep(context.config.idle_connection()) => return Ok(()),
            }
        }
        let others_wait = || body.host().crowd.is_waiting() || context.hosts.crowd.is_waiting();
        if flow == Flow::Gone || (moved >= FAIR_TRANSFER && others_wait()) {
            return Ok(());
        }
    }
}

/// What failed in a row, and what follows from it.
#[derive(Default)]
struct Trouble {
    /// The source in use, counted on without end.
    source: usize,
    in_a_row: u32,
    /// First bytes that did not come in time, in a row.
    slow: u32,
    /// Sources that have no link, in a row, and when the first of them may have one.
    without_link: usize,
    link_at: Option<Instant>,
    pause: Option<Instant>,
}

impl Trouble {
    fn at(source: usize) -> Self {
        Self {
            source,
            ..Self::default()
        }
    }

    fn source<'a>(&self, sources: &'a [Source]) -> Result<&'a Source, Cause> {
        if sources.is_empty() {
            return Err(Cause::NoSource);
        }
        Ok(&sources[self.source % sources.len()])
    }

    fn soonest(&mut self, until: Instant) {
        self.without_link += 1;
        self.link_at = Some(self.link_at.map_or(until, |known| known.min(until)));
    }

    /// Decides what comes after `cause`: which source, and how long a pause.
    fn note(&mut self, cause: &Cause, sources: usize) {
        self.in_a_row += 1;
        let now = Instant::now();
        let pause = |failures: u32| {
            let grown = FIRST_PAUSE * (1 << failures.min(6));
            Some(now + grown.min(LONGEST_PAUSE))
        };
        self.slow = match cause {
            Cause::FirstByte(_) => self.slow + 1,
            _ => 0,
        };
        match cause {
            Cause::Link { .. } | Cause::LinkRefused | Cause::UnknownProvider(_) => {
                self.source += 1;
                if self.without_link >= sources {
                    // Not before every source was asked once.
                    self.pause = self.link_at.take().map(|at| at.max(now + FIRST_PAUSE));
                    self.without_link = 0;
                }
                return;
            }
            Cause::NoSource => self.pause = pause(self.in_a_row),
            _ => {}
        }
        self.without_link = 0;
        self.link_at = None;
        match cause.blame() {
            // The next link is a new one, or there is a pause until it may be made.
            Blame::Link => {}
            Blame::Host => {
                self.pause = pause(self.in_a_row);
                if cause.is_long_refusal() {
                    self.source += 1;
                    return;
                }
            }
            // The first attempt after a chance failure goes out at once, on another connection.
            Blame::Chance if self.in_a_row > 1 => self.pause = pause(self.in_a_row - 1),
            Blame::Chance => {}
        }
        if self.in_a_row.is_multiple_of(FAILURES_PER_SOURCE) {
            self.source += 1;
        }
    }
}
