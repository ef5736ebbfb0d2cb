//! How far ahead of a reader is fetched: as many seconds as the configuration says of the rate at which it plays.
#![allow(missing_docs)]

mod support;

use std::time::Duration;

use debridfs_content::ContentConfig;
use support::{Answer, Bench, LONG, MIB, patient};

const READ: u64 = 128 << 10;
/// A read each so long: 12.5 MiB a second at most.
const PACE: Duration = Duration::from_millis(10);
/// More than two seconds: the rate is taken over so long.
const READS: u64 = 220;
const ROUNDS: u64 = 20;
/// More than a second of that rate, and far less than `read_ahead`, 40 MiB.
const LITTLE: u64 = 15 * MIB;

/// Reads at `PACE`, until `enough` says so of the most bytes that were fetched ahead in a round.
async fn play(seconds: u64, enough: impl Fn(u64) -> bool) {
    let config = ContentConfig {
        read_ahead_seconds: seconds,
        ..patient()
    };
    let bench = Bench::with(config, [(1, 2048 * MIB)], |provider| provider).await;
    // At first it always has to wait, so that it may be fetched ahead of as far as anybody.
    bench
        .cdn
        .script(|_| Answer::Paced(Duration::from_millis(20), 16_000));
    let mut at = 0;
    let read = async |at: &mut u64| {
        *at += bench.read(1, 1, *at, READ as u32, LONG).await.unwrap();
        bench.content.stats().bytes_fetched - *at
    };
    while at < 48 * MIB {
        read(&mut at).await;
    }
    bench.cdn.script(|_| Answer::Right);
    let mut last = 0;
    for round in 0..ROUNDS {
        last = 0;
        for _ in 0..READS {
            last = last.max(read(&mut at).await);
            tokio::time::sleep(PACE).await;
        }
        // What was fetched before is read in the first ones.
        if round >= 2 && enough(last) {
            return;
        }
    }
    panic!("{seconds} s: {} MiB ahead", last / MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_plays_is_fetched_ahead_by_seconds_of_its_rate() {
    // A hundred seconds of the same rate are more than `read_ahead`, which holds then.
    tokio::join!(
        play(1, |most| most <= LITTLE),
        play(100, |most| most > LITTLE + 9 * MIB),
    );
}
