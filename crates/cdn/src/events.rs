//! What happened to a file, for the question why it cannot be read: a short history per file that outlives the engine.

mod file;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use debridfs_base::volume::Volume;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use self::file::EventFile;
use crate::tuning::events::{DELAY, EVENTS_PER_FILE, LONGEST_DETAIL, MOST_FILES};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The provider made a direct link.
    LinkMade,
    /// The provider gave no link: it is in trouble, busy, or does not understand.
    NoLink,
    /// The provider cannot serve the file: it does not know the link, or its hoster fails.
    LinkBroken,
    /// The provider refuses the account or its key.
    AccountRefused,
    /// The traffic of the key is used up.
    OutOfTraffic,
    /// The CDN refused the link.
    LinkRefused,
    /// The CDN refused because it is busy or not well (429, 5xx).
    HostRefused,
    /// The link, or a redirect of the CDN, leads to an address that must not be asked.
    NotAllowed,
    /// What came was not what had been asked.
    WrongAnswer,
    /// A copy's bytes were not those that were read before: it is not used any more.
    Differs,
    /// Nothing came for too long.
    Stalled,
    /// No connection, or it broke.
    Network,
    /// Another source was tried.
    FailOver,
    /// A read ended with an error.
    ReadFailed,
    /// Bytes came again.
    Recovered,
}

impl EventKind {
    /// Whether it speaks against the file, and not against the provider, its CDN or the network.
    fn is_against_the_file(self) -> bool {
        match self {
            Self::LinkBroken | Self::LinkRefused | Self::WrongAnswer => true,
            Self::LinkMade
            | Self::NoLink
            | Self::AccountRefused
            | Self::OutOfTraffic
            | Self::HostRefused
            | Self::NotAllowed
            | Self::Differs
            | Self::Stalled
            | Self::Network
            | Self::FailOver
            | Self::ReadFailed
            | Self::Recovered => false,
        }
    }
}

/// One thing that happened, perhaps several times in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened first.
    pub first: Timestamp,
    /// When it happened last, in a row.
    pub last: Timestamp,
    /// How often.
    pub count: u64,
    /// What.
    pub kind: EventKind,
    /// The provider's configured name; empty where there is none.
    pub provider: String,
    /// For people; holds no secret and no URL of a link.
    pub detail: String,
}

/// The histories of files.
pub struct EventLog {
    shared: Arc<Shared>,
    runtime: Handle,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    file: Option<Mutex<EventFile>>,
    /// Where that is.
    path: PathBuf,
}

#[derive(Default)]
struct State {
    files: HashMap<u64, History>,
    /// Counts events, to tell which history is the oldest and which line of the file is the newest.
    numbers: u64,
    /// Files with news that are not written.
    dirty: Vec<u64>,
    scheduled: bool,
}

#[derive(Default)]
struct History {
    events: VecDeque<Kept>,
    /// The number of its newest event; repetitions count.
    newest: u64,
    dirty: bool,
}

struct Kept {
    number: u64,
    event: Event,
    /// The file does not know it as it is.
    unwritten: bool,
}

