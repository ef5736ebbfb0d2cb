//! The file system under test: small, in memory, with files that are slow, stuck, gated, too short or deadly.

use std::time::Duration;

use bytes::Bytes;
use debridfs_vfs::{Call, MemoryVfs, NodeId, ReadOut, StatFs};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// Not a multiple of a page.
pub const LARGE: u64 = (16 << 20) + 777;
pub const MANY: u64 = 10_000;
pub const MANY_DIR: u64 = 1000;

/// Names in the root: node, size.
pub const FILES: &[(&str, u64, u64)] = &[
    ("one.txt", 2, 5000),
    ("now.bin", 3, LARGE),
    ("later.bin", 4, LARGE),
    ("stuck.bin", 5, LARGE),
    ("short.bin", 6, 100_000),
    ("panic.bin", 7, 100_000),
    ("deadly.bin", 8, 100_000),
    ("gated.bin", 9, LARGE),
    (GONE, GONE_NODE.0, 10),
    ("panic-at-once.bin", 11, 10),
];
pub const GONE: &str = "gone.txt";
pub const GONE_NODE: NodeId = NodeId(10);
const A: NodeId = NodeId(20);
const B: NodeId = NodeId(21);
const FIRST_OF_MANY: u64 = 10_000;

/// The bytes of a file, a function of its node and the offset.
pub fn content(node: u64, offset: u64, size: usize) -> Vec<u8> {
    let word = |at: u64| {
        (at ^ node << 40)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23)
            .to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(size + 16);
    let mut at = offset / 8;
    while bytes.len() < size + 8 {
        bytes.extend_from_slice(&word(at));
        at += 1;
    }
    bytes.drain(..(offset % 8) as usize);
    bytes.truncate(size);
    bytes
}

pub fn many_name(index: u64) -> String {
    format!("Release.{index:05}.{}", "x".repeat((index % 90) as usize))
}

/// The files; `gate` lets reads of `gated.bin` through.
pub fn library(gate: watch::Sender<bool>) -> MemoryVfs {
    let time = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let library = MemoryVfs::new(time);
    for (name, node, size) in FILES {
        file(&library, NodeId::ROOT, name, *node, *size);
    }
    library.add_xattr(NodeId(2), "user.debridfs.hash", b"0123456789abcdef");
    library.add_xattr(NodeId(2), "user.debridfs.provider", b"rd");
    library.add_directory(NodeId::ROOT, "a", A);
    library.add_directory(A, "b", B);
    file(&library, B, "c.txt", 22, 12_345);
    let many = NodeId(MANY_DIR);
    library.add_directory(NodeId::ROOT, "many", many);
    for index in 0..MANY {
        let node = FIRST_OF_MANY + index;
        file(&library, many, &many_name(index), node, node);
    }
    let numbers = StatFs {
        bytes: 4096 * 1000,
        files: 20_000,
    };
    let library = library.with_statfs(numbers);
    library.with_wait(move |call| match call {
        Call::Read(request) => wait_of_read(request.id.0, &gate),
        // Lookups below `a` come later, the others at once.
        Call::Lookup(A | B) => Some(Box::pin(later())),
        // Every third part of a listing comes later.
        Call::ReadDir(_, cookie) if cookie % 3 == 1 => Some(Box::pin(later())),
        Call::Lookup(_) | Call::ReadDir(..) => None,
    })
}

fn file(library: &MemoryVfs, parent: NodeId, name: &str, node: u64, size: u64) {
    library.add_file(parent, name, NodeId(node), size, move |request| {
        let size = request.size as usize;
        let bytes = Bytes::from(content(node, request.offset, size));
        Ok(match node {
            6 => vec![bytes.slice(..size.saturating_sub(1))],
            _ => in_parts(&bytes),
        })
    });
}

/// As a window would give them.
fn in_parts(bytes: &Bytes) -> ReadOut {
    let starts = (0..bytes.len()).step_by(10_000);
    let parts = starts.map(|at| bytes.slice(at..bytes.len().min(at + 10_000)));
    parts.collect()
}

fn wait_of_read(node: u64, gate: &watch::Sender<bool>) -> Option<BoxFuture<'static, ()>> {
    match node {
        4 => Some(Box::pin(later())),
        5 => Some(Box::pin(std::future::pending())),
        7 => Some(Box::pin(async { panic!("asked for by the test") })),
        8 => Some(Box::pin(async {
            later().await;
            std::process::abort()
        })),
        9 => {
            let mut gate = gate.subscribe();
            Some(Box::pin(async move {
                let _ = gate.wait_for(|open| *open).await;
            }))
        }
        11 => panic!("asked for by the test"),
        _ => None,
    }
}

/// A tick of other work, so that the answer comes from the runtime.
async fn later() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}
