//! The service manager's store of descriptors (`FileDescriptorStoreMax` of systemd, sd_notify(3)):
//! what is in it outlives this process and every engine, and is given to the next keeper. So the
//! mount stays, whoever dies.
//!
//! Kept of a connection are its descriptors, those of the engine's process, and a note of what a
//! lease says beside descriptors. The names have the connection's number in them, as those of two
//! may be there for a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::wait::wait_readable;
use debridfs_handover::LeaseTerms;

/// Length of the note: a page, so that one write of it is whole or not there at all, even when the
/// keeper is killed in it.
const NOTE_SIZE: usize = 4096;

const MAIN: &str = "main";
const JOURNAL: &str = "journal";
const CLONE: &str = "clone-";
const ENGINE: &str = "engine";
const NOTE: &str = "note";

/// Descriptors are taken once in the life of a process: their numbers may mean something else
/// afterwards.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// What is noted of a connection.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Of the last lease.
    terms: LeaseTerms,
    /// Whether the process of the engine that has it was seen from here: if it is not in the store
    /// then, it has ended.
    seen: bool,
}

/// A connection that came out of the store.
#[derive(Debug)]
pub(super) struct Kept {
    /// The terms of its last lease, or of the one that would have been the first if its generation
    /// is 0.
    pub terms: LeaseTerms,
    /// In the order of a lease.
    pub fds: Vec<OwnedFd>,
    /// What is known of the engine that had it.
    pub engine: LastEngine,
    /// For [`ServiceManager::resume`].
    pub note: OwnedFd,
}

/// The engine that a lost keeper had lent the connection to.
#[derive(Debug)]
pub(super) enum LastEngine {
    /// There was none, or its end is certain.
    Gone,
    /// It may live, and this tells.
    Process(OwnedFd),
    /// It may live, and nothing tells.
    Unknown,
}

impl LastEngine {
    /// Whether it certainly ends, or has ended, within `limit`.
    pub fn is_gone_within(&self, limit: Duration) -> bool {
        match self {
            Self::Gone => true,
            Self::Process(pidfd) => wait_readable(pidfd, limit).unwrap_or(false),
            Self::Unknown => false,
        }
    }
}

/// The service manager, if one started this process and keeps descriptors for it.
#[derive(Debug, Default)]
pub(super) struct ServiceManager {
    present: bool,
    kept: Option<InStore>,
    ready: bool,
}

/// What the store has.
#[derive(Debug)]
struct InStore {
    connection: u64,
    slots: u32,
    note: OwnedFd,
}

impl ServiceManager {
    /// Takes what the manager kept, newest connection first. To be called before descriptors are
    /// opened for good.
    pub fn meet() -> (Self, Vec<Kept>) {
        let manager = Self {
            present: std::env::var_os("NOTIFY_SOCKET").is_some(),
            ..Self::default()
        };
        if TAKEN.swap(true, Ordering::Relaxed) {
            return (manager, Vec::new());
        }
        let (kept, useless) = sort(take_descriptors());
        for name in useless {
            forget(&name);
        }
        (manager, kept)
    }

    /// True when some manager started this process as a service and hears what it says.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// True when the connection outlives this process.
    pub fn holds(&self, connection: u64) -> bool {
        self.kept
            .as_ref()
            .is_some_and(|kept| kept.connection == connection)
    }

    /// Gives a new connection into the store, in place of any other.
    ///
    /// # Errors
    /// When the manager takes no more, or its socket is gone: then the mount ends with this
    /// process.
    pub fn keep(&mut self, connection: &Connection, terms: &LeaseTerms) -> io::Result<()> {
        if !self.present {
            return Ok(());
        }
        self.forget();
        let number = terms.connection;
        let note = memfd_create("debridfs-note", MemfdFlags::CLOEXEC)?;
        write_note(&note, terms, true)?;
        for (part, fd) in parts(terms.layout.slots).zip(connection.lent()) {
            store(number, &part, fd)?;
        }
        // Last: without it the others are worth nothing, with it they are all there.
        store(number, NOTE, note.as_fd())?;
        self.kept = Some(InStore {
            connection: number,
            slots: terms.layout.slots,
            note,
        });
        Ok(())
    }

