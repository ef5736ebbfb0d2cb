//! Decoders that are broken on purpose are found; the real ones agree; and the library is asked once.

use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use debridfs_vfs::{Call as VfsCall, MemoryVfs, NodeId, Vfs};

use super::*;
use crate::broken::{Broken, Fault};
use crate::wire::Opcode;

const FILE: NodeId = NodeId(2);

fn library(asked: &Arc<AtomicU64>) -> Arc<dyn Vfs> {
    let asked = Arc::clone(asked);
    let library = MemoryVfs::new(Timestamp::UNIX_EPOCH).with_wait(move |call| {
        asked.fetch_add(1, Relaxed);
        // Listings come later.
        matches!(call, VfsCall::ReadDir(..)).then(|| std::future::ready(()).boxed())
    });
    library.add_bytes(NodeId::ROOT, "film.mkv", FILE, Bytes::from_static(b"bytes"));
    Arc::new(library)
}

use jiff::Timestamp;

/// A backend in front of each library, the secondary with a fault.
fn make(fault: Fault) -> MakeBackend {
    Arc::new(move |kind, vfs| {
        let fault = match kind {
            BackendKind::Native => Fault::None,
            BackendKind::Fbrs => fault,
        };
        Ok(Box::new(Broken::new(vfs, fault)))
    })
}

fn request(opcode: Opcode, node: NodeId, arguments: &[u8]) -> Vec<u8> {
    let length = 40 + arguments.len() as u32;
    let mut out = length.to_ne_bytes().to_vec();
    out.extend_from_slice(&(opcode as u32).to_ne_bytes());
    out.extend_from_slice(&7u64.to_ne_bytes());
    out.extend_from_slice(&node.0.to_ne_bytes());
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(arguments);
    out
}

/// `struct fuse_read_in` from the start, for 4096 bytes.
fn whole() -> Vec<u8> {
    let mut read = [0u64.to_ne_bytes(), 0u64.to_ne_bytes()].concat();
    read.extend_from_slice(&4096u32.to_ne_bytes());
    read.extend_from_slice(&[0; 20]);
    read
}

fn requests() -> [Vec<u8>; 4] {
    [
        request(Opcode::Lookup, NodeId::ROOT, b"film.mkv\0"),
        request(Opcode::Lookup, NodeId::ROOT, b"no.mkv\0"),
        request(Opcode::ReadDir, NodeId::ROOT, &whole()),
        request(Opcode::Read, FILE, &whole()),
    ]
}

/// Answers each request once, all of them compared.
fn compared(make: MakeBackend) -> (Compared, u64) {
    let asked = Arc::default();
    let shadow = Shadow::new(library(&asked), make);
    shadow.set_percent(100.0);
    for request in &requests() {
        assert!(shadow.takes());
        let mut reply = Reply::new();
        let left = Duration::from_secs(1);
        let call = Call { request, left };
        let (primary, secondary) = (BackendKind::Native, BackendKind::Fbrs);
        match shadow.answer(primary, secondary, call, &mut reply).unwrap() {
            Outcome::Ready => {}
            Outcome::Later(answer) => drop(answer.now_or_never().unwrap()),
        }
    }
    let all = |compared: &Compared| compared.kinds.iter().map(|kind| kind.compared).sum::<u64>();
    let started = std::time::Instant::now();
    while all(&shadow.compared()) < requests().len() as u64 {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    (shadow.compared(), asked.load(Relaxed))
}

fn diverged(compared: &Compared) -> Vec<&str> {
    let diverged = compared.kinds.iter().filter(|kind| kind.diverged > 0);
    diverged.map(|kind| kind.operation.as_str()).collect()
}

#[test]
fn backends_that_agree_diverge_nowhere_and_the_library_is_asked_once() {
    let (found, asked) = compared(make(Fault::None));
    assert!(diverged(&found).is_empty(), "{found:?}");
    assert_eq!((found.let_go, found.percent), (0, 100.0));
    // Two lookups, one part of the listing and its end, one read: what one backend asks.
    assert_eq!(asked, 5);
}

#[cfg(feature = "fbrs")]
#[test]
fn the_real_backends_agree() {
    let (found, asked) = compared(crate::selection::maker());
    assert!(diverged(&found).is_empty(), "{found:?}");
    assert_eq!(asked, 5);
}

#[test]
fn each_fault_is_found_where_it_is() {
    let all = vec!["LOOKUP", "READ", "READDIR"];
    for (fault, where_it_is) in [
        (Fault::Nlink, vec!["LOOKUP"]),
        (Fault::Size, vec!["LOOKUP"]),
        (Fault::Errno, vec!["READ"]),
        (Fault::AsksMore, all.clone()),
        (Fault::AsksAnother, all.clone()),
        (Fault::Waits, all.clone()),
        (Fault::Panics, all.clone()),
    ] {
        let (found, _) = compared(make(fault));
        assert_eq!(diverged(&found), where_it_is, "{fault:?}: {found:?}");
    }
    for (fault, operation) in [(Fault::DroppedEntry, "READDIR"), (Fault::Byte, "READ")] {
        let (found, _) = compared(make(fault));
        assert!(
            diverged(&found).contains(&operation),
            "{fault:?}: {found:?}"
        );
    }
}

#[test]
fn a_divergence_keeps_both_replies_and_the_first_byte_that_differs() {
    let (found, _) = compared(make(Fault::Nlink));
    let last = found.last.last().unwrap();
    assert_eq!((last.operation.as_str(), last.node), ("LOOKUP", 1));
    let Difference::Reply {
        primary,
        secondary,
        at,
    } = &last.difference
    else {
        panic!("{last:?}");
    };
    assert_eq!(*at, 16 + 40 + 64);
    assert_ne!(primary, secondary);
}

#[test]
fn without_a_share_there_is_no_thread() {
    let shadow = Shadow::new(library(&Arc::default()), make(Fault::None));
    shadow.set_percent(0.0);
    assert!(shadow.queue.get().is_none());
    shadow.set_percent(1.0);
    assert!(shadow.queue.get().is_some());
}

#[test]
fn a_share_is_a_share() {
    let shadow = Shadow::new(library(&Arc::default()), make(Fault::None));
    let taken = |percent: f64| {
        shadow.set_percent(percent);
        (0..100_000).filter(|_| shadow.takes()).count()
    };
    assert_eq!(taken(0.0), 0);
    assert_eq!(taken(100.0), 100_000);
    let some = taken(1.0);
    assert!((900..1100).contains(&some), "{some}");
}
