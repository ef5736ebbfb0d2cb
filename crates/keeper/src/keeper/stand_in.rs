//! What the keeper answers while no engine does: GETATTR of the root, STATFS, INTERRUPT, and EIO
//! to what has waited too long. Everything else is noted in the journal for the next engine.

use std::time::Duration;

use crate::boottime_ns;
use crate::connection::Connection;
use crate::journal::{Held, Journal, Origin, ROOT_ATTR_LEN, SLOT_SIZE, STATFS_LEN, StoreError};
use crate::options::Owner;
use crate::wire::{self, Header};

/// Requests taken from the queue before the keeper looks after everything else again.
const BATCH: usize = 1024;

#[derive(Debug)]
pub(super) struct StandIn {
    owner: Owner,
    root: Option<[u8; ROOT_ATTR_LEN]>,
    statfs: Option<[u8; STATFS_LEN]>,
    buffer: Box<[u8; SLOT_SIZE]>,
}

/// What came of one look into the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Requests read.
    pub read: usize,
    /// Of them, those that wait in the journal.
    pub stored: usize,
    /// The connection ended.
    pub lost: bool,
}

impl StandIn {
    pub fn new(owner: Owner) -> StandIn {
        StandIn {
            owner,
            root: None,
            statfs: None,
            buffer: Box::new([0; SLOT_SIZE]),
        }
    }

    /// Reads and handles what waits in the kernel's queue. `engine_lives`: an engine has a lease,
    /// so its part of the journal is not the keeper's.
    pub fn take(&mut self, connection: &Connection, engine_lives: bool) -> Taken {
        let mut taken = Taken::default();
        while taken.read < BATCH {
            let length = match rustix::io::read(connection.main(), &mut self.buffer[..]) {
                Ok(length) => length,
                // The reader gave up before its request was read.
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::NODEV) => {
                    taken.lost = true;
                    break;
                }
                Err(_) => break,
            };
            taken.read += 1;
            let request = self.buffer[..length].to_vec();
            taken.stored += usize::from(self.handle(connection, &request, engine_lives));
        }
        taken
    }

    /// Answers one request or notes it; true when noted.
    fn handle(&mut self, connection: &Connection, request: &[u8], engine_lives: bool) -> bool {
        let Some(header) = wire::header(request) else {
            return false;
        };
        match header.opcode {
            wire::GETATTR if header.node == wire::ROOT_ID => {
                answer(connection, header, 0, &self.root_attr(&connection.journal));
            }
            wire::STATFS => answer(connection, header, 0, &self.statfs(&connection.journal)),
            wire::INTERRUPT => interrupt(connection, wire::interrupted(request), engine_lives),
            // Neither gets a reply, and node ids are for ever.
            wire::FORGET | wire::BATCH_FORGET => {}
            wire::DESTROY => answer(connection, header, 0, &[]),
            _ => {
                let origin = Origin {
                    fd: 0,
                    arrival: boottime_ns(),
                    deaths: 0,
                };
                match connection
                    .journal
                    .store_stand_in(request, origin, engine_lives)
                {
                    Ok(_) => return true,
                    Err(StoreError::Full | StoreError::Size) => {
                        answer(connection, header, libc::EIO, &[]);
                    }
                }
            }
        }
        false
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

fn answer(connection: &Connection, header: Header, error: i32, body: &[u8]) {
    // A reply that fails is for a request that is gone: the connection ended.
    let _ = connection.reply(0, header.unique, error, body);
}

/// Ends the interrupted request with EINTR, wherever it is noted. One that isn't noted was
/// answered already, or its own thread is about to see it.
fn interrupt(connection: &Connection, unique: u64, engine_lives: bool) {
    if let Some(held) = connection.journal.find(unique) {
        end(connection, &held, libc::EINTR, engine_lives);
    }
}

/// Answers a noted request with an error and settles its place.
pub(super) fn end(connection: &Connection, held: &Held, error: i32, engine_lives: bool) {
    let _ = connection.reply(held.origin.fd, held.unique(), error, &[]);
    connection.journal.settle(held.place, engine_lives);
}

/// Answers EIO to everything that waited longer than `deadline` and that no engine works on:
/// with an engine, what the stand-in took and the engine didn't. Returns how many.
pub(super) fn expire(connection: &Connection, deadline: Duration, engine_lives: bool) -> usize {
    let limit = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
    let now = boottime_ns();
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
