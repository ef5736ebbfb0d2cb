//! The thread that makes what was written outlive a crash: data to the disk first, then the side file, in batches.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Class, Shared};

/// How often: what a kill costs at most.
const EVERY: Duration = Duration::from_secs(1);
/// Every so many rounds all files are looked at: reading changes when they were used last, and nobody tells.
const ALL_EVERY: u32 = 60;

/// Body of the thread.
pub(crate) fn run(shared: &Arc<Shared>) {
    for round in 1u32.. {
        if shared.wait_closed(EVERY) {
            return;
        }
        sync(shared, round.is_multiple_of(ALL_EVERY));
    }
}

/// Syncs what is unsynced; `all`: also what was merely used.
pub(crate) fn sync(shared: &Shared, all: bool) {
    let _round = shared.round.lock().unwrap_or_else(PoisonError::into_inner);
    for class in Class::ALL {
        let store = shared.store(class);
        let mut ids = store.take_unsynced();
        if all {
            ids.extend(store.entries().iter().map(|entry| entry.id));
        }
        for id in ids {
            let Some(entry) = store.by_id(id) else {
                continue;
            };
            let Some(unsynced) = entry.unsynced() else {
                continue;
            };
            let synced = rustix::fs::fdatasync(&unsynced.files.data)
                .map_err(Into::into)
                .and_then(|()| entry.synced(&unsynced));
            match synced {
                Ok(()) => store.add_allocated(entry.measure(&unsynced.files)),
                Err(error) => {
                    entry.not_synced(&unsynced);
                    store.mark_unsynced(id);
                    if shared.counters.errors.fetch_add(1, Ordering::Relaxed) == 0 {
                        tracing::warn!(%error, "the cache cannot be synced");
                    }
                }
            }
        }
    }
}
