//! One place of a file where somebody reads: its window, how far ahead may be fetched, and who waits there.

mod parts;
mod reach;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use debridfs_base::media::TAIL;
use debridfs_cdn::{Cause, Host, Need, Sequential};
use debridfs_provider::{Priority, Source};
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::reach::BitRate;
use crate::budget::Grant;
use crate::config::ContentConfig;
use crate::crew::Crew;
use crate::file::ReadOut;
use crate::lanes::Lanes;
use crate::pattern::Class;
use crate::tuning::cursor::{FIRST_FETCH, LARGEST_REST, NEAR_START, OUT_OF_ORDER};
use crate::window::Window;

/// Where somebody reads.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) id: u64,
    pub(crate) window: Window,
    /// When it was used last, in reads of the reader.
    pub(crate) used: u64,
    /// The last thing that went wrong since data came.
    pub(crate) trouble: Option<Cause>,
    /// The source that gave data last; shared, as each read looks whether a lane has to be told of it.
    pub(crate) source: Option<Arc<Source>>,
    pub(crate) lanes: Lanes,
    pub(crate) crew: Crew,
    grant: Grant,
    /// Where the bytes came from last, and its place among those who read there in sequence.
    host: Option<Arc<Host>>,
    sequential: Option<Sequential>,
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
    class: Class,
    rate: BitRate,
    /// Where the first fetch is divided among connections.
    cuts: Option<[u64; 2]>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    range: Range<u64>,
    done: oneshot::Sender<Result<ReadOut, Cause>>,
}

/// What the fetching task is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Fetch on.
    More,
    /// Enough for now.
    Full,
    /// The rest of the range is not needed.
    Done,
    /// Nobody reads there any more.
    Gone,
}

impl Cursor {
    /// A cursor for a first read of `range`. Nothing is fetched beyond it unless it is at the file's start, or near its end: who looks
    /// there reads to the end, and the kernel asks for it in pieces.
    pub(crate) fn new(id: u64, range: &Range<u64>, file_size: u64, grant: Grant) -> Self {
        let target = if range.start <= NEAR_START {
            range.end.max(range.start + FIRST_FETCH)
        } else if range.start >= file_size.saturating_sub(TAIL) {
            file_size
        } else {
            range.end
        };
        let now = Instant::now();
        Self {
            id,
            window: Window::new(range.start),
            used: 0,
            trouble: None,
            source: None,
            lanes: Lanes::default(),
            crew: Crew::new(now),
            grant,
            host: None,
            sequential: None,
            waiters: Vec::new(),
            file_size,
            target: target.min(file_size),
            ahead: 0,
            grown_at: range.start,
            read_to: range.end,
            run: range.end - range.start,
            class: Class::Probe,
            rate: BitRate::new(now),
            cuts: None,
        }
    }

    /// How far `range` begins from what is here or under way, if near enough to wait for it here.
    pub(crate) fn distance(&self, range: &Range<u64>) -> Option<u64> {
        let at = range.start;
        if at < self.window.start() {
            return None;
        }
        let from = self.window.missing_from(at);
        if from > at {
            return Some(0);
        }
        // The kernel asks for the next pieces before the last one is there: what follows the furthest read is no seek, however far
        // the connections are behind it.
        if self.ahead > 0 && at <= self.read_to + OUT_OF_ORDER {
            return Some(at - self.window.end());
        }
        // What an open connection brings sooner than a new one would.
        let patience = self.host.as_ref().map_or(0, |host| host.pace.patience());
        let patience = patience.max(FIRST_FETCH);
        if let Some(distance) = self.lanes.distance(at) {
            return (distance <= patience).then_some(distance);
        }
        let ordered = self.lanes.last().max(self.window.last());
        let beyond = at.saturating_sub(ordered);
        let slack = if self.ahead > 0 {
            OUT_OF_ORDER
        } else {
            NEAR_START
        };
        let distance = at - self.window.end();
        (beyond <= slack && distance <= patience + slack).then_some(distance)
    }

