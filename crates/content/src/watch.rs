//! Who reads what, and what each reader is taken for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use debridfs_cache::FileId;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::Instant;

use crate::pattern::{Class, Pattern};
use crate::trace::Recorder;

/// A reader that did nothing for so long begins anew; longer than any pause that a player keeps its connection for, and short enough
/// that fronts without handles leave nothing behind.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// The cache is told so often, in bytes, that what it gets is a copy.
const TELL: u64 = 8 << 20;

/// What one reader does.
#[derive(Debug)]
pub(crate) struct Watch {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pattern: Pattern,
    last: Duration,
    /// Bytes read since the cache was told of the copy.
    untold: u64,
    /// Its bytes are to stay, however fast they are read.
    keeps: bool,
}

impl State {
    fn new(pattern: Pattern) -> Mutex<Self> {
        Mutex::new(Self {
            pattern,
            last: Duration::ZERO,
            untold: 0,
            keeps: false,
        })
    }
}

/// All readers, by handle and file: also those whose bytes all come from a cache.
#[derive(Default)]
pub(crate) struct Watches {
    map: RwLock<BTreeMap<(u64, u64), Arc<Watch>>>,
    pub(crate) recorder: Recorder,
}

impl Watch {
    fn new(size: u64) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            state: State::new(Pattern::new(size)),
        })
    }

    /// Somebody of ours, who scans from the start and is none of the readers.
    pub(crate) fn scan(size: u64) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            state: State::new(Pattern::scan(size)),
        })
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    /// What the reader is taken for now.
    pub(crate) fn class(&self) -> Class {
        self.lock().pattern.class()
    }

    fn note(&self, range: &Range<u64>) -> Class {
        let mut state = self.lock();
        state.last = self.begun.elapsed();
        let at = state.last;
        state.untold += range.end - range.start;
        state.pattern.note(at, range)
    }

    /// Since when what the reader read is a copy, if the cache is to be told so now.
    pub(crate) fn copy_to_tell(&self) -> Option<std::time::Instant> {
        let mut state = self.lock();
        let tell = state.pattern.class() == Class::Copy && state.untold >= TELL && !state.keeps;
        if tell {
            state.untold = 0;
        }
        tell.then(|| self.begun.into_std())
    }

    /// The same at the reader's end.
    fn copy_at_end(&self) -> Option<std::time::Instant> {
        let state = self.lock();
        let copied = state.pattern.ends_as_copy(state.last) && !state.keeps;
        copied.then(|| self.begun.into_std())
    }

    fn idle(&self) -> Duration {
        let last = self.lock().last;
        self.begun.elapsed().saturating_sub(last)
    }
}

impl Watches {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<(u64, u64), Arc<Watch>>> {
        self.map.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<(u64, u64), Arc<Watch>>> {
        self.map.write()
    }

    /// The reader of `file` through `handle`.
    fn of(&self, file: FileId, handle: u64) -> Arc<Watch> {
        let key = (handle, file.id);
        if let Some(watch) = self.read().get(&key) {
            return watch.clone();
        }
        self.write()
            .entry(key)
            .or_insert_with(|| Watch::new(file.size))
            .clone()
    }

    /// Takes note of a read; called once for each.
    pub(crate) fn note(
        &self,
        file: FileId,
        handle: u64,
        range: &Range<u64>,
    ) -> (Arc<Watch>, Class) {
        let watch = self.of(file, handle);
        let class = watch.note(range);
        self.recorder.note(file, handle, range, class);
        (watch, class)
    }

    /// What is read of `file` through `handle` is to stay in the cache.
    pub(crate) fn keep(&self, file: FileId, handle: u64) {
        self.of(file, handle).lock().keeps = true;
    }

    /// Forgets `handle`; the ids of the files that were copied with it, and since when.
    pub(crate) fn release(&self, handle: u64) -> Vec<(u64, std::time::Instant)> {
        let mut map = self.write();
        let keys: Vec<_> = map
            .range((handle, 0)..=(handle, u64::MAX))
            .map(|(key, _)| *key)
            .collect();
        let ended: Vec<_> = keys
            .into_iter()
            .filter_map(|key| Some((key.1, map.remove(&key)?)))
            .collect();
        drop(map);
        self.recorder.release(handle);
        ended
            .into_iter()
            .filter_map(|(file, watch)| Some((file, watch.copy_at_end()?)))
            .collect()
    }

    /// Forgets readers that did nothing for long.
    pub(crate) fn sweep(&self) {
        self.recorder.sweep();
        let idle: BTreeSet<_> = self
            .read()
            .iter()
            .filter(|(_, watch)| watch.idle() >= FORGOTTEN)
            .map(|(key, _)| *key)
            .collect();
        if !idle.is_empty() {
            self.write().retain(|key, _| !idle.contains(key));
        }
    }

    /// How many readers of each class there are, in the order of [`Class::ALL`].
    pub(crate) fn count(&self) -> [usize; Class::ALL.len()] {
        let mut counts = [0; Class::ALL.len()];
        for watch in self.read().values() {
            counts[watch.class() as usize] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn readers_are_told_apart_and_forgotten() {
        let watches = Watches::default();
        let file = |id| FileId { id, size: 1 << 30 };
        for place in 1..6 {
            let at = place * (100 << 20);
            watches.note(file(1), 5, &(at..at + 4096));
        }
        watches.note(file(1), 6, &(0..4096));
        watches.note(file(2), 0, &(0..4096));
        assert_eq!(watches.count(), [2, 1, 0, 0]);
        watches.release(5);
        assert_eq!(watches.count(), [2, 0, 0, 0]);
        tokio::time::advance(FORGOTTEN / 2).await;
        watches.note(file(1), 6, &(0..4096));
        tokio::time::advance(FORGOTTEN / 2).await;
        watches.sweep();
        assert_eq!(watches.count(), [1, 0, 0, 0]);
    }
}
