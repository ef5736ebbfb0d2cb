//! Who made an engine die.
//!
//! An engine that crashes names the culprit itself: a signal handler notes which request the
//! faulting thread had in hand, or that the signal came from outside. An engine that is killed can
//! note nothing; then what its threads worked on comes under a small suspicion, which only many
//! such deaths in a row make large enough.

use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use super::layout::header;
use super::{EntryId, Journal, Place};

/// Suspicion of a request that an engine crashed of: two such deaths condemn it.
const OF_A_CRASH: u32 = 4;
/// Suspicion of a request that was worked on when its engine was killed, which is seldom its fault
/// (the out-of-memory killer): eight in a row condemn it.
const OF_A_KILL: u32 = 1;
/// A request under so much suspicion is answered EIO instead of killing another engine.
pub const CONDEMNED_AT: u32 = 2 * OF_A_CRASH;

/// How an engine ended, as its parent saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it was told to.
    AsTold,
    /// By a fault of its own: a signal such as SIGSEGV or SIGABRT, or an exit status other than 0.
    Crashed,
    /// By SIGKILL, or nobody knows how.
    Killed,
}

/// What is to be laid on whom after an engine's death.
#[derive(Debug)]
pub(super) enum Blame {
    Nobody,
    /// The request in this place.
    Culprit(Place),
    /// Every request that was worked on, by so much.
    WorkedOn(u32),
}

impl Blame {
    /// What is laid on the request at `place`; `worked_on` tells whether a thread had it in hand.
    pub(super) fn of(&self, place: Place, worked_on: bool) -> u32 {
        match *self {
            Self::Culprit(culprit) if culprit == place => OF_A_CRASH,
            Self::WorkedOn(suspicion) if worked_on => suspicion,
            _ => 0,
        }
    }
}

/// Values of the header's field; others name a place.
const NOTHING: u64 = 0;
const NO_REQUEST: u64 = 1;

const fn code(place: Place) -> u64 {
    match place {
        Place::Slot(index) => 2 + 2 * index as u64,
        Place::Entry(EntryId(id)) => 3 + 2 * id as u64,
    }
}

fn place(code: u64) -> Option<Place> {
    let index = u32::try_from(code.checked_sub(2)? / 2).ok()?;
    Some(match code % 2 {
        0 => Place::Slot(index),
        _ => Place::Entry(EntryId(index)),
    })
}

thread_local! {
    // Constant and without a destructor: a signal handler may read it at any time.
    static IN_HAND: Cell<u64> = const { Cell::new(NO_REQUEST) };
}

/// While it lives, a thread has a request in hand; what it had before comes back after it.
#[derive(Debug)]
#[must_use = "the request is in hand only while the guard lives"]
pub struct InHand {
    before: u64,
}

impl InHand {
    /// This thread works on the request at `place` from now on.
    pub fn take(place: Place) -> Self {
        Self {
            before: IN_HAND.replace(code(place)),
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        IN_HAND.set(self.before);
    }
}

/// Engine: notes in `field` what the calling thread has in hand; `from_outside` when the signal was
/// sent by another process. Only the first note counts. Async-signal-safe: it neither locks nor
/// allocates.
pub fn note_crash(field: &AtomicU64, from_outside: bool) {
    let note = if from_outside {
        NO_REQUEST
    } else {
        IN_HAND.get()
    };
    let _ = field.compare_exchange(NOTHING, note, AcqRel, Relaxed);
}

impl Journal {
    /// The field for [`note_crash`].
    pub fn crash_field(&self) -> &AtomicU64 {
        self.memory.u64(header::CRASH)
    }

    /// Settles who is to blame for the death of an engine, and clears the note for the next one.
    pub(super) fn take_blame(&self, end: End) -> Blame {
        match (self.crash_field().swap(NOTHING, AcqRel), end) {
            (_, End::AsTold) => Blame::Nobody,
            (NOTHING, End::Crashed) => Blame::WorkedOn(OF_A_CRASH),
            (NOTHING, End::Killed) => Blame::WorkedOn(OF_A_KILL),
            (note, _) => place(note).map_or(Blame::Nobody, Blame::Culprit),
        }
    }
}
