//! What the keeper does in the journal: after an engine's death, and in its place.

use super::entry::unique_of;
use super::layout::{SLOT_SIZE, SMALL_REQUEST};
use super::{EntryId, Held, Journal, Origin, Place, StoreError};

/// A request that so many engines died of is answered EIO instead of killing another.
pub const DEATHS_ALLOWED: u32 = 2;

/// What an engine left behind; see [`Journal::after_death`].
#[derive(Debug, Default)]
pub struct Aftermath {
    /// Requests that have killed [`DEATHS_ALLOWED`] engines: answer them EIO, then release them.
    pub condemned: Vec<Held>,
    /// Requests still to be answered, the condemned not among them.
    pub waiting: usize,
    /// Requests that were being worked on and get another chance.
    pub suspects: usize,
}

impl Journal {
    /// Keeper, once the engine is certainly dead: settles who is to blame (`blame` is false when
    /// the engine ended as it was told to), frees what was answered, and makes the entries
    /// nobody's again.
    pub fn after_death(&self, blame: bool) -> Aftermath {
        let mut aftermath = Aftermath::default();
        let active = self.take_active();
        let mut buffer = [0; SLOT_SIZE];
        let mut in_entries = std::collections::HashSet::new();
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
            if blame && active.contains(&entry.id()) {
                held.origin.deaths = held.origin.deaths.saturating_add(1);
                entry.set_deaths(held.origin.deaths);
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
            if blame && !slot.is_waiting() {
                slot.set_deaths(slot.deaths().saturating_add(1));
                aftermath.suspects += 1;
            }
            let request = request.to_vec();
            let place = Place::Slot(slot.index());
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

    /// Finds a request by its number without copying others.
    pub fn find(&self, unique: u64) -> Option<Held> {
        let mut buffer = [0; SLOT_SIZE];
        let in_entry = self
            .entries()
            .filter(|entry| !entry.is_free() && entry.unique() == unique && !entry.is_answered())
            .find_map(|entry| entry.held());
        in_entry.or_else(|| {
            self.slots().find_map(|slot| {
                let request = slot.request(&mut buffer)?;
                (unique_of(request) == Some(unique)).then(|| Held {
                    place: Place::Slot(slot.index()),
                    origin: slot.origin(),
                    request: request.to_vec(),
                })
            })
        })
    }

    /// Keeper: the request at this place was answered. While an engine lives it must not lose an
    /// entry that it works on, so what is the engine's is only marked.
    pub fn settle(&self, place: Place, engine_lives: bool) {
        match place {
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
                    entry.mark_answered();
                }
            }
        }
    }

    /// Keeper: notes a request that the stand-in read.
    ///
    /// # Errors
    /// When it fits no entry, or all that fit are in use.
    pub fn store_stand_in(&self, request: &[u8], origin: Origin) -> Result<EntryId, StoreError> {
        if unique_of(request).is_none() || request.len() > super::LARGE_REQUEST {
            return Err(StoreError::Size);
        }
        let small = if request.len() <= SMALL_REQUEST {
            self.layout.stand_in_small()
        } else {
            0..0
        };
        let entry = small
            .chain(self.layout.stand_in_large())
            .filter_map(|id| self.entry(EntryId(id)))
            .find(|entry| entry.is_free())
            .ok_or(StoreError::Full)?;
        entry.fill(request, origin);
        Ok(entry.id())
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
        if held.origin.deaths >= DEATHS_ALLOWED {
            self.condemned.push(held);
        } else {
            self.waiting += 1;
        }
    }
}
