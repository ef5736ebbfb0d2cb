//! What a mad or hostile peer may send: whole messages, broken ones, and any number of descriptors with them.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::*;
use crate::journal::Layout;

/// One packet, made of what the fuzzer chose.
#[derive(Clone, Debug, bolero::TypeGenerator)]
pub(crate) struct Packet {
    /// Which message it begins as; beyond the last, `bytes` alone.
    message: u8,
    /// Whether it stays so: half of them must, or hardly one would be understood.
    whole: bool,
    /// Bytes that are written over it, each at a place.
    spoiled: Vec<(u16, u8)>,
    /// Cut to so many bytes.
    cut: Option<u16>,
    bytes: Vec<u8>,
    /// Kinds of the descriptors that go with it.
    fds: Vec<u8>,
}

/// What an honest peer would say of a connection with a journal of so many slots.
pub(crate) fn terms(slots: u32) -> LeaseTerms {
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

/// To the keeper.
pub(crate) fn to_keeper(message: u8) -> Option<Vec<u8>> {
    let hello = |replace| ToKeeper::Hello {
        protocol: PROTOCOL,
        version: "0.1.0".into(),
        pid: 1,
        replace,
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

fn from_keeper(message: u8) -> Option<Vec<u8>> {
    let message = match message % 8 {
        0 | 1 => FromKeeper::Lease(terms(1)),
        2 => FromKeeper::Refused {
            reason: "no".into(),
        },
        3 => FromKeeper::Returned,
        4 => FromKeeper::TakeStandIn,
        5 => FromKeeper::Stop,
        _ => return None,
    };
    serde_json::to_vec(&message).ok()
}

impl Packet {
    pub(crate) fn send(&self, socket: &OwnedFd, whole: fn(u8) -> Option<Vec<u8>>, kinds: &Kinds) {
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
        let _ = send_packet(socket.as_fd(), &bytes, &fds);
    }
}

/// Descriptors of every kind that the other side could take for what it is not.
pub(crate) struct Kinds {
    null: File,
    journal: OwnedFd,
    unsealed: File,
    device: OwnedFd,
}

impl Kinds {
    pub(crate) fn new() -> Kinds {
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

/// The socket and its other end, as both sides have it.
pub(crate) fn sockets() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

/// With so few descriptors one that is kept by mistake at each round ends the test.
pub(crate) fn few_descriptors() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = Some(512);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
}

/// Open descriptors of this process that are of this journal; other tests have theirs meanwhile.
fn copies_of(journal: BorrowedFd<'_>) -> usize {
    let journal = rustix::fs::fstat(journal).unwrap();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter_map(|one| std::fs::metadata(one.ok()?.path()).ok())
        .filter(|one| (one.dev(), one.ino()) == (journal.st_dev, journal.st_ino))
        .count()
}

/// The engine hears a keeper that is not one.
#[test]
fn fuzz_no_bytes_harm_the_engine() {
    few_descriptors();
    let kinds = Kinds::new();
    bolero::check!()
        .with_type::<Vec<Packet>>()
        .for_each(|packets| {
            let (keeper, engine) = sockets();
            let link = EngineLink { socket: engine };
            let mut leases = Vec::new();
            for packet in packets {
                packet.send(&keeper, from_keeper, &kinds);
                if let Ok(lease) = link.lease() {
                    assert_eq!(lease.clones.len(), lease.terms.layout.slots as usize);
                    leases.push(lease);
                }
                packet.send(&keeper, from_keeper, &kinds);
                let _ = link.receive();
            }
        });
}

#[test]
fn a_packet_with_too_many_descriptors_leaves_none_open() {
    let kinds = Kinds::new();
    let before = copies_of(kinds.journal.as_fd());
    let (keeper, engine) = sockets();
    let link = EngineLink { socket: engine };
    let packet = Packet {
        message: 0,
        whole: true,
        spoiled: Vec::new(),
        cut: None,
        bytes: Vec::new(),
        fds: vec![1; 60],
    };
    packet.send(&keeper, from_keeper, &kinds);
    assert!(link.lease().is_err());
    assert_eq!(copies_of(kinds.journal.as_fd()), before);
}
