//! Heads and tails of files: which bytes are kept for those who look, and how they come there before anybody looks.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use debridfs_base::media::{HEAD, TAIL};
use debridfs_cache::{Cache, CacheClass};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::ProbeConfig;
use crate::context::Context;
use crate::file::{FileRef, MAX_READ, ReadOut};
use crate::reader::Reader;
use crate::stats::add;
use crate::watch::Watch;

mod owed;

use crate::tuning::probe::{AGAIN, DISK_LIMIT, LIMIT, RETRY};
pub(crate) use owed::Owed;

/// The kernel's pages, and the cache's blocks.
const PAGE: u64 = 4 << 10;
const HOUR: Duration = Duration::from_secs(3600);

/// Keeps `bytes` of `file`, which begin at `at`: those of head and tail where playback cannot displace them.
pub(crate) fn keep(cache: &Cache, file: &FileRef, at: u64, bytes: &Bytes) {
    let end = at + bytes.len() as u64;
    let tail = tail_of(file, TAIL).max(HEAD);
    for (zone, class) in [
        (0..HEAD, CacheClass::Probe),
        (HEAD..tail, CacheClass::Playback),
        (tail..u64::MAX, CacheClass::Probe),
    ] {
        let (from, to) = (zone.start.max(at), zone.end.min(end));
        if from < to {
            // Both lie within `bytes`, whose length is a usize.
            let part = bytes.slice((from - at) as usize..(to - at) as usize);
            cache.put(class, file.file_id(), from, &part);
        }
    }
}

/// Keeps `read`, the bytes of `file` from `at` on, although the disk may be slower than the network was, so that they were not taken as they came.
pub(crate) async fn keep_all(cache: &Cache, file: &FileRef, at: u64, read: &ReadOut) {
    let bytes: u64 = read.iter().map(|bytes| bytes.len() as u64).sum();
    let end = at + bytes;
    // Of a page that was read in part nothing is kept.
    let last = if end == file.size {
        end
    } else {
        end / PAGE * PAGE
    };
    let range = at.next_multiple_of(PAGE)..last;
    let is_missing = || cache.is_usable() && !cache.covers(file.file_id(), &range);
    let kept = async {
        while is_missing() {
            // They may only wait to be written.
            if cache.settle().await.is_err() || !is_missing() {
                return;
            }
            let mut at = at;
            for bytes in read {
                keep(cache, file, at, bytes);
                at += bytes.len() as u64;
            }
            sleep(AGAIN).await;
        }
    };
    // What is not kept by then is fetched again.
    let _ = timeout(DISK_LIMIT, kept).await;
}

/// Where the last `bytes` begin, or a little before: the cache keeps whole pages, and those who look read whole pages.
fn tail_of(file: &FileRef, bytes: u64) -> u64 {
    file.size.saturating_sub(bytes) / PAGE * PAGE
}

/// What is fetched of a new file.
fn parts(file: &FileRef, config: &ProbeConfig) -> [Range<u64>; 2] {
    let head = config.fill_head.0.min(HEAD).min(MAX_READ.into());
    let tail = config.fill_tail.0.min(TAIL);
    let head = head.min(file.size);
    [0..head, tail_of(file, tail).max(head)..file.size]
}

/// Fetches heads and tails of the files that come, one file after another, until the content is gone.
pub(crate) async fn fill(
    context: Weak<Context>,
    mut files: mpsc::Receiver<FileRef>,
    owed: Arc<Owed>,
) {
    let mut pace = Pace::default();
    while let Some(file) = files.recv().await {
        let Some((absent, per_hour)) = context.upgrade().map(|context| {
            let config = &context.config.probe;
            let mut absent = parts(&file, config).to_vec();
            let cache = context.cache.as_ref();
            absent.retain(|part| cache.is_some_and(|cache| !cache.covers(file.file_id(), part)));
            absent.retain(|part| !part.is_empty());
            (absent, config.fill_per_hour)
        }) else {
            return;
        };
        if absent.is_empty() {
            owed.done(file.id);
            continue;
        }
        pace.turn(per_hour).await;
        let mut filled = true;
        for part in absent {
            // Not held over the pauses: they are long.
            while let Some(context) = context.upgrade()
                && context.cdn.is_short_of_connections()
            {
                drop(context);
                sleep(RETRY).await;
            }
            let Some(context) = context.upgrade() else {
                return;
            };
            let reader = Reader::new(context.clone(), Watch::scan(file.size), file.clone(), 0);
            let at = part.start;
            let wanted = reader
                .clone()
                .read(file.clone(), part, Instant::now() + LIMIT);
            match wanted.await {
                Ok(read) => {
                    if let Some(cache) = &context.cache {
                        keep_all(cache, &file, at, &read).await;
                    }
                }
                Err(error) => {
                    tracing::debug!(file = file.id, %error, "head and tail were not fetched");
                    filled = false;
                    break;
                }
            }
        }
        if let Some(context) = context.upgrade() {
            let counters = &context.counters;
            let counter = match filled {
                true => &counters.files_filled,
                false => &counters.files_unfilled,
            };
            add(counter, 1);
        }
        owed.done(file.id);
    }
}

/// So many in an hour, whichever hour.
#[derive(Debug, Default)]
struct Pace {
    begun: VecDeque<Instant>,
}

impl Pace {
    async fn turn(&mut self, per_hour: u32) {
        while self.begun.len() >= per_hour.max(1) as usize {
            if let Some(first) = self.begun.pop_front() {
                sleep_until(first + HOUR).await;
            }
        }
        self.begun.push_back(Instant::now());
    }
}

/// The queue of files to fill, for [`fill`].
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) files: mpsc::Sender<FileRef>,
    pub(crate) owed: Arc<Owed>,
}

impl Waiting {
    /// Puts `files` into the queue, as many as fit.
    pub(crate) fn add(&self, files: impl IntoIterator<Item = FileRef>) {
        let (mut taken, mut left_out) = (Vec::new(), 0);
        for file in files {
            match self.files.try_reserve() {
                Ok(place) => taken.push((place, file)),
                Err(_) => left_out += 1,
            }
        }
        // Before any of them can be done.
        self.owed.add(taken.iter().map(|(_, file)| file.id));
        for (place, file) in taken {
            place.send(file);
        }
        if left_out > 0 {
            tracing::info!(
                left_out,
                "too many new files at once; the rest is kept as it is read"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_hour_has_more_than_its_share() {
        let mut pace = Pace::default();
        let begun = Instant::now();
        for _ in 0..120 {
            pace.turn(120).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert!(begun.elapsed() < HOUR);
        pace.turn(120).await;
        assert_eq!(begun.elapsed(), HOUR);
        pace.turn(120).await;
        assert_eq!(begun.elapsed(), HOUR + Duration::from_secs(1));
    }

    #[test]
    fn head_and_tail_do_not_overlap() {
        let config = ProbeConfig::default();
        let of = |size| {
            let file = FileRef {
                id: 1,
                size,
                sources: Arc::from([]),
            };
            parts(&file, &config)
        };
        let mib = 1 << 20;
        assert_eq!(of(100 * mib), [0..2 * mib, 99 * mib..100 * mib]);
        assert_eq!(of(2 * mib + 5), [0..2 * mib, 2 * mib..2 * mib + 5]);
        assert_eq!(of(5), [0..5, 5..5]);
    }
}
