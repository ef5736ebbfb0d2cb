//! One reader of one file: finds the bytes of a read in memory, or waits where they are being fetched.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use debridfs_cache::Cache;
use debridfs_provider::Priority;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::budget::Budget;
use crate::config::ContentConfig;
use crate::cursor::{Cursor, Flow};
use crate::error::{Cause, ContentError};
use crate::events::{EventKind, EventLog};
use crate::file::{FileRef, ReadOut};
use crate::hosts::{Host, Hosts};
use crate::links::Links;
use crate::pattern::Class;
use crate::pump::{Order, pump};
use crate::stats::{Counters, add};
use crate::watch::Watch;

/// What all readers share.
pub(crate) struct Context {
    pub(crate) config: ContentConfig,
    pub(crate) links: Arc<Links>,
    pub(crate) hosts: Hosts,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) events: EventLog,
    pub(crate) runtime: Handle,
    /// Asks for memory of readers that do nothing.
    pub(crate) memory_wanted: Arc<Notify>,
}

/// Somebody who reads a file. Reads of one reader share windows: the kernel's read-ahead comes out of order and overlapping.
pub(crate) struct Reader {
    context: Arc<Context>,
    watch: Arc<Watch>,
    /// Cursors kept without anybody waiting at them.
    spare_cursors: usize,
    state: Mutex<State>,
}

struct State {
    file: FileRef,
    cursors: Vec<Cursor>,
    next_id: u64,
    last_read: Instant,
    closed: bool,
}

/// One lane of one cursor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    cursor: u64,
    lane: u64,
}

impl Place {
    fn new(cursor: u64, lane: u64) -> Self {
        Self { cursor, lane }
    }
}

/// A read that waits; given up when dropped.
struct Wait<'a> {
    reader: &'a Reader,
    cursor: u64,
    waiter: u64,
}

