//! What others do to the cache's files is noticed, and never served.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use debridfs_cache::CacheClass;

use super::support::*;

const SIZE: u64 = 20 * MIB + 1234;

fn data(dir: &Path) -> PathBuf {
    dir.join("playback/0000000000000007.data")
}

fn map(dir: &Path) -> PathBuf {
    dir.join("playback/0000000000000007.map")
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

async fn filled(dir: &Path) -> std::sync::Arc<debridfs_cache::Cache> {
    let cache = open(dir, small());
    let film = file(7, SIZE);
    keep(&cache, CacheClass::Playback, film, 0..SIZE).await;
    assert_eq!(verified(&cache, film).await, SIZE);
    cache
}

/// Reads everything that can be read, in steps of a granule; the bytes of each are checked.
async fn readable(cache: &debridfs_cache::Cache) -> u64 {
    let film = file(7, SIZE);
    let mut bytes = 0;
    for at in (0..SIZE).step_by(128 << 10) {
        let range = at..SIZE.min(at + 128 * KIB);
        bytes += read(cache, film, range).await.unwrap_or(0);
    }
    bytes
}

#[tokio::test]
async fn a_flipped_bit_costs_one_granule() {
    let dir = tempfile::tempdir().unwrap();
    let cache = filled(dir.path()).await;
    assert!(cache.close(LONG));
    flip(&data(dir.path()), 5 * MIB + 77);
    let cache = open(dir.path(), small());
    assert_eq!(readable(&cache).await, SIZE - 128 * KIB);
    assert_eq!(cache.stats().damaged, 1);
    // It is fetched and kept again.
    let film = file(7, SIZE);
    assert_eq!(
        cache.absent(film, &(0..SIZE)),
        Some(5 * MIB..5 * MIB + 128 * KIB)
    );
    keep(
        &cache,
        CacheClass::Playback,
        film,
        5 * MIB..5 * MIB + 128 * KIB,
    )
    .await;
    let cache = reopen(cache, dir.path(), small());
    assert_eq!(readable(&cache).await, SIZE);
}

#[tokio::test]
async fn a_change_under_a_running_engine_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = filled(dir.path()).await;
    // What is read first, and what comes later.
    flip(&data(dir.path()), 77);
    flip(&data(dir.path()), 9 * MIB);
    assert_eq!(readable(&cache).await, SIZE - 2 * 128 * KIB);
    let cut = OpenOptions::new()
        .write(true)
        .open(data(dir.path()))
        .unwrap();
    cut.set_len(4 * MIB + 100).unwrap();
    assert_eq!(readable(&cache).await, 4 * MIB - 128 * KIB);
}

#[tokio::test]
async fn a_truncated_file_keeps_its_start() {
    let dir = tempfile::tempdir().unwrap();
    assert!(filled(dir.path()).await.close(LONG));
    let cut = OpenOptions::new()
        .write(true)
        .open(data(dir.path()))
        .unwrap();
    cut.set_len(3 * MIB + 5000).unwrap();
    let cache = open(dir.path(), small());
    assert_eq!(readable(&cache).await, 3 * MIB);
    assert_eq!(verified(&cache, file(7, SIZE)).await, 3 * MIB);
}

#[tokio::test]
async fn a_damaged_side_file_costs_what_it_spoke_for() {
    let dir = tempfile::tempdir().unwrap();
    assert!(filled(dir.path()).await.close(LONG));
    let whole = fs::read(map(dir.path())).unwrap();
    // The page of the first 56 MiB.
    flip(&map(dir.path()), 4096 + 100);
    let cache = open(dir.path(), small());
    assert_eq!(readable(&cache).await, 0);
    assert!(cache.close(LONG));
    for damaged in [&whole[..100], &[0; 8192], &[whole[0]; 4096], b""] {
        fs::write(map(dir.path()), damaged).unwrap();
        fs::write(data(dir.path()), b"anything").unwrap();
        let cache = open(dir.path(), small());
        assert_eq!(readable(&cache).await, 0);
        assert!(cache.close(LONG));
        assert!(!map(dir.path()).exists() && !data(dir.path()).exists());
    }
}

#[tokio::test]
async fn the_files_of_another_are_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = filled(dir.path()).await;
    let other = file(8, SIZE);
    keep(&cache, CacheClass::Playback, other, 0..SIZE).await;
    assert!(cache.close(LONG));
    // The bytes of 8 under the name of 7: sums are of a file and a place.
    fs::copy(
        dir.path().join("playback/0000000000000008.data"),
        data(dir.path()),
    )
    .unwrap();
    let cache = open(dir.path(), small());
    assert_eq!(readable(&cache).await, 0);
    assert!(cache.close(LONG));
    // The side file of 8 under the name of 7.
    fs::copy(
        dir.path().join("playback/0000000000000008.map"),
        map(dir.path()),
    )
    .unwrap();
    fs::write(dir.path().join("playback/notes.txt"), "not ours").unwrap();
    let cache = open(dir.path(), small());
    assert_eq!(readable(&cache).await, 0);
    assert_eq!(verified(&cache, other).await, SIZE);
    assert!(dir.path().join("playback/notes.txt").exists());
}

#[tokio::test]
async fn a_copy_elsewhere_is_as_good() {
    let dir = tempfile::tempdir().unwrap();
    let film = file(7, SIZE);
    let cache = filled(dir.path()).await;
    let zeros = file(9, 4 * MIB);
    cache.put(
        CacheClass::Probe,
        zeros,
        0,
        &bytes::Bytes::from(vec![0; 4 << 20]),
    );
    cache.flush().await.unwrap();
    // Even without an end: as a snapshot of the volume would find it.
    let elsewhere = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .args(["-r", "--sparse=always"])
        .arg(dir.path().join("."))
        .arg(elsewhere.path().join("moved"))
        .status()
        .unwrap();
    assert!(copied.success());
    drop(cache);
    let cache = open(&elsewhere.path().join("moved"), small());
    assert_eq!(verified(&cache, film).await, SIZE);
    assert!(
        cache
            .read(zeros, &(0..4 * MIB), LONG)
            .await
            .unwrap()
            .concat()
            .iter()
            .all(|byte| *byte == 0)
    );
    assert_eq!(cache.stats().damaged, 0);
}
