//! What the keeper answers while no engine does: GETATTR of the root, STATFS, INTERRUPT, and EIO
//! to what has waited too long. Everything else is noted in the journal for the next engine.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Queue};
use crate::options::Owner;
use crate::{alarm, wire};
use debridfs_handover::journal::{
    Held, Journal, Origin, Place, ROOT_ATTR_LEN, SLOT_SIZE, STATFS_LEN, StoreError,
};
use debridfs_handover::{InHeader, awake_ns, interrupt_target};

/// Requests taken from the queue before the keeper looks after everything else again.
const BATCH: usize = 1024;

/// Time after which it does so in any case: a batch takes a tenth of it.
const BATCH_LIMIT: Duration = Duration::from_millis(50);

/// Batches after which what still comes is new: the journal holds no more.
const BATCHES: usize = 64;

#[derive(Debug)]
pub(super) struct StandIn {
    owner: Owner,
    root: Option<[u8; ROOT_ATTR_LEN]>,
    statfs: Option<[u8; STATFS_LEN]>,
    buffer: Box<[u8; SLOT_SIZE]>,
    slots: Vec<Seen>,
    /// By number: requests that are to come again.
    former: HashMap<u64, Origin>,
}

/// A slot as it was when it last changed.
#[derive(Clone, Copy, Debug)]
struct Seen {
    taken: u64,
    since: Instant,
    answered: bool,
}

impl StandIn {
    pub fn new(owner: Owner) -> StandIn {
        let buffer = Box::new([0; SLOT_SIZE]);
        StandIn {
            owner,
            root: None,
            statfs: None,
            buffer,
            slots: Vec::new(),
            former: HashMap::new(),
        }
    }

    /// Answers what an engine took and then could not answer itself, because it was stopped or
    /// died at that moment: of the requests that stay in a slot for longer than `limit`, those that
    /// the stand-in answers anyway.
    pub fn look_at_slots(
        &mut self,
        connection: &Connection,
        engine_lives: bool,
        limit: Duration,
        now: Instant,
    ) {
        let mut noted = Noted::default();
        for slot in connection.journal.slots() {
            let (index, taken) = (slot.index() as usize, slot.taken());
            let new = Seen {
                taken,
                since: now,
                answered: false,
            };
            if index >= self.slots.len() {
                self.slots.resize(index + 1, new);
            }
            let seen = &mut self.slots[index];
            if seen.taken != taken || !slot.in_use() {
                *seen = new;
            }
            if seen.answered || !slot.in_use() || now - seen.since < limit {
                continue;
            }
            seen.answered = true;
            let Some(held) = connection.journal.at(Place::Slot(slot.index())) else {
                continue;
            };
            if self.answer_now(
                connection,
                &mut noted,
                &held.request,
                held.origin.fd,
                engine_lives,
            ) {
                connection.journal.settle(&held, engine_lives);
            }
        }
    }

    /// Reads and handles what waits in the kernel's queue. `engine_lives`: an engine has a lease,
    /// so its part of the journal is not the keeper's. Returns whether any of it waits in the
    /// journal.
    ///
    /// It does not block, whatever an engine makes of the descriptor, which it shares: a read waits
    /// only if there is nothing to read and it has been told that it may, and then the alarm ends
    /// it.
    pub fn take(&mut self, connection: &Connection, engine_lives: bool) -> bool {
        let mut stored = false;
        let mut read = 0;
        let mut noted = Noted::default();
        let started = Instant::now();
        connection.set_nonblocking();
        let _armed = alarm::arm();
        // With none free the requests that can wait are refused anyway.
        let inbox = connection.journal.inbox();
        while read < BATCH
            && started.elapsed() < BATCH_LIMIT
            && connection.queue() == Queue::Waiting
        {
            let received = match &inbox {
                Some(inbox) => inbox.receive(connection.main(), &mut self.buffer),
                None => rustix::io::read(connection.main(), &mut self.buffer[..])
                    .map_err(std::io::Error::from),
            };
            let length = match received {
                Ok(length) => length,
                // The reader gave up before its request was read.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
                // EINTR: somebody else took what was there, and has changed the flag as well.
                Err(_) => break,
            };
            read += 1;
            let request = self.buffer[..length].to_vec();
            stored |= self.handle(connection, &mut noted, &request, engine_lives);
            if let Some(inbox) = &inbox {
                inbox.clear();
            }
        }
        stored
    }

    /// As [`StandIn::take`], without an engine, until there is nothing left, or so much comes that
    /// there will never be.
    pub fn take_all(&mut self, connection: &Connection) {
        for _ in 0..BATCHES {
            self.take(connection, false);
            if connection.queue() != Queue::Waiting {
                break;
            }
        }
    }

    /// These requests were asked for again: this is how old and how suspect each was.
    pub fn expect(&mut self, former: HashMap<u64, Origin>) {
        self.former = former;
    }

