//! One place of a file where somebody reads: its window, how far ahead may be fetched, and who waits there.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_base::media::{COPY_RATE, TAIL};
use debridfs_provider::Priority;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::budget::Grant;
use crate::config::ContentConfig;
use crate::crew::Crew;
use crate::error::Cause;
use crate::file::ReadOut;
use crate::hosts::{Host, Sequential};
use crate::lanes::Lanes;
use crate::pattern::Class;
use crate::window::Window;

/// The first fetch at a file's start: a read of 1 MiB and the 128 KiB that Linux reads ahead of it, so that it needs no second
/// request (mountpoint-s3's constant). Also the first step of read-ahead.
pub(crate) const FIRST_FETCH: u64 = (1 << 20) + (128 << 10);
/// A first read up to here may be the start of a sequential one that the kernel sent out of order; so may one that is no further
/// ahead of the last.
const NEAR_START: u64 = 128 << 10;
/// A read so far ahead of what is ordered for a sequential reader waits for the bytes between: the kernel reads ahead out of order.
const OUT_OF_ORDER: u64 = 512 << 10;
/// The least read-ahead of a sequential reader, however many share the budget.
const LEAST_AHEAD: u64 = 256 << 10;
/// A reader that takes all it gets, or more than anybody watches, is fetched ahead of by so many ranges of each connection, and by no
/// less than this: more of them come no sooner, take memory, and are fetched in vain where it stops.
const GREEDY_RANGES: u64 = 4;
const LEAST_GREEDY: u64 = 4 << 20;
/// The least read-ahead of a reader whose bit rate is known.
const LEAST_TIMED: u64 = 2 * FIRST_FETCH;
/// Who read so much in sequence has a player's part of memory and connections, whatever it turns out to be.
const SEEMS_TO_PLAY: u64 = 2 * FIRST_FETCH;
/// After so many bytes in sequence one request goes up to the end of the file.
const LONG_RUN: u64 = 32 << 20;
/// The bit rate is taken over so long, and over no longer than that: then the reader paused.
const RATE_OVER: Duration = Duration::from_secs(2);
const RATE_WITHIN: Duration = Duration::from_secs(20);

/// The first fetch of a file comes in so many parts where one connection is slow, if it has at least this size.
const PARTS: usize = 3;
const LEAST_DIVIDED: u64 = 512 << 10;
/// A transfer that nobody needs any more may finish when it has no more than this to bring: its connection is warm for whoever comes next.
pub(crate) const LARGEST_REST: u64 = FIRST_FETCH;

/// Where somebody reads.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) id: u64,
    pub(crate) window: Window,
    /// When it was used last, in reads of the reader.
    pub(crate) used: u64,
    /// The last thing that went wrong since data came.
    pub(crate) trouble: Option<Cause>,
    /// The source that gave data last, counted on without end.
    pub(crate) source: usize,
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
    done: oneshot::Sender<ReadOut>,
}

