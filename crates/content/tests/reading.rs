//! How reading behaves: links kept, bytes fetched for bytes read, memory bounded, readers apart.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use debridfs_base::ByteSize;
use debridfs_content::{ContentConfig, ErrorKind, FileRef, ReadRequest};
use debridfs_provider::{Part, Source};
use futures_util::future::join_all;
use proptest::prelude::*;
use support::{Answer, Bench, LONG, MIB, TestProvider, content, patient, quick, source};
use tokio::time::{Instant, sleep};

const KIB: u64 = 1 << 10;

/// Waits until `done`, which must come by itself.
async fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "never: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_asks_for_no_new_link() {
    let mut bench = Bench::patient(8 * MIB).await;
    bench.read(1, 5, 3 * MIB, 4096, LONG).await.unwrap();
    for _ in 0..3 {
        bench.restart();
        bench.read(1, 5, 4 * MIB, 4096, LONG).await.unwrap();
    }
    assert_eq!(bench.provider.calls(), 1);
    assert_eq!(bench.content.stats().cdn.links_loaded, 1);
    assert!(bench.content.link_age(&source("rd", 1)).is_some());
    assert!(bench.content.link_age(&source("rd", 2)).is_none());
    // The stored link has died meanwhile: one new link, within the read.
    bench.cdn.script(|request| match request.path.as_str() {
        "/f/1/0" => Answer::Status(410, ""),
        _ => Answer::Right,
    });
    bench.restart();
    bench.read(1, 5, 5 * MIB, 4096, LONG).await.unwrap();
    bench.restart();
    bench.read(1, 5, 6 * MIB, 4096, LONG).await.unwrap();
    assert_eq!(bench.provider.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_share_one_resolution_and_those_who_leave_do_not_end_it() {
    let slow = |provider: TestProvider| provider.with_delay(Duration::from_millis(300));
    let bench = Bench::with(patient(), [(1, 8 * MIB)], slow).await;
    let left = bench
        .read(1, 99, MIB, 4096, Duration::from_millis(50))
        .await;
    assert_eq!(left.unwrap_err().kind(), ErrorKind::TimedOut);
    let reads = (1..=50).map(|handle| bench.read(1, handle, MIB, 4096, LONG));
    for read in join_all(reads).await {
        read.unwrap();
    }
    assert_eq!(bench.provider.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_before_the_first_read() {
    let bench = Bench::patient(8 * MIB).await;
    let request = ReadRequest {
        handle: 5,
        offset: 0,
        size: 4096,
        deadline: LONG,
        client: debridfs_base::Client::Own,
    };
    assert!(
        bench
            .content
            .try_read(bench.file(1).file_id(), &request)
            .is_none()
    );
    assert_eq!(bench.read(1, 5, 8 * MIB, 4096, LONG).await.unwrap(), 0);
    assert_eq!(bench.read(1, 5, u64::MAX, 4096, LONG).await.unwrap(), 0);
    assert_eq!(bench.read(1, 5, 77, 0, LONG).await.unwrap(), 0);
    drop(bench.content.read(&bench.file(1), &request));
    assert_eq!((bench.provider.calls(), bench.cdn.connections()), (0, 0));
    // At the end of the file there are fewer.
    assert_eq!(bench.read(1, 5, 8 * MIB - 7, 4096, LONG).await.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn sequential_reading_fetches_hardly_more_than_is_read_with_few_requests() {
    let size = 96 * MIB + 5;
    let bench = Bench::patient(size).await;
    let mut at = 0;
    while at < size {
        at += bench.read(1, 5, at, 128 << 10, LONG).await.unwrap();
    }
    // On a machine so busy that one connection is slow, more are tried for a moment: then some bytes of the first one's long answer are
    // lost in the sockets.
    let sent = bench.cdn.sent();
    assert!((size..=size + size / 20).contains(&sent), "{sent}");
    let log = bench.cdn.log();
    let most = match log.iter().all(|request| request.transfers == 0) {
        true => 40,
        // Over several connections each has ranges of a MiB at least.
        false => size / MIB + 40,
    };
    assert!(bench.cdn.requests() <= most, "{log:?}");
    let stats = bench.content.stats();
    assert_eq!(stats.bytes_served, size);
    assert!(stats.bytes_reserved <= 28 * MIB, "{stats:?}");
    bench.content.release(5);
    until("memory is back", || {
        bench.content.stats().bytes_reserved == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeks_fetch_what_they_ask() {
    let bench = Bench::patient(1024 * MIB).await;
    for step in 1..=50u64 {
        let offset = (step * 379) % 1021 * MIB + step * 4096;
        bench.read(1, 5, offset, 128 << 10, LONG).await.unwrap();
    }
    // What is late is asked for once more: so is one of twenty at most, however slow the machine.
    let hedges = bench.content.stats().cdn.hedges;
    assert!(hedges <= 1 + 50 / 20, "{hedges}");
    let (sent, each) = (bench.cdn.sent(), 128 * KIB);
    assert!((50 * each..=(50 + hedges) * each).contains(&sent), "{sent}");
    // Answers that were read to their end leave a connection that serves again.
    let connections = bench.cdn.connections();
    assert!(connections <= 3 + hedges, "{connections}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_the_head_fetches_little_more() {
    let bench = Bench::patient(1024 * MIB).await;
    bench.read(1, 5, 0, 128 << 10, LONG).await.unwrap();
    for step in 1..8 {
        bench
            .read(1, 5, step * 128 * KIB, 128 << 10, LONG)
            .await
            .unwrap();
    }
    assert_eq!(bench.cdn.requests(), 1);
    sleep(Duration::from_millis(50)).await;
    assert!(bench.cdn.sent() <= MIB + 128 * KIB, "{}", bench.cdn.sent());
}

/// The kernel asks for the last MiB in pieces of 128 KiB; each of them would be a round trip.
#[tokio::test(flavor = "multi_thread")]
async fn the_tail_is_one_request_to_the_end() {
    let size = 256 * MIB;
    let bench = Bench::patient(size).await;
    for step in 0..8 {
        let at = size - MIB + step * 128 * KIB;
        bench.read(1, 5, at, 128 << 10, LONG).await.unwrap();
    }
    assert_eq!((bench.cdn.requests(), bench.cdn.sent()), (1, MIB));
}

/// Readers who take turns on few connections order what they take: nothing is on its way when one makes room.
#[tokio::test(flavor = "multi_thread")]
async fn turns_on_few_connections_waste_nothing() {
    let files: Vec<_> = (1..=24).map(|id| (id, 1024 * MIB)).collect();
    let ids = 1..=24u64;
    let change = |provider: TestProvider| provider.with_permits(4);
    let bench = Bench::with(patient(), files, change).await;
    let each = 16 * MIB;
    let readers = ids.map(|id| {
        let bench = &bench;
        async move {
            let mut at = 0;
            while at < each {
                at += bench.read(id, id, at, 128 << 10, LONG).await.unwrap();
            }
        }
    });
    join_all(readers).await;
    let (sent, read) = (bench.cdn.sent(), 24 * each);
    // At the end all hold their share of the memory, and a few have an answer under way.
    let held = bench.content.stats().bytes_limit;
    assert!(
        sent < read + held,
        "{} MiB for {} MiB",
        sent / MIB,
        read / MIB
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_one_handle_out_of_order_share_the_window() {
    let size = 32 * MIB;
    let bench = Bench::patient(size).await;
    let step = 128 * KIB;
    let mut first = 0;
    while first < size {
        // As the kernel's read-ahead does it: eight at once, any order, some overlapping.
        let reads = [3u64, 0, 1, 7, 2, 5, 4, 6, 3].map(|nth| {
            let from = first + nth * step;
            bench.read(1, 5, from.saturating_sub(nth % 2 * 4096), 128 << 10, LONG)
        });
        for read in join_all(reads).await {
            read.unwrap();
        }
        first += 8 * step;
    }
    let sent = bench.cdn.sent();
    // Where the first reads come backwards there are two windows, which fetch the same until one is ahead: a few MiB on a busy machine. Without a shared
    // window nearly everything would come twice.
    assert!(sent <= size + size / 4, "{sent} bytes for {size}");
    // Its ranges are short until it has proved to read on; the least of them has a MiB then, also where it reads over several connections.
    let most = size / MIB + 16;
    assert!(bench.cdn.requests() <= most, "{}", bench.cdn.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn head_and_tail_do_not_disturb_each_other() {
    let size = 256 * MIB;
    let bench = Bench::patient(size).await;
    let mut at = 0;
    for _ in 0..64 {
        at += bench.read(1, 5, at, 128 << 10, LONG).await.unwrap();
        bench
            .read(1, 5, size - 64 * KIB, 64 << 10, LONG)
            .await
            .unwrap();
    }
    let sent = bench.cdn.sent();
    // The tail once; the head with what is ordered ahead of it, and what the sockets of an open transfer hold.
    assert!(sent <= 64 * KIB + 8 * MIB + 16 * MIB + 8 * MIB, "{sent}");
    let tails = bench
        .cdn
        .log()
        .iter()
        .filter(|r| r.range.start > 200 * MIB)
        .count();
    assert_eq!(tails, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_reader_is_not_a_stall() {
    let config = ContentConfig {
        read_ahead: ByteSize(2 * MIB),
        stall_timeout_ms: 1000,
        ..patient()
    };
    let bench = Bench::with(config, [(1, 512 * MIB)], |p| p).await;
    let mut at = 0;
    // So slowly that one connection is enough.
    while at < 24 * MIB {
        at += bench.read(1, 5, at, 128 << 10, LONG).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    until("the window is full", || {
        bench.content.stats().cdn.bytes_fetched >= at + MIB
    })
    .await;
    // Before the pause a busy machine may have had some.
    let stalls = bench.content.stats().cdn.stalls;
    sleep(Duration::from_millis(2500)).await;
    let stats = bench.content.stats();
    assert_eq!(stats.cdn.stalls, stalls, "{stats:?}");
    assert!(stats.cdn.open_connections > 0, "{stats:?}");
    let ahead = stats.cdn.open_connections as u64 * (408 << 10);
    assert_eq!(stats.cdn.client_bytes, ahead, "{stats:?}");
    assert!(stats.cdn.bytes_fetched <= at + 3 * MIB, "{stats:?}");
    bench.read(1, 5, at, 128 << 10, LONG).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_reader_gives_back_its_connection_and_then_its_memory() {
    let never = patient().idle_memory_ms;
    for idle_memory_ms in [never, 1500] {
        let config = ContentConfig {
            read_ahead: ByteSize(2 * MIB),
            idle_connection_ms: 300,
            idle_memory_ms,
            ..patient()
        };
        let bench = Bench::with(config, [(1, 512 * MIB)], |p| p).await;
        let mut at = 0;
        while at < 40 * MIB {
            at += bench.read(1, 5, at, 128 << 10, LONG).await.unwrap();
        }
        until("the connection is given up", || {
            bench.content.stats().cdn.open_connections == 0
        })
        .await;
        if idle_memory_ms == never {
            assert!(bench.content.stats().bytes_reserved > 0);
        } else {
            until("the memory is given up", || {
                bench.content.stats().bytes_reserved == 0
            })
            .await;
            assert_eq!(bench.content.stats().readers, 0);
        }
        bench.read(1, 5, at, 128 << 10, LONG).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_reader_holds_nothing() {
    let bench = Bench::patient(512 * MIB).await;
    let mut at = 0;
    while at < 40 * MIB {
        at += bench.read(1, 5, at, 128 << 10, LONG).await.unwrap();
    }
    assert!(bench.content.stats().bytes_reserved > 0);
    bench.content.release(5);
    until("all is given back", || {
        let stats = bench.content.stats();
        (
            stats.bytes_reserved,
            stats.cdn.open_connections,
            stats.readers,
        ) == (0, 0, 0)
    })
    .await;
    bench.read(1, 5, at, 128 << 10, LONG).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_readers_of_one_file_are_independent() {
    let bench = Bench::new(64 * MIB).await;
    bench.cdn.script(|request| match request.range.start {
        0..32_000_000 => Answer::Silent,
        _ => Answer::Right,
    });
    let stuck = bench.read(1, 1, 0, 4096, Duration::from_secs(2));
    let well = async {
        let mut at = 40 * MIB;
        while at < 64 * MIB {
            at += bench.read(1, 2, at, 128 << 10, LONG).await.unwrap();
        }
    };
    let (stuck, ()) = tokio::join!(stuck, well);
    assert_eq!(stuck.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_given_up_stops_its_fetch_soon() {
    let bench = Bench::new(64 * MIB).await;
    bench.cdn.script(|_| Answer::Silent);
    let read = bench.read(1, 1, MIB, 4096, LONG);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), read)
            .await
            .is_err()
    );
    until("nobody asks", || {
        bench.content.stats().cdn.open_connections == 0
    })
    .await;
    let requests = bench.cdn.requests();
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(bench.cdn.requests(), requests);
}

/// 2000 readers on a CDN that sends nothing: all end in time, within the memory, and then all is well.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_stalled_readers() {
    let limit = 64 * MIB;
    let config = ContentConfig {
        memory: ByteSize(limit),
        ..quick()
    };
    let bench = Bench::with(config, [(1, 1024 * MIB)], |p| p).await;
    bench.cdn.script(|_| Answer::Stall(1000));
    let asked = 64 * KIB;
    let most = AtomicU64::new(0);
    let reads = (1..=2000u64).map(|handle| {
        let (bench, most) = (&bench, &most);
        async move {
            let offset = handle * 400 * KIB;
            let read = bench.read(1, handle, offset, asked as u32, Duration::from_secs(3));
            let read = read.await;
            most.fetch_max(bench.content.stats().bytes_reserved, Ordering::Relaxed);
            read
        }
    });
    let begun = Instant::now();
    for read in join_all(reads).await {
        read.expect_err("no complete range was sent");
    }
    // One after the other they would take more than an hour.
    assert!(begun.elapsed() < LONG);
    let most = most.load(Ordering::Relaxed);
    assert!(most <= limit + 2000 * asked, "{most}");
    bench.cdn.script(|_| Answer::Right);
    let reads = (1..=2000u64).map(|handle| bench.read(1, handle, handle * 400 * KIB, 65536, LONG));
    for read in join_all(reads).await {
        read.unwrap();
    }
    assert!(bench.content.stats().bytes_reserved <= limit + 2000 * asked);
    for handle in 1..=2000 {
        bench.content.release(handle);
    }
    until("memory is back", || {
        bench.content.stats().bytes_reserved == 0
    })
    .await;
    assert_eq!(bench.provider.calls(), 1);
}

/// More sequential readers than the budget has windows and the host connections: all come to their end.
#[tokio::test(flavor = "multi_thread")]
async fn many_sequential_readers_share_memory_and_connections() {
    let (limit, size, readers) = (8 * MIB, 12 * MIB, 40u64);
    let config = ContentConfig {
        memory: ByteSize(limit),
        ..patient()
    };
    let sizes = (1..=readers).map(|id| (id, size));
    let bench = Bench::with(config, sizes, |p| p.with_permits(6)).await;
    let most = AtomicU64::new(0);
    let each = (1..=readers).map(|id| {
        let (bench, most) = (&bench, &most);
        async move {
            let mut at = 0;
            while at < size {
                at += bench.read(id, id, at, 128 << 10, LONG).await.unwrap();
                most.fetch_max(bench.content.stats().bytes_reserved, Ordering::Relaxed);
            }
        }
    });
    join_all(each).await;
    let most = most.load(Ordering::Relaxed);
    // A reader that waits may hold what it waits for and one piece of a body.
    assert!(most <= limit + readers * (128 + 512) * KIB, "{most}");
}

/// Connections that rest on a full window make room for others, also when these want another host.
#[tokio::test(flavor = "multi_thread")]
async fn resting_connections_make_room() {
    let config = ContentConfig {
        read_ahead: ByteSize(2 * MIB),
        ..patient()
    };
    let sizes = (1..=9).map(|id| (id, 256 * MIB));
    let elsewhere = support::Cdn::start([(9, 256 * MIB)]).await;
    let change = |p: TestProvider| p.with_permits(4).with_elsewhere(9, elsewhere.address);
    let bench = Bench::with(config, sizes, change).await;
    for id in 1..=8 {
        let mut at = 0;
        while at < 12 * MIB {
            at += bench.read(id, id, at, 128 << 10, LONG).await.unwrap();
        }
    }
    bench.read(9, 9, MIB, 4096, LONG).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Any reads, by any handles, at once, on a CDN that often fails: always the right bytes.
    #[test]
    fn random_reads_give_the_right_bytes(
        reads in proptest::collection::vec(
            (0u64..4, 0u64..6_000_000, 1u32..700_000, 0u64..40), 1..60),
        faults in proptest::collection::vec(0u8..16, 1..40),
        memory in 1u64..4_000_000,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let config = ContentConfig {
                memory: ByteSize(memory),
                stall_timeout_ms: 300,
                first_byte_timeout_ms: 600,
                ..quick()
            };
            let bench = Bench::with(config, [(1, 6 * MIB)], |p| p).await;
            bench.cdn.script(move |request| match faults[request.number as usize % faults.len()] {
                0 => Answer::Short(u64::from(request.number as u8) * 100),
                1 => Answer::Reset,
                2 => Answer::Whole,
                3 => Answer::Status(503, ""),
                4 => Answer::Stall(30_000),
                5 => Answer::Claims("bytes 0-9/10".to_owned()),
                6 => Answer::Trickle(20_000),
                7 => Answer::Long,
                _ => Answer::Right,
            });
            // Should all answers be faults, there is none to wait for.
            bench.read(1, 77, 0, 1, Duration::from_secs(1)).await.ok();
            let bench = Arc::new(bench);
            let tasks = reads.into_iter().map(|(handle, offset, size, delay)| {
                let bench = bench.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(delay)).await;
                    match bench.read(1, handle, offset, size, Duration::from_secs(8)).await {
                        Ok(_) => {}
                        Err(error) => assert_ne!(error.kind(), ErrorKind::TooLarge),
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            bench.cdn.script(|_| Answer::Right);
            bench.read(1, 1, 3_000_000, 100_000, LONG).await.unwrap();
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_container_is_read_through_the_containers_link() {
    let bench = Bench::patient(8 * MIB).await;
    let (offset, size) = (MIB + 123, 3 * MIB);
    let part = Some(Part {
        offset,
        container: 8 * MIB,
    });
    let file = FileRef {
        id: 77,
        size,
        sources: [Source {
            part,
            ..source("rd", 1)
        }]
        .into(),
    };
    for (at, len) in [(0, 4096), (size - 4096, 8192), (MIB, 200_000)] {
        let request = ReadRequest {
            handle: 3,
            offset: at,
            size: len,
            deadline: LONG,
            client: debridfs_base::Client::Own,
        };
        let bytes = bench.content.read(&file, &request).await.unwrap().concat();
        let end = (at + u64::from(len)).min(size);
        assert_eq!(bytes, content(1, offset + at..offset + end), "at {at}");
    }
}
