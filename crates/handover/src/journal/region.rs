use std::time::Duration;

use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::layout::{LARGE_REQUEST, SLOT_SIZE, SMALL_REQUEST};
use super::{EntryId, Held, Journal, Origin, Place};
use crate::InHeader;

/// Why a request was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Every entry that would fit holds a request.
    #[error("the journal's table is full")]
    Full,
    /// No entry is large enough, or it is shorter than a header.
    #[error("the request fits no entry")]
    Size,
}

/// The engine's entries: which are free is known to this process alone, and found again from the
/// shared memory by the next one.
#[derive(Debug)]
pub struct Region {
    journal: Arc<Journal>,
    free: Mutex<Free>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct Free {
    small: Vec<EntryId>,
    large: Vec<EntryId>,
}

impl Region {
    /// Engine, at its start and before any transport thread: takes everything the journal holds.
    /// Slots are moved into entries (a slot stays in use only when the table is full), entries
    /// that the keeper answered meanwhile are freed.
    ///
    /// Replay what has suspicion first, one at a time; release each place once it is answered.
    pub fn adopt(journal: Arc<Journal>) -> (Region, Vec<Held>) {
        let mut free = Free::default();
        let mut held = Vec::new();
        for entry in journal.entries() {
            let request = if entry.is_answered() {
                None
            } else {
                entry.held()
            };
            if let Some(request) = request {
                if !entry.is_stand_in() || entry.take() {
                    held.push(request);
                }
            } else if !entry.is_stand_in() {
                entry.free();
                let small = entry.id().0 < journal.layout().small;
                if small {
                    &mut free.small
                } else {
                    &mut free.large
                }
                .push(entry.id());
            } else if entry.is_valid() {
                entry.free();
            }
        }
        free.small.reverse();
        free.large.reverse();
        let region = Region {
            journal,
            free: Mutex::new(free),
            room: Condvar::new(),
        };
        let slots = region.adopt_slots(&held);
        held.extend(slots);
        (region, held)
    }

    fn adopt_slots(&self, held: &[Held]) -> Vec<Held> {
        let mut found = Vec::new();
        let mut buffer = [0; SLOT_SIZE];
        for slot in self.journal.slots() {
            let Some(request) = slot.request(&mut buffer) else {
                slot.clear();
                continue;
            };
            let request = request.to_vec();
            let mut one = Held {
                place: Place::Slot(slot.index()),
                origin: slot.origin(),
                request,
            };
            let unique = one.unique();
            // The predecessor died between the two steps of a move.
            if held
                .iter()
                .any(|other| other.unique() == unique && other.origin.fd == one.origin.fd)
            {
                slot.clear();
                continue;
            }
            if let Ok(id) = self.store(&one.request, one.origin) {
                one.place = Place::Entry(id);
                slot.clear();
            }
            found.push(one);
        }
        found
    }

    /// The requests the keeper took while this engine answered nothing, each given out once. For
    /// the message `TakeStandIn`.
    pub fn take_stand_in(&self) -> Vec<Held> {
        let layout = *self.journal.layout();
        let ids = layout.stand_in_small().chain(layout.stand_in_large());
        ids.filter_map(|id| {
            let entry = self.journal.entry(EntryId(id))?;
            let held = entry.held()?;
            entry.take().then_some(held)
        })
        .collect()
    }

    /// The journal.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Notes a request in a pending entry. Clear its slot after this, not before.
    ///
    /// # Errors
    /// [`StoreError::Full`]: wait with [`Region::store_waiting`]. [`StoreError::Size`]: no entry
    /// will ever hold it; answer it from the slot.
    pub fn store(&self, request: &[u8], origin: Origin) -> Result<EntryId, StoreError> {
        check_size(request)?;
        self.store_in(&mut self.lock(), request, origin)
            .ok_or(StoreError::Full)
    }

    /// As [`Region::store`], but waits up to `limit` for a free entry. Mark the slot as waiting
    /// meanwhile ([`super::Slot::set_waiting`]).
    ///
    /// # Errors
    /// As [`Region::store`]; full only once the limit is over.
    pub fn store_waiting(
        &self,
        request: &[u8],
        origin: Origin,
        limit: Duration,
    ) -> Result<EntryId, StoreError> {
        check_size(request)?;
        let mut stored = None;
        let full = |free: &mut Free| {
            stored = self.store_in(free, request, origin);
            stored.is_none()
        };
        self.room.wait_while_for(&mut self.lock(), full, limit);
        stored.ok_or(StoreError::Full)
    }

    fn store_in(&self, free: &mut Free, request: &[u8], origin: Origin) -> Option<EntryId> {
        let small = if request.len() <= SMALL_REQUEST {
            free.small.pop()
        } else {
            None
        };
        let id = small.or_else(|| free.large.pop())?;
        self.journal.entry(id)?.fill(request, origin);
        Some(id)
    }

    /// The request is answered: its place is free.
    pub fn release(&self, place: Place) {
        match place {
            Place::Slot(index) => {
                if let Some(slot) = self.journal.slot(index) {
                    slot.clear();
                }
            }
            Place::Entry(id) => {
                let Some(entry) = self.journal.entry(id) else {
                    return;
                };
                if !entry.free() || entry.is_stand_in() {
                    return;
                }
                let mut free = self.lock();
                let small = id.0 < self.journal.layout().small;
                if small {
                    &mut free.small
                } else {
                    &mut free.large
                }
                .push(id);
                drop(free);
                self.room.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        // A panic while it is held leaves whole vectors.
        self.free.lock()
    }
}

fn check_size(request: &[u8]) -> Result<(), StoreError> {
    let fits = (InHeader::LEN..=LARGE_REQUEST).contains(&request.len());
    if fits { Ok(()) } else { Err(StoreError::Size) }
}
