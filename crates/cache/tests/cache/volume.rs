//! Disks that are full, hang or are taken away. Needs root: it mounts volumes of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use debridfs_base::ByteSize;
use debridfs_cache::{CacheClass, CacheConfig, KeepFree};

use super::support::*;

/// A volume; unmounted and removed when dropped.
struct Volume {
    dir: tempfile::TempDir,
    frozen: bool,
}

fn run(program: &str, args: &[&str]) {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(
        out.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

impl Volume {
    fn tmpfs(bytes: u64, inodes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let volume = Self { dir, frozen: false };
        let size = format!("size={bytes},nr_inodes={inodes}");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "tmpfs", volume.path()],
        );
        volume
    }

    /// An ext4 file system in an image.
    fn ext4(bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().with_extension("image");
        std::fs::File::create(&image)
            .unwrap()
            .set_len(bytes)
            .unwrap();
        let volume = Self { dir, frozen: false };
        run("mkfs.ext4", &["-q", "-m", "0", image.to_str().unwrap()]);
        run(
            "mount",
            &["-o", "loop", image.to_str().unwrap(), volume.path()],
        );
        volume
    }

    fn path(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn freeze(&mut self) {
        run("fsfreeze", &["--freeze", self.path()]);
        self.frozen = true;
    }

    fn thaw(&mut self) {
        run("fsfreeze", &["--unfreeze", self.path()]);
        self.frozen = false;
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.frozen {
            let _ = Command::new("fsfreeze")
                .args(["--unfreeze", self.path()])
                .status();
        }
        // Threads of a cache may be about to close their last files.
        let _ = Command::new("umount")
            .args(["--lazy", self.path()])
            .status();
        let _ = std::fs::remove_file(self.dir.path().with_extension("image"));
    }
}

fn free(path: &Path) -> u64 {
    let volume = rustix::fs::statvfs(path).unwrap();
    volume.f_bavail * volume.f_frsize
}

#[tokio::test]
async fn the_reserve_of_the_volume_is_kept() {
    let volume = Volume::tmpfs(96 * MIB, 1000);
    let config = CacheConfig {
        size: ByteSize(10_000 * MIB),
        keep_free: Some(KeepFree::Bytes(ByteSize(32 * MIB))),
        ..small()
    };
    let cache = open(&volume.cache(), config);
    let film = file(1, 200 * MIB);
    for at in (0..film.size).step_by(4 << 20) {
        keep(&cache, CacheClass::Playback, film, at..at + 4 * MIB).await;
        assert!(free(volume.dir.path()) >= 32 * MIB);
    }
    assert!(
        verified(&cache, film).await > 30 * MIB,
        "what is free is made use of"
    );
    // Others need the room: the cache gives it back by itself.
    std::fs::write(volume.dir.path().join("other"), vec![1; 24 << 20]).unwrap();
    eventually("the reserve is free again", || {
        free(volume.dir.path()) >= 32 * MIB
    });
    verified(&cache, film).await;
    // Heads and tails get room at the cost of what was played.
    keep(&cache, CacheClass::Probe, file(2, 100 * MIB), 0..4 * MIB).await;
    assert_eq!(verified(&cache, file(2, 100 * MIB)).await, 4 * MIB);
    assert!(free(volume.dir.path()) >= 32 * MIB);
}

#[tokio::test]
async fn a_full_disk_makes_it_step_back() {
    let volume = Volume::tmpfs(48 * MIB, 1000);
    // Nothing is reserved, and more is allowed than there is.
    let cache = open(&volume.cache(), small());
    let film = file(1, 16 * MIB);
    keep(&cache, CacheClass::Playback, film, 0..film.size).await;
    let other = volume.dir.path().join("other");
    assert!(
        std::fs::write(&other, vec![1; 64 << 20]).is_err(),
        "full up to the last page"
    );
    for id in 2..8 {
        let next = file(id, 8 * MIB);
        keep(&cache, CacheClass::Playback, next, 0..next.size).await;
        verified(&cache, next).await;
        // What the cache gave back is taken by others, down to nothing.
        assert!(std::fs::write(&other, vec![1; 64 << 20]).is_err());
    }
    assert!(cache.stats().skipped_bytes > 0, "{:?}", cache.stats());
    assert!(cache.is_usable());
    std::fs::remove_file(&other).unwrap();
    comes_back(&cache).await;
}

#[tokio::test]
async fn a_disk_that_refuses_to_write_is_left_alone_for_a_while() {
    // Room enough, but no more files: only the attempt can tell.
    let volume = Volume::tmpfs(64 * MIB, 12);
    let cache = open(&volume.cache(), small());
    for id in 2..8 {
        keep(&cache, CacheClass::Playback, file(id, 4 * MIB), 0..4 * MIB).await;
    }
    assert!(
        cache.stats().skipped_bytes >= 4 * MIB,
        "{:?}",
        cache.stats()
    );
    for id in 2..8 {
        verified(&cache, file(id, 4 * MIB)).await;
    }
    cache.purge(None).await.unwrap();
    comes_back(&cache).await;
}

/// It caches again, by itself.
async fn comes_back(cache: &debridfs_cache::Cache) {
    let late = file(9, 4 * MIB);
    let start = Instant::now();
    while verified(cache, late).await < late.size {
        assert!(start.elapsed() < LONG, "it never comes back");
        keep(cache, CacheClass::Playback, late, 0..late.size).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_frozen_volume_holds_nobody_up() {
    let mut volume = Volume::ext4(128 * MIB);
    let cache = open(&volume.cache(), small());
    let film = file(1, 16 * MIB);
    keep(&cache, CacheClass::Playback, film, 0..film.size).await;
    volume.freeze();
    let start = Instant::now();
    // More than the queue holds: the writing thread hangs, and nobody notices.
    for id in 2..8 {
        put(
            &cache,
            CacheClass::Playback,
            file(id, 40 * MIB),
            0..40 * MIB,
        );
    }
    for at in (0..film.size).step_by(1 << 20) {
        // Present or not, it is over soon and never wrong.
        read(&cache, film, at..at + 4096).await;
        read(&cache, file(2, 40 * MIB), at..at + 4096).await;
    }
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
    let stats = cache.stats();
    assert!(stats.skipped_bytes > 0);
    // Full, but for what is too large for the rest of it.
    let waiting = stats.waiting_bytes;
    assert!((15 * MIB..=16 * MIB).contains(&waiting), "{stats:?}");
    volume.thaw();
    cache.flush().await.unwrap();
    // Parts of blocks wait for the rest.
    let waiting = cache.stats().waiting_bytes;
    assert!(waiting < MIB, "{waiting}");
    eventually("it can be used again", || cache.is_usable());
    assert_eq!(verified(&cache, film).await, film.size);
    assert!(cache.close(LONG));
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_left_alone() {
    // A file in place of the directory: nothing can be made there at all.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    std::fs::write(&path, "in the way").unwrap();
    let cache = debridfs_cache::Cache::open(path.clone(), small()).unwrap();
    let film = file(1, MIB);
    put(&cache, CacheClass::Playback, film, 0..MIB);
    assert!(cache.flush().await.is_err());
    assert_eq!(cache.read(film, &(0..1), LONG).await, None);
    assert_eq!(cache.try_read(film, &(0..1)), None);
    assert!(!cache.is_usable() && cache.list().is_empty());
    assert!(cache.close(LONG));
    assert_eq!(std::fs::read(path).unwrap(), b"in the way");
}
