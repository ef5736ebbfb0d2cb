//! One place of a file where somebody reads: its window, how far ahead may be fetched, and who waits there.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use crate::budget::Grant;
use crate::config::ContentConfig;
use crate::error::Cause;
use crate::file::ReadOut;
use crate::window::Window;

/// The first fetch at a file's start: a read of 1 MiB and the 128 KiB that Linux reads ahead of it, so that it needs no second
/// request (mountpoint-s3's constant). Also the first step of read-ahead.
pub(crate) const FIRST_FETCH: u64 = (1 << 20) + (128 << 10);
/// A first read up to here may be the start of a sequential one that the kernel sent out of order; so may one that is no further
/// ahead of the last.
const NEAR_START: u64 = 128 << 10;
/// A read so far ahead of what is ordered for a sequential reader waits for the bytes between rather than for another connection.
const FORWARD_WAIT: u64 = 512 << 10;
/// The least read-ahead of a sequential reader, however many share the budget.
const LEAST_AHEAD: u64 = 256 << 10;
/// After so many bytes in sequence one request goes up to the end of the file.
const LONG_RUN: u64 = 32 << 20;

/// Where somebody reads.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) id: u64,
    pub(crate) window: Window,
    pub(crate) grant: Grant,
    /// When it was used last, in reads of the reader.
    pub(crate) used: u64,
    /// The last thing that went wrong since data came.
    pub(crate) trouble: Option<Cause>,
    /// Ends the fetching task; `None` = nobody fetches.
    pub(crate) fetching: Option<AbortHandle>,
    /// Wakes the fetching task when it holds an open connection without reading from it.
    pub(crate) wake: Arc<Notify>,
    pub(crate) paused: bool,
    waiters: Vec<Waiter>,
    file_size: u64,
    /// Fetching may go up to here.
    target: u64,
    /// How far ahead of the reader; 0 until it proved to read in sequence.
    ahead: u64,
    /// Where `ahead` grew last.
    grown_at: u64,
    /// Where the furthest read ended.
    read_to: u64,
    /// Bytes read in sequence.
    run: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    range: Range<u64>,
    done: oneshot::Sender<ReadOut>,
}

/// What the fetching task is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Fetch on.
    More,
    /// Enough for now.
    Full,
    /// The cursor is gone.
    Gone,
}

impl Cursor {
    /// A cursor for a first read of `range`. Nothing is fetched beyond it unless it is at the file's start.
    pub(crate) fn new(id: u64, range: &Range<u64>, file_size: u64, grant: Grant) -> Self {
        let target = if range.start <= NEAR_START {
            range.end.max(range.start + FIRST_FETCH)
        } else {
            range.end
        };
        Self {
            id,
            window: Window::new(range.start),
            grant,
            used: 0,
            trouble: None,
            fetching: None,
            wake: Arc::new(Notify::new()),
            paused: false,
            waiters: Vec::new(),
            file_size,
            target: target.min(file_size),
            ahead: 0,
            grown_at: range.start,
            read_to: range.end,
            run: range.end - range.start,
        }
    }

    /// How far `range` begins from what is here or ordered, if near enough to wait for it here.
    pub(crate) fn distance(&self, range: &Range<u64>) -> Option<u64> {
        let ordered = self.target.max(self.window.end());
        let patience = if self.ahead > 0 {
            FORWARD_WAIT
        } else {
            NEAR_START
        };
        (self.window.start() <= range.start && range.start <= ordered + patience)
            .then(|| range.start.saturating_sub(self.window.end()))
    }

    /// Takes note of a read. `starved` = it has to wait although others came before it: only then more is fetched ahead. Returns
    /// whether the budget was short.
    pub(crate) fn read(
        &mut self,
        range: &Range<u64>,
        starved: bool,
        config: &ContentConfig,
    ) -> bool {
        if range.end > self.read_to {
            self.run += range.end - self.read_to;
            self.read_to = range.end;
        }
        if starved {
            if self.ahead == 0 {
                if range.end > self.target {
                    self.ahead = FIRST_FETCH;
                    self.grown_at = range.end;
                }
            } else if self.read_to >= self.grown_at + self.ahead {
                self.ahead *= 2;
                self.grown_at = self.read_to;
            }
        }
        self.ahead = self.ahead.min(config.read_ahead.0);
        self.target = self.target.max(range.end);
        self.plan(config)
    }

