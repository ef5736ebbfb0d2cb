//! One lane's hold on its reader: what it is to fetch, and what becomes of what it brings.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use debridfs_cdn::{Cause, Host, Need, Urgency};
use debridfs_provider::{Priority, Source};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::context::Context;
use crate::cursor::{Cursor, Flow};
use crate::file::FileRef;
use crate::pattern::Class;
use crate::reader::Reader;
use crate::stats::add;

/// One lane of one cursor of one reader.
pub(crate) struct Place {
    pub(crate) reader: Arc<Reader>,
    pub(crate) cursor: u64,
    pub(crate) lane: u64,
    /// Tells a lane that paused.
    pub(crate) wake: Arc<Notify>,
    /// Tells the queue for connections how much the lane is needed.
    pub(crate) urgency: Arc<Urgency>,
}

/// What a lane is to fetch.
pub(crate) struct Order {
    pub(crate) file: FileRef,
    pub(crate) range: Range<u64>,
    /// Before whom a link is asked for.
    pub(crate) call: Priority,
}

impl Place {
    pub(crate) fn context(&self) -> &Arc<Context> {
        self.reader.context()
    }

    fn at_cursor<T>(&self, act: impl FnOnce(&mut Cursor) -> T) -> Option<T> {
        self.reader.lock().cursor(self.cursor).map(act)
    }

    /// What to fetch next; `None` ends the lane. After trouble only what somebody waits for is tried again.
    pub(crate) fn order(&self, after_trouble: bool) -> Option<Order> {
        let class = self.reader.class();
        let mut state = self.reader.lock();
        let (file, closed) = (state.file.clone(), state.closed);
        let cursor = state.cursor(self.cursor)?;
        let go_on = cursor.is_waited_for() || !(after_trouble || closed);
        let go_on = go_on && !(after_trouble && cursor.is_spare(self.lane));
        let range = cursor.order(self.lane);
        cursor.rank(class);
        if let Some(range) = range.filter(|_| go_on) {
            return Some(Order {
                file,
                range,
                call: call_priority(class),
            });
        }
        cursor.ended(self.lane);
        cursor.rank(class);
        if cursor.is_waited_for() {
            // What this lane leaves undone is for others to do.
            self.reader.feed(cursor, class, false);
        }
        None
    }

    /// Takes in what was fetched from `at` on.
    pub(crate) fn push(&self, at: u64, bytes: Bytes) -> Flow {
        let context = self.context();
        let class = self.reader.class();
        let fetched = &context.counters.class(class).fetched;
        add(fetched, bytes.len() as u64);
        let mut state = self.reader.lock();
        let Some(cursor) = state.cursor(self.cursor) else {
            return Flow::Gone;
        };
        let (served, changed) = cursor.push(self.lane, at, bytes, &context.config);
        if changed {
            self.reader.feed(cursor, class, false);
        } else {
            cursor.rank(class);
        }
        let flow = cursor.flow(self.lane);
        drop(state);
        add(&context.counters.bytes_served, served);
        flow
    }

    /// Whether fetching may go on.
    pub(crate) fn flow(&self) -> Flow {
        self.at_cursor(|cursor| cursor.flow(self.lane))
            .unwrap_or(Flow::Gone)
    }

    /// Whether a connection is of use: somebody waits, or reads in sequence and all went well so far.
    pub(crate) fn is_wanted(&self, after_trouble: bool) -> bool {
        self.at_cursor(|cursor| {
            cursor.is_waited_for() || (cursor.is_sequential() && !after_trouble)
        })
        .unwrap_or(false)
    }

    /// Up to `most` of the bytes just before `at`, as far as they are in memory.
    pub(crate) fn before(&self, at: u64, most: u64) -> Vec<u8> {
        self.at_cursor(|cursor| cursor.window.before(at, most))
            .unwrap_or_default()
    }

    /// Bytes come from `host`, by `source`.
    pub(crate) fn opened(&self, host: &Arc<Host>, source: Option<&Source>) {
        self.at_cursor(|cursor| cursor.opened(self.lane, host, source));
    }

    /// The lane was refused a connection: there are not to be more than the others for a while.
    pub(crate) fn refused(&self) {
        self.at_cursor(|cursor| {
            let others = cursor.lanes.len().saturating_sub(1);
            cursor.crew.refused(others, Instant::now());
        });
    }

    /// No source can give the file: those who wait for the lane have their error at once. Returns whether
    /// the lane is to look for more to do.
    pub(crate) fn hopeless(&self, cause: &Cause) -> bool {
        self.at_cursor(|cursor| cursor.dismiss(self.lane, cause))
            .unwrap_or(true)
    }

    /// An attempt failed. Returns whether it is to be made again; a spare lane's is not. What went wrong is remembered for reads that end before
    /// it gets better.
    pub(crate) fn failed(&self, cause: Cause) -> bool {
        if self.urgency.need() == Need::Spare {
            self.refused();
            return false;
        }
        self.at_cursor(|cursor| cursor.trouble = Some(cause));
        true
    }
}

/// Before whom a link is asked for. A look may be the start of playback, a scan is not; nor is a copy, for which the last of a day's
/// traffic is not kept.
fn call_priority(class: Class) -> Priority {
    match class {
        Class::Scan => Priority::Probe,
        Class::Copy => Priority::User,
        Class::Probe | Class::Playback => Priority::Playback,
    }
}
