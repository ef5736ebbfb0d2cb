//! kill -9 in the middle of writes, again and again: whatever the next run finds claimed is there and right.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use debridfs_base::ByteSize;
use debridfs_cache::{CacheClass, CacheConfig};

use super::support::*;

/// Tells the child its directory and where to begin.
const DIR: &str = "DEBRIDFS_TEST_CACHE_DIR";
const ROUND: &str = "DEBRIDFS_TEST_CACHE_ROUND";
const FILES: u64 = 4;
const SIZE: u64 = 24 * MIB + 777;
const LIMIT: u64 = 40 * MIB;

fn config() -> CacheConfig {
    // Less than the files together, so that there are evictions to be killed in, too.
    CacheConfig {
        size: ByteSize(LIMIT),
        ..small()
    }
}

/// Not a test of its own: writes until it is killed.
#[test]
fn child_that_writes() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let cache = open(Path::new(&dir), config());
    for step in 0u64.. {
        let film = file(1 + (round + step / 24) % FILES, SIZE);
        let at = (round * 37 + step * 13) % 24 * MIB + step % 5 * 1000;
        put(
            &cache,
            CacheClass::Playback,
            film,
            at..SIZE.min(at + 600 * KIB),
        );
        std::thread::sleep(Duration::from_micros(500));
    }
}

#[tokio::test]
async fn every_byte_claimed_after_a_kill_is_right() {
    let kills: u64 =
        std::env::var("DEBRIDFS_TEST_KILLS").map_or(100, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (mut found, mut most) = (0, 0);
    for round in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["killed::child_that_writes", "--exact", "--nocapture"])
            .env(DIR, dir.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Syncs come every second: a kill hits before, in and after one, at places that move on.
        std::thread::sleep(Duration::from_millis(20 + round * 131 % 1300));
        child.kill().unwrap();
        child.wait().unwrap();
        let cache = open(dir.path(), config());
        let mut now = 0;
        for id in 1..=FILES {
            now += verified(&cache, file(id, SIZE)).await;
        }
        found += now;
        most = most.max(now);
        assert_eq!(cache.stats().damaged, 0, "after kill {round}");
        assert!(taken(dir.path()) <= LIMIT + MIB);
        assert!(cache.close(LONG));
    }
    assert!(
        found > kills * MIB,
        "only {found} bytes outlived {kills} kills"
    );
}
