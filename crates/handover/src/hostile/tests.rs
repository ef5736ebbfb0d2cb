use std::os::unix::fs::MetadataExt;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::*;
use crate::{EngineLink, FromKeeper};

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

/// The socket and its other end, as both sides have it.
fn sockets() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
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
    let kinds = Kinds::open();
    bolero::check!()
        .with_type::<Vec<Packet>>()
        .for_each(|packets| {
            let (keeper, engine) = sockets();
            let link = EngineLink { socket: engine };
            let mut leases = Vec::new();
            for packet in packets {
                packet.send(&keeper, from_keeper, &kinds);
                if let Ok(lease) = link.lease() {
                    assert_eq!(lease.fds.clones.len(), lease.terms.layout.slots as usize);
                    leases.push(lease);
                }
                packet.send(&keeper, from_keeper, &kinds);
                let _ = link.receive();
            }
        });
}

#[test]
fn a_packet_with_too_many_descriptors_leaves_none_open() {
    let kinds = Kinds::open();
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
