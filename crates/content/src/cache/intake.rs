//! What waits to be written: pieces of bodies joined to granules, in a queue with a limit. What finds no room is not cached; nobody ever waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Class;
use super::map::{BLOCK, GRANULE};
use crate::file::FileRef;

/// Bytes that may wait.
const LIMIT: usize = 32 << 20;
/// Places where bytes come in at the same time.
const PLACES: usize = 256;
/// What is joined no further for so long is written as it is.
const IDLE: Duration = Duration::from_millis(500);

/// Bytes of one file to be written.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) class: Class,
    pub(crate) id: u64,
    pub(crate) size: u64,
    pub(crate) start: u64,
    pub(crate) bytes: Vec<Bytes>,
}

/// What the writing thread does next.
pub(crate) enum Work<C> {
    Write(Piece),
    Command(C),
    /// Nothing came for a while.
    Idle,
    /// No more will come.
    Over,
}

/// The queue; `C` are commands, which keep their place between the writes.
pub(crate) struct Intake<C> {
    state: Mutex<State<C>>,
    wake: Condvar,
}

struct State<C> {
    open: Vec<(Piece, Instant)>,
    queue: VecDeque<Work<C>>,
    /// Of `open` and `queue`.
    bytes: usize,
    over: bool,
}

impl Piece {
    pub(crate) fn len(&self) -> usize {
        self.bytes.iter().map(Bytes::len).sum()
    }

    pub(crate) fn end(&self) -> u64 {
        self.start + self.len() as u64
    }

    /// Takes out what lies before `offset`.
    fn split_to(&mut self, offset: u64) -> Self {
        let mut bytes = Vec::new();
        let mut left = offset.saturating_sub(self.start) as usize;
        let start = self.start;
        let mut rest = std::mem::take(&mut self.bytes).into_iter();
        for mut one in rest.by_ref() {
            if one.len() <= left {
                left -= one.len();
                bytes.push(one);
                continue;
            }
            if left > 0 {
                bytes.push(one.split_to(left));
            }
            self.bytes.push(one);
            break;
        }
        self.bytes.extend(rest);
        self.start = offset;
        Self {
            start,
            bytes,
            ..*self
        }
    }
}

