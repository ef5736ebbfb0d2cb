//! What waits to be written: pieces of bodies joined to granules, in a queue with a limit. What finds no room is not cached; nobody ever waits.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::file::{CacheClass, FileId};
use crate::map::{BLOCK, GRANULE};
use crate::tuning::writing::{IDLE, LIMIT, PLACES};

/// Bytes of one file to be written.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) class: CacheClass,
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
    /// What was taken last, until the next is asked for: file and bytes.
    taken: Option<(u64, Range<u64>)>,
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
                taken: None,
                over: false,
            }),
            wake: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock()
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.lock().bytes as u64
    }

    /// Whether the byte at `offset` of `file` is on its way to the disk.
    pub(crate) fn holds(&self, file: FileId, offset: u64) -> bool {
        let state = self.lock();
        let of = |piece: &Piece| {
            piece.id == file.id
                && piece.size == file.size
                && (piece.start..piece.end()).contains(&offset)
        };
        let taken = state.taken.as_ref();
        taken.is_some_and(|(id, range)| *id == file.id && range.contains(&offset))
            || state.open.iter().any(|(piece, _)| of(piece))
            || (state.queue.iter()).any(|work| matches!(work, Work::Write(piece) if of(piece)))
    }

    /// Takes `bytes` of `file` in, some, and within its size. Returns whether there was room.
    pub(crate) fn put(
        &self,
        class: CacheClass,
        file: FileId,
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
        let mut piece = match at {
            Some(at) => state.open.swap_remove(at).0,
            None => Piece {
                class,
                id: file.id,
                size: file.size,
                start: offset,
                bytes: Vec::new(),
            },
        };
        piece.bytes.push(bytes);
        state.absorb(&mut piece);
        loop {
            let cut = (piece.start / GRANULE + 1) * GRANULE;
            let cut = cut.min(piece.size);
            if piece.end() < cut {
                break;
            }
            let whole = piece.split_to(cut);
            state.queue_blocks(whole, now);
            self.wake.notify_one();
            if piece.bytes.is_empty() {
                return true;
            }
        }
        state.keep_open(piece, now);
        true
    }

    /// No more comes of a body of the file `id` behind `end`: what ends there need not wait to be joined.
    pub(crate) fn ended(&self, id: u64, end: u64) {
        let mut state = self.lock();
        state.settle(|piece, _| piece.id == id && piece.end() == end);
        self.wake.notify_one();
    }

    /// Adds a command behind all that came before it, which is written as it is; dropped when no more is taken.
    pub(crate) fn command(&self, command: C) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        state.settle(|_, _| true);
        state.queue.push_back(Work::Command(command));
        self.wake.notify_one();
    }

    /// As [`Self::command`], without an effect on what waits to be joined.
    pub(crate) fn remark(&self, command: C) {
        let mut state = self.lock();
        if !state.over {
            state.queue.push_back(Work::Command(command));
            self.wake.notify_one();
        }
    }

    /// Ends it: what waits is still written.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.settle(|_, _| true);
        state.over = true;
        self.wake.notify_all();
    }

    /// The next work; waits for it up to `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Work<C> {
        let mut state = self.lock();
        state.taken = None;
        let until = Instant::now() + patience;
        loop {
            let now = Instant::now();
            state.settle(|_, fed| now.duration_since(fed) >= IDLE);
            if let Some(work) = state.queue.pop_front() {
                if let Work::Write(piece) = &work {
                    let taken = (piece.id, piece.start..piece.end());
                    state.bytes -= piece.len();
                    state.taken = Some(taken);
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
            self.wake.wait_for(&mut state, wait);
        }
    }
}

impl<C> State<C> {
    /// Keeps what may yet be joined by more; the place fed longest ago is given up when there are many.
    fn keep_open(&mut self, piece: Piece, fed: Instant) {
        if self.open.len() == PLACES {
            let oldest = self.open.iter().enumerate();
            if let Some((at, _)) = oldest.min_by_key(|(_, (_, fed))| *fed) {
                let (mut oldest, _) = self.open.swap_remove(at);
                let first = oldest.start.next_multiple_of(BLOCK).min(oldest.end());
                let lead = oldest.split_to(first);
                let blocks = oldest.split_to((oldest.end() / BLOCK * BLOCK).max(first));
                self.bytes -= lead.len() + oldest.len();
                if blocks.len() > 0 {
                    self.queue.push_back(Work::Write(blocks));
                }
            }
        }
        self.open.push((piece, fed));
    }

