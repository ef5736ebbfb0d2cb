//! Reading with a cache before the network: nothing that is on disk is fetched again, and the disk is never the reason that a read fails.
#![allow(clippy::disallowed_methods)] // Tests wait for a real disk by looking again after a moment.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use debridfs_base::ByteSize;
use debridfs_cache::{Cache, CacheClass, CacheConfig, KeepFree};
use debridfs_content::{Content, FileRef, ReadRequest};
use support::{Answer, Cdn, LONG, MIB, caching, checked, patient, source};

const SIZE: u64 = 24 * MIB + 4321;

/// A CDN and a reader with a cache in a directory.
struct Cached {
    cdn: Cdn,
    content: Arc<Content>,
    cache: Arc<Cache>,
}

fn config() -> CacheConfig {
    CacheConfig {
        size: ByteSize(256 * MIB),
        keep_free: Some(KeepFree::Bytes(ByteSize(0))),
        ..CacheConfig::default()
    }
}

impl Cached {
    async fn new(dir: &Path) -> Self {
        let cdn = Cdn::start([(1, SIZE), (2, SIZE)]).await;
        let (content, cache) = reader(&cdn, dir).await;
        Self {
            cdn,
            content,
            cache,
        }
    }

    /// Another engine on the same directory.
    async fn restart(&mut self, dir: &Path) {
        self.cdn.rest().await;
        self.cache.flush().await.unwrap();
        assert!(self.cache.close(LONG));
        (self.content, self.cache) = reader(&self.cdn, dir).await;
    }

    async fn read(&self, id: u64, handle: u64, offset: u64, size: u64) {
        let size = u32::try_from(size).unwrap();
        checked(&self.content, &file(id), handle, offset, size, LONG)
            .await
            .unwrap();
    }

    /// All of the file as a player reads it.
    async fn play(&self, id: u64, handle: u64) {
        for at in (0..SIZE).step_by(128 << 10) {
            self.read(id, handle, at, 128 << 10).await;
        }
        self.content.release(handle);
    }
}

fn file(id: u64) -> FileRef {
    FileRef {
        id,
        size: SIZE,
        sources: Arc::from([source("rd", id)]),
    }
}

