//! What the keeper does in the journal: after an engine's death, and in its place.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;

use super::entry::unique_of;
use super::layout::{SLOT_SIZE, SMALL_REQUEST};
use super::{CONDEMNED_AT, End, EntryId, Held, Journal, Origin, Place, StoreError};
use crate::awake_ns;

/// What an engine left behind; see [`Journal::after_death`].
#[derive(Debug, Default)]
pub struct Aftermath {
    /// Requests under a suspicion of [`CONDEMNED_AT`]: answer them EIO, then release them.
    pub condemned: Vec<Held>,
    /// Requests still to be answered, the condemned not among them.
    pub waiting: usize,
    /// Requests that were being worked on and get another chance.
    pub suspects: usize,
}

impl Journal {
    /// Keeper, once the engine is certainly dead: settles who is to blame, frees what was answered,
    /// and makes the entries nobody's again.
    pub fn after_death(&self, end: End) -> Aftermath {
        let blame = self.take_blame(end);
        let mut aftermath = Aftermath::default();
        let active = self.take_active();
        let mut buffer = [0; SLOT_SIZE];
        let mut in_entries = HashSet::new();
        // A time to come would put the deadline off, for ever if it is far away.
        let now = awake_ns();
        for entry in self.entries() {
            if entry.is_free() {
                continue;
            }
            let Some(mut held) = (if entry.is_answered() {
                None
            } else {
                entry.held()
            }) else {
                entry.free();
                continue;
            };
            entry.disown();
            if held.origin.arrival > now {
                held.origin.arrival = now;
                entry.set_arrival(now);
            }
            let more = blame.of(Place::Entry(entry.id()), active.contains(&entry.id()));
            if more > 0 {
                held.origin.suspicion = held.origin.suspicion.saturating_add(more);
                entry.set_suspicion(held.origin.suspicion);
                aftermath.suspects += 1;
            }
            in_entries.insert(held.unique());
            aftermath.count(held);
        }
        for slot in self.slots().filter(super::Slot::in_use) {
            let Some(request) = slot.request(&mut buffer) else {
                slot.clear();
                continue;
            };
            // The engine died between the two steps of a move.
            if unique_of(request).is_some_and(|unique| in_entries.contains(&unique)) {
                slot.clear();
                continue;
            }
            if slot.origin().arrival > now {
                slot.set_arrival(now);
            }
            let place = Place::Slot(slot.index());
            let more = blame.of(place, !slot.is_waiting());
            if more > 0 {
                slot.set_suspicion(slot.suspicion().saturating_add(more));
                aftermath.suspects += 1;
            }
            let request = request.to_vec();
            aftermath.count(Held {
                place,
                origin: slot.origin(),
                request,
            });
        }
        aftermath.suspects = aftermath.suspects.saturating_sub(aftermath.condemned.len());
        aftermath
    }

    /// Everything noted in slots and entries that the keeper hasn't answered yet.
    pub fn held(&self) -> Vec<Held> {
        let mut buffer = [0; SLOT_SIZE];
        let slots = self.slots().filter_map(|slot| {
            let request = slot.request(&mut buffer)?.to_vec();
            Some(Held {
                place: Place::Slot(slot.index()),
                origin: slot.origin(),
                request,
            })
        });
        let mut held: Vec<Held> = slots.collect();
        held.extend(
            self.entries()
                .filter(|e| !e.is_answered())
                .filter_map(|e| e.held()),
        );
        held
    }

    /// Requests in the stand-in's region that no engine has taken.
    pub fn untaken(&self) -> Vec<Held> {
        let ids = self
            .layout
            .stand_in_small()
            .chain(self.layout.stand_in_large());
        let entries = ids.filter_map(|id| self.entry(EntryId(id)));
        entries
            .filter(|entry| entry.is_valid() && !entry.is_taken())
            .filter_map(|e| e.held())
            .collect()
    }

