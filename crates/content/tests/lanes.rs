//! One reader and several connections: when they are made, what they cost, and when they are given up.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use support::{Answer, Bench, LONG, MIB, TestProvider, patient, quick};
use tokio::time::Instant;

const READ: u32 = 128 << 10;
const FIRST_BYTE: Duration = Duration::from_millis(40);
/// A tick is 5 ms: 4 MB a second.
const TICK: usize = 20_000;

/// Reads `bytes` from the start in sequence, as fast as they come.
async fn copy(bench: &Bench, id: u64, bytes: u64) -> Duration {
    let begun = Instant::now();
    let mut at = 0;
    while at < bytes {
        at += bench.read(id, id, at, READ, LONG).await.unwrap();
    }
    begun.elapsed()
}

/// One connection brings 4 MB/s, so 32 MiB would take 8 s; how much more on this machine is seen beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_starves_gets_more_connections() {
    let bytes = 32 * MIB;
    let bench = Bench::patient(bytes).await;
    let one = |provider: TestProvider| provider.with_permits(1);
    let single = Bench::with(patient(), [(1, bytes)], one).await;
    for bench in [&bench, &single] {
        bench.cdn.script(|_| Answer::Paced(FIRST_BYTE, TICK));
    }
    let (took, alone) = tokio::join!(copy(&bench, 1, bytes), copy(&single, 1, bytes));
    assert!(took < alone * 2 / 3, "{took:?} instead of {alone:?}");
    // All that was asked was read, but for what lay in sockets when the first connection was cut.
    let sent = bench.cdn.sent();
    assert!(sent <= bytes + bytes / 20, "{sent}");
    let most = bench.cdn.log().iter().map(|r| r.transfers + 1).max();
    assert!(most <= Some(9), "{most:?}");
}

/// As the kernel reads: the next pieces are asked for before the last one is there.
#[tokio::test(flavor = "multi_thread")]
async fn several_connections_fetch_nothing_twice() {
    let bytes = 64 * MIB;
    let bench = Bench::patient(bytes).await;
    bench
        .cdn
        .script(|_| Answer::Paced(Duration::from_millis(80), 5 * TICK));
    for at in (0..bytes).step_by(4 << 20) {
        let reads = (0..4).map(|nth| bench.read(1, 1, at + nth * MIB, 1 << 20, LONG));
        for read in futures_util::future::join_all(reads).await {
            read.unwrap();
        }
    }
    let sent = bench.cdn.sent();
    assert!(sent <= bytes + bytes / 20, "{sent} {:?}", bench.cdn.log());
}

/// A reader that takes less than one connection brings stays on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_served_well_keeps_one_connection() {
    let bench = Bench::patient(64 * MIB).await;
    bench.cdn.script(|_| Answer::Paced(FIRST_BYTE, 10 * TICK));
    let mut at = 0;
    while at < 8 * MIB {
        at += bench.read(1, 1, at, READ, LONG).await.unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert!(
        bench.cdn.log().iter().all(|r| r.transfers == 0),
        "{:?}",
        bench.cdn.log()
    );
}

/// The host refuses the third transfer: the reader goes on with two, without an error, and does not knock all the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_not_asked_for_again_and_again() {
    let bytes = 24 * MIB;
    let bench = Bench::new(bytes).await;
    let refused = Arc::new(AtomicU64::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (count, seen) = (refused.clone(), most.clone());
    bench.cdn.script(move |request| {
        if request.transfers >= 2 {
            count.fetch_add(1, Ordering::Relaxed);
            return Answer::Status(429, "");
        }
        seen.fetch_max(request.transfers, Ordering::Relaxed);
        Answer::Paced(FIRST_BYTE, TICK)
    });
    let took = copy(&bench, 1, bytes).await;
    let refused = refused.load(Ordering::Relaxed);
    // Two or more at each trial; a trial at 0, 5, 15 s …
    let trials = 1 + took.as_secs() / 5;
    assert!(refused <= 6 * trials, "{refused} in {took:?}");
    assert_eq!(most.load(Ordering::Relaxed), 1);
}

/// Connections that only make one reader faster are given up for one who has none.
#[tokio::test(flavor = "multi_thread")]
async fn a_seek_does_not_wait_for_those_who_read_ahead() {
    let change = |provider: TestProvider| provider.with_permits(4);
    let bench = Bench::with(quick(), [(1, 256 * MIB), (2, 256 * MIB)], change).await;
    bench.cdn.script(|_| Answer::Paced(FIRST_BYTE, TICK));
    let reading = copy(&bench, 1, 256 * MIB);
    let seeking = async {
        while bench.cdn.log().iter().all(|r| r.transfers < 3) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut worst = Duration::ZERO;
        for step in 0..8 {
            let begun = Instant::now();
            let at = (11 + step * 29) * MIB;
            bench.read(2, 2, at, READ, LONG).await.unwrap();
            worst = worst.max(begun.elapsed());
        }
        worst
    };
    tokio::select! {
        _ = reading => panic!("never had all connections"),
        worst = seeking => {
            // 40 ms and the bytes at 4 MB/s; a turn of the other reader would be 8 MiB, 2 s.
            assert!(worst < Duration::from_secs(1), "{worst:?}");
        }
    }
}
