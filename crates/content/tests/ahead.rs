//! How far ahead of a reader is fetched: as many seconds as the configuration says of the rate at which it plays.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod support;

use std::time::Duration;

use debridfs_base::ByteSize;
use debridfs_content::ContentConfig;
use support::{Answer, Bench, LONG, MIB, patient};

const READ: u64 = 128 << 10;
/// A read each so long: 5 MiB a second at most.
const PACE: Duration = Duration::from_millis(25);
/// More than two seconds: the rate is taken over so long.
const READS: u64 = 90;
/// A busy machine has to be quiet for two of them: a rate counts only when the reader hardly waited.
const ROUNDS: u64 = 30;
/// More than a second of that rate, and far less than may be fetched ahead at all.
const LITTLE: u64 = 7 * MIB;
const MUCH: u64 = 11 * MIB;
const MOST: u64 = 16 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn who_plays_is_fetched_ahead_by_seconds_of_its_rate() {
    let config = ContentConfig {
        read_ahead: ByteSize(MOST),
        read_ahead_seconds: 1,
        ..patient()
    };
    let bench = Bench::with(config, [(1, 1024 * MIB)], |provider| provider).await;
    // At first it always has to wait, so that it may be fetched ahead of as far as anybody.
    bench
        .cdn
        .script(|_| Answer::Paced(Duration::from_millis(20), 16_000));
    let mut at = 0;
    let read = async |at: &mut u64| {
        *at += bench.read(1, 1, *at, READ as u32, LONG).await.unwrap();
        bench.content.stats().cdn.bytes_fetched - *at
    };
    while at < 24 * MIB {
        read(&mut at).await;
    }
    bench.cdn.script(|_| Answer::Right);
    let (mut most, mut last) = (0, 0);
    for _ in 0..ROUNDS {
        last = 0;
        for _ in 0..READS {
            last = last.max(read(&mut at).await);
            tokio::time::sleep(PACE).await;
        }
        most = most.max(last);
        // As long as nothing was known of its rate it got what it was allowed.
        if most > MUCH && last <= LITTLE {
            return;
        }
    }
    panic!("{} MiB ahead, {} at most", last / MIB, most / MIB);
}
