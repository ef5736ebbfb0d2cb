//! Scans: what they cost the first time and the second, what is there before them, and who plays beside them.
#![allow(clippy::disallowed_methods)] // Tests wait for a real disk by looking again after a moment.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use debridfs_base::ByteSize;
use debridfs_cache::{Cache, CacheConfig, KeepFree};
use debridfs_content::{Content, ContentConfig, FileRef};
use futures_util::future::join_all;
use support::{
    Answer, Cdn, LONG, MIB, MemoryLinks, TestProvider, caching, checked, patient, quick, source,
};
use tokio::runtime::Handle;

const KIB: u64 = 1 << 10;
const FILES: u64 = 20;
const SIZE: u64 = 200 * MIB + 4321;
/// The last MiB and a little, from the page's start on: the kernel asks for whole pages.
const TAIL: u64 = (SIZE - MIB) / 4096 * 4096;

fn file(id: u64) -> FileRef {
    FileRef {
        id,
        size: SIZE,
        sources: Arc::from([source("rd", id)]),
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LONG, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn reader(cdn: &Cdn, dir: &Path, config: ContentConfig) -> (Arc<Content>, Arc<Cache>) {
    let kept = CacheConfig {
        size: ByteSize(256 * MIB),
        keep_free: Some(KeepFree::Bytes(ByteSize(0))),
        ..CacheConfig::default()
    };
    let cache = Cache::open(dir.to_path_buf(), kept).unwrap();
    until("the cache", || cache.is_usable()).await;
    let content = caching(cdn, &cache, config);
    (content, cache)
}

/// What a media server reads of a file: the first and the last MiB, and 64 KiB at three places. Returns the bytes.
async fn scan(content: &Content, id: u64, handle: u64) -> u64 {
    let mut places: Vec<(u64, u64)> = (0..8).map(|n| (n * 128 * KIB, 128 * KIB)).collect();
    places.extend((0..8).map(|n| (TAIL + n * 128 * KIB, 128 * KIB)));
    places.extend([40, 90, 150].map(|at| (at * MIB, 64 * KIB)));
    let mut bytes = 0;
    for (offset, size) in places {
        let size = u32::try_from(size).unwrap();
        bytes += checked(content, &file(id), handle, offset, size, LONG)
            .await
            .unwrap();
    }
    content.release(handle);
    bytes
}

async fn scan_all(content: &Content) -> u64 {
    let mut bytes = 0;
    for id in 1..=FILES {
        bytes += scan(content, id, id).await;
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_scan_fetches_nothing_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let cdn = Cdn::start((1..=FILES).map(|id| (id, SIZE))).await;
    let (content, cache) = reader(&cdn, dir.path(), patient()).await;
    let read = scan_all(&content).await;
    cdn.rest().await;
    cache.flush().await.unwrap();
    let first = cdn.sent();
    assert!(first <= read * 5 / 4, "{first} for {read}");
    scan_all(&content).await;
    assert_eq!(cdn.sent(), first);
    // Playback beyond the cache's size takes nothing from heads and tails.
    let heads = [0..MIB, TAIL..TAIL + MIB];
    drop(content);
    assert!(cache.close(LONG));
    drop(cache);
    let (content, cache) = reader(&cdn, dir.path(), patient()).await;
    scan_all(&content).await;
    assert_eq!(cdn.sent(), first);
    let mut at = 0;
    for id in 1..=2 {
        while at < SIZE {
            at += checked(&content, &file(id), id, at, MIB as u32, LONG)
                .await
                .unwrap();
        }
        at = 0;
    }
    cache.flush().await.unwrap();
    for id in 1..=FILES {
        for part in &heads {
            assert!(cache.covers(file(id).file_id(), part), "{id} {part:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_tails_of_new_files_are_there_before_a_scan() {
    let dir = tempfile::tempdir().unwrap();
    let cdn = Cdn::start((1..=3).map(|id| (id, SIZE))).await;
    let mut config = patient();
    config.probe.fill_per_hour = 2;
    let (content, cache) = reader(&cdn, dir.path(), config.clone()).await;
    content.newcomers((1..=3).map(file));
    until("two are filled", || content.stats().files_filled == 2).await;
    cdn.rest().await;
    cache.flush().await.unwrap();
    let filled = cdn.sent();
    assert_eq!(filled, 2 * (config.probe.fill_head.0 + SIZE - TAIL));
    for id in 1..=2 {
        for offset in [0, TAIL] {
            checked(&content, &file(id), 9, offset, MIB as u32, LONG)
                .await
                .unwrap();
        }
    }
    assert_eq!(cdn.sent(), filled);
    // The third has to wait for the next hour.
    assert!(!cache.covers(file(3).file_id(), &(0..KIB)));
    // Ours are no readers.
    let readers: usize = content.stats().classes.iter().map(|of| of.readers).sum();
    assert_eq!(readers, 2);
}

/// What cannot be fetched ahead is no failed read, and not counted as fetched either.
#[tokio::test]
async fn a_new_file_that_cannot_be_had_fails_no_reader() {
    let dir = tempfile::tempdir().unwrap();
    let cdn = Cdn::start((1..=2).map(|id| (id, SIZE))).await;
    cdn.script(|request| match request.path.starts_with("/f/1/") {
        true => Answer::Status(404, ""),
        false => Answer::Right,
    });
    let (content, _cache) = reader(&cdn, dir.path(), patient()).await;
    let counts = || {
        let stats = content.stats();
        (stats.files_unfilled, stats.files_filled, stats.reads_failed)
    };
    // It is tried for a minute.
    tokio::time::pause();
    content.newcomers([file(1)]);
    until("the first is given up", || counts() != (0, 0, 0)).await;
    tokio::time::resume();
    assert_eq!(counts(), (1, 0, 0));
    content.newcomers([file(2)]);
    until("the second is filled", || counts() == (1, 1, 0)).await;
    let soon = Duration::from_millis(100);
    let read = checked(&content, &file(1), 1, 0, 4096, soon).await;
    read.unwrap_err();
    assert_eq!(counts(), (1, 1, 1));
}

/// Killed while new files wait for their turn: the next run goes on with those that are left, and asks for nothing that is there.
#[tokio::test(flavor = "multi_thread")]
async fn new_files_that_wait_are_known_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let cdn = Cdn::start((1..=4).map(|id| (id, SIZE))).await;
    let mut config = patient();
    config.fill_log = Some(dir.path().join("unfilled.json"));
    config.probe.fill_per_hour = 2;
    let cached = dir.path().join("cache");
    let (content, cache) = reader(&cdn, &cached, config.clone()).await;
    assert!(content.unfilled().is_empty());
    content.newcomers((1..=4).map(file));
    let noted = || std::fs::read_to_string(dir.path().join("unfilled.json"));
    until("two are left", || noted().is_ok_and(|text| text == "[3,4]")).await;
    // Nothing is written at the end, so it is as good as a kill.
    drop(content);
    assert!(cache.close(LONG));
    drop(cache);
    let requests = cdn.requests();
    let (content, _cache) = reader(&cdn, &cached, config.clone()).await;
    assert_eq!(content.unfilled(), [3, 4].into());
    // One of them is gone, and one that was filled is told again.
    content.newcomers([1, 3].map(file));
    until("the other is filled", || content.stats().files_filled == 1).await;
    until("nothing is left", || noted().is_ok_and(|text| text == "[]")).await;
    let log = cdn.log().split_off(requests as usize);
    assert!(!log.is_empty());
    assert!(
        log.iter().all(|request| request.path.starts_with("/f/3/")),
        "{log:?}"
    );
}

/// A thousand looks at once, at a CDN that serves a few at a time, while somebody plays.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_scans_does_not_stop_playback() {
    const SCANNERS: u64 = 1000;
    let config = ContentConfig {
        memory: ByteSize(64 * MIB),
        ..quick()
    };
    let cdn = Cdn::start((1..=FILES).map(|id| (id, SIZE))).await;
    cdn.script(|request| match request.transfers {
        0..6 => Answer::Paced(Duration::from_millis(5), 100_000),
        _ => Answer::Status(429, ""),
    });
    let provider = TestProvider::new("rd", cdn.address);
    let content = Content::new(
        config.clone(),
        vec![Arc::new(provider)],
        Arc::new(MemoryLinks::default()),
        Handle::current(),
    );
    let play = async |from: u64, to: u64| {
        let mut at = from;
        while at < to {
            at += checked(&content, &file(1), 1, at, 128 << 10, LONG)
                .await
                .unwrap();
        }
    };
    // Who has played for a while, and how long 40 MiB take without anybody else.
    play(0, 20 * MIB).await;
    let begun = Instant::now();
    play(20 * MIB, 60 * MIB).await;
    let alone = begun.elapsed();
    let over = AtomicBool::new(false);
    let looked = std::sync::atomic::AtomicU64::new(0);
    let most = std::sync::atomic::AtomicU64::new(0);
    let storm = async {
        let looks = (0..SCANNERS).map(|n| {
            let (content, over, looked) = (&content, &over, &looked);
            async move {
                let id = 2 + n % (FILES - 1);
                for at in [40, 90, 150, 180] {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let offset = (at + n % 7) * MIB;
                    checked(content, &file(id), 100 + n, offset, 64 << 10, LONG)
                        .await
                        .unwrap();
                    looked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        join_all(looks).await;
    };
    let playing = async {
        let begun = Instant::now();
        for step in 0..40 {
            play((60 + step) * MIB, (61 + step) * MIB).await;
            let reserved = content.stats().bytes_reserved;
            most.fetch_max(reserved, Ordering::Relaxed);
        }
        let took = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        (took, looked.load(Ordering::Relaxed))
    };
    let (_, (took, looked)) = tokio::join!(storm, playing);
    let most = most.load(Ordering::Relaxed);
    println!("{took:?} for 40 MiB, {alone:?} alone, {looked} looks meanwhile, {most} reserved");
    assert!(
        took < 8 * alone + Duration::from_secs(3),
        "{took:?}, alone {alone:?}"
    );
    // Besides the limit there is what each of them waits for.
    let limit = config.memory.0 + SCANNERS * (64 << 10);
    assert!(most <= limit, "{most}");
}
