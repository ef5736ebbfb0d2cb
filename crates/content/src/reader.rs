//! One reader of one file: finds the bytes of a read in memory, or waits where they are being fetched.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::budget::Budget;
use crate::config::ContentConfig;
use crate::cursor::{Cursor, Flow};
use crate::error::{Cause, ContentError};
use crate::file::{FileRef, ReadOut};
use crate::hosts::Hosts;
use crate::links::Links;
use crate::pump::{Order, pump};
use crate::stats::{Counters, add};

/// What all readers share.
pub(crate) struct Context {
    pub(crate) config: ContentConfig,
    pub(crate) links: Arc<Links>,
    pub(crate) hosts: Hosts,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) runtime: Handle,
    /// Asks for memory of readers that do nothing.
    pub(crate) memory_wanted: Arc<Notify>,
}

/// Somebody who reads a file. Reads of one reader share windows: the kernel's read-ahead comes out of order and overlapping.
pub(crate) struct Reader {
    context: Arc<Context>,
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

/// A read that waits; given up when dropped.
struct Wait<'a> {
    reader: &'a Reader,
    cursor: u64,
    waiter: u64,
}

impl Reader {
    pub(crate) fn new(context: Arc<Context>, file: FileRef, spare_cursors: usize) -> Arc<Self> {
        Arc::new(Self {
            context,
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let cursor = &mut state.cursors[at];
        let out = cursor.window.get(range)?;
        cursor.used = now;
        let short = cursor.read(range, false, &self.context.config);
        self.feed(cursor, short);
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
                add(&self.context.counters.reads_failed, 1);
                Err(ContentError::at_deadline(wait.trouble()))
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
                let cursor = Cursor::new(now, &range, state.file.size, grant);
                state.cursors.push(cursor);
                (state.cursors.len() - 1, true)
            }
        };
        let cursor = &mut state.cursors[at];
        cursor.used = now;
        let bytes = cursor.wait(now, range.clone());
        let short = cursor.read(&range, !fresh, &self.context.config);
        self.feed(cursor, short);
        let cursor = cursor.id;
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
    fn feed(self: &Arc<Self>, cursor: &mut Cursor, short: bool) {
        if short {
            self.context.memory_wanted.notify_one();
        }
        if !cursor.hungry() {
            return;
        }
        let fetching = cursor.fetching.as_ref();
        if fetching.is_none_or(AbortHandle::is_finished) {
            let task = pump(self.clone(), cursor.id, cursor.wake.clone());
            cursor.fetching = Some(self.context.runtime.spawn(task).abort_handle());
        } else if cursor.paused {
            cursor.paused = false;
            cursor.wake.notify_one();
        }
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

    /// What the fetching task of `cursor` is to fetch next; `None` ends it. After trouble only what somebody waits for is tried again.
    pub(crate) fn order(&self, cursor: u64, after_trouble: bool) -> Option<Order> {
        let mut state = self.lock();
        let (file, closed) = (state.file.clone(), state.closed);
        let cursor = state.cursor(cursor)?;
        let go_on = cursor.is_waited_for() || !(after_trouble || closed);
        match cursor.order() {
            Some(range) if go_on => Some(Order { file, range }),
            _ => {
                cursor.fetching = None;
                cursor.paused = false;
                None
            }
        }
    }

    /// Takes in what was fetched.
    pub(crate) fn push(&self, cursor: u64, bytes: Bytes) -> Flow {
        let mut state = self.lock();
        let Some(cursor) = state.cursor(cursor) else {
            return Flow::Gone;
        };
        let (flow, served) = cursor.push(bytes, &self.context.config);
        drop(state);
        add(&self.context.counters.bytes_served, served);
        flow
    }

    /// Whether fetching for `cursor` may go on.
    pub(crate) fn flow(&self, cursor: u64) -> Flow {
        match self.lock().cursor(cursor) {
            Some(cursor) => cursor.flow(),
            None => Flow::Gone,
        }
    }

    /// Whether a connection for `cursor` is of use: somebody waits, or reads in sequence and all went well so far.
    pub(crate) fn is_wanted(&self, cursor: u64, after_trouble: bool) -> bool {
        self.lock().cursor(cursor).is_some_and(|cursor| {
            cursor.is_waited_for() || (cursor.is_sequential() && !after_trouble)
        })
    }

    /// Remembers what went wrong at `cursor`, for reads that end before it gets better.
    pub(crate) fn trouble(&self, cursor: u64, cause: Cause) {
        if let Some(cursor) = self.lock().cursor(cursor) {
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
        }
        if state.closed {
            state.cursors.retain(Cursor::is_waited_for);
        } else {
            self.reader.evict(&mut state);
        }
    }
}
