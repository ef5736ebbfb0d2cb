//! The thread that makes what was written outlive a crash: data to the disk first, then the side file, in batches. Pages of what is played go when
//! they are on disk: nobody reads them from memory, and others want the memory.

use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use debridfs_base::media::COPY_RATE;
use debridfs_base::volume::alive;
use rustix::fs::{Advice, fadvise, fdatasync};

use crate::entry::Files;
use crate::file::CacheClass;
use crate::shared::Shared;
use crate::tuning::writing::{ALL_EVERY, EVERY};

/// A round of syncs.
pub(crate) struct Round {
    begun: Instant,
    /// What it synced of files that are played.
    played: Vec<(Arc<Files>, Range<u64>)>,
}

impl Default for Round {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            played: Vec::new(),
        }
    }
}

impl Round {
    /// Begins the next one. Returns how long ago this one began.
    fn next(&mut self) -> Duration {
        let ago = self.begun.elapsed();
        self.begun = Instant::now();
        // Not sooner: pages that just came are on lists of the processors, each of which would be waited for.
        for (files, range) in self.played.drain(..) {
            // Where it cannot be done the kernel takes them when it needs them.
            let length = NonZero::new(range.end - range.start);
            let _ = fadvise(&files.data, range.start, length, Advice::DontNeed);
        }
        ago
    }
}

/// Whether so many bytes of a file in so long a time are being watched: whoever copies them is faster, and may soon read them again as fast.
fn is_played(bytes: u64, time: Duration) -> bool {
    bytes > 0 && (bytes as f64) < COPY_RATE as f64 * time.as_secs_f64()
}

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
    let mut round = shared.round.lock();
    let _at_work = shared.volume.enter(&shared.root);
    let time = round.next();
    for class in CacheClass::ALL {
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
            alive();
            let synced = fdatasync(&unsynced.files.data)
                .map_err(Into::into)
                .and_then(|()| entry.synced(&unsynced));
            match synced {
                Ok(()) => {
                    store.add_allocated(entry.measure(&unsynced.files));
                    // Heads and tails stay: a scan comes back.
                    if class == CacheClass::Playback && is_played(unsynced.bytes(), time) {
                        let range = unsynced.range();
                        round.played.push((unsynced.files, range));
                    }
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_is_played_and_a_copy_is_not() {
        let second = Duration::from_secs(1);
        assert!(is_played(128 << 10, second));
        assert!(is_played(12_500_000, second));
        assert!(!is_played(60_000_000, second));
        assert!(is_played(60_000_000, 4 * second));
        assert!(!is_played(128 << 10, Duration::ZERO));
        assert!(!is_played(0, second));
    }
}
