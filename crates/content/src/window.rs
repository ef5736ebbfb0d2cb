//! Bytes of a file in order, as slices of what the HTTP body delivered: nothing is copied but crumbs.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::file::ReadOut;

/// Pieces are joined up to this size, so that a body that comes in crumbs costs no more memory than it has bytes.
const SMALL: usize = 4096;

/// The bytes from `start` to `end` of a file.
#[derive(Debug)]
pub(crate) struct Window {
    start: u64,
    end: u64,
    /// Pieces with the offset of their first byte.
    pieces: VecDeque<(u64, Bytes)>,
}

impl Window {
    /// An empty window at `start`.
    pub(crate) fn new(start: u64) -> Self {
        Self {
            start,
            end: start,
            pieces: VecDeque::new(),
        }
    }

    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Appends what follows.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let at = self.end;
        self.end += bytes.len() as u64;
        match self.pieces.back_mut() {
            Some((_, last)) if last.len() + bytes.len() <= SMALL => {
                *last = [&last[..], &bytes[..]].concat().into();
            }
            _ => self.pieces.push_back((at, bytes)),
        }
    }

    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        self.start <= range.start && range.end <= self.end
    }

    /// The bytes of `range`, if all of them are here.
    pub(crate) fn get(&self, range: &Range<u64>) -> Option<ReadOut> {
        if !self.covers(range) {
            return None;
        }
        let first = self
            .pieces
            .partition_point(|(at, bytes)| at + bytes.len() as u64 <= range.start);
        let out = self
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

    /// Forgets what lies before `offset`; a piece is freed when all of it does.
    pub(crate) fn trim(&mut self, offset: u64) {
        while let Some((at, bytes)) = self.pieces.front() {
            let piece_end = at + bytes.len() as u64;
            if piece_end > offset {
                break;
            }
            self.start = piece_end;
            self.pieces.pop_front();
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
            window.push(Bytes::from(content(at..at + 1)));
        }
        assert!(window.pieces.len() <= 20_000 / SMALL + 1);
        assert_eq!(
            window.get(&(5..20_005)).unwrap().concat(),
            content(5..20_005)
        );
    }

    proptest! {
        #[test]
        fn what_is_here_is_right_and_the_rest_is_absent(
            start in 0u64..1000,
            steps in proptest::collection::vec((any::<bool>(), 0u64..3000), 0..40),
            asked in proptest::collection::vec((0u64..60_000, 0u64..5000), 20),
        ) {
            let mut window = Window::new(start);
            for (push, amount) in steps {
                if push {
                    let end = window.end();
                    window.push(Bytes::from(content(end..end + amount)));
                } else {
                    let before = window.start();
                    window.trim(before + amount);
                    prop_assert!(window.start() <= (before + amount).max(before));
                }
                prop_assert_eq!(
                    window.len(),
                    window.pieces.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>()
                );
            }
            for (offset, size) in asked {
                let range = offset..offset + size;
                match window.get(&range) {
                    Some(out) => prop_assert_eq!(out.concat(), content(range)),
                    None => prop_assert!(range.start < window.start() || range.end > window.end()),
                }
            }
        }
    }
}