    /// Goes on with what is in the store already.
    pub fn resume(&mut self, terms: &LeaseTerms, note: OwnedFd) {
        self.kept = Some(InStore {
            connection: terms.connection,
            slots: terms.layout.slots,
            note,
        });
    }

    /// Before a lease goes out. The order matters should this process be killed in between: an
    /// engine that has the connection is always known to the store.
    pub fn note_lease(
        &mut self,
        terms: &LeaseTerms,
        engine: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let Some(kept) = self
            .kept
            .as_ref()
            .filter(|kept| kept.connection == terms.connection)
        else {
            return Ok(());
        };
        write_note(&kept.note, terms, engine.is_some())?;
        forget(&name_of(kept.connection, ENGINE));
        if let Some(engine) = engine {
            store(kept.connection, ENGINE, engine)?;
        }
        Ok(())
    }

    /// Nothing of ours shall come back.
    pub fn forget(&mut self) {
        if let Some(kept) = self.kept.take() {
            remove(kept.connection, kept.slots);
        }
    }

    /// A connection of these terms shall not come back.
    pub fn let_go(&self, terms: &LeaseTerms) {
        remove(terms.connection, terms.layout.slots);
    }

    /// Tells the manager, once, that what waits for this service may begin.
    pub fn ready(&mut self) {
        if self.present && !std::mem::replace(&mut self.ready, true) {
            // One that isn't there any more needs no telling.
            let _ = sd_notify::notify(&[NotifyState::Ready]);
        }
    }

    /// Tells the manager that the end has begun.
    pub fn stopping(&self) {
        if self.present {
            let _ = sd_notify::notify(&[NotifyState::Stopping]);
        }
    }
}