    /// Number and place of every request that is noted and not answered by the keeper.
    pub fn places(&self) -> HashMap<u64, Place> {
        let mut buffer = [0; SLOT_SIZE];
        let mut places = HashMap::new();
        for slot in self.slots() {
            if let Some(unique) = slot.request(&mut buffer).and_then(unique_of) {
                places.insert(unique, Place::Slot(slot.index()));
            }
        }
        // Of a request noted twice, the entry counts: its slot is about to be cleared.
        for entry in self
            .entries()
            .filter(|entry| entry.is_valid() && !entry.is_answered())
        {
            places.insert(entry.unique(), Place::Entry(entry.id()));
        }
        places
    }

    /// The request at a place.
    pub fn at(&self, place: Place) -> Option<Held> {
        match place {
            Place::Entry(id) => self.entry(id)?.held(),
            Place::Slot(index) => {
                let slot = self.slot(index)?;
                let mut buffer = [0; SLOT_SIZE];
                let request = slot.request(&mut buffer)?.to_vec();
                Some(Held {
                    place,
                    origin: slot.origin(),
                    request,
                })
            }
        }
    }

    /// Finds a request by its number. For many at once, [`Journal::places`] looks only once.
    pub fn find(&self, unique: u64) -> Option<Held> {
        let named = |entry: &super::Entry<'_>| {
            entry.is_valid() && entry.unique() == unique && !entry.is_answered()
        };
        let in_entry = self.entries().filter(named).find_map(|entry| entry.held());
        let in_slot = || {
            let mut slots = self
                .slots()
                .filter_map(|slot| self.at(Place::Slot(slot.index())));
            slots.find(|held| held.unique() == unique)
        };
        in_entry.or_else(in_slot)
    }

    /// Keeper: this request was answered. While an engine lives it must not lose an entry that it
    /// works on, so what is the engine's is only marked.
    pub fn settle(&self, held: &Held, engine_lives: bool) {
        match held.place {
            Place::Slot(index) if !engine_lives => {
                if let Some(slot) = self.slot(index) {
                    slot.clear();
                }
            }
            // The engine answers it again, is refused by the kernel, and clears it.
            Place::Slot(_) => {}
            Place::Entry(id) => {
                let Some(entry) = self.entry(id) else { return };
                if !engine_lives || (entry.is_stand_in() && entry.take()) {
                    entry.free();
                } else {
                    entry.mark_answered(held.unique());
                }
            }
        }
    }

    /// Keeper: notes a request that the stand-in read. While an engine has a lease
    /// (`engine_lives`) only the stand-in's region is used.
    ///
    /// # Errors
    /// When it fits no entry, or all that fit are in use.
    pub fn store_stand_in(
        &self,
        request: &[u8],
        origin: Origin,
        engine_lives: bool,
    ) -> Result<EntryId, StoreError> {
        if unique_of(request).is_none() || request.len() > super::LARGE_REQUEST {
            return Err(StoreError::Size);
        }
        let layout = self.layout;
        let (small, large) = if engine_lives {
            (layout.stand_in_small(), layout.stand_in_large())
        } else {
            (0..layout.small, layout.small..layout.entries())
        };
        let fits_small = request.len() <= SMALL_REQUEST;
        let found = if fits_small {
            self.find_free(small)
        } else {
            None
        };
        let entry = found
            .or_else(|| self.find_free(large))
            .ok_or(StoreError::Full)?;
        entry.fill(request, origin);
        Ok(entry.id())
    }

    /// Looks on from where it found one last, so that filling the table takes linear time.
    pub(super) fn find_free(&self, ids: std::ops::Range<u32>) -> Option<super::Entry<'_>> {
        let from = self.cursor.load(Relaxed).clamp(ids.start, ids.end);
        let mut entries = (from..ids.end)
            .chain(ids.start..from)
            .filter_map(|id| self.entry(EntryId(id)));
        let entry = entries.find(super::Entry::is_free)?;
        self.cursor.store(entry.id().0 + 1, Relaxed);
        Some(entry)
    }

    /// Forgets every request, for the recovery modes that don't use the journal.
    pub fn empty(&self) {
        self.take_active();
        self.slots().for_each(|slot| slot.clear());
        self.entries().for_each(|entry| {
            entry.free();
        });
    }
}

impl Aftermath {
    fn count(&mut self, held: Held) {
        if held.origin.suspicion >= CONDEMNED_AT {
            self.condemned.push(held);
        } else {
            self.waiting += 1;
        }
    }
}
