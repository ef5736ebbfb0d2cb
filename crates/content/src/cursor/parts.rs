//! Which part each lane of a cursor fetches, and how many lanes there are.

use std::ops::Range;

use debridfs_cdn::Host;
use tokio::time::Instant;

use super::{Cursor, NEAR_START};
use crate::lanes::Lane;
use crate::tuning::cursor::{LEAST_AHEAD, LEAST_DIVIDED, LONG_RUN, PARTS};

impl Cursor {
    /// Divides the first fetch of a file whose start somebody waits for, if `host`, where it probably is, is slow enough: half of what is waited for, so that
    /// its end comes with its start, and the rest in two parts.
    pub(crate) fn open_wide(&mut self, waited_for: u64, host: &Host) {
        let (start, end) = (self.window.start(), self.target);
        if start <= NEAR_START && end - start >= LEAST_DIVIDED && host.opens_wide(end - start) {
            let first = start + (waited_for / 2).clamp(LEAST_DIVIDED / 8, LEAST_DIVIDED / 4);
            self.cuts = Some([first, first + (end - first) / 2]);
        }
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

    /// Gives a new lane its range, if there is need for one: nobody fetches what somebody waits for, or more connections are allowed
    /// and there is something to do.
    pub(crate) fn recruit(&mut self) -> Option<&mut Lane> {
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
        Some(self.lanes.add(range))
    }

    /// Goes over the number of connections. Returns whether it changed.
    pub(super) fn decide(&mut self, now: Instant) -> bool {
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
}
