//! A copy of a library leaves in the cache what was played, and is kept itself as far as there is room.
#![allow(clippy::disallowed_methods, missing_docs)] // Tests wait for a real disk by looking again after a moment.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use debridfs_base::ByteSize;
use debridfs_cache::{Cache, CacheClass, CacheConfig, KeepFree};
use debridfs_content::{Content, ContentConfig, FileRef, ReadRequest, ReaderClass};
use support::{Cdn, LONG, MIB, caching, checked, content, patient, source};

const FILM: u64 = 1;
const FILM_SIZE: u64 = 24 * MIB;
const COPIES: std::ops::RangeInclusive<u64> = 2..=13;
const COPY_SIZE: u64 = 24 * MIB;
const LARGE: u64 = 14;
const LARGE_SIZE: u64 = 160 * MIB;
const CACHE: u64 = 96 * MIB;

struct Home {
    cdn: Cdn,
    content: Arc<Content>,
    cache: Arc<Cache>,
}

fn file(id: u64) -> FileRef {
    let size = match id {
        FILM => FILM_SIZE,
        LARGE => LARGE_SIZE,
        _ => COPY_SIZE,
    };
    FileRef {
        id,
        size,
        sources: Arc::from([source("rd", id)]),
    }
}

impl Home {
    /// With a film that was played, all of it in the cache.
    async fn new(dir: &Path) -> Self {
        let files = (FILM..=LARGE).map(|id| (id, file(id).size));
        let cdn = Cdn::start(files).await;
        let config = CacheConfig {
            size: ByteSize(CACHE),
            keep_free: Some(KeepFree::Bytes(ByteSize(0))),
            ..CacheConfig::default()
        };
        let cache = Cache::open(dir.to_path_buf(), config).unwrap();
        while !cache.is_usable() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let config = ContentConfig {
            // What is fetched ahead is no copy before it is read.
            read_ahead: ByteSize(4 * MIB),
            ..patient()
        };
        let content = caching(&cdn, &cache, config);
        let home = Self {
            cdn,
            content,
            cache,
        };
        for at in (0..FILM_SIZE).step_by(1 << 20) {
            let bytes = Bytes::from(content_of(at));
            home.cache
                .put(CacheClass::Playback, file(FILM).file_id(), at, &bytes);
            home.cache.settle().await.unwrap();
        }
        assert!(home.keeps_the_film());
        home
    }

    fn keeps_the_film(&self) -> bool {
        self.cache.covers(file(FILM).file_id(), &(0..FILM_SIZE))
    }

    async fn read(&self, id: u64, range: std::ops::Range<u64>) {
        for at in range.step_by(128 << 10) {
            checked(&self.content, &file(id), id, at, 128 << 10, LONG)
                .await
                .unwrap();
            // The disk keeps up, or what came would not be cached at all.
            if at % (4 * MIB) == 0 {
                self.cache.settle().await.unwrap();
            }
        }
    }

    async fn copy(&self, id: u64) {
        self.read(id, 0..file(id).size).await;
        self.content.release(id);
        self.cache.settle().await.unwrap();
    }
}

fn content_of(at: u64) -> Vec<u8> {
    content(FILM, at..at + MIB)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_library_leaves_what_was_played() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path()).await;
    for id in COPIES {
        home.copy(id).await;
        assert!(home.keeps_the_film(), "after copy {id}");
    }
    assert!(
        home.cache.stats().evicted_bytes > CACHE,
        "all that was copied had no room"
    );
    // The last one is there, as far as an eighth of the cache goes.
    let copied = home.cache.list().into_iter();
    let kept = copied.filter(|file| file.class == CacheClass::Playback && file.id == *COPIES.end());
    assert!(kept.map(|file| file.bytes).sum::<u64>() >= CACHE / 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_long_copy_leaves_what_was_played_while_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path()).await;
    let copies = || home.content.stats().classes[ReaderClass::Copy as usize].readers;
    let mut as_copy = 0;
    for at in (0..LARGE_SIZE - MIB).step_by(4 << 20) {
        home.read(LARGE, at..at + 4 * MIB).await;
        match copies() {
            // A rate is measured over four seconds; a machine that was away for longer made it look like playback.
            0 => tokio::time::sleep(Duration::from_secs(1)).await,
            _ => as_copy += 1,
        }
    }
    assert!(as_copy > 10, "{as_copy} of {} steps", LARGE_SIZE / MIB / 4);
    assert!(home.cache.stats().evicted_bytes > 32 * MIB);
    assert!(home.keeps_the_film());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_read_again_from_the_cache_while_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path()).await;
    home.copy(2).await;
    home.cdn.rest().await;
    let requests = home.cdn.requests();
    home.copy(2).await;
    assert_eq!(home.cdn.requests(), requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_warmed_is_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path()).await;
    for at in (0..COPY_SIZE).step_by(1 << 20) {
        let request = ReadRequest {
            handle: 2,
            offset: at,
            size: MIB as u32,
            deadline: LONG,
            client: debridfs_base::Client::Own,
        };
        home.content.read_to_keep(&file(2), &request).await.unwrap();
    }
    home.content.release(2);
    for id in COPIES.skip(1) {
        home.copy(id).await;
    }
    assert!(home.cache.covers(file(2).file_id(), &(0..COPY_SIZE)));
}
