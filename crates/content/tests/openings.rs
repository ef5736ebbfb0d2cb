//! What opening a file costs, and what it leaves for the next one.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Answer, Bench, LONG, MIB, MemoryLinks, patient};

const READ: u32 = 128 << 10;
/// Long enough that the rest of a first fetch comes in no more time, on any machine.
const FIRST_BYTE: Duration = Duration::from_millis(500);
/// A tick is 5 ms: 40 MB a second.
const QUICK: usize = 200_000;

/// Looks at the start of files 1 to 3, as who lists a library does.
async fn look_at_three(bench: &Bench) {
    for file in 1..=3 {
        bench.read(file, file, 0, READ, LONG).await.unwrap();
        bench.content.release(file);
        bench.cdn.rest().await;
    }
}

async fn three_files(answer: Answer) -> Bench {
    let sizes = (1..=3).map(|file| (file, 64 * MIB));
    let bench = Bench::with(patient(), sizes, |provider| provider).await;
    bench.cdn.script(move |_| answer.clone());
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_closed_early_leaves_its_connection_to_the_next() {
    let bench = three_files(Answer::Paced(FIRST_BYTE, QUICK)).await;
    look_at_three(&bench).await;
    assert_eq!((bench.cdn.connections(), bench.cdn.requests()), (1, 3));
    // The first fetch of each, and no more.
    assert_eq!(bench.cdn.sent(), 3 * (MIB + u64::from(READ)));
}

/// 0.4 MB a second: the rest would take seconds.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_take_long_is_given_up() {
    let bench = three_files(Answer::Paced(Duration::ZERO, 2000)).await;
    look_at_three(&bench).await;
    assert_eq!(bench.cdn.connections(), 3);
    assert!(bench.cdn.sent() < 3 * MIB, "{}", bench.cdn.sent());
}

/// 4 MB a second: the start of a file takes three times as long as the answer to begin.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_divided_where_one_connection_is_slow() {
    let bench = three_files(Answer::Paced(Duration::from_millis(100), 20_000)).await;
    // The first file tells how slow they are.
    bench.read(1, 1, 0, 1 << 20, LONG).await.unwrap();
    bench.content.release(1);
    bench.cdn.rest().await;
    bench.read(2, 2, 0, READ, LONG).await.unwrap();
    bench.read(2, 2, READ.into(), READ, LONG).await.unwrap();
    let (first, mut second): (Vec<_>, Vec<_>) =
        (bench.cdn.log().into_iter()).partition(|request| request.path.starts_with("/f/1/"));
    assert_eq!(first.len(), 1, "{first:?}");
    second.sort_by_key(|request| request.range.start);
    let ranges: Vec<_> = second.iter().map(|request| &request.range).collect();
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    assert_eq!((ranges[0].start, ranges[2].end), (0, MIB + u64::from(READ)));
    assert!(ranges.windows(2).all(|two| two[0].end == two[1].start));
    // What is waited for comes over two of them.
    assert_eq!(ranges[0].end, u64::from(READ) / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_holds_up_no_read() {
    let mut bench = Bench::patient(MIB).await;
    bench.links = Arc::new(MemoryLinks {
        slow: Duration::from_secs(3600),
        ..MemoryLinks::default()
    });
    bench.restart();
    bench.read(1, 1, 0, READ, LONG).await.unwrap();
    assert_eq!(bench.provider.calls(), 1);
}
