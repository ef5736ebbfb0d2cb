//! Random work against a plain map of what was put.

use std::collections::{BTreeMap, BTreeSet};

use debridfs_cache::{CacheClass, FileId};
use proptest::prelude::*;

use super::support::*;

const BLOCK: u64 = 4096;

#[derive(Debug, Clone)]
enum Step {
    Put {
        file: usize,
        start: u64,
        len: u64,
        probe: bool,
    },
    Read {
        file: usize,
        start: u64,
        len: u64,
    },
    Purge {
        file: usize,
    },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = || (0usize..3, 0u64..3_000_000, 1u64..700_000);
    let step = prop_oneof![
        4 => (place(), any::<bool>()).prop_map(|((file, start, len), probe)| Step::Put { file, start, len, probe }),
        4 => place().prop_map(|(file, start, len)| Step::Read { file, start, len }),
        1 => (0usize..3).prop_map(|file| Step::Purge { file }),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..25)
}

/// The whole blocks of a range; the last one of the file counts as whole.
fn blocks(file: FileId, start: u64, end: u64) -> std::ops::Range<u64> {
    let last = if end == file.size {
        end.div_ceil(BLOCK)
    } else {
        end / BLOCK
    };
    start.div_ceil(BLOCK)..last
}

/// What should be there of a file.
#[derive(Default)]
struct Model {
    /// Blocks that were put whole.
    certain: BTreeSet<u64>,
    /// Those, and what bodies that met amid a block may have been joined to.
    possible: BTreeSet<u64>,
    /// Parts of blocks, by class: they wait a while for the rest, also through a purge.
    parts: BTreeMap<(bool, u64), Vec<std::ops::Range<u64>>>,
}

impl Model {
    fn put(&mut self, file: FileId, start: u64, end: u64, probe: bool) {
        let whole = blocks(file, start, end);
        self.certain.extend(whole.clone());
        self.possible.extend(whole.clone());
        for block in (start / BLOCK..end.div_ceil(BLOCK)).filter(|block| !whole.contains(block)) {
            let (first, last) = (block * BLOCK, ((block + 1) * BLOCK).min(file.size));
            let parts = self.parts.entry((probe, block)).or_default();
            parts.push(start.max(first)..end.min(last));
            parts.sort_by_key(|part| part.start);
            let reached = parts.iter().fold(first, |at, part| {
                if part.start <= at {
                    at.max(part.end)
                } else {
                    at
                }
            });
            if reached == last {
                self.possible.insert(block);
            }
        }
    }

    fn purge(&mut self) {
        self.certain.clear();
        self.possible.clear();
    }
}

/// Bytes of so many blocks of a file.
fn bytes(file: FileId, there: &BTreeSet<u64>) -> u64 {
    let last = file.size.div_ceil(BLOCK) - 1;
    let missing = if there.contains(&last) {
        (last + 1) * BLOCK - file.size
    } else {
        0
    };
    there.len() as u64 * BLOCK - missing
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_was_put_is_there_and_nothing_else(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        // Within the limit nothing is evicted; one file ends amid a block, one with a block, one is tiny.
        let files = [file(1, 2_500_001), file(2, 3 * MIB), file(3, 5)];
        let mut cache = open(dir.path(), small());
        let mut models: [Model; 3] = Default::default();
        for step in steps {
            match step {
                Step::Put { file, start, len, probe } => {
                    let one = &files[file];
                    let start = start.min(one.size);
                    let end = (start + len).min(one.size);
                    let class = if probe { CacheClass::Probe } else { CacheClass::Playback };
                    runtime.block_on(keep(&cache, class, *one, start..end));
                    models[file].put(*one, start, end, probe);
                }
                Step::Read { file, start, len } => {
                    let one = &files[file];
                    let start = start.min(one.size - 1);
                    let range = start..(start + len).min(one.size);
                    let all_in = |there: &BTreeSet<u64>| {
                        let mut all = range.start / BLOCK..range.end.div_ceil(BLOCK);
                        all.all(|block| there.contains(&block))
                    };
                    let model = &models[file];
                    let covers = cache.covers(*one, &range);
                    prop_assert!(covers || !all_in(&model.certain));
                    prop_assert!(!covers || all_in(&model.possible));
                    let read = runtime.block_on(read(&cache, *one, range.clone()));
                    // Many small parts of both classes are left to the network.
                    prop_assert!(covers || read.is_none());
                }
                Step::Purge { file } => {
                    let ids = std::iter::once(files[file].id).collect();
                    runtime.block_on(cache.purge(Some(ids))).unwrap();
                    models[file].purge();
                }
                Step::Restart => cache = reopen(cache, dir.path(), small()),
            }
            for (one, model) in files.iter().zip(&models) {
                let verified = runtime.block_on(verified(&cache, *one));
                prop_assert!(verified >= bytes(*one, &model.certain));
                prop_assert!(verified <= bytes(*one, &model.possible));
            }
        }
        prop_assert_eq!(cache.stats().damaged, 0);
        prop_assert_eq!(cache.stats().errors, 0);
    }
}

#[tokio::test]
async fn the_page_cache_answers_without_a_thread() {
    let dir = tempfile::tempdir().unwrap();
    let film = file(1, 10 * MIB);
    let cache = open(dir.path(), small());
    keep(&cache, CacheClass::Playback, film, 0..film.size).await;
    for at in (0..film.size).step_by(128 << 10) {
        let range = at..at + 128 * KIB;
        // It never waits, and so misses now and then beside what works on the file.
        eventually("the page cache has what was read", || {
            let out = cache.try_read(film, &range);
            out.is_some_and(|out| out.concat() == content(1, range.clone()))
        });
    }
    // After a restart each granule is checked before it is believed.
    let cache = reopen(cache, dir.path(), small());
    assert_eq!(cache.try_read(film, &(0..4096)), None);
    assert_eq!(read(&cache, film, 0..4096).await, Some(4096));
    assert!(cache.try_read(film, &(8192..128 * KIB)).is_some());
    assert_eq!(cache.try_read(film, &(128 * KIB..129 * KIB)), None);
}

#[tokio::test]
async fn what_is_skipped_or_foreign_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), small());
    let film = file(1, 10 * MIB);
    keep(&cache, CacheClass::Playback, film, 0..MIB).await;
    let longer = file(1, 11 * MIB);
    assert!(
        !cache.covers(longer, &(0..1)),
        "another size is another content"
    );
    assert_eq!(read(&cache, longer, 0..1).await, None);
    keep(&cache, CacheClass::Playback, longer, 0..4096).await;
    assert!(!cache.covers(film, &(0..1)));
    // Beyond the end, and nothing at all.
    cache.put(
        CacheClass::Playback,
        film,
        10 * MIB,
        &bytes::Bytes::from_static(b"too far"),
    );
    cache.put(CacheClass::Playback, film, 0, &bytes::Bytes::new());
    cache.flush().await.unwrap();
    assert_eq!(verified(&cache, longer).await, 4096);
}

#[tokio::test]
async fn a_second_engine_waits_for_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let film = file(1, MIB);
    let first = open(dir.path(), small());
    keep(&first, CacheClass::Playback, film, 0..MIB).await;
    let second = debridfs_cache::Cache::open(dir.path().to_path_buf(), small()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!second.is_usable());
    assert_eq!(second.read(film, &(0..1), LONG).await, None);
    put(&second, CacheClass::Playback, film, 0..MIB);
    assert!(second.flush().await.is_err());
    drop(first);
    eventually("the second takes over", || second.is_usable());
    assert_eq!(verified(&second, film).await, MIB);
}
