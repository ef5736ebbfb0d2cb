//! Bytes of a file near a reader, as slices of what the HTTP bodies delivered: nothing is copied but crumbs. They may come from
//! several places at once; what is handed out is in order.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Buf as _, Bytes};

use crate::file::ReadOut;
use crate::tuning::transfer::SMALL;

/// What is held of a file from `start` on: runs of bytes, in order, with gaps between them.
#[derive(Debug)]
pub(crate) struct Window {
    start: u64,
    runs: VecDeque<Run>,
}

/// Bytes without a gap; never empty.
#[derive(Debug)]
struct Run {
    start: u64,
    end: u64,
    /// Pieces with the offset of their first byte.
    pieces: VecDeque<(u64, Bytes)>,
}

impl Run {
    fn new(start: u64) -> Self {
        Self {
            start,
            end: start,
            pieces: VecDeque::new(),
        }
    }

    fn append(&mut self, bytes: Bytes) {
        let at = self.end;
        self.end += bytes.len() as u64;
        match self.pieces.back_mut() {
            Some((_, last)) if last.len() + bytes.len() <= SMALL => {
                *last = [&last[..], &bytes[..]].concat().into();
            }
            _ => self.pieces.push_back((at, bytes)),
        }
    }
}

impl Window {
    /// An empty window at `start`.
    pub(crate) fn new(start: u64) -> Self {
        Self {
            start,
            runs: VecDeque::new(),
        }
    }

    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Where the bytes end that follow `start` without a gap.
    pub(crate) fn end(&self) -> u64 {
        self.missing_from(self.start)
    }

    /// Where the last byte ends, gaps or not.
    pub(crate) fn last(&self) -> u64 {
        self.runs.back().map_or(self.start, |run| run.end)
    }

    /// The first byte from `at` on that is not held.
    pub(crate) fn missing_from(&self, at: u64) -> u64 {
        match self.run_at(at) {
            Some(run) if run.start <= at => run.end,
            _ => at,
        }
    }

    /// Where the next bytes begin that are held at or behind `at`.
    pub(crate) fn held_from(&self, at: u64) -> Option<u64> {
        self.run_at(at).map(|run| run.start.max(at))
    }

    /// The first run that ends behind `at`.
    fn run_at(&self, at: u64) -> Option<&Run> {
        self.runs
            .get(self.runs.partition_point(|run| run.end <= at))
    }

    /// Takes in `bytes` that begin at `at`; what is held already or lies before the window is dropped.
    pub(crate) fn push(&mut self, mut at: u64, mut bytes: Bytes) {
        let before = self.start.saturating_sub(at).min(bytes.len() as u64);
        bytes.advance(before as usize);
        at += before;
        while !bytes.is_empty() {
            let next = self.runs.partition_point(|run| run.end <= at);
            let mut room = bytes.len();
            if let Some(run) = self.runs.get(next) {
                if run.start <= at {
                    let known = (run.end - at).min(bytes.len() as u64);
                    bytes.advance(known as usize);
                    at += known;
                    continue;
                }
                room = room.min(usize::try_from(run.start - at).unwrap_or(usize::MAX));
            }
            let part = bytes.split_to(room);
            at += part.len() as u64;
            self.insert(next, at - part.len() as u64, part);
        }
    }

