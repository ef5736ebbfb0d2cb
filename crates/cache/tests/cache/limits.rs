//! The limits hold whatever is read, also by many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use debridfs_base::ByteSize;
use debridfs_cache::{Cache, CacheClass, CacheConfig, CacheError};

use super::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_counts_files_that_are_open() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 48 * MIB;
    let config = CacheConfig {
        size: ByteSize(limit),
        probe_size: ByteSize(8 * MIB),
        ..small()
    };
    let cache = open(dir.path(), config.clone());
    let most = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let watching = {
        // Walking the directory would count what moves between files twice; that the sum is the disk's is checked below.
        let (cache, most, over) = (cache.clone(), most.clone(), over.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(cache.stats().bytes, Ordering::Relaxed);
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        })
    };
    let readers: Vec<_> = (0..12u64)
        .map(|id| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let film = file(id, 40 * MIB);
                for at in (0..film.size).step_by(1 << 20) {
                    put(&cache, CacheClass::Playback, film, at..at + MIB);
                    // Reading keeps it open.
                    for back in [0, 3, 7] {
                        let back = at.saturating_sub(back * MIB);
                        read(&cache, film, back..back + 64 * KIB).await;
                    }
                    cache.flush().await.unwrap();
                }
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    watching.join().unwrap();
    let most = most.load(Ordering::Relaxed);
    assert!(most <= limit, "{most} bytes on disk");
    assert!(most > limit / 2, "the limit is made use of: {most}");
    let stats = cache.stats();
    assert!(stats.evicted_bytes > 12 * 40 * MIB / 2, "{stats:?}");
    assert_eq!((stats.errors, stats.damaged), (0, 0));
    assert_eq!(
        stats.bytes,
        taken(&dir.path().join("playback")),
        "what it believes to take"
    );
    for id in 0..12 {
        verified(&cache, file(id, 40 * MIB)).await;
    }
    // A smaller limit after a restart is met at once.
    let smaller = CacheConfig {
        size: ByteSize(20 * MIB),
        ..config
    };
    let cache = reopen(cache, dir.path(), smaller);
    eventually("the rest is given back", || {
        taken(&dir.path().join("playback")) <= 20 * MIB
    });
    drop(cache);
}

#[tokio::test]
async fn playback_never_displaces_probes() {
    let dir = tempfile::tempdir().unwrap();
    let config = CacheConfig {
        size: ByteSize(32 * MIB),
        probe_size: ByteSize(16 * MIB),
        ..small()
    };
    let cache = open(dir.path(), config);
    let probed = file(1, 500 * MIB);
    keep(&cache, CacheClass::Probe, probed, 0..4 * MIB).await;
    keep(&cache, CacheClass::Probe, probed, 499 * MIB..500 * MIB).await;
    let film = file(2, 200 * MIB);
    keep(&cache, CacheClass::Playback, film, 0..film.size).await;
    assert_eq!(verified(&cache, probed).await, 5 * MIB);
    assert!(verified(&cache, film).await <= 32 * MIB);
    // Probes displace each other.
    for id in 10..20 {
        keep(&cache, CacheClass::Probe, file(id, 500 * MIB), 0..4 * MIB).await;
    }
    assert!(taken(&dir.path().join("probe")) <= 16 * MIB);
    assert!(
        cache.covers(file(19, 500 * MIB), &(0..4 * MIB)),
        "the newest is there"
    );
}

#[tokio::test]
async fn pinned_files_stay_and_more_than_fits_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = CacheConfig {
        size: ByteSize(40 * MIB),
        ..small()
    };
    let cache = open(dir.path(), config.clone());
    let film = file(1, 16 * MIB);
    cache.pin(vec![film], true).await.unwrap();
    keep(&cache, CacheClass::Playback, film, 0..film.size).await;
    let refused = cache.pin(vec![file(2, 30 * MIB)], true).await;
    assert!(
        matches!(refused, Err(CacheError::DoesNotFit { needed, limit })
        if needed == 46 * MIB && limit == 36 * MIB)
    );
    let kept: Vec<u64> = cache.list().iter().map(|file| file.id).collect();
    assert_eq!(kept, [1, 1], "nothing of the other is kept");
    keep(
        &cache,
        CacheClass::Playback,
        file(3, 100 * MIB),
        0..100 * MIB,
    )
    .await;
    assert_eq!(verified(&cache, film).await, film.size);
    let cache = reopen(cache, dir.path(), config);
    keep(
        &cache,
        CacheClass::Playback,
        file(4, 100 * MIB),
        0..100 * MIB,
    )
    .await;
    assert_eq!(verified(&cache, film).await, film.size);
    cache.pin(vec![film], false).await.unwrap();
    keep(
        &cache,
        CacheClass::Playback,
        file(5, 100 * MIB),
        0..100 * MIB,
    )
    .await;
    assert!(verified(&cache, film).await < film.size);
    let (files, bytes) = cache.purge(None).await.unwrap();
    assert!(files > 0 && bytes > 30 * MIB);
    assert_eq!(taken(&dir.path().join("playback")), 0);
    assert_eq!((cache.stats().bytes, cache.list().len()), (0, 0));
}

#[tokio::test]
async fn a_pinned_file_keeps_its_head_and_tail() {
    let dir = tempfile::tempdir().unwrap();
    let config = CacheConfig {
        probe_size: ByteSize(32 * MIB),
        ..small()
    };
    let cache = open(dir.path(), config.clone());
    let film = file(1, 40 * MIB);
    cache.pin(vec![film], true).await.unwrap();
    let parts = [0..4 * MIB, 39 * MIB..40 * MIB];
    let flood = async |cache: &Cache, from: u64| {
        for id in from..from + 12 {
            keep(cache, CacheClass::Probe, file(id, 500 * MIB), 0..4 * MIB).await;
        }
    };
    for part in &parts {
        keep(&cache, CacheClass::Probe, film, part.clone()).await;
    }
    flood(&cache, 10).await;
    let there = |cache: &Cache| parts.iter().all(|part| cache.covers(film, part));
    assert!(there(&cache));
    let cache = reopen(cache, dir.path(), config.clone());
    flood(&cache, 30).await;
    assert!(there(&cache));
    let many = (100..106).map(|id| file(id, 30 * MIB)).collect();
    let refused = cache.pin(many, true).await;
    assert!(matches!(refused, Err(CacheError::DoesNotFit { needed, .. }) if needed == 7 * 5 * MIB));
    cache.pin(vec![film], false).await.unwrap();
    flood(&cache, 50).await;
    assert!(!there(&cache));
    // A cache of an earlier version, or a kill in the middle: pinned in one part only.
    cache.pin(vec![film], true).await.unwrap();
    for part in &parts {
        keep(&cache, CacheClass::Probe, film, part.clone()).await;
    }
    assert!(cache.close(LONG));
    drop(cache);
    let header = dir.path().join("probe/0000000000000001.map");
    let whole = std::fs::read(&header).unwrap();
    // Without its header the side file counts for nothing.
    std::fs::write(&header, vec![0; whole.len()]).unwrap();
    let cache = open(dir.path(), config);
    for part in &parts {
        keep(&cache, CacheClass::Probe, film, part.clone()).await;
    }
    flood(&cache, 70).await;
    assert!(there(&cache));
}
