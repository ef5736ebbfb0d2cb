//! A cache in a directory of its own, and bytes that tell their place.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use debridfs_base::ByteSize;
use debridfs_cache::{Cache, CacheClass, CacheConfig, FileId, KeepFree};

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
/// Long enough that no slow machine meets it.
pub const LONG: Duration = Duration::from_secs(60);

pub fn file(id: u64, size: u64) -> FileId {
    FileId { id, size }
}

/// Every 8-byte word tells its file and place.
pub fn content(id: u64, range: Range<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity((range.end - range.start) as usize + 16);
    let first = range.start / 8;
    for word in first..range.end.div_ceil(8) {
        let mixed = (word ^ (id << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        out.extend_from_slice(&mixed.to_le_bytes());
    }
    out.drain(..(range.start % 8) as usize);
    out.truncate((range.end - range.start) as usize);
    out
}

pub fn small() -> CacheConfig {
    CacheConfig {
        size: ByteSize(256 * MIB),
        probe_size: ByteSize(64 * MIB),
        keep_free: Some(KeepFree::Bytes(ByteSize(0))),
        ..CacheConfig::default()
    }
}

/// Waits until `is` holds.
pub fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A cache that can be used.
pub fn open(dir: &Path, config: CacheConfig) -> Arc<Cache> {
    let cache = Cache::open(dir.to_path_buf(), config).unwrap();
    eventually("the cache can be used", || cache.is_usable());
    cache
}

/// Closes and opens it again.
pub fn reopen(cache: Arc<Cache>, dir: &Path, config: CacheConfig) -> Arc<Cache> {
    assert!(cache.close(LONG));
    drop(cache);
    open(dir, config)
}

/// Puts `range` in pieces like those of a body.
pub fn put(cache: &Cache, class: CacheClass, file: FileId, range: Range<u64>) {
    let mut at = range.start;
    let steps = [16 * KIB, 1, 100, 64 * KIB, 4096, 8 * KIB - 3];
    for step in steps.iter().cycle() {
        if at >= range.end {
            return;
        }
        let to = range.end.min(at + step);
        cache.put(class, file, at, &Bytes::from(content(file.id, at..to)));
        at = to;
    }
}

/// As [`put`], and waits until it is all on disk. What finds no room in the queue is put again.
pub async fn keep(cache: &Cache, class: CacheClass, file: FileId, range: Range<u64>) {
    let mut at = range.start;
    while at < range.end {
        // Half of what the queue holds.
        let to = range.end.min(at + 16 * MIB);
        put(cache, class, file, at..to);
        cache.flush().await.unwrap();
        at = to;
    }
}

/// The bytes of `range` from the cache, checked; by memory first, as a transport thread would.
pub async fn read(cache: &Cache, file: FileId, range: Range<u64>) -> Option<u64> {
    let out = match cache.try_read(file, &range) {
        Some(out) => out,
        None => cache.read(file, &range, LONG).await?,
    };
    assert!(
        out.concat() == content(file.id, range.clone()),
        "wrong bytes of {} at {range:?}",
        file.id
    );
    Some(range.end - range.start)
}

/// Bytes of `file` that are present, every one of them read and checked.
pub async fn verified(cache: &Cache, file: FileId) -> u64 {
    let mut at = 0;
    let mut bytes = 0;
    while at < file.size {
        let rest = at..file.size.min(at + MIB);
        match cache.supply(file, &rest) {
            debridfs_cache::Supply::Cached(part) => {
                let claimed = part.end - part.start;
                assert_eq!(
                    read(cache, file, part.clone()).await,
                    Some(claimed),
                    "{part:?} of {} is said to be there",
                    file.id
                );
                bytes += claimed;
                at = part.end;
            }
            debridfs_cache::Supply::Absent(part) => at = part.end,
        }
    }
    bytes
}

/// What `dir` takes on disk, as du(1) counts files.
pub fn taken(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(items) = std::fs::read_dir(dir) else {
        return 0;
    };
    let bytes = items.flatten().map(|item| match item.metadata() {
        Ok(metadata) if metadata.is_dir() => taken(&item.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}