fn write_note(note: &OwnedFd, terms: &LeaseTerms, seen: bool) -> io::Result<()> {
    let terms = terms.clone();
    let mut bytes = serde_json::to_vec(&Note { terms, seen }).map_err(io::Error::other)?;
    if bytes.len() > NOTE_SIZE {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // JSON may end in blanks.
    bytes.resize(NOTE_SIZE, b' ');
    rustix::io::pwrite(note, &bytes, 0)?;
    Ok(())
}

fn read_note(note: &OwnedFd) -> Option<Note> {
    let mut bytes = [0; NOTE_SIZE];
    let length = rustix::io::pread(note, &mut bytes[..], 0).ok()?;
    serde_json::from_slice(&bytes[..length]).ok()
}

/// The names of a lease's descriptors, in its order.
fn parts(slots: u32) -> impl Iterator<Item = String> {
    let clones = (0..slots).map(|index| format!("{CLONE}{index}"));
    [MAIN.to_owned(), JOURNAL.to_owned()]
        .into_iter()
        .chain(clones)
}

fn name_of(connection: u64, part: &str) -> String {
    format!("debridfs.{connection}.{part}")
}

fn store(connection: u64, part: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
    let name = name_of(connection, part);
    sd_notify::notify_with_fds(&[NotifyState::FdStore, NotifyState::FdName(&name)], &[fd])
}

fn forget(name: &str) {
    // What stays by mistake is judged when it comes back.
    let _ = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
}

fn remove(connection: u64, slots: u32) {
    // The note first: the rest is nothing without it.
    let first = [NOTE, ENGINE].map(str::to_owned).into_iter();
    for part in first.chain(parts(slots)) {
        forget(&name_of(connection, &part));
    }
}

/// What the manager gave to this process, with its names; others' are closed.
fn take_descriptors() -> Vec<(String, OwnedFd)> {
    let Ok(fds) = sd_notify::listen_fds_with_names() else {
        return Vec::new();
    };
    let own = |(fd, name)| {
        // SAFETY: the manager opened it for this process (`LISTEN_PID`), nobody else knows of it,
        // and it is taken only once (`TAKEN`).
        (name, unsafe { OwnedFd::from_raw_fd(fd) })
    };
    fds.map(own).collect()
}

/// Which connection, and which part of it.
fn parse(name: &str) -> Option<(u64, &str)> {
    let (number, part) = name.strip_prefix("debridfs.")?.split_once('.')?;
    Some((number.parse().ok()?, part))
}

/// The connections among named descriptors that are whole, newest first, and the names of what is
/// left over.
fn sort(fds: Vec<(String, OwnedFd)>) -> (Vec<Kept>, BTreeSet<String>) {
    let mut useless = BTreeSet::new();
    let mut connections: BTreeMap<u64, BTreeMap<String, OwnedFd>> = BTreeMap::new();
    for (name, fd) in fds {
        if let Some((number, part)) = parse(&name) {
            let of = connections.entry(number).or_default();
            of.insert(part.to_owned(), fd);
            useless.insert(name);
        }
    }
    let kept: Vec<Kept> = connections
        .into_iter()
        .rev()
        .filter_map(|(number, found)| whole(number, found))
        .collect();
    useless.retain(|name| {
        let number = parse(name).map(|(number, _)| number);
        !kept
            .iter()
            .any(|kept| Some(kept.terms.connection) == number)
    });
    (kept, useless)
}

fn whole(number: u64, mut found: BTreeMap<String, OwnedFd>) -> Option<Kept> {
    let note = found.remove(NOTE)?;
    let Note { terms, seen } = read_note(&note)?;
    if terms.connection != number {
        return None;
    }
    let fds = parts(terms.layout.slots)
        .map(|part| found.remove(&part))
        .collect::<Option<_>>()?;
    let engine = match found.remove(ENGINE) {
        Some(process) => LastEngine::Process(process),
        // The manager lets go of a process that has ended.
        None if seen || terms.generation == 0 => LastEngine::Gone,
        None => LastEngine::Unknown,
    };
    Some(Kept {
        terms,
        fds,
        engine,
        note,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use debridfs_handover::hostile::terms;

    const SLOTS: u32 = 2;

    fn note_of(connection: u64, generation: u64, seen: bool) -> OwnedFd {
        let note = memfd_create("note", MemfdFlags::CLOEXEC).unwrap();
        let mut terms = terms(SLOTS);
        (terms.connection, terms.generation) = (connection, generation);
        write_note(&note, &terms, seen).unwrap();
        note
    }

    fn stored(connection: u64, generation: u64, seen: bool) -> Vec<(String, OwnedFd)> {
        let null = || File::open("/dev/null").unwrap().into();
        let parts = parts(SLOTS).map(|part| (name_of(connection, &part), null()));
        let mut all: Vec<_> = parts.collect();
        let note = note_of(connection, generation, seen);
        all.push((name_of(connection, NOTE), note));
        all
    }

    #[test]
    fn the_newest_connection_that_is_whole_comes_first_and_the_rest_is_named() {
        let mut all = stored(3, 1, true);
        all.extend(stored(4, 1, true));
        all.extend(stored(5, 1, true));
        all.retain(|(name, _)| name != "debridfs.5.journal");
        all.push(("varlink".into(), File::open("/dev/null").unwrap().into()));
        // The manager tells no order.
        all.reverse();
        let (kept, useless) = sort(all);
        let numbers: Vec<u64> = kept.iter().map(|kept| kept.terms.connection).collect();
        assert_eq!(numbers, [4, 3]);
        assert_eq!(kept[0].fds.len(), SLOTS as usize + 2);
        assert_eq!(useless.len(), 4);
        assert!(useless.iter().all(|name| name.starts_with("debridfs.5.")));
    }

    #[test]
    fn a_note_of_another_connection_or_without_sense_makes_nothing_whole() {
        let mut all = stored(3, 1, true);
        all.pop();
        all.push((name_of(3, NOTE), note_of(2, 1, true)));
        assert!(sort(all).0.is_empty());
        let mut all = stored(3, 1, true);
        all.pop();
        all.push((name_of(3, NOTE), File::open("/dev/null").unwrap().into()));
        assert!(sort(all).0.is_empty());
    }

    #[test]
    fn an_engine_that_was_never_seen_may_live() {
        let engine = |generation, seen| {
            let (mut kept, _) = sort(stored(1, generation, seen));
            kept.remove(0).engine
        };
        assert!(engine(0, false).is_gone_within(Duration::ZERO));
        assert!(engine(1, true).is_gone_within(Duration::ZERO));
        assert!(!engine(1, false).is_gone_within(Duration::ZERO));
    }
}