impl<C> Intake<C> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                open: Vec::new(),
                queue: VecDeque::new(),
                bytes: 0,
                over: false,
            }),
            wake: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `bytes` of `file` in, some, and within its size. Returns whether there was room.
    pub(crate) fn put(
        &self,
        class: Class,
        file: &FileRef,
        mut offset: u64,
        mut bytes: Bytes,
    ) -> bool {
        let mut state = self.lock();
        if state.over || state.bytes + bytes.len() > LIMIT {
            return false;
        }
        let now = Instant::now();
        // A second body for the same bytes begins before the end of the first: it goes on there, or a block would be left in two halves.
        let at = state.open.iter().position(|(open, _)| {
            let same = open.id == file.id && open.size == file.size && open.class == class;
            same && (open.start..=open.end()).contains(&offset)
        });
        if let Some(at) = at {
            let known = (state.open[at].0.end() - offset).min(bytes.len() as u64);
            bytes = bytes.slice(known as usize..);
            offset += known;
            if bytes.is_empty() {
                return true;
            }
        }
        state.bytes += bytes.len();
        let at = at.unwrap_or_else(|| {
            if state.open.len() == PLACES {
                state.settle_oldest();
            }
            let piece = Piece {
                class,
                id: file.id,
                size: file.size,
                start: offset,
                bytes: Vec::new(),
            };
            state.open.push((piece, now));
            state.open.len() - 1
        });
        state.open[at].0.bytes.push(bytes);
        state.open[at].1 = now;
        loop {
            let piece = &mut state.open[at].0;
            let cut = (piece.start / GRANULE + 1) * GRANULE;
            let cut = cut.min(piece.size);
            if piece.end() < cut {
                break;
            }
            let whole = piece.split_to(cut);
            let ended = piece.bytes.is_empty();
            state.queue.push_back(Work::Write(whole));
            self.wake.notify_one();
            if ended {
                state.open.swap_remove(at);
                break;
            }
        }
        true
    }

    /// Adds a command behind all that came before it, which is written as it is; dropped when no more is taken.
    pub(crate) fn command(&self, command: C) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        state.settle(|_| true);
        state.queue.push_back(Work::Command(command));
        self.wake.notify_one();
    }

    /// Ends it: what waits is still written.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.settle(|_| true);
        state.over = true;
        self.wake.notify_all();
    }

    /// The next work; waits for it up to `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Work<C> {
        let mut state = self.lock();
        let until = Instant::now() + patience;
        loop {
            let now = Instant::now();
            state.settle(|fed| now.duration_since(fed) >= IDLE);
            if let Some(work) = state.queue.pop_front() {
                if let Work::Write(piece) = &work {
                    state.bytes -= piece.len();
                }
                return work;
            }
            if state.over {
                return Work::Over;
            }
            if now >= until {
                return Work::Idle;
            }
            let wait = (until - now).min(IDLE);
            let woken = self.wake.wait_timeout(state, wait);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<C> State<C> {
    /// Queues the whole blocks of the places fed last when `which` says; the rest of a block is kept in case more comes.
    fn settle(&mut self, which: impl Fn(Instant) -> bool) {
        for at in (0..self.open.len()).rev() {
            let (piece, fed) = &mut self.open[at];
            if !which(*fed) {
                continue;
            }
            let cut = piece.end() / BLOCK * BLOCK;
            if cut > piece.start {
                let whole = piece.split_to(cut);
                // A copy, as a slice would keep all of the body's buffer.
                let rest = Bytes::from(piece.bytes.concat());
                piece.bytes = vec![rest];
                self.queue.push_back(Work::Write(whole));
            } else if fed.elapsed() > IDLE * 20 {
                self.bytes -= piece.len();
                self.open.swap_remove(at);
            }
        }
    }

    fn settle_oldest(&mut self) {
        let oldest = self
            .open
            .iter()
            .enumerate()
            .min_by_key(|(_, (_, fed))| *fed);
        if let Some((at, _)) = oldest {
            let (mut piece, _) = self.open.swap_remove(at);
            let cut = piece.end() / BLOCK * BLOCK;
            let whole = (cut > piece.start).then(|| piece.split_to(cut));
            self.bytes -= piece.len();
            self.queue.extend(whole.map(Work::Write));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn taken(intake: &Intake<()>) -> Vec<(u64, usize)> {
        let mut taken = Vec::new();
        loop {
            match intake.next(Duration::ZERO) {
                Work::Write(piece) => taken.push((piece.start, piece.len())),
                _ => return taken,
            }
        }
    }

    #[test]
    fn a_second_body_goes_on_where_the_first_is() {
        let intake = Intake::<()>::new();
        let film = FileRef {
            id: 1,
            size: 1 << 20,
            sources: Arc::from([]),
        };
        let put = |offset: u64, len: usize| {
            assert!(intake.put(Class::Playback, &film, offset, Bytes::from(vec![0; len])));
        };
        put(0, 100_001);
        // Begins amid the first, which brings a little more.
        put(99_000, 1_500);
        put(100_001, 99);
        put(100_500, 100_000);
        assert_eq!(taken(&intake), [(0, 131_072)]);
        intake.command(());
        assert_eq!(taken(&intake), [(131_072, 65_536)]);
        assert_eq!(intake.lock().bytes, 200_500 - 131_072 - 65_536);
    }

    #[test]
    fn what_finds_no_room_is_refused() {
        let intake = Intake::<()>::new();
        let film = FileRef {
            id: 1,
            size: 1 << 30,
            sources: Arc::from([]),
        };
        let step = Bytes::from(vec![0; 1 << 20]);
        let taken = (0..64u64)
            .filter(|at| intake.put(Class::Playback, &film, at << 20, step.clone()))
            .count();
        assert_eq!(taken << 20, LIMIT);
        intake.end();
        assert!(!intake.put(Class::Playback, &film, 0, step));
    }
}