async fn reader(cdn: &Cdn, dir: &Path) -> (Arc<Content>, Arc<Cache>) {
    let cache = Cache::open(dir.to_path_buf(), config()).unwrap();
    let started = Instant::now();
    while !cache.is_usable() {
        assert!(started.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let content = caching(cdn, &cache, patient());
    (content, cache)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_played_is_played_again_without_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let mut cached = Cached::new(dir.path()).await;
    cached.play(1, 1).await;
    let (sent, requests) = (cached.cdn.sent(), cached.cdn.requests());
    assert!(sent >= SIZE);
    cached.restart(dir.path()).await;
    assert_eq!(cached.cache.absent(file(1).file_id(), &(0..SIZE)), None);
    cached.cdn.script(|_| Answer::Status(503, ""));
    for handle in 2..4 {
        cached.play(1, handle).await;
        // Anywhere, by anybody.
        cached.read(1, 0, 7_777_777, MIB).await;
        cached.read(1, 0, SIZE - 100, 1000).await;
    }
    assert_eq!((cached.cdn.sent(), cached.cdn.requests()), (sent, requests));
    let stats = cached.content.stats();
    assert_eq!((stats.cdn.link_resolutions, stats.cdn.requests), (0, 0));
    let stats = stats.cache.unwrap();
    assert!(stats.hits > 2 * SIZE / (128 << 10), "{stats:?}");
    assert_eq!((stats.misses, stats.damaged, stats.errors), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_to_the_disk_is_not_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let cached = Cached::new(dir.path()).await;
    let mut again = 0;
    // Too little to be joined to what is written at once.
    for (handle, at) in (1..).zip((0..SIZE - MIB).step_by(MIB as usize)) {
        cached.read(1, 2 * handle, at, 64 << 10).await;
        cached.content.release(2 * handle);
        let requests = cached.cdn.requests();
        // The next program looks at the same place.
        cached.read(1, 2 * handle + 1, at, 64 << 10).await;
        cached.content.release(2 * handle + 1);
        again += cached.cdn.requests() - requests;
    }
    // A disk that is slow for a moment is not waited for.
    assert!(again <= 3, "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_to_be_kept_is_there_for_the_next_one_however_busy_the_disk_is() {
    let dir = tempfile::tempdir().unwrap();
    let cached = Cached::new(dir.path()).await;
    let other = FileRef {
        size: 1 << 30,
        ..file(3)
    };
    let chunk = Bytes::from(vec![0; 1 << 20]);
    // More than waits for the disk at once: what comes now finds no room.
    let offer = |at: u64| {
        cached
            .cache
            .put(CacheClass::Playback, other.file_id(), at * MIB, &chunk)
    };
    (0..64).for_each(offer);
    for (offset, size) in [(0, 2 * MIB), (SIZE - MIB, MIB), (5 * MIB, 100_000)] {
        let request = ReadRequest {
            handle: 1,
            offset,
            size: size as u32,
            deadline: LONG,
            client: debridfs_base::Client::Own,
        };
        let read = cached.content.read_to_keep(&file(1), &request).await;
        read.unwrap();
        let pages = offset.next_multiple_of(4096)..(offset + size).min(SIZE);
        let pages = pages.start..if pages.end == SIZE {
            SIZE
        } else {
            pages.end / 4096 * 4096
        };
        assert_eq!(cached.cache.absent(file(1).file_id(), &pages), None);
        (64..128).for_each(offer);
    }
    cached.content.release(1);
    cached.cdn.script(|_| Answer::Status(503, ""));
    cached.read(1, 2, 0, 2 * MIB).await;
    cached.read(1, 3, SIZE - MIB + 4096, MIB - 4096).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_absent_is_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let mut cached = Cached::new(dir.path()).await;
    // Parts of it are there: two long ones, and short ones that are not worth a request of their own.
    for (at, size) in [(4 * MIB, 4 * MIB), (15 * MIB, 3 * MIB), (10 * MIB, MIB / 4)] {
        for at in (at..at + size).step_by(256 << 10) {
            cached.read(1, 0, at, 256 << 10).await;
        }
    }
    cached.restart(dir.path()).await;
    // Reading ahead brought more than was read.
    let (mut missing, mut at) = (0, 0);
    while let Some(absent) = cached.cache.absent(file(1).file_id(), &(at..SIZE)) {
        missing += absent.end - absent.start;
        at = absent.end;
    }
    assert!((4 * MIB..SIZE - 7 * MIB).contains(&missing), "{missing}");
    let before = cached.cdn.sent();
    let requests = cached.cdn.log().len();
    cached.play(1, 1).await;
    let fetched = cached.cdn.sent() - before;
    assert!(fetched >= missing, "{fetched} of {missing}");
    // Short parts may be fetched again, and so may what a body in flight brought before it was closed.
    assert!(fetched <= missing + 4 * MIB, "{fetched} of {missing}");
    for request in &cached.cdn.log()[requests..] {
        for long in [4 * MIB..8 * MIB, 15 * MIB..18 * MIB] {
            let range = &request.range;
            let overlap = range
                .end
                .min(long.end)
                .saturating_sub(range.start.max(long.start));
            assert!(overlap <= MIB, "{range:?} asks again for part of {long:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_fetched_again_in_the_middle_of_a_read() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let mut cached = Cached::new(dir.path()).await;
    cached.play(1, 1).await;
    cached.cache.flush().await.unwrap();
    // The head and the tail have files of their own.
    for (class, at) in [
        ("probe", 0),
        ("playback", 5 * MIB),
        ("playback", 5 * MIB + 300_000),
        ("probe", SIZE - 1),
    ] {
        let data = dir.path().join(class).join("0000000000000001.data");
        let data = std::fs::OpenOptions::new().write(true).open(data).unwrap();
        data.write_all_at(b"!", at).unwrap();
    }
    cached.play(1, 2).await;
    assert_eq!(cached.cache.stats().damaged, 4);
    let sent = cached.cdn.sent();
    cached.restart(dir.path()).await;
    cached.play(1, 3).await;
    assert_eq!(cached.cdn.sent(), sent, "it is whole again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_on_disk_everything_is_read_all_the_same() {
    let volume = tempfile::tempdir().unwrap();
    let path = volume.path().to_str().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs", path])
        .status()
        .unwrap();
    assert!(mounted.success());
    let cached = Cached::new(&volume.path().join("cache")).await;
    cached.play(1, 1).await;
    // Full to the last page while it is being read.
    let other = std::fs::write(volume.path().join("other"), vec![1; 8 << 20]);
    assert!(other.is_err());
    cached.play(2, 2).await;
    cached.play(1, 3).await;
    assert_eq!(cached.content.stats().reads_failed, 0);
    let stats = cached.cache.stats();
    assert!(
        stats.evicted_bytes > 0 && stats.bytes < 6 * MIB,
        "{stats:?}"
    );
    assert!(cached.cache.close(LONG));
    let unmounted = std::process::Command::new("umount")
        .args(["--lazy", path])
        .status();
    assert!(unmounted.unwrap().success());
}

/// Bytes of memory that this process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// Random work for a while (`make soak`: ten minutes): memory and disk stay within their limits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_work_stays_within_its_limits() {
    let seconds = std::env::var("DEBRIDFS_TEST_CACHE_SECONDS");
    let seconds = seconds.map_or(5, |seconds| seconds.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let limit = 64 * MIB;
    let size = 200 * MIB + 77;
    let cdn = Cdn::start((1..=6).map(|id| (id, size))).await;
    let config = CacheConfig {
        size: ByteSize(limit),
        ..config()
    };
    let cache = Cache::open(dir.path().to_path_buf(), config).unwrap();
    let content = caching(&cdn, &cache, patient());
    let end = Instant::now() + Duration::from_secs(seconds);
    let readers: Vec<_> = (0..6u64)
        .map(|reader| {
            let content = content.clone();
            tokio::spawn(async move {
                let mut state = reader + 1;
                let mut random = move |below: u64| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state % below
                };
                let mut handle = reader;
                while Instant::now() < end {
                    let id = 1 + random(6);
                    let film = FileRef {
                        id,
                        size,
                        sources: Arc::from([source("rd", id)]),
                    };
                    handle += 6;
                    // A look, or a run of some MiB.
                    let mut at = random(size);
                    for _ in 0..1 + random(2) * random(60) {
                        let read = checked(&content, &film, handle, at, 128 << 10, LONG);
                        at += read.await.unwrap();
                    }
                    content.release(handle);
                }
            })
        })
        .collect();
    let (mut most_disk, mut most_memory) = (0, 0);
    while Instant::now() < end {
        most_disk = most_disk.max(cache.stats().bytes);
        most_memory = most_memory.max(resident());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(most_disk <= limit, "{most_disk} bytes on disk");
    // The server and what it makes up are in here as well.
    assert!(most_memory <= 400 * MIB, "{most_memory} bytes of memory");
    let stats = cache.stats();
    assert!(stats.hits > 0 && stats.evicted_bytes > 0, "{stats:?}");
    assert_eq!((stats.damaged, stats.errors), (0, 0));
    assert_eq!(content.stats().reads_failed, 0);
    println!("most: {most_disk} on disk, {most_memory} in memory; {stats:?}");
}