    /// Puts `part` at `at` between the runs `next - 1` and `next`, and joins what touches.
    fn insert(&mut self, next: usize, at: u64, part: Bytes) {
        let here = match next.checked_sub(1) {
            Some(before) if self.runs[before].end == at => before,
            _ => {
                self.runs.insert(next, Run::new(at));
                next
            }
        };
        self.runs[here].append(part);
        let end = self.runs[here].end;
        if self.runs.get(here + 1).is_some_and(|run| run.start == end)
            && let Some(mut after) = self.runs.remove(here + 1)
        {
            self.runs[here].end = after.end;
            self.runs[here].pieces.append(&mut after.pieces);
        }
    }

    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        self.start <= range.start && range.end <= self.missing_from(range.start)
    }

    /// Up to `most` bytes that are here and end at `at`.
    pub(crate) fn before(&self, at: u64, most: u64) -> Vec<u8> {
        let run = at.checked_sub(1).and_then(|last| self.run_at(last));
        let from = run.map_or(at, |run| run.start.max(at.saturating_sub(most)));
        self.get(&(from.min(at)..at)).unwrap_or_default().concat()
    }

    /// The bytes of `range`, if all of them are here.
    pub(crate) fn get(&self, range: &Range<u64>) -> Option<ReadOut> {
        if !self.covers(range) {
            return None;
        }
        let Some(run) = self.run_at(range.start) else {
            return Some(ReadOut::new());
        };
        let first = run
            .pieces
            .partition_point(|(at, bytes)| at + bytes.len() as u64 <= range.start);
        let out = run
            .pieces
            .range(first..)
            .take_while(|(at, _)| *at < range.end)
            .map(|(at, bytes)| {
                let from = range.start.saturating_sub(*at) as usize;
                let to = (range.end - at).min(bytes.len() as u64) as usize;
                bytes.slice(from..to)
            })
            .collect();
        Some(out)
    }

    /// Forgets what lies before `offset`, gaps too when something behind them is held; a piece is freed when all of it does.
    pub(crate) fn trim(&mut self, offset: u64) {
        while let Some(run) = self.runs.front_mut() {
            if run.start > offset {
                break;
            }
            self.start = self.start.max(run.start);
            let Some((at, bytes)) = run.pieces.front() else {
                self.runs.pop_front();
                continue;
            };
            let piece_end = at + bytes.len() as u64;
            if piece_end > offset {
                break;
            }
            self.start = piece_end;
            run.start = piece_end;
            run.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(range: Range<u64>) -> Vec<u8> {
        range.map(|at| (at * 31 % 251) as u8).collect()
    }

    #[test]
    fn crumbs_are_joined() {
        let mut window = Window::new(5);
        for at in 5..20_005 {
            window.push(at, Bytes::from(content(at..at + 1)));
        }
        assert!(window.runs[0].pieces.len() <= 20_000 / SMALL + 1);
        assert_eq!(
            window.get(&(5..20_005)).unwrap().concat(),
            content(5..20_005)
        );
    }

    #[test]
    fn a_part_that_came_early_is_handed_out_before_the_gap_is_closed() {
        let mut window = Window::new(0);
        window.push(10_000, Bytes::from(content(10_000..20_000)));
        assert_eq!((window.end(), window.last()), (0, 20_000));
        assert_eq!(window.before(20_000, 300), content(19_700..20_000));
        assert_eq!(window.before(10_005, 300), content(10_000..10_005));
        assert_eq!(
            (window.before(10_000, 9), window.before(0, 9)),
            (vec![], vec![])
        );
        assert!(window.covers(&(12_000..20_000)));
        assert!(!window.covers(&(9_999..12_000)));
        assert_eq!(window.held_from(3), Some(10_000));
        window.push(0, Bytes::from(content(0..10_000)));
        assert_eq!((window.end(), window.runs.len()), (20_000, 1));
    }

    proptest! {
        #[test]
        fn what_is_here_is_right_and_the_rest_is_absent(
            start in 0u64..1000,
            steps in proptest::collection::vec((0u8..4, 0u64..60_000, 0u64..3000), 0..60),
            asked in proptest::collection::vec((0u64..64_000, 0u64..5000), 20),
        ) {
            let mut window = Window::new(start);
            // Which bytes ought to be held.
            let mut model = vec![false; 70_000];
            for (what, offset, amount) in steps {
                let (at, end) = match what {
                    0 => {
                        let before = window.start();
                        window.trim(offset);
                        prop_assert!(window.start() <= offset.max(before));
                        model[..window.start() as usize].fill(false);
                        continue;
                    }
                    1 => (offset, offset + amount),
                    _ => (window.end(), window.end() + amount),
                };
                if end > model.len() as u64 {
                    continue;
                }
                window.push(at, Bytes::from(content(at..end)));
                let from = at.max(window.start()).min(end);
                model[from as usize..end as usize].fill(true);
            }
            let held: u64 = window.runs.iter().map(|run| run.end - run.start).sum();
            prop_assert_eq!(held, model.iter().filter(|held| **held).count() as u64);
            for pair in window.runs.iter().collect::<Vec<_>>().windows(2) {
                prop_assert!(pair[0].end < pair[1].start);
            }
            for (offset, size) in asked {
                let range = offset..offset + size;
                let held = model[offset as usize..(offset + size) as usize].iter().all(|held| *held);
                match window.get(&range) {
                    Some(out) => {
                        prop_assert!(held);
                        prop_assert_eq!(out.concat(), content(range));
                    }
                    None => prop_assert!(!held || offset < window.start()),
                }
            }
        }
    }
}