/// Bytes a second that the reader takes when it need not wait.
#[derive(Debug)]
struct BitRate {
    known: Option<f64>,
    since: Instant,
    run: u64,
    waited: Duration,
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
            source: 0,
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
            rate: BitRate {
                known: None,
                since: now,
                run: 0,
                waited: Duration::ZERO,
            },
            cuts: None,
        }
    }

    /// Divides the first fetch of a file whose start somebody waits for, if `host`, where it probably is, is slow enough: half of what is waited for, so that
    /// its end comes with its start, and the rest in two parts.
    pub(crate) fn open_wide(&mut self, waited_for: u64, host: &Host) {
        let (start, end) = (self.window.start(), self.target);
        if start <= NEAR_START && end - start >= LEAST_DIVIDED && host.opens_wide(end - start) {
            let first = start + (waited_for / 2).clamp(LEAST_DIVIDED / 8, LEAST_DIVIDED / 4);
            self.cuts = Some([first, first + (end - first) / 2]);
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

    /// Takes note of a read by a reader of class `class`. `starved` = it has to wait although others came before it: only then more is fetched ahead. Returns
    /// whether the budget was short.
    pub(crate) fn read(
        &mut self,
        range: &Range<u64>,
        starved: bool,
        class: Class,
        config: &ContentConfig,
    ) -> bool {
        self.class = class;
        if range.end > self.read_to {
            self.run += range.end - self.read_to;
            self.read_to = range.end;
        }
        if matches!(class, Class::Playback | Class::Copy) || self.run > SEEMS_TO_PLAY {
            self.grant.plays();
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
        if starved {
            self.decide(Instant::now());
        }
        self.take_rate();
        self.plan(config)
    }

    /// Learns the reader's bit rate from times in which it hardly waited, and forgets it in times in which it mostly did.
    fn take_rate(&mut self) {
        let now = Instant::now();
        let length = now.saturating_duration_since(self.rate.since);
        if length < RATE_OVER {
            return;
        }
        let total = self.crew.waited(now);
        let waited = total.saturating_sub(self.rate.waited);
        if waited * 2 > length {
            self.rate.known = None;
        } else if waited * 10 < length && length < RATE_WITHIN {
            let newest = (self.run - self.rate.run) as f64 / length.as_secs_f64();
            self.rate.known = Some(match self.rate.known {
                Some(known) => known + (newest - known) / 4.0,
                None => newest,
            });
        }
        self.rate = BitRate {
            known: self.rate.known,
            since: now,
            run: self.run,
            waited: total,
        };
    }

    /// How far ahead of the reader may be fetched: what it proved to need, bounded by the setting, by the seconds of its bit rate,
    /// by its share of the memory, and by what the reader is taken for.
    fn reach(&self, share: u64, config: &ContentConfig) -> u64 {
        if self.ahead == 0 {
            return 0;
        }
        let mut reach = self.ahead;
        if self.crew.allowed() > 1 {
            // Every connection has its range, and the next one waits for none of them.
            reach = reach.max((self.crew.allowed() as u64 + 1) * self.segment());
        }
        let mut allowed = self.class.read_ahead(self.run);
        if self.crew.allowed() > 1 {
            // One connection is slower than the reader, who is served badly enough.
            allowed = allowed.saturating_mul(2);
        }
        let useful = match self.rate.known {
            Some(rate) if rate < COPY_RATE as f64 => {
                ((rate * config.read_ahead_seconds as f64) as u64).max(LEAST_TIMED)
            }
            _ => (GREEDY_RANGES * self.crew.allowed() as u64 * self.segment()).max(LEAST_GREEDY),
        };
        reach = reach.min(useful);
        reach
            .min(config.read_ahead.0)
            .min(share.max(LEAST_AHEAD))
            .max(LEAST_AHEAD.min(config.read_ahead.0))
            .min(allowed)
    }

    /// Moves the window on and takes the budget for it. Returns whether the budget was short.
    fn plan(&mut self, config: &ContentConfig) -> bool {
        let share = self.grant.fair_share();
        let keep = config.keep_behind.0.min(share / 8);
        let reach = self.reach(share.saturating_sub(keep), config);
        if reach > 0 {
            self.target = self.target.max(self.read_to + reach);
        }
        self.target = self.target.min(self.file_size);
        let first_wanted = self.waiters.iter().map(|waiter| waiter.range.start).min();
        let first_wanted = first_wanted.unwrap_or(u64::MAX).min(self.read_to);
        self.window
            .trim(first_wanted.min(self.read_to.saturating_sub(keep)));
        let wish = self.target.max(self.window.last()) - self.window.start();
        if self.grant.try_grow(wish) {
            self.grant.shrink(wish);
            return false;
        }
        self.window.trim(first_wanted);
        let last_wanted = self.waiters.iter().map(|waiter| waiter.range.end).max();
        let needed = last_wanted.unwrap_or(0).max(self.window.last()) - self.window.start();
        self.grant.force(needed);
        self.target = self
            .target
            .min(self.window.start() + self.grant.bytes())
            .max(self.window.last());
        true
    }

    fn segment(&self) -> u64 {
        let fitting = self.host.as_ref().map_or(0, |host| host.pace.segment());
        fitting.max(1 << 20)
    }

    /// What `lane` (or a new one) is to fetch, if it is worth a request.
    fn next(&self, lane: Option<u64>) -> Option<Range<u64>> {
        let from = self
            .lanes
            .open_from(self.window.start(), &self.window, lane);
        if from >= self.target {
            return None;
        }
        let room = self.target - from;
        let until = self.lanes.open_until(from, &self.window, lane);
        let (worth, to) = if self.crew.allowed() > 1 {
            // As long as little may be fetched ahead all connections have a part of that.
            let part = self.target.saturating_sub(self.read_to) / self.crew.allowed() as u64;
            let piece = self.segment().min(part.max(LEAST_AHEAD));
            (piece, from + piece)
        } else {
            let mut worth = (self.ahead / 4).min(1 << 20);
            let crowded = self.host.as_ref().is_some_and(|host| host.is_crowded());
            let to = if crowded {
                // Others wait for the connection: what is on its way when it is given up in the middle is for nothing, and a short turn is
                // mostly waiting for the answer.
                worth = worth.max((self.target - self.read_to.min(self.target)) / 4 * 3);
                self.target
            } else if self.run >= LONG_RUN {
                self.file_size
            } else if self.ahead > 0 {
                // What the server sends before it notices that nobody takes it lies in sockets, and is for nothing if the reader
                // stops here.
                self.target
                    .max(from + self.run.min(self.class.read_ahead(self.run) / 2))
            } else {
                self.target
            };
            (worth, to)
        };
        let cut = self.cuts.iter().flatten().find(|cut| **cut > from);
        let to = cut.map_or(to, |cut| to.min(*cut));
        let to = to.min(until).min(self.file_size);
        let whole_gap = to == until || self.target == self.file_size;
        (self.is_needed(from) || whole_gap || room >= worth).then_some(from..to)
    }

    /// Whether somebody waits for the byte at `at` or for one behind it.
    fn is_needed(&self, at: u64) -> bool {
        self.waiters.iter().any(|waiter| waiter.range.end > at)
    }

    /// Gives a new lane its range, if there is need for one: nobody fetches what somebody waits for, or more connections are allowed
    /// and there is something to do. Returns its number.
    pub(crate) fn recruit(&mut self, id: u64) -> Option<u64> {
        let range = self.next(None)?;
        let lanes = self.lanes.len();
        // What one of several connections left behind does not wait until another is done.
        let hole = self.lanes.iter().any(|lane| lane.range.start > range.start);
        let urgent = lanes <= self.crew.allowed() && hole && self.is_needed(range.start);
        // Each part of a divided start has its own.
        let part = self.cuts.is_some_and(|[_, last]| range.start <= last);
        if lanes > 0 && lanes >= self.crew.allowed() && !urgent && !(part && lanes < PARTS) {
            return None;
        }
        self.lanes.add(id, range);
        Some(id)
    }

    /// Goes over the number of connections. Returns whether it changed.
    fn decide(&mut self, now: Instant) -> bool {
        let Some(host) = &self.host else {
            return false;
        };
        if self.ahead == 0 {
            return false;
        }
        let before = self.crew.allowed();
        self.crew
            .decide(now, host.pace.first_byte(), host.lanes_each());
        let after = self.crew.allowed();
        if let Some(gained) = self.crew.gained() {
            host.pace.judged(gained);
        }
        if before == 1 && after > 1 {
            self.lanes.cut(self.segment());
        }
        before != after
    }

    /// What `lane` is to fetch now; `None` = it is not needed any more.
    pub(crate) fn order(&mut self, lane: u64) -> Option<Range<u64>> {
        let many = self.lanes.len() > self.crew.allowed();
        let known = self.lanes.get_mut(lane)?;
        known.brings = false;
        if std::mem::take(&mut known.fresh) {
            return Some(known.range.clone());
        }
        let left = known.range.clone();
        let next = self.next(Some(lane));
        let next = next.filter(|range| !many || self.is_needed(range.start));
        let known = self.lanes.get_mut(lane)?;
        known.range = next.clone().unwrap_or(left.end..left.end);
        next
    }

    /// Takes in what `lane` fetched from `at` on, and answers those whose range is complete. Returns the flow, the bytes handed out,
    /// and whether the number of connections changed.
    pub(crate) fn push(
        &mut self,
        lane: u64,
        at: u64,
        bytes: Bytes,
        config: &ContentConfig,
    ) -> (Flow, u64, bool) {
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
                    if waiter.done.send(out).is_ok() {
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
        (self.flow(lane), served, changed)
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

    /// Whether somebody waits for something that `lane` has taken on.
    pub(crate) fn needs(&self, lane: u64) -> bool {
        self.lanes
            .get(lane)
            .is_some_and(|lane| self.is_needed(lane.range.start))
    }

    /// `lane` brings bytes from `host`.
    pub(crate) fn opened(&mut self, lane: u64, host: &Arc<Host>, source: usize) {
        self.source = source;
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
    pub(crate) fn wait(&mut self, id: u64, range: Range<u64>) -> oneshot::Receiver<ReadOut> {
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

    /// Whether the reader proved to read in sequence.
    pub(crate) fn is_sequential(&self) -> bool {
        self.ahead > 0
    }

    /// Sets before whom each lane gets a connection: those that somebody waits for before those that only read ahead, and those of a reader
    /// of class `class` that looks after all that play.
    pub(crate) fn rank(&self, class: Class) {
        for lane in self.lanes.iter() {
            lane.urgency.set(match class {
                Class::Scan => Priority::Probe,
                Class::Probe if !self.grant.is_playing() => Priority::Probe,
                _ if self.is_needed(lane.range.start) => Priority::Playback,
                _ => Priority::User,
            });
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
    use super::*;
    use crate::budget::Budget;
    use crate::hosts::Hosts;

    #[tokio::test]
    async fn a_way_forward_is_waited_for_as_long_as_a_new_answer_would_take() {
        let grant = Budget::new(1 << 30).grant();
        let start = 64 << 20;
        let mut cursor = Cursor::new(1, &(start..start + 1), 1 << 30, grant);
        cursor.lanes.add(1, start..start + (64 << 20));
        let far = |bytes: u64| start + bytes..start + bytes + 1;
        assert_eq!(cursor.distance(&far(FIRST_FETCH)), Some(FIRST_FETCH));
        assert_eq!(cursor.distance(&far(FIRST_FETCH + 1)), None);
        // 300 ms to the first byte, and 20 MB/s from there on.
        let host = Hosts::default().get("cdn", 443);
        host.pace.answered(Duration::from_millis(300));
        host.pace.moved(20_000_000, Duration::from_secs(1));
        cursor.opened(1, &host, 0);
        assert_eq!(cursor.distance(&far(6_000_000)), Some(6_000_000));
        assert_eq!(cursor.distance(&far(6_000_001)), None);
    }

    /// How far is fetched ahead of somebody who had to wait for long, and now reads `rate` bytes a second without.
    async fn ahead_of(rate: u64) -> u64 {
        const READ: u64 = 128 << 10;
        let config = ContentConfig::default();
        let grant = Budget::new(config.memory.0).grant();
        let mut cursor = Cursor::new(1, &(0..READ), 8 << 30, grant);
        let mut at = 0;
        let mut read = |starved| {
            cursor.read(&(at..at + READ), starved, Class::Playback, &config);
            let bytes = Bytes::from_static(&[0; READ as usize]);
            cursor.window.push(at, bytes);
            at += READ;
            cursor.target - at
        };
        let mut ahead = 0;
        for _ in 0..2 * config.read_ahead.0 / READ {
            ahead = read(true);
        }
        assert_eq!(ahead, LEAST_GREEDY);
        tokio::time::advance(RATE_WITHIN).await;
        read(false);
        let begun = Instant::now();
        while begun.elapsed() < RATE_OVER * 2 {
            tokio::time::advance(Duration::from_secs(READ) / rate as u32).await;
            ahead = read(false);
        }
        ahead
    }

    #[tokio::test(start_paused = true)]
    async fn seconds_of_its_rate_are_only_for_who_may_be_watching() {
        assert_eq!(ahead_of(4_000_000).await >> 20, 30);
        for nobody_watches_so_fast in [COPY_RATE + COPY_RATE / 10, 200_000_000] {
            assert_eq!(ahead_of(nobody_watches_so_fast).await, LEAST_GREEDY);
        }
    }
}
