//! What is counted in the one budget is what the process holds, however a server cuts its bodies into pieces. The only test of its program, as it looks
//! at all its memory.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod support;

use debridfs_base::ByteSize;
use debridfs_content::ContentConfig;
use support::{Answer, Bench, LONG, MIB, patient};

const READERS: u64 = 24;
const BUFFERS: u64 = 128 * MIB;
/// Enough to be taken for somebody who plays, and to be fetched ahead as far as anybody.
const PLAYED: u64 = 24 * MIB;
/// A large piece makes the client read into larger buffers, a small one lies in such a buffer alone.
const PIECES: &[usize] = &[
    420_000, 5_000, 220_000, 5_000, 240_000, 9_000, 150_000, 5_000,
];

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap() << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_windows_hold_what_is_counted() {
    let config = ContentConfig {
        memory: ByteSize(BUFFERS),
        ..patient()
    };
    let sizes = (1..=READERS).map(|id| (id, 8 << 30));
    let bench = Bench::with(config, sizes, |provider| provider).await;
    bench.cdn.script(|_| Answer::Bursts(PIECES));
    let before = resident();
    let readers: Vec<_> = (1..=READERS)
        .map(|id| {
            let (content, file) = (bench.content.clone(), bench.file(id));
            tokio::spawn(async move {
                for at in (0..PLAYED).step_by(128 << 10) {
                    support::checked(&content, &file, id, at, 128 << 10, LONG)
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    // Until all are fetched ahead as far as they may be.
    let mut last = 0;
    while last != bench.cdn.sent() {
        last = bench.cdn.sent();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let stats = bench.content.stats();
    let (counted, held) = (stats.bytes_reserved, resident() - before);
    println!(
        "{} MiB counted, {} MiB held, {} before",
        counted / MIB,
        held / MIB,
        before / MIB
    );
    assert!(counted > BUFFERS / 2, "{stats:?}");
    // The server is in here as well, with what the allocator keeps.
    assert!(
        held < counted / 4 * 5 + 16 * MIB,
        "{held} held, {counted} counted"
    );
}
