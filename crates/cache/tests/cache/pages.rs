//! What the cache leaves in the kernel's memory.

use std::path::Path;
use std::process::Command;

use debridfs_cache::CacheClass;

use super::support::*;

/// Bytes of a file that are in the page cache.
fn in_memory(path: &Path) -> u64 {
    let mut command = Command::new("fincore");
    command.args(["--bytes", "--noheadings", "--output", "RES"]);
    let output = command.arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let words = String::from_utf8(output.stdout).unwrap();
    words.trim().parse().unwrap()
}

/// A film that streams by pushes nothing else out of memory; what scanners come back for stays.
#[tokio::test]
async fn what_is_played_leaves_the_page_cache_and_heads_stay() {
    // Not where temporary files are: those may be in memory themselves.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let cache = open(dir.path(), small());
    let film = file(7, 20 * MIB);
    put(&cache, CacheClass::Playback, film, 8 * MIB..9 * MIB);
    put(&cache, CacheClass::Probe, film, 0..MIB);
    let path = |class: &str| dir.path().join(class).join("0000000000000007.data");
    eventually("it has been written", || {
        cache.stats().written_bytes == 2 * MIB
    });
    eventually("the film's pages are gone", || {
        in_memory(&path("playback")) == 0
    });
    // The kernel may take some of it, and has no reason to take all.
    assert!(in_memory(&path("probe")) > 0);
    assert_eq!(read(&cache, film, 8 * MIB..9 * MIB).await, Some(MIB));
}