impl Reader {
    pub(crate) fn new(
        context: Arc<Context>,
        watch: Arc<Watch>,
        file: FileRef,
        spare_cursors: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            context,
            watch,
            spare_cursors,
            state: Mutex::new(State {
                file,
                cursors: Vec::new(),
                next_id: 0,
                last_read: Instant::now(),
                closed: false,
            }),
        })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Before whom a link is asked for. A look may be the start of playback, a scan is not; nor is a copy, for which the last of a day's
    /// traffic is not kept.
    pub(crate) fn call_priority(&self) -> Priority {
        match self.class() {
            Class::Scan => Priority::Probe,
            Class::Copy => Priority::User,
            Class::Probe | Class::Playback => Priority::Playback,
        }
    }

    /// What the reader is taken for.
    pub(crate) fn class(&self) -> Class {
        self.watch.class()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The bytes of `range`, if all are in memory.
    pub(crate) fn try_read(self: &Arc<Self>, range: &Range<u64>) -> Option<ReadOut> {
        self.hit(&mut self.lock(), range)
    }

    fn hit(self: &Arc<Self>, state: &mut State, range: &Range<u64>) -> Option<ReadOut> {
        let at = state
            .cursors
            .iter()
            .position(|cursor| cursor.window.covers(range))?;
        let now = state.touch();
        let State {
            cursors, next_id, ..
        } = state;
        let cursor = &mut cursors[at];
        let out = cursor.window.get(range)?;
        cursor.used = now;
        let short = cursor.read(range, false, self.class(), &self.context.config);
        self.feed(cursor, next_id, short);
        add(&self.context.counters.bytes_served, range.end - range.start);
        Some(out)
    }

    /// The bytes of `range`, at `deadline` at the latest.
    pub(crate) async fn read(
        self: Arc<Self>,
        file: FileRef,
        range: Range<u64>,
        deadline: Instant,
    ) -> Result<ReadOut, ContentError> {
        let id = file.id;
        let (bytes, wait) = {
            let mut state = self.lock();
            if state.file != file {
                state.file = file;
            }
            if let Some(out) = self.hit(&mut state, &range) {
                return Ok(out);
            }
            self.begin(&mut state, range)
        };
        match timeout_at(deadline, bytes).await {
            Ok(Ok(out)) => Ok(out),
            Ok(Err(_)) | Err(_) => {
                let error = ContentError::at_deadline(wait.trouble());
                let words = error.to_string();
                self.context
                    .events
                    .note(id, EventKind::ReadFailed, "", &words);
                Err(error)
            }
        }
    }

    /// Begins to wait for `range` where it comes by soonest.
    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        range: Range<u64>,
    ) -> (oneshot::Receiver<ReadOut>, Wait<'_>) {
        let now = state.touch();
        let near = state
            .cursors
            .iter()
            .enumerate()
            .filter_map(|(at, cursor)| Some((cursor.distance(&range)?, at)))
            .min()
            .map(|(_, at)| at);
        let (at, fresh) = match near {
            Some(at) => (at, false),
            None => {
                let grant = self.context.budget.grant();
                let mut cursor = Cursor::new(now, &range, state.file.size, grant);
                if let Some(host) = self.context.hosts.latest()
                    && self.class() != Class::Scan
                {
                    cursor.open_wide(range.end - range.start, &host);
                }
                state.cursors.push(cursor);
                (state.cursors.len() - 1, true)
            }
        };
        let State {
            cursors, next_id, ..
        } = state;
        let cursor = &mut cursors[at];
        cursor.used = now;
        let bytes = cursor.wait(now, range.clone());
        let short = cursor.read(&range, !fresh, self.class(), &self.context.config);
        self.feed(cursor, next_id, short);
        let cursor = cursor.id;
        // What the reader is taken for may have changed with this read.
        let class = self.class();
        for cursor in &state.cursors {
            cursor.rank(class);
        }
        if fresh {
            self.evict(state);
        }
        let wait = Wait {
            reader: self,
            cursor,
            waiter: now,
        };
        (bytes, wait)
    }

    /// Sees to it that somebody fetches for `cursor` if it needs more, and that memory is looked for if it is `short`.
    fn feed(self: &Arc<Self>, cursor: &mut Cursor, next_id: &mut u64, short: bool) {
        if short {
            self.context.memory_wanted.notify_one();
        }
        cursor.wake();
        while let Some(lane) = cursor.recruit(*next_id + 1) {
            *next_id += 1;
            let cursor_id = cursor.id;
            if let Some(lane) = cursor.lanes.get_mut(lane) {
                let task = pump(
                    self.clone(),
                    Place::new(cursor_id, lane.id),
                    lane.wake.clone(),
                    lane.urgency.clone(),
                );
                lane.task = Some(self.context.runtime.spawn(task).abort_handle());
            }
        }
        cursor.rank(self.class());
    }

    /// Drops the cursors used longest ago beyond those kept, never one where somebody waits.
    fn evict(&self, state: &mut State) {
        loop {
            let mut spare = state
                .cursors
                .iter()
                .enumerate()
                .filter(|(_, cursor)| !cursor.is_waited_for())
                .map(|(at, cursor)| (cursor.used, at))
                .collect::<Vec<_>>();
            if spare.len() <= self.spare_cursors {
                return;
            }
            spare.sort_unstable();
            state.cursors.swap_remove(spare[0].1);
        }
    }

    /// What the lane at `place` is to fetch next; `None` ends it. After trouble only what somebody waits for is tried again.
    pub(crate) fn order(self: &Arc<Self>, place: Place, after_trouble: bool) -> Option<Order> {
        let mut state = self.lock();
        let State {
            file,
            cursors,
            next_id,
            closed,
            ..
        } = &mut *state;
        let cursor = cursors
            .iter_mut()
            .find(|cursor| cursor.id == place.cursor)?;
        let go_on = cursor.is_waited_for() || !(after_trouble || *closed);
        let spare = cursor.lanes.is_extra(place.lane) && !cursor.needs(place.lane);
        let go_on = go_on && !(after_trouble && spare);
        let range = cursor.order(place.lane);
        cursor.rank(self.class());
        if let Some(range) = range.filter(|_| go_on) {
            return Some(Order {
                file: file.clone(),
                range,
            });
        }
        cursor.ended(place.lane);
        if cursor.is_waited_for() {
            // What this lane leaves undone is for others to do.
            self.feed(cursor, next_id, false);
        }
        None
    }

    /// Takes in what was fetched from `at` on.
    pub(crate) fn push(self: &Arc<Self>, place: Place, at: u64, bytes: Bytes) -> Flow {
        let fetched = &self.context.counters.class(self.class()).fetched;
        add(fetched, bytes.len() as u64);
        let mut state = self.lock();
        let State {
            cursors, next_id, ..
        } = &mut *state;
        let cursor = cursors.iter_mut().find(|cursor| cursor.id == place.cursor);
        let Some(cursor) = cursor else {
            return Flow::Gone;
        };
        let (flow, served, changed) = cursor.push(place.lane, at, bytes, &self.context.config);
        if changed {
            self.feed(cursor, next_id, false);
        } else if served > 0 {
            cursor.rank(self.class());
        }
        drop(state);
        add(&self.context.counters.bytes_served, served);
        flow
    }

    /// Whether fetching at `place` may go on.
    pub(crate) fn flow(&self, place: Place) -> Flow {
        match self.lock().cursor(place.cursor) {
            Some(cursor) => cursor.flow(place.lane),
            None => Flow::Gone,
        }
    }

    /// Whether a connection for `place` is of use: somebody waits, or reads in sequence and all went well so far.
    pub(crate) fn is_wanted(&self, place: Place, after_trouble: bool) -> bool {
        self.lock().cursor(place.cursor).is_some_and(|cursor| {
            cursor.is_waited_for() || (cursor.is_sequential() && !after_trouble)
        })
    }

    /// Whether the lane at `place` only makes things faster: it is one of several, and nobody waits for what it has taken on.
    pub(crate) fn is_spare(&self, place: Place) -> bool {
        self.lock()
            .cursor(place.cursor)
            .is_some_and(|cursor| cursor.lanes.is_extra(place.lane) && !cursor.needs(place.lane))
    }

    /// Whether somebody waits for what the lane at `place` has taken on.
    pub(crate) fn needs(&self, place: Place) -> bool {
        let mut state = self.lock();
        let cursor = state.cursor(place.cursor);
        cursor.is_some_and(|cursor| cursor.needs(place.lane))
    }

    /// The lane at `place` was refused a connection, or lost it: there are not to be more than the others for a while.
    pub(crate) fn refused(&self, place: Place) {
        if let Some(cursor) = self.lock().cursor(place.cursor) {
            let others = cursor.lanes.len().saturating_sub(1);
            cursor.crew.refused(others, Instant::now());
        }
    }

    /// Bytes for `place` come from `host`, by the source number `source`.
    pub(crate) fn opened(&self, place: Place, host: &Arc<Host>, source: usize) {
        self.context.hosts.served(host);
        if let Some(cursor) = self.lock().cursor(place.cursor) {
            cursor.opened(place.lane, host, source);
        }
    }

    /// The source that gave data last.
    pub(crate) fn source(&self, place: Place) -> usize {
        let mut state = self.lock();
        state.cursor(place.cursor).map_or(0, |cursor| cursor.source)
    }

    /// Remembers what went wrong at `place`, for reads that end before it gets better.
    pub(crate) fn trouble(&self, place: Place, cause: Cause) {
        if let Some(cursor) = self.lock().cursor(place.cursor) {
            cursor.trouble = Some(cause);
        }
    }

    /// Gives back what nobody waits for; reads under way are finished.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.cursors.retain(Cursor::is_waited_for);
    }

    /// When the reader read last, unless somebody waits now.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        let waited_for = state.cursors.iter().any(Cursor::is_waited_for);
        (!waited_for).then_some(state.last_read)
    }
}

impl State {
    fn cursor(&mut self, id: u64) -> Option<&mut Cursor> {
        self.cursors.iter_mut().find(|cursor| cursor.id == id)
    }

    /// Takes note of a read; returns its number.
    fn touch(&mut self) -> u64 {
        self.last_read = Instant::now();
        self.next_id += 1;
        self.next_id
    }
}

impl Wait<'_> {
    fn trouble(&self) -> Option<Cause> {
        self.reader.lock().cursor(self.cursor)?.trouble.clone()
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut state = self.reader.lock();
        if let Some(cursor) = state.cursor(self.cursor) {
            cursor.leave(self.waiter);
            cursor.rank(self.reader.class());
        }
        if state.closed {
            state.cursors.retain(Cursor::is_waited_for);
        } else {
            self.reader.evict(&mut state);
        }
    }
}
