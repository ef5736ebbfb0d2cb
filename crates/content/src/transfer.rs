//! One body on its way into a window: it rests while the window is full, makes room for others, and is replaced when it is slow.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::cursor::{Flow, LARGEST_REST};
use crate::error::Cause;
use crate::fetch::{self, Body, Request};
use crate::hosts::{Host, Urgency};
use crate::links::Lease;
use crate::probe;
use crate::pump::Order;
use crate::reader::{Place, Reader};
use crate::trouble::Trouble;

/// While others wait for the host, a transfer gives its place up after so many bytes.
const FAIR_TRANSFER: u64 = 8 << 20;
/// The same for one that only reads ahead.
const AHEAD_TRANSFER: u64 = 1 << 20;
/// A body that brings at least so much before it fails was no failure of the source.
const PROGRESS: u64 = 64 << 10;
/// How often a body that somebody waits for is looked at, or after so many times to the first byte: by then a second one would have
/// begun.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_FIRST_BYTES: u32 = 4;

/// What is moved, and on whose behalf.
pub(crate) struct Transfer<'a> {
    pub(crate) reader: &'a Arc<Reader>,
    pub(crate) place: Place,
    pub(crate) urgency: &'a Urgency,
    pub(crate) lease: &'a Lease,
    /// Size of the object that the link gives.
    pub(crate) size: u64,
    /// What was ordered, in the file.
    pub(crate) order: &'a Order,
    /// The same in the object.
    pub(crate) range: Range<u64>,
}

/// How a body does; begun anew with each.
struct Watch {
    begun: Instant,
    moved: u64,
    /// It had to wait for the reader.
    held_up: bool,
    progress: Instant,
    looked: Instant,
    moved_then: u64,
}

impl Watch {
    fn begin() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            moved: 0,
            held_up: false,
            progress: now,
            looked: now,
            moved_then: 0,
        }
    }

    /// Whether so many more bytes are few, and come at this body's rate before a new answer would begin.
    fn is_soon(&self, left: u64, host: &Host) -> bool {
        let rate = self.moved as f64 / self.begun.elapsed().as_secs_f64().max(1e-6);
        left <= LARGEST_REST && left as f64 <= rate * host.pace.patient_for().as_secs_f64()
    }

    /// The time until now does not count.
    fn look_again(&mut self) {
        self.looked = Instant::now();
        self.moved_then = self.moved;
    }
}

type Second<'a> = BoxFuture<'a, Option<Body>>;

impl Transfer<'_> {
    /// Moves `body` into the window; `wake` tells that there is room again.
    ///
    /// # Errors
    /// What the body ended with before its range was complete.
    pub(crate) async fn run(
        &self,
        body: Body,
        wake: &Notify,
        trouble: &mut Trouble,
    ) -> Result<(), Cause> {
        let mut at = self.order.range.start;
        let ended = self.follow(body, &mut at, wake, trouble).await;
        if let Some(cache) = &self.reader.context().cache {
            cache.ended(self.order.file.file_id(), at);
        }
        ended
    }

    /// Moves bodies into the window from `at` on, which goes with them.
    async fn follow(
        &self,
        mut body: Body,
        at: &mut u64,
        wake: &Notify,
        trouble: &mut Trouble,
    ) -> Result<(), Cause> {
        let context = self.reader.context();
        let stall = context.config.stall_timeout();
        let mut watch = Watch::begin();
        let mut lead = body.lead().clone();
        // A second body for the same bytes, under way, and where it will begin.
        let mut second: Option<(u64, Second<'_>)> = None;
        let mut flow = Flow::More;
        loop {
            let host = &lead.host;
            let look = LOOK.max(host.pace.first_byte() * LOOK_FIRST_BYTES);
            let left = (watch.progress + stall).saturating_duration_since(Instant::now());
            let next = tokio::select! {
                // Looking at the clock costs nothing as long as bytes come.
                biased;
                next = body.next(context, left) => match next {
                    Err(_) if flow == Flow::Gone => break,
                    next => next?,
                },
                () = lead.arrival(), if flow == Flow::Gone => break,
                () = wake.notified() => {
                    flow = self.reader.flow(self.place);
                    if flow == Flow::Gone && !watch.is_soon(self.left(*at), host) {
                        break;
                    }
                    continue;
                }
                other = opened(&mut second) => {
                    if let (Some((from, _)), Some(other)) = (second.take(), other) {
                        lead = other.lead().clone();
                        (body, *at, watch) = (other, from, Watch::begin());
                    }
                    continue;
                }
                () = sleep_until(watch.looked + look), if second.is_none() => {
                    let (moved, time) = (watch.moved - watch.moved_then, watch.looked.elapsed());
                    watch.look_again();
                    if host.pace.is_slow(moved, time) && self.reader.needs(self.place) {
                        second = Some((*at, self.second(*at, host.clone())));
                    }
                    continue;
                }
            };
            let Some(bytes) = next else {
                *trouble = Trouble::at(trouble.source);
                break;
            };
            let length = bytes.len() as u64;
            watch.moved += length;
            watch.progress = Instant::now();
            if watch.moved >= PROGRESS {
                *trouble = Trouble::at(trouble.source);
            }
            if let Some(cache) = &context.cache {
                probe::keep(cache, &self.order.file, *at, &bytes);
            }
            flow = self.reader.push(self.place, *at, bytes);
            *at += length;
            while flow == Flow::Full && !body.is_complete() {
                watch.held_up = true;
                tokio::select! {
                    () = wake.notified() => flow = self.reader.flow(self.place),
                    () = lead.arrival() => return Ok(()),
                    () = sleep(context.config.idle_connection()) => return Ok(()),
                }
                watch.progress = Instant::now();
                watch.look_again();
            }
            let left = self.left(*at);
            match flow {
                Flow::Done if !body.is_complete() => break,
                Flow::Gone if !watch.is_soon(left, host) => break,
                _ => {}
            }
            let gives_up = || self.makes_room(watch.moved) && !host.pace.is_soon(left);
            if lead.is_waited_for() && (flow == Flow::Gone || gives_up()) {
                break;
            }
        }
        if !watch.held_up {
            body.lead()
                .host
                .pace
                .moved(watch.moved, watch.begun.elapsed());
        }
        Ok(())
    }

    /// Bytes that are still to come when those before `at` are there.
    fn left(&self, at: u64) -> u64 {
        self.order.range.end.saturating_sub(at)
    }

    /// Whether the connection is given up after `moved` bytes because others wait for one.
    fn makes_room(&self, moved: u64) -> bool {
        moved >= FAIR_TRANSFER
            || self.reader.is_spare(self.place)
            || (moved >= AHEAD_TRANSFER && !self.reader.needs(self.place))
    }

    /// Asks for the bytes from `at` on once more, over another connection, if that takes nothing from anybody.
    fn second(&self, at: u64, host: Arc<Host>) -> Second<'_> {
        let context = self.reader.context();
        async move {
            if !fetch::may_hedge(context, &host) {
                return None;
            }
            let range = self.range.start + (at - self.order.range.start)..self.range.end;
            let request = Request {
                range: &range,
                size: self.size,
                first_byte: context.config.first_byte_timeout(0),
                other_sources: false,
                spare: true,
                urgency: self.urgency,
            };
            fetch::open(context, self.lease, &request, || true)
                .await
                .ok()
                .flatten()
        }
        .boxed()
    }
}

/// Resolves when the second body is there, or is not to be had; never without one.
async fn opened(second: &mut Option<(u64, Second<'_>)>) -> Option<Body> {
    match second {
        Some((_, opening)) => opening.await,
        None => std::future::pending().await,
    }
}
