//! One reader of one file: finds the bytes of a read in memory, or waits where they are being fetched.

use std::ops::Range;
use std::sync::Arc;

use debridfs_cdn::{Cause, EventKind, Fetch};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::cursor::Cursor;
use crate::error::ContentError;
use crate::file::{FileRef, ReadOut};
use crate::pattern::Class;
use crate::place::Place;
use crate::pump::pump;
use crate::stats::add;
use crate::watch::Watch;

/// Somebody who reads a file. Reads of one reader share windows: the kernel's read-ahead comes out of order and overlapping.
pub(crate) struct Reader {
    context: Arc<Context>,
    /// The file's id.
    file: u64,
    watch: Arc<Watch>,
    /// Cursors kept without anybody waiting at them.
    spare_cursors: usize,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) file: FileRef,
    pub(crate) closed: bool,
    cursors: Vec<Cursor>,
    /// Reads so far.
    reads: u64,
    last_read: Instant,
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
            file: file.id,
            watch,
            spare_cursors,
            state: Mutex::new(State {
                file,
                cursors: Vec::new(),
                reads: 0,
                last_read: Instant::now(),
                closed: false,
            }),
        })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// What the reader is taken for.
    pub(crate) fn class(&self) -> Class {
        self.watch.class()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
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
        let class = self.class();
        let cursor = &mut state.cursors[at];
        let out = cursor.window.get(range)?;
        cursor.used = now;
        let short = cursor.read(range, false, class, &self.context.config);
        self.feed(cursor, class, short);
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
            Ok(Ok(Ok(out))) => Ok(out),
            ended => {
                // Who is told before the deadline is told that no source has the file.
                let told = ended.ok().and_then(Result::ok).and_then(Result::err);
                let error = told.map_or_else(
                    || ContentError::at_deadline(wait.trouble()),
                    ContentError::Lost,
                );
                let words = error.to_string();
                let events = self.context.cdn.events();
                events.note(self.file, EventKind::ReadFailed, "", &words);
                Err(error)
            }
        }
    }

    /// Begins to wait for `range` where it comes by soonest.
    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        range: Range<u64>,
    ) -> (oneshot::Receiver<Result<ReadOut, Cause>>, Wait<'_>) {
        let now = state.touch();
        let class = self.class();
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
                if let Some(host) = self.context.cdn.latest_host()
                    && class != Class::Scan
                {
                    cursor.open_wide(range.end - range.start, &host);
                }
                state.cursors.push(cursor);
                (state.cursors.len() - 1, true)
            }
        };
        let cursor = &mut state.cursors[at];
        cursor.used = now;
        let bytes = cursor.wait(now, range.clone());
        let short = cursor.read(&range, !fresh, class, &self.context.config);
        self.feed(cursor, class, short);
        let cursor = cursor.id;
        // What the reader is taken for may have changed with this read.
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
    pub(crate) fn feed(self: &Arc<Self>, cursor: &mut Cursor, class: Class, short: bool) {
        if short {
            self.context.memory_wanted.notify_one();
        }
        cursor.wake();
        let (id, source) = (cursor.id, cursor.source.clone());
        while let Some(lane) = cursor.recruit() {
            let (context, urgency) = (&self.context, &lane.urgency);
            let fetch = Fetch::new(
                context.cdn.clone(),
                self.file,
                urgency.clone(),
                source.as_deref().cloned(),
            );
            let place = Place {
                reader: self.clone(),
                cursor: id,
                lane: lane.id,
                wake: lane.wake.clone(),
                urgency: urgency.clone(),
            };
            lane.task = Some(context.runtime.spawn(pump(place, fetch)).abort_handle());
        }
        cursor.rank(class);
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
    pub(crate) fn cursor(&mut self, id: u64) -> Option<&mut Cursor> {
        self.cursors.iter_mut().find(|cursor| cursor.id == id)
    }

    /// Takes note of a read; returns its number.
    fn touch(&mut self) -> u64 {
        self.last_read = Instant::now();
        self.reads += 1;
        self.reads
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
