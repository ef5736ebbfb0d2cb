//! A client that means harm: it gets the right answer or is hung up on, and nobody else notices.

use std::net::SocketAddr;

use debridfs_nfs::{LONGEST, Seal};
use debridfs_vfs::NodeId;
use nfs3_types::nfs3::nfsstat3;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const NFS: u32 = 100_003;
const MOUNT: u32 = 100_005;

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

/// A call without a user, and these arguments.
fn call(program: u32, version: u32, procedure: u32, arguments: &[u8]) -> Vec<u8> {
    let head = words(&[9, 0, 2, program, version, procedure, 0, 0, 0, 0]);
    [head, arguments.to_vec()].concat()
}

fn opaque(bytes: &[u8]) -> Vec<u8> {
    let mut packed = words(&[bytes.len() as u32]);
    packed.extend_from_slice(bytes);
    packed.resize(packed.len().next_multiple_of(4), 0);
    packed
}

struct Raw(TcpStream);

impl Raw {
    async fn to(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Sends a record; the words of the reply, none where the connection is closed.
    async fn ask(&mut self, record: &[u8]) -> Option<Vec<u32>> {
        let mark = record.len() as u32 | 1 << 31;
        self.0.write_all(&words(&[mark])).await.unwrap();
        self.0.write_all(record).await.unwrap();
        let length = self.0.read_u32().await.ok()? & !(1 << 31);
        let mut reply = vec![0; length as usize];
        self.0.read_exact(&mut reply).await.unwrap();
        let words = reply.chunks(4);
        Some(
            words
                .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
                .collect(),
        )
    }

    /// Whether the other end hangs up.
    async fn hangs_up(mut self) -> bool {
        matches!(self.0.read(&mut [0; 9]).await, Ok(0) | Err(_))
    }
}

#[tokio::test]
async fn calls_that_are_none_are_answered_by_the_rules_of_rpc() {
    let served = Served::with(library(), vec![export("all", "")]).await;
    let mut raw = Raw::to(served.address).await;
    let all = debridfs_nfs::Export::default_fsid("all");
    let root = opaque(&Seal::new(&KEY).handle(all, NodeId::ROOT));
    let huge = words(&[u32::MAX, 1]);
    // What follows the xid, REPLY, MSG_ACCEPTED and the empty verifier.
    for (record, expected) in [
        (call(NFS, 3, 0, b""), &[0][..]),
        (call(NFS, 3, 22, b""), &[3]),
        (call(NFS, 3, u32::MAX, b""), &[3]),
        (call(NFS, 4, 1, b""), &[2, 3, 3]),
        (call(MOUNT, 1, 1, b""), &[2, 3, 3]),
        (call(MOUNT, 3, 6, b""), &[3]),
        (call(100_227, 3, 0, b""), &[1]),
        // Arguments that are cut off, or longer than they can be.
        (call(NFS, 3, 1, b""), &[4]),
        (call(NFS, 3, 1, &huge), &[4]),
        (call(NFS, 3, 1, &opaque(&[1; 65])), &[4]),
        (call(NFS, 3, 3, &root), &[4]),
        (call(NFS, 3, 3, &[&root[..], &huge].concat()), &[4]),
        (call(NFS, 3, 6, &[&root[..], &[0; 8]].concat()), &[4]),
        (call(NFS, 3, 17, &[&root[..], &[0; 20]].concat()), &[4]),
        (call(MOUNT, 3, 1, &huge), &[4]),
        (call(MOUNT, 3, 1, &opaque(&[b'a'; 1025])), &[4]),
        // Handles that are none, and a WRITE that is refused before its bytes are looked at.
        (call(NFS, 3, 1, &opaque(&[0; 40])), &[0, 10001]),
        (
            call(NFS, 3, 7, &[&root[..], &huge].concat()),
            &[0, 30, 0, 0],
        ),
    ] {
        let reply = raw.ask(&record).await.unwrap();
        assert_eq!(&reply[..5], [9, 1, 0, 0, 0], "{record:?}");
        assert_eq!(&reply[5..], expected, "{record:?}");
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_not_there_and_none_leads_out() {
    let vfs = library();
    vfs.add_bytes(FILMS, "back\\slash.mkv", NodeId(77), content(1));
    let served = Served::with(vfs, vec![export("films", "films")]).await;
    let mut client = served.mount("/films").await.unwrap();
    let root = client.root_nfs_fh3();
    let none = nfsstat3::NFS3ERR_NOENT;
    let long = "x".repeat(256);
    for (name, expected) in [
        ("", none),
        ("../others", none),
        ("..\\others", none),
        ("/", none),
        ("/etc/passwd", none),
        ("film.mkv/", none),
        ("film.mkv\0", none),
        ("\0", none),
        ("..\0", none),
        ("...", none),
        (&long, nfsstat3::NFS3ERR_NAMETOOLONG),
        (&"y".repeat(4000), nfsstat3::NFS3ERR_NAMETOOLONG),
        ("back\\slash.mkv", nfsstat3::NFS3_OK),
        ("film.mkv", nfsstat3::NFS3_OK),
    ] {
        let found = lookup(&mut client, &root, name).await;
        assert_eq!(status(found), expected, "{name:?}");
    }
    let film = handle(&mut client, "film.mkv").await;
    let not_dir = nfsstat3::NFS3ERR_NOTDIR;
    assert_eq!(status(lookup(&mut client, &film, "..").await), not_dir);
    assert_eq!(list(&mut client, &film).await, Err(not_dir));
    assert_eq!(
        read(&mut client, &root, 0, 9).await,
        Err(nfsstat3::NFS3ERR_INVAL)
    );
}

#[tokio::test]
async fn who_sends_what_is_no_call_or_too_much_is_hung_up_on() {
    let served = Served::with(library(), vec![export("all", "")]).await;
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        words(&[u32::MAX]),
        words(&[1 << 31]),
        words(&[(1 << 31) | (LONGEST as u32 + 1)]),
        // A reply, and half a call.
        [words(&[1 << 31 | 12]), words(&[9, 1, 2])].concat(),
        [words(&[1 << 31 | 20]), words(&[9, 0, 2, NFS, 3])].concat(),
        // Pieces without end.
        vec![0; 4 * 100],
    ] {
        let mut raw = Raw::to(served.address).await;
        raw.0.write_all(&bytes).await.unwrap();
        assert!(raw.hangs_up().await, "{bytes:?}");
    }
    let mut foreign = export("foreign", "");
    foreign.networks = vec!["192.0.2.0/24".parse().unwrap()];
    let closed = Served::with(library(), vec![foreign]).await;
    assert!(Raw::to(closed.address).await.hangs_up().await);
    served.mount("/all").await.unwrap();
}

#[tokio::test]
async fn a_thousand_connections_keep_nobody_out() {
    let served = Served::with(library(), vec![export("all", "")]).await;
    let mut held = Vec::new();
    for number in 0..1000 {
        let mut raw = Raw::to(served.address).await;
        // Some say nothing, some a part.
        let part = &words(&[1 << 31 | 40, 9])[..number % 8];
        let _ = raw.0.write_all(part).await;
        held.push(raw);
    }
    let mut client = served.mount("/all").await.unwrap();
    let film = handle(&mut client, "films/film.mkv").await;
    assert!(read(&mut client, &film, 0, 9).await.unwrap() == content(9));
    let front = &served.listeners.report()[0];
    assert!(front.connections <= 128, "{front:?}");
}