    /// Adds to `piece` what came earlier for the bytes behind it: two bodies meet anywhere in a block.
    fn absorb(&mut self, piece: &mut Piece) {
        while let Some(at) = self.open.iter().position(|(open, _)| {
            let same = open.id == piece.id && open.size == piece.size && open.class == piece.class;
            same && (piece.start..=piece.end()).contains(&open.start)
        }) {
            let (mut next, _) = self.open.swap_remove(at);
            let known = next.split_to(next.end().min(piece.end()));
            self.bytes -= known.len();
            piece.bytes.append(&mut next.bytes);
        }
    }

    /// Queues the whole blocks of `piece`. What is left at its ends, less than a block each, stays open as a copy, as a slice would keep all of the
    /// body's buffer.
    fn queue_blocks(&mut self, mut piece: Piece, fed: Instant) {
        let end = piece.end();
        let last = if end == piece.size {
            end
        } else {
            end / BLOCK * BLOCK
        };
        let first = piece.start.next_multiple_of(BLOCK).min(end);
        let mut edges = vec![piece.split_to(first)];
        if first < last {
            let blocks = piece.split_to(last);
            self.queue.push_back(Work::Write(blocks));
        }
        edges.push(piece);
        for mut edge in edges.into_iter().filter(|edge| edge.len() > 0) {
            edge.bytes = vec![Bytes::from(edge.bytes.concat())];
            self.keep_open(edge, fed);
        }
    }

    /// Queues the whole blocks of the pieces, fed last then, that `which` says; what is left waits a while for more.
    fn settle(&mut self, which: impl Fn(&Piece, Instant) -> bool) {
        let (settled, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|(piece, fed)| which(piece, *fed));
        self.open = open;
        for (piece, fed) in settled {
            if piece.len() < BLOCK as usize && fed.elapsed() > IDLE * 20 {
                self.bytes -= piece.len();
            } else {
                self.queue_blocks(piece, fed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part of a body that was fetched to be played.
    fn put(intake: &Intake<()>, offset: u64, len: usize) {
        let film = FileId {
            id: 1,
            size: 1 << 20,
        };
        assert!(intake.put(
            CacheClass::Playback,
            film,
            offset,
            Bytes::from(vec![0; len])
        ));
    }

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
        let put = |offset, len| put(&intake, offset, len);
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
    fn bodies_that_meet_amid_a_block_leave_no_gap() {
        let intake = Intake::<()>::new();
        let put = |offset, len| put(&intake, offset, len);
        // The second begins first, and has gone on by the time the first comes to its start.
        put(70_000, 100_000);
        assert_eq!(taken(&intake), [(73_728, 57_344)]);
        put(0, 50_000);
        put(50_000, 20_000);
        intake.command(());
        let mut blocks = taken(&intake);
        blocks.sort_unstable();
        assert_eq!(blocks, [(0, 73_728), (131_072, 36_864)]);
        // An end amid a block, and the file's own.
        put(1_000_000, 48_576);
        assert_eq!(taken(&intake), [(1_003_520, 45_056)]);
    }

    #[test]
    fn what_a_body_ended_with_waits_for_nothing() {
        let intake = Intake::<()>::new();
        let put = |offset, len| put(&intake, offset, len);
        // Two looks; half a granule each.
        put(0, 65_536);
        put(4 * GRANULE, 65_536);
        assert_eq!(taken(&intake), []);
        intake.ended(2, 65_536);
        intake.ended(1, 65_535);
        assert_eq!(taken(&intake), []);
        intake.ended(1, 65_536);
        assert!(matches!(intake.next(Duration::ZERO), Work::Write(piece) if piece.end() == 65_536));
        let film = FileId {
            id: 1,
            size: 1 << 20,
        };
        // While it is written it is not there yet, either.
        assert!(intake.holds(film, 65_535) && !intake.holds(film, 65_536));
        assert!(intake.holds(film, 4 * GRANULE));
        assert_eq!(taken(&intake), []);
        assert!(!intake.holds(film, 0));
        // The next body goes on within a block.
        put(65_536, 5_000);
        intake.ended(1, 70_536);
        assert_eq!(taken(&intake), [(65_536, 4_096)]);
        put(70_536, 60_536);
        assert_eq!(taken(&intake), [(69_632, 61_440)]);
    }

    #[test]
    fn what_finds_no_room_is_refused() {
        let intake = Intake::<()>::new();
        let film = FileId {
            id: 1,
            size: 1 << 30,
        };
        let step = Bytes::from(vec![0; 1 << 20]);
        let taken = (0..64u64)
            .filter(|at| intake.put(CacheClass::Playback, film, at << 20, step.clone()))
            .count();
        assert_eq!(taken << 20, LIMIT);
        intake.end();
        assert!(!intake.put(CacheClass::Playback, film, 0, step));
    }
}
