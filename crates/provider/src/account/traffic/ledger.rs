//! The file that remembers the day's traffic of a provider's keys.
//!
//! JSON, written whole beside the old one and moved into its place, a second after the first
//! change. So a process killed at any moment loses a second of counting, and a file is always a
//! whole one.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;

use super::Day;
use crate::KeyId;
use debridfs_base::volume::Volume;
use debridfs_base::{replace_file, state_file};

/// How long a change may wait.
const DELAY: Duration = Duration::from_secs(1);

/// Days by key. Clones share everything; the last one writes what is left.
#[derive(Clone)]
pub(crate) struct TrafficLedger {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    /// Held while the file is written, so that the newest stays.
    writing: Mutex<()>,
}

#[derive(Default)]
struct State {
    days: BTreeMap<KeyId, Day>,
    /// The file could not be read yet, so it is not written either.
    unread: bool,
    dirty: bool,
    /// A task will write.
    scheduled: bool,
    told: bool,
}

impl TrafficLedger {
    /// The ledger in the file at `path`. A file that cannot be understood is moved aside; one that
    /// cannot be read now is left as it is, and [`Self::read`] tries again.
    pub(crate) fn open(path: &Path, now: Timestamp) -> Self {
        let ledger = Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                state: Mutex::new(State {
                    unread: true,
                    ..State::default()
                }),
                writing: Mutex::default(),
            }),
        };
        if let Err(error) = ledger.read(now) {
            tracing::warn!(%error, "the traffic of today is not known");
        }
        ledger
    }

    /// Reads the file if that could not be done before. Of keys that were used meanwhile what is
    /// counted now stays, as the provider's own count makes up for the rest.
    ///
    /// # Errors
    /// Of the file system, with the path: it cannot be read now.
    pub(crate) fn read(&self, now: Timestamp) -> io::Result<()> {
        let shared = &self.shared;
        if !shared.lock().unread {
            return Ok(());
        }
        let read = state_file::load_json::<BTreeMap<KeyId, Day>>(&shared.path, now);
        let read = read.map_err(|error| {
            let words = format!("{}: {error}", shared.path.display());
            io::Error::new(error.kind(), words)
        })?;
        let mut state = shared.lock();
        for (key, day) in read.unwrap_or_default() {
            state.days.entry(key).or_insert(day);
        }
        state.unread = false;
        Ok(())
    }

    /// What is remembered of `key`.
    pub(super) fn day(&self, key: &KeyId) -> Option<Day> {
        self.shared.lock().days.get(key).cloned()
    }

    /// Remembers `day` of `key`; never waits for the disk inside a runtime.
    pub(super) fn keep(&self, key: &KeyId, day: Day) {
        let mut state = self.shared.lock();
        match state.days.get_mut(key) {
            Some(known) => *known = day,
            None => drop(state.days.insert(key.clone(), day)),
        }
        state.dirty = true;
        if std::mem::replace(&mut state.scheduled, true) {
            return;
        }
        drop(state);
        let shared = self.shared.clone();
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                tokio::time::sleep(DELAY).await;
                let writer = shared.clone();
                let done = Volume::state().run(&shared.path, move || writer.write());
                if done.await.is_err() {
                    // With the next change, or when the last clone is dropped.
                    shared.lock().scheduled = false;
                }
            })),
            Err(_) => shared.write(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn write(&self) {
        let _one = self.writing.lock();
        let text = {
            let mut state = self.lock();
            state.scheduled = false;
            if state.unread {
                return;
            }
            if !std::mem::replace(&mut state.dirty, false) {
                return;
            }
            serde_json::to_vec(&state.days)
        };
        let written = text
            .map_err(io::Error::from)
            .and_then(|text| replace_file(&self.path, &text));
        if let Err(error) = written
            && !std::mem::replace(&mut self.lock().told, true)
        {
            tracing::warn!(path = %self.path.display(), %error, "traffic cannot be noted; a restart forgets it");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // One that hangs would hold up the end of the program.
        if Volume::state().silence().is_none() {
            self.write();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_nonsense_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("traffic");
        for text in ["", "nonsense", "[1]", "{\"a\":{\"date\":\"2026-99-99\"}}"] {
            std::fs::write(&path, text).unwrap();
            let ledger = TrafficLedger::open(&path, Timestamp::UNIX_EPOCH);
            let key = KeyId::of_token("T");
            assert_eq!(ledger.day(&key), None, "{text}");
            let day = Day::new("2026-11-21".parse().unwrap());
            ledger.keep(&key, day.clone());
            drop(ledger);
            assert_eq!(
                TrafficLedger::open(&path, Timestamp::UNIX_EPOCH).day(&key),
                Some(day)
            );
        }
        let aside = state_file::moved_aside_in(dir.path());
        let mut texts: Vec<_> = (aside.iter())
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        texts.sort_unstable();
        assert_eq!(
            texts,
            ["", "[1]", "nonsense", "{\"a\":{\"date\":\"2026-99-99\"}}"]
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_now_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let (path, was) = (dir.path().join("traffic"), dir.path().join("was"));
        let keys = [KeyId::of_token("T"), KeyId::of_token("U")];
        let day = |counted| Day {
            counted,
            ..Day::new("2026-11-21".parse().unwrap())
        };
        let ledger = TrafficLedger::open(&path, now);
        keys.iter().for_each(|key| ledger.keep(key, day(5)));
        drop(ledger);
        std::fs::rename(&path, &was).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", &path).unwrap();
        let ledger = TrafficLedger::open(&path, now);
        ledger.keep(&keys[0], day(7));
        let error = ledger.read(now).unwrap_err().to_string();
        assert!(
            error.contains("traffic: it is a link to nowhere"),
            "{error}"
        );
        assert!(path.is_symlink());
        std::fs::rename(&was, &path).unwrap();
        ledger.read(now).unwrap();
        drop(ledger);
        let ledger = TrafficLedger::open(&path, now);
        assert_eq!(
            keys.map(|key| ledger.day(&key)),
            [Some(day(7)), Some(day(5))]
        );
    }

    #[test]
    fn a_place_that_cannot_be_written_is_no_trouble() {
        let ledger = TrafficLedger::open(Path::new("/nonexistent/traffic"), Timestamp::UNIX_EPOCH);
        let key = KeyId::of_token("T");
        ledger.keep(&key, Day::new("2026-11-21".parse().unwrap()));
        assert!(ledger.day(&key).is_some());
    }
}
