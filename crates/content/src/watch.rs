//! Who reads what, and what each reader is taken for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::Client;
use debridfs_cache::FileId;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::Instant;

use crate::pattern::{Class, Pattern};
use crate::trace::Recorder;
use crate::tuning::pattern::{FORGOTTEN, SHOWN, TELL};

/// A reader that is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The file's id.
    pub file: u64,
    /// Who reads.
    pub client: Client,
    /// What the reader is taken for.
    pub class: Class,
    /// Bytes it has asked for.
    pub bytes: u64,
    /// Time since its last read.
    pub idle: Duration,
}

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
    /// Who read last; `None` before the first read.
    client: Option<Client>,
    /// Bytes asked for.
    read: u64,
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
            client: None,
            read: 0,
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

    fn note(&self, client: Client, range: &Range<u64>) -> Class {
        let mut state = self.lock();
        state.last = self.begun.elapsed();
        let at = state.last;
        state.client = Some(client);
        state.read += range.end - range.start;
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

    /// What it is shown as, if it read lately and is none of ours.
    fn reading(&self, file: u64) -> Option<Reading> {
        let state = self.lock();
        let idle = self.begun.elapsed().saturating_sub(state.last);
        let client = state.client.filter(|client| *client != Client::Own)?;
        (idle < SHOWN).then(|| Reading {
            file,
            client,
            class: state.pattern.class(),
            bytes: state.read,
            idle,
        })
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
        client: Client,
        range: &Range<u64>,
    ) -> (Arc<Watch>, Class) {
        let watch = self.of(file, handle);
        let class = watch.note(client, range);
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

    /// Who reads now, the latest first.
    pub(crate) fn reading(&self) -> Vec<Reading> {
        let map = self.read();
        let mut reading: Vec<_> = map
            .iter()
            .filter_map(|((_, file), watch)| watch.reading(*file))
            .collect();
        reading.sort_by_key(|reading| reading.idle);
        reading
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

    const ME: Client = Client::Process(7);

    #[tokio::test(start_paused = true)]
    async fn readers_are_told_apart_and_forgotten() {
        let watches = Watches::default();
        let file = |id| FileId { id, size: 1 << 30 };
        for place in 1..6 {
            let at = place * (100 << 20);
            watches.note(file(1), 5, ME, &(at..at + 4096));
        }
        watches.note(file(1), 6, ME, &(0..4096));
        watches.note(file(2), 0, Client::Own, &(0..4096));
        assert_eq!(watches.count(), [2, 1, 0, 0]);
        let reading = watches.reading();
        let of = |reading: &Reading| (reading.file, reading.client, reading.bytes);
        let shown: BTreeSet<_> = reading.iter().map(|each| each.bytes).collect();
        assert_eq!(shown, [4096, 5 * 4096].into());
        assert_eq!(of(&reading[0]), (1, ME, reading[0].bytes));
        watches.release(5);
        assert_eq!(watches.count(), [2, 0, 0, 0]);
        tokio::time::advance(SHOWN).await;
        assert_eq!(watches.reading(), []);
        tokio::time::advance(FORGOTTEN / 2).await;
        watches.note(file(1), 6, ME, &(0..4096));
        tokio::time::advance(FORGOTTEN / 2).await;
        watches.sweep();
        assert_eq!(watches.count(), [1, 0, 0, 0]);
    }
}