    /// Moves the window on and takes the budget for it. Returns whether the budget was short.
    fn plan(&mut self, config: &ContentConfig) -> bool {
        let share = self.grant.fair_share();
        let keep = config.keep_behind.0.min(share / 2);
        let ahead = self.ahead.min(share.saturating_sub(keep).max(LEAST_AHEAD));
        if ahead > 0 {
            self.target = self.target.max(self.read_to + ahead);
        }
        self.target = self.target.min(self.file_size);
        let first_wanted = self.waiters.iter().map(|waiter| waiter.range.start).min();
        let first_wanted = first_wanted.unwrap_or(u64::MAX).min(self.read_to);
        self.window
            .trim(first_wanted.min(self.read_to.saturating_sub(keep)));
        let wish = self.target.max(self.window.end()) - self.window.start();
        if self.grant.try_grow(wish) {
            self.grant.shrink(wish);
            return false;
        }
        self.window.trim(first_wanted);
        let last_wanted = self.waiters.iter().map(|waiter| waiter.range.end).max();
        let needed = last_wanted.unwrap_or(0).max(self.window.end()) - self.window.start();
        self.grant.force(needed);
        self.target = self
            .target
            .min(self.window.start() + self.grant.bytes())
            .max(self.window.end());
        true
    }

    /// What to fetch now, if it is worth a request.
    pub(crate) fn order(&self) -> Option<Range<u64>> {
        let from = self.window.end();
        if !self.hungry() {
            return None;
        }
        let to = if self.run >= LONG_RUN {
            self.file_size
        } else if self.ahead > 0 {
            self.target.max(from + self.run).min(self.file_size)
        } else {
            self.target
        };
        Some(from..to)
    }

    /// Whether somebody waits for more, or enough of the window is free.
    pub(crate) fn hungry(&self) -> bool {
        let end = self.window.end();
        end < self.target
            && (self.waiters.iter().any(|waiter| waiter.range.end > end)
                || self.target - end >= (self.ahead / 4).min(1 << 20))
    }

    /// Appends what was fetched and answers those whose range is complete. Returns the flow and the bytes handed out.
    pub(crate) fn push(&mut self, bytes: Bytes, config: &ContentConfig) -> (Flow, u64) {
        self.window.push(bytes);
        self.trouble = None;
        let mut served = 0;
        let end = self.window.end();
        let mut at = 0;
        while at < self.waiters.len() {
            if self.waiters[at].range.end > end {
                at += 1;
                continue;
            }
            let waiter = self.waiters.swap_remove(at);
            if let Some(out) = self.window.get(&waiter.range)
                && waiter.done.send(out).is_ok()
            {
                served += waiter.range.end - waiter.range.start;
            }
        }
        if self.window.len() > self.grant.bytes() {
            self.plan(config);
        }
        (self.flow(), served)
    }

    /// Whether the fetching task goes on.
    pub(crate) fn flow(&mut self) -> Flow {
        self.paused = self.window.end() >= self.target;
        if self.paused { Flow::Full } else { Flow::More }
    }

    /// Somebody waits for `range`.
    pub(crate) fn wait(&mut self, id: u64, range: Range<u64>) -> oneshot::Receiver<ReadOut> {
        let (done, bytes) = oneshot::channel();
        self.waiters.push(Waiter { id, range, done });
        bytes
    }

    /// The waiter `id` has gone.
    pub(crate) fn leave(&mut self, id: u64) {
        self.waiters.retain(|waiter| waiter.id != id);
    }

    /// Whether the reader proved to read in sequence.
    pub(crate) fn is_sequential(&self) -> bool {
        self.ahead > 0
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        !self.waiters.is_empty()
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if let Some(task) = &self.fetching {
            task.abort();
        }
    }
}
