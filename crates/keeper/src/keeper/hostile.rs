//! Engines that are none talk to a keeper: it does not panic, keeps nothing of them, and hears the
//! next one.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Instant;

use rustix::net::{SocketAddrUnix, connect};

use super::Keeper;
use super::callers::MAX_CLIENTS;
use crate::options::{KeeperOptions, Mode};
use debridfs_handover::hostile::{Kinds, Packet, few_descriptors, to_keeper};
use debridfs_handover::packet::{self, Packet as Received, seqpacket};

fn keeper(dir: &Path) -> Keeper {
    let socket = dir.join("keeper.sock");
    let options = KeeperOptions::new(dir.join("mnt"), socket, Mode::Attached);
    Keeper::prepare(options).unwrap().0
}

fn client(dir: &Path) -> OwnedFd {
    let socket = seqpacket().unwrap();
    connect(
        &socket,
        &SocketAddrUnix::new(dir.join("keeper.sock")).unwrap(),
    )
    .unwrap();
    rustix::io::ioctl_fionbio(&socket, true).unwrap();
    socket
}

fn heard_of(keeper: &Keeper) -> usize {
    keeper.callers.clients.len() + keeper.callers.waiting.len()
}

#[test]
fn fuzz_no_client_harms_the_keeper() {
    few_descriptors();
    let dir = tempfile::tempdir().unwrap();
    // A panic ends the test, so nobody sees what it left.
    let mut keeper = AssertUnwindSafe(keeper(dir.path()));
    let kinds = Kinds::open();
    bolero::check!()
        .with_type::<Vec<Vec<Packet>>>()
        .for_each(|clients| {
            let keeper = &mut *keeper;
            let now = Instant::now();
            let sockets: Vec<OwnedFd> =
                clients.iter().take(8).map(|_| client(dir.path())).collect();
            for (socket, packets) in sockets.iter().zip(clients) {
                for packet in packets {
                    packet.send(socket, to_keeper, &kinds);
                    keeper.hear(now);
                }
            }
            assert!(heard_of(keeper) <= 2 * MAX_CLIENTS);
            assert!(
                keeper.connection.is_none(),
                "it took a connection that is none"
            );
            drop(sockets);
            // A client's words are heard one by one, its end after them.
            for _ in 0..clients.iter().map(Vec::len).max().unwrap_or(0) + 2 {
                keeper.hear(now);
            }
            assert_eq!(heard_of(keeper), 0, "clients that are gone are kept");
        });
}

#[test]
fn a_crowd_of_silent_clients_shuts_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = keeper(dir.path());
    let mut silent = Vec::new();
    for _ in 0..3 * MAX_CLIENTS {
        silent.push(client(dir.path()));
        keeper.hear(Instant::now());
    }
    assert!(keeper.callers.clients.len() <= MAX_CLIENTS);
    let last = client(dir.path());
    packet::send(last.as_fd(), &to_keeper(4).unwrap(), &[]).unwrap();
    keeper.hear(Instant::now());
    match packet::receive(last.as_fd()).unwrap() {
        Received::Message { bytes, .. } => assert!(bytes.starts_with(b"{\"type\":\"status\"")),
        Received::End => panic!("shut out"),
    }
}