impl EventLog {
    /// A log that is kept in the file at `path` and begins with what that holds.
    pub(crate) fn open(path: Option<&Path>, runtime: Handle) -> Self {
        let mut state = State::default();
        let file = path.map(|path| {
            let (file, lines) = EventFile::open(path);
            for (id, number, event) in lines {
                state.remember(id, number, event, false);
            }
            Mutex::new(file)
        });
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                file,
                path: path.map(Path::to_owned).unwrap_or_default(),
            }),
            runtime,
        }
    }

    /// Something happened to `file`. The same as before only counts.
    pub fn note(&self, file: u64, kind: EventKind, provider: &str, detail: &str) {
        let now = Timestamp::now();
        let detail: String = detail.chars().take(LONGEST_DETAIL).collect();
        let mut state = self.shared.lock();
        state.numbers += 1;
        let number = state.numbers;
        let repeated = state.files.get_mut(&file).and_then(|history| {
            let kept = history.events.back_mut()?;
            let last = &mut kept.event;
            let same = last.kind == kind && last.provider == provider && last.detail == detail;
            same.then(|| {
                last.last = now;
                last.count += 1;
                kept.unwritten = true;
                history.newest = number;
            })
        });
        if repeated.is_none() {
            let event = Event {
                first: now,
                last: now,
                count: 1,
                kind,
                provider: provider.to_owned(),
                detail,
            };
            state.remember(file, number, event, true);
        }
        self.schedule(&mut state, file);
    }

    /// Bytes of `file` came; worth an event only after trouble.
    pub(crate) fn came(&self, file: u64, provider: &str) {
        let in_trouble = {
            let state = self.shared.lock();
            let last = state.files.get(&file).and_then(|it| it.events.back());
            last.is_some_and(|kept| {
                !matches!(kept.event.kind, EventKind::Recovered | EventKind::LinkMade)
            })
        };
        if in_trouble {
            self.note(file, EventKind::Recovered, provider, "bytes come again");
        }
    }

    /// The history of `file`, oldest first.
    pub fn of(&self, file: u64) -> Vec<Event> {
        let state = self.shared.lock();
        let history = state.files.get(&file);
        history.map_or_else(Vec::new, |history| {
            history
                .events
                .iter()
                .map(|kept| kept.event.clone())
                .collect()
        })
    }

    /// Files that were refused after `since` and could not be read from there afterwards, with the newest refusal. That another provider gave them says
    /// nothing of the one that refused.
    pub fn refused_since(&self, since: Timestamp) -> Vec<(u64, Event)> {
        let state = self.shared.lock();
        let refused = state.files.iter().filter_map(|(file, history)| {
            let mut well = Vec::new();
            let mut events = history.events.iter().rev().map(|kept| &kept.event);
            let refusal = events.find(|event| {
                if event.kind == EventKind::Recovered {
                    well.push(&*event.provider);
                }
                event.kind.is_against_the_file() && !well.contains(&&*event.provider)
            })?;
            (refusal.last > since).then(|| (*file, refusal.clone()))
        });
        refused.collect()
    }

    fn schedule(&self, state: &mut State, file: u64) {
        if self.shared.file.is_none() {
            return;
        }
        if let Some(history) = state.files.get_mut(&file)
            && !std::mem::replace(&mut history.dirty, true)
        {
            state.dirty.push(file);
        }
        if !std::mem::replace(&mut state.scheduled, true) {
            let shared = self.shared.clone();
            self.runtime.spawn(async move {
                tokio::time::sleep(DELAY).await;
                let written = shared.clone();
                let done = Volume::state()
                    .run(&shared.path, move || written.write())
                    .await;
                if done.is_err() {
                    // With the next event.
                    shared.lock().scheduled = false;
                }
            });
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Writes what is not written.
    fn write(&self) {
        let Some(file) = &self.file else { return };
        let mut file = file.lock();
        let mut lines = Vec::new();
        {
            let mut state = self.lock();
            state.scheduled = false;
            for id in std::mem::take(&mut state.dirty) {
                let Some(history) = state.files.get_mut(&id) else {
                    continue;
                };
                history.dirty = false;
                for kept in history.events.iter_mut().filter(|kept| kept.unwritten) {
                    kept.unwritten = false;
                    lines.push((id, kept.number, kept.event.clone()));
                }
            }
        }
        file.append(&lines);
    }
}

impl State {
    /// Adds an event, or a newer state of one with its number.
    fn remember(&mut self, file: u64, number: u64, event: Event, unwritten: bool) {
        self.numbers = self.numbers.max(number);
        if !self.files.contains_key(&file) && self.files.len() >= MOST_FILES {
            self.forget_some();
        }
        let history = self.files.entry(file).or_default();
        history.newest = self.numbers;
        let kept = Kept {
            number,
            event,
            unwritten,
        };
        match history.events.back_mut() {
            Some(last) if last.number == number => *last = kept,
            _ => history.events.push_back(kept),
        }
        if history.events.len() > EVENTS_PER_FILE {
            history.events.pop_front();
        }
    }

    /// Forgets a quarter of the files, those of which nothing was heard longest.
    fn forget_some(&mut self) {
        let mut newest: Vec<_> = self.files.values().map(|history| history.newest).collect();
        newest.sort_unstable();
        let limit = newest[newest.len() / 4];
        self.files.retain(|_, history| history.newest > limit);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kinds(log: &EventLog, file: u64) -> Vec<(EventKind, u64)> {
        let events = log.of(file);
        events
            .iter()
            .map(|event| (event.kind, event.count))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn repetitions_count_and_recoveries_are_told_once() {
        let log = EventLog::open(None, Handle::current());
        log.came(1, "rd");
        assert_eq!(log.of(1), []);
        for _ in 0..3 {
            log.note(1, EventKind::HostRefused, "rd", "503");
        }
        log.note(1, EventKind::HostRefused, "rd", "429");
        log.came(1, "rd");
        log.came(1, "rd");
        let expected = [
            (EventKind::HostRefused, 3),
            (EventKind::HostRefused, 1),
            (EventKind::Recovered, 1),
        ];
        assert_eq!(kinds(&log, 1), expected);
        assert_eq!(log.of(2), []);
    }

    #[tokio::test(start_paused = true)]
    async fn that_another_provider_gave_a_file_says_nothing_of_the_one_that_refused_it() {
        let log = EventLog::open(None, Handle::current());
        let refused = || {
            let refused = log.refused_since(Timestamp::UNIX_EPOCH);
            let refused = refused.into_iter().map(|(_, event)| event.provider);
            refused.collect::<Vec<_>>()
        };
        log.note(1, EventKind::LinkBroken, "rd", "unavailable");
        log.note(1, EventKind::FailOver, "ad", "");
        log.came(1, "ad");
        assert_eq!(refused(), ["rd"]);
        log.note(1, EventKind::LinkRefused, "ad", "404");
        assert_eq!(refused(), ["ad"], "the newest");
        log.came(1, "ad");
        assert_eq!(refused(), ["rd"]);
        log.note(1, EventKind::HostRefused, "rd", "503");
        log.came(1, "rd");
        assert!(refused().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded() {
        let log = EventLog::open(None, Handle::current());
        for file in 0..10_000 {
            for number in 0..3 {
                let detail = format!("{number}{}", "x".repeat(1000));
                log.note(file, EventKind::Network, "rd", &detail);
            }
        }
        for number in 0..100 {
            log.note(9_999, EventKind::Network, "rd", &number.to_string());
        }
        let state = log.shared.lock();
        assert!(state.files.len() <= MOST_FILES);
        assert!(
            state
                .files
                .values()
                .all(|it| it.events.len() <= EVENTS_PER_FILE)
        );
        drop(state);
        assert_eq!(log.of(9_999).last().unwrap().detail, "99");
        assert_eq!(log.of(9_998)[0].detail.chars().count(), LONGEST_DETAIL);
        assert_eq!(log.of(0), []);
    }

    #[tokio::test(start_paused = true)]
    async fn histories_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let wait = async |text: &str| {
            while !std::fs::read_to_string(&path).is_ok_and(|found| found.contains(text)) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let log = EventLog::open(Some(&path), Handle::current());
        log.note(1, EventKind::LinkMade, "rd", "a link");
        log.note(1, EventKind::Stalled, "rd", "no progress");
        wait("no progress").await;
        log.note(1, EventKind::Stalled, "rd", "no progress");
        log.note(2, EventKind::ReadFailed, "rd", "late");
        wait("late").await;
        let again = EventLog::open(Some(&path), Handle::current());
        assert_eq!(again.of(1), log.of(1));
        assert_eq!(
            kinds(&again, 1),
            [(EventKind::LinkMade, 1), (EventKind::Stalled, 2)]
        );
        again.note(1, EventKind::Recovered, "rd", "bytes come again");
        wait("bytes come again").await;
        let third = EventLog::open(Some(&path), Handle::current());
        assert_eq!(third.of(1).len(), 3);
    }
}