    /// Whether somebody waits for the byte at `at` or for one behind it.
    fn is_needed(&self, at: u64) -> bool {
        self.waiters.iter().any(|waiter| waiter.range.end > at)
    }

    /// Takes in what `lane` fetched from `at` on, and answers those whose range is complete. Returns the bytes handed out, and
    /// whether the number of connections changed.
    pub(crate) fn push(
        &mut self,
        lane: u64,
        at: u64,
        bytes: Bytes,
        config: &ContentConfig,
    ) -> (u64, bool) {
        let now = Instant::now();
        let end = at + bytes.len() as u64;
        self.crew.moved(bytes.len() as u64, now);
        self.window.push(at, bytes);
        self.trouble = None;
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.range.start = end.min(lane.range.end);
        }
        let mut served = 0;
        let mut at = 0;
        while at < self.waiters.len() {
            match self.window.get(&self.waiters[at].range) {
                None => at += 1,
                Some(out) => {
                    let waiter = self.waiters.swap_remove(at);
                    if waiter.done.send(Ok(out)).is_ok() {
                        served += waiter.range.end - waiter.range.start;
                    }
                }
            }
        }
        if self.waiters.is_empty() {
            self.crew.waiting(false, now);
        }
        let changed = self.decide(now);
        if changed || self.window.last().saturating_sub(self.window.start()) > self.grant.bytes() {
            self.plan(config);
        }
        (served, changed)
    }

    /// Whether `lane` goes on.
    pub(crate) fn flow(&mut self, lane: u64) -> Flow {
        let target = self.target;
        let Some(lane) = self.lanes.get_mut(lane) else {
            return Flow::Done;
        };
        lane.paused = false;
        if self.window.missing_from(lane.range.start) >= lane.range.end {
            Flow::Done
        } else if lane.range.start >= target {
            lane.paused = true;
            self.crew.paused();
            Flow::Full
        } else {
            Flow::More
        }
    }

    /// Lanes that paused and have room again, to be woken.
    pub(crate) fn wake(&mut self) {
        let worth = (self.ahead / 4).min(1 << 20);
        let last_wanted = self.waiters.iter().map(|waiter| waiter.range.end).max();
        let target = self.target;
        for lane in self.lanes.iter_mut().filter(|lane| lane.paused) {
            let at = lane.range.start;
            if at < target && (last_wanted.is_some_and(|end| end > at) || target - at >= worth) {
                lane.paused = false;
                lane.wake.notify_one();
            }
        }
    }

    /// Whether `lane` only makes things faster: it is one of several, and nobody waits for what it has taken on.
    pub(crate) fn is_spare(&self, lane: u64) -> bool {
        let known = self.lanes.get(lane);
        self.lanes.is_extra(lane) && !known.is_some_and(|lane| self.is_needed(lane.range.start))
    }

    /// `lane` brings bytes from `host`.
    pub(crate) fn opened(&mut self, lane: u64, host: &Arc<Host>, source: Option<&Source>) {
        self.source = source.cloned().map(Arc::new);
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.brings = true;
        }
        let same = self
            .host
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, host));
        if !same {
            self.host = Some(host.clone());
            self.sequential = None;
        }
        if self.sequential.is_none() && self.ahead > 0 {
            self.sequential = Some(host.sequential());
        }
    }

    /// `lane` ended. The last one gives up the cursor's place at the host.
    pub(crate) fn ended(&mut self, lane: u64) {
        self.lanes.remove(lane);
        if self.lanes.len() == 0 {
            self.sequential = None;
        }
    }

    /// Somebody waits for `range`.
    pub(crate) fn wait(
        &mut self,
        id: u64,
        range: Range<u64>,
    ) -> oneshot::Receiver<Result<ReadOut, Cause>> {
        let (done, bytes) = oneshot::channel();
        self.waiters.push(Waiter { id, range, done });
        self.crew.waiting(true, Instant::now());
        bytes
    }

    /// The waiter `id` has gone.
    pub(crate) fn leave(&mut self, id: u64) {
        self.waiters.retain(|waiter| waiter.id != id);
        if self.waiters.is_empty() {
            self.crew.waiting(false, Instant::now());
        }
    }

    /// No source can give what `lane` fetches: whoever waits for it has `cause` at once, and so has
    /// everybody unless another lane brings bytes. Returns whether the lane is to look for more to do.
    pub(crate) fn dismiss(&mut self, lane: u64, cause: &Cause) -> bool {
        self.trouble = Some(cause.clone());
        let own = self.lanes.get(lane).map(|lane| lane.range.clone());
        let others = self
            .lanes
            .iter()
            .any(|other| other.id != lane && other.brings);
        let is_for = |waiter: &mut Waiter| {
            let overlaps =
                |own: &Range<u64>| own.start < waiter.range.end && waiter.range.start < own.end;
            !others || own.as_ref().is_some_and(overlaps)
        };
        let mut dismissed = 0;
        for waiter in self.waiters.extract_if(.., is_for) {
            dismissed += 1;
            // Who has gone needs no word.
            let _ = waiter.done.send(Err(cause.clone()));
        }
        if self.waiters.is_empty() {
            self.crew.waiting(false, Instant::now());
        }
        let goes_on = !others || dismissed > 0;
        if !goes_on {
            self.ended(lane);
        }
        goes_on
    }

    /// Whether the reader proved to read in sequence.
    pub(crate) fn is_sequential(&self) -> bool {
        self.ahead > 0
    }

    /// Sets what each lane's bytes are for, and before whom it gets a connection: those that are waited for before those that are only
    /// read ahead, and those of a reader that looks (`class`) after those of all that play.
    pub(crate) fn rank(&self, class: Class) {
        for (nth, lane) in self.lanes.iter().enumerate() {
            let need = match nth {
                _ if self.is_needed(lane.range.start) => Need::Waited,
                0 => Need::Ahead,
                _ => Need::Spare,
            };
            let priority = match class {
                Class::Scan => Priority::Probe,
                Class::Probe if !self.grant.is_playing() => Priority::Probe,
                _ if need == Need::Waited => Priority::Playback,
                _ => Priority::User,
            };
            lane.urgency.set(priority, need);
        }
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        !self.waiters.is_empty()
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let Some(host) = &self.host else {
            return;
        };
        if host.is_waited_for() {
            return;
        }
        for lane in self.lanes.iter_mut() {
            if lane.brings && lane.range.end - lane.range.start <= LARGEST_REST {
                lane.task = None;
                lane.wake.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use debridfs_cdn::Hosts;

    use super::*;
    use crate::budget::Budget;

    #[tokio::test]
    async fn a_way_forward_is_waited_for_as_long_as_a_new_answer_would_take() {
        let grant = Budget::new(1 << 30).grant();
        let start = 64 << 20;
        let mut cursor = Cursor::new(1, &(start..start + 1), 1 << 30, grant);
        cursor.lanes.add(start..start + (64 << 20));
        let far = |bytes: u64| start + bytes..start + bytes + 1;
        assert_eq!(cursor.distance(&far(FIRST_FETCH)), Some(FIRST_FETCH));
        assert_eq!(cursor.distance(&far(FIRST_FETCH + 1)), None);
        // 300 ms to the first byte, and 20 MB/s from there on.
        let host = Hosts::default().get("cdn", 443);
        host.pace.answered(Duration::from_millis(300));
        host.pace.moved(20_000_000, Duration::from_secs(1));
        cursor.opened(1, &host, None);
        assert_eq!(cursor.distance(&far(6_000_000)), Some(6_000_000));
        assert_eq!(cursor.distance(&far(6_000_001)), None);
    }
}
