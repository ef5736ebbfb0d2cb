//! What a mad or hostile peer may send: whole messages, broken ones, and any number of descriptors
//! with them.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::journal::{Journal, Layout};
use crate::{InitResult, LeaseTerms, PROTOCOL, Recovery, ToKeeper, packet};

/// One packet, made of what the fuzzer chose.
#[derive(Clone, Debug, bolero::TypeGenerator)]
pub struct Packet {
    /// Which message it begins as; beyond the last, `bytes` alone.
    message: u8,
    /// Whether it stays so: half of them must, or hardly one would be understood.
    whole: bool,
    /// Bytes that are written over it, each at a place.
    spoiled: Vec<(u16, u8)>,
    /// Cut to this many bytes.
    cut: Option<u16>,
    bytes: Vec<u8>,
    /// Kinds of the descriptors that go with it.
    fds: Vec<u8>,
}

/// What an honest peer would say of a connection whose journal has this many slots.
pub fn terms(slots: u32) -> LeaseTerms {
    LeaseTerms {
        generation: 7,
        connection: 3,
        layout: Layout::for_slots(slots),
        init: InitResult {
            major: 7,
            minor: 31,
            flags: 0,
            max_readahead: 0,
            max_write: 4096,
            max_pages: 1,
        },
        recovery: Recovery::Journal,
        mount: "/".into(),
        mounted_at: 0,
        deadline: 0,
    }
}

/// A whole message to the keeper; `None` for half of the numbers above the last kind.
pub fn to_keeper(message: u8) -> Option<Vec<u8>> {
    let hello = |replace| ToKeeper::Hello {
        protocol: PROTOCOL,
        version: "0.1.0".into(),
        pid: 1,
        replace,
        without_mount: replace,
    };
    let message = match message % 8 {
        0 => hello(false),
        1 => hello(true),
        2 => ToKeeper::Return {
            protocol: PROTOCOL,
            version: "0.1.0".into(),
            terms: terms(1),
        },
        3 => ToKeeper::Serving,
        4 => ToKeeper::Status,
        5 => ToKeeper::Upgrade,
        _ => return None,
    };
    serde_json::to_vec(&message).ok()
}

impl Packet {
    /// Sends it; `whole` makes the message that it begins as.
    pub fn send(&self, socket: &OwnedFd, whole: fn(u8) -> Option<Vec<u8>>, kinds: &Kinds) {
        let mut bytes = whole(self.message).unwrap_or_else(|| self.bytes.clone());
        let length = bytes.len().max(1);
        let spoiled = self.spoiled.iter().filter(|_| !self.whole);
        for (at, byte) in spoiled {
            if let Some(place) = bytes.get_mut(usize::from(*at) % length) {
                *place = *byte;
            }
        }
        if let Some(cut) = self.cut.filter(|_| !self.whole) {
            bytes.truncate(cut.into());
        }
        let fds: Vec<BorrowedFd<'_>> = self.fds.iter().map(|kind| kinds.one(*kind)).collect();
        // Too much for one packet, or a full socket: it is not sent.
        let _ = packet::send(socket.as_fd(), &bytes, &fds);
    }
}

/// Descriptors of every kind that the other side could take for what it is not.
pub struct Kinds {
    null: File,
    journal: OwnedFd,
    unsealed: File,
    device: OwnedFd,
}

impl Kinds {
    /// Opens one of each. Needs `/dev/fuse`.
    ///
    /// # Panics
    /// When one can't be opened.
    pub fn open() -> Kinds {
        let (_journal, journal) = Journal::create(terms(1).layout).unwrap();
        Kinds {
            null: File::open("/dev/null").unwrap(),
            journal,
            unsealed: tempfile::tempfile().unwrap(),
            device: File::open("/dev/fuse").unwrap().into(),
        }
    }

    fn one(&self, kind: u8) -> BorrowedFd<'_> {
        match kind % 4 {
            0 => self.null.as_fd(),
            1 => self.journal.as_fd(),
            2 => self.unsealed.as_fd(),
            _ => self.device.as_fd(),
        }
    }
}

/// With so few descriptors one that is kept by mistake at each round ends the test.
///
/// # Panics
/// When the limit can't be set.
pub fn few_descriptors() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = Some(512);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
}

#[cfg(test)]
mod tests;