    /// Handles what a keeper before this one had read when it was lost.
    pub fn recover(&mut self, connection: &Connection, engine_lives: bool) {
        let mut noted = Noted::default();
        for request in connection.journal.left_in_inboxes() {
            let Some(InHeader { unique, .. }) = InHeader::decode(&request) else {
                continue;
            };
            // It may have been noted in the last moment.
            if noted.find(&connection.journal, unique).is_some() {
                continue;
            }
            if wire::header(&request).is_some() {
                self.handle(connection, &mut noted, &request, engine_lives);
            } else {
                // Too long to be kept whole, or cut short.
                let _ = connection.reply(0, unique, libc::EIO, &[]);
            }
        }
    }

    /// Answers one request that came through the main fd, or notes it; true when noted.
    fn handle(
        &mut self,
        connection: &Connection,
        noted: &mut Noted,
        request: &[u8],
        engine_lives: bool,
    ) -> bool {
        if self.answer_now(connection, noted, request, 0, engine_lives) {
            return false;
        }
        let Some(header) = wire::header(request) else {
            return false;
        };
        let new = || Origin {
            fd: 0,
            arrival: awake_ns(),
            suspicion: 0,
        };
        let origin = self.former.remove(&header.unique).unwrap_or_else(new);
        match connection
            .journal
            .store_stand_in(request, origin, engine_lives)
        {
            Ok(id) => {
                noted.add(header.unique, Place::Entry(id));
                true
            }
            Err(StoreError::Full | StoreError::Size) => {
                answer(connection, 0, header, libc::EIO, &[]);
                false
            }
        }
    }

    /// Answers the few requests that a keeper answers; false for all others.
    fn answer_now(
        &mut self,
        connection: &Connection,
        noted: &mut Noted,
        request: &[u8],
        fd: u32,
        engine_lives: bool,
    ) -> bool {
        let Some(header) = wire::header(request) else {
            return false;
        };
        match header.opcode {
            wire::GETATTR if header.node == wire::ROOT_ID => {
                answer(
                    connection,
                    fd,
                    header,
                    0,
                    &self.root_attr(&connection.journal),
                );
            }
            wire::STATFS => answer(connection, fd, header, 0, &self.statfs(&connection.journal)),
            // Ends with EINTR, wherever it is noted. One that isn't noted was answered already, or
            // its own thread is about to see it, or an engine took it and has lost it: only this
            // answer frees who waits for that.
            wire::INTERRUPT => {
                let Some(target) = interrupt_target(request) else {
                    return true;
                };
                match noted.find(&connection.journal, target) {
                    Some(held) => end(connection, &held, libc::EINTR, engine_lives),
                    None => {
                        connection.end(0, target, libc::EINTR);
                    }
                }
            }
            // The answer every engine gives. The kernel waits for it without letting itself be
            // interrupted, so a killed reader could not end while it waits for a successor.
            wire::FLUSH => answer(connection, fd, header, libc::ENOSYS, &[]),
            // Neither gets a reply, and node ids are for ever.
            wire::FORGET | wire::BATCH_FORGET => {}
            wire::DESTROY => answer(connection, fd, header, 0, &[]),
            _ => return false,
        }
        true
    }

    fn root_attr(&mut self, journal: &Journal) -> [u8; ROOT_ATTR_LEN] {
        if let Some(published) = journal.published_root().filter(wire::is_root_attr) {
            self.root = Some(published);
        }
        self.root
            .unwrap_or_else(|| wire::default_root_attr(self.owner.uid, self.owner.gid))
    }

    fn statfs(&mut self, journal: &Journal) -> [u8; STATFS_LEN] {
        self.statfs = journal.published_statfs().or(self.statfs);
        self.statfs.unwrap_or_else(wire::default_statfs)
    }
}

fn answer(connection: &Connection, fd: u32, header: InHeader, error: i32, body: &[u8]) {
    // A reply that fails is for a request that is gone: the connection ended.
    let _ = connection.reply(fd, header.unique, error, body);
}

/// Where requests are noted, by number: found by one look over the journal for a whole batch, as
/// thousands may be interrupted at once.
#[derive(Debug, Default)]
struct Noted(Option<HashMap<u64, Place>>);

impl Noted {
    fn find(&mut self, journal: &Journal, unique: u64) -> Option<Held> {
        let places = self.0.get_or_insert_with(|| journal.places());
        let held = journal.at(*places.get(&unique)?)?;
        // An engine that still lives may have put another request there.
        (held.unique() == unique).then_some(held)
    }

    fn add(&mut self, unique: u64, place: Place) {
        if let Some(places) = &mut self.0 {
            places.insert(unique, place);
        }
    }
}

/// Answers a noted request with an error and settles its place.
pub(super) fn end(connection: &Connection, held: &Held, error: i32, engine_lives: bool) {
    connection.end(held.origin.fd, held.unique(), error);
    connection.journal.settle(held, engine_lives);
}

/// Answers EIO to everything that waited longer than `patience` and that no engine works on:
/// with an engine, what the stand-in took and the engine didn't. Returns how many.
pub(super) fn expire(connection: &Connection, patience: Duration, engine_lives: bool) -> usize {
    let limit = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
    let now = awake_ns();
    let held = if engine_lives {
        connection.journal.untaken()
    } else {
        connection.journal.held()
    };
    let old = held
        .iter()
        .filter(|held| now.saturating_sub(held.origin.arrival) > limit);
    old.map(|held| end(connection, held, libc::EIO, engine_lives))
        .count()
}
