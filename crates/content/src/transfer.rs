//! One body on its way into a window: it rests while the window is full, and makes room for others.

use bytes::Bytes;
use debridfs_cdn::{Ask, Body, Cause, Fetch, Need};
use tokio::time::sleep;

use crate::budget::Budget;
use crate::cursor::Flow;
use crate::file::FileRef;
use crate::place::Place;
use crate::probe;
use crate::tuning::cursor::LARGEST_REST;
use crate::tuning::transfer::{AHEAD_TRANSFER, FAIR_TRANSFER, PROGRESS, SNUG};

/// What is moved, and on whose behalf.
pub(crate) struct Transfer<'a> {
    pub(crate) place: &'a Place,
    pub(crate) file: &'a FileRef,
    pub(crate) ask: Ask<'a>,
}

impl Transfer<'_> {
    /// Moves `body`, which begins at `at`, into the window.
    ///
    /// # Errors
    /// What the body ended with before its range was complete.
    pub(crate) async fn run(&self, body: Body, at: u64, fetch: &mut Fetch) -> Result<(), Cause> {
        let mut end = at;
        let ended = self.follow(body, &mut end, fetch).await;
        if let Some(cache) = &self.place.context().cache {
            cache.ended(self.file.file_id(), end);
        }
        ended
    }

    /// Moves `body` into the window; `end` is where the last piece of it ended.
    async fn follow(&self, mut body: Body, end: &mut u64, fetch: &mut Fetch) -> Result<(), Cause> {
        let mut flow = Flow::More;
        loop {
            let lead = body.lead().clone();
            let gone = flow == Flow::Gone;
            let next = tokio::select! {
                biased;
                next = body.next() => match next {
                    Err(_) if gone => break,
                    next => next?,
                },
                () = lead.arrival(), if gone => break,
                () = self.place.wake.notified() => {
                    flow = self.place.flow();
                    if flow == Flow::Gone && !may_finish(&body) {
                        break;
                    }
                    continue;
                }
            };
            let Some((at, bytes)) = next else {
                fetch.went_well();
                break;
            };
            if body.moved() >= PROGRESS {
                fetch.went_well();
            }
            *end = at + bytes.len() as u64;
            let better_elsewhere = fetch.came(at, &bytes, &self.ask);
            flow = self.push(at, bytes);
            if flow == Flow::Full && body.left() > 0 {
                let Some(room) = self.rest(&mut body).await else {
                    return Ok(());
                };
                flow = room;
            }
            if better_elsewhere && body.left() > 0 {
                break;
            }
            match flow {
                Flow::Done if body.left() > 0 => break,
                Flow::Gone if !may_finish(&body) => break,
                _ => {}
            }
            if lead.is_waited_for() && (flow == Flow::Gone || self.makes_room(&body)) {
                break;
            }
        }
        body.end();
        Ok(())
    }

    fn push(&self, at: u64, bytes: Bytes) -> Flow {
        let context = self.place.context();
        let bytes = snug(bytes, &context.budget);
        if let Some(cache) = &context.cache {
            probe::keep(cache, self.file, at, &bytes);
        }
        self.place.push(at, bytes)
    }

    /// Waits until there is room for more of `body`; `None` when its connection is given up before.
    async fn rest(&self, body: &mut Body) -> Option<Flow> {
        loop {
            tokio::select! {
                () = self.place.wake.notified() => {}
                () = body.lead().arrival() => return None,
                () = sleep(self.place.context().config.idle_connection()) => return None,
            }
            body.was_held_up();
            let flow = self.place.flow();
            if flow != Flow::Full {
                return Some(flow);
            }
        }
    }

    /// Whether the connection is given up now that others wait for one.
    fn makes_room(&self, body: &Body) -> bool {
        let fair = match self.place.urgency.need() {
            Need::Waited => FAIR_TRANSFER,
            Need::Ahead => AHEAD_TRANSFER,
            Need::Spare => 0,
        };
        // What is left of a body that ends soon has mostly been sent.
        body.moved() >= fair && !body.lead().host.pace.is_soon(body.left())
    }
}

/// Whether a body that nobody needs any more may finish for the sake of its connection.
fn may_finish(body: &Body) -> bool {
    body.left() <= LARGEST_REST && body.is_soon()
}

/// `bytes` in memory of their own size where memory is short.
fn snug(bytes: Bytes, budget: &Budget) -> Bytes {
    if bytes.len() < SNUG && budget.is_tight() {
        Bytes::copy_from_slice(&bytes)
    } else {
        bytes
    }
}
