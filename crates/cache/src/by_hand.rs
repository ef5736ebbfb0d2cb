//! What people ask of the cache by hand, a step at a time, so that progress can be shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;

use crate::tuning::by_hand::{LOOKS_APART, PURGED_AT_ONCE};
use crate::{Cache, CacheError, FileId};

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Purged {
    /// Files.
    pub files: u64,
    /// Bytes they took on disk.
    pub bytes: u64,
    /// Files that are still to be removed.
    #[serde(default)]
    pub left: u64,
}

impl Cache {
    /// Whether the cache can be used, within `limit`. An engine that has just taken over waits for
    /// its side files.
    pub async fn becomes_usable(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while !self.is_usable() && Instant::now() < end {
            sleep(LOOKS_APART).await;
        }
        self.is_usable()
    }

    /// Removes these files, some at a time, until `end` at least.
    ///
    /// # Errors
    /// [`CacheError`] when the disk refuses.
    pub async fn purge_until(&self, end: Instant, ids: &[u64]) -> Result<Purged, CacheError> {
        let mut purged = Purged {
            left: ids.len() as u64,
            ..Purged::default()
        };
        for some in ids.chunks(PURGED_AT_ONCE) {
            let (files, bytes) = self.purge(Some(some.iter().copied().collect())).await?;
            purged.files += files;
            purged.bytes += bytes;
            purged.left -= some.len() as u64;
            if Instant::now() >= end {
                break;
            }
        }
        Ok(purged)
    }

    /// Bytes of `file` that are not in the cache.
    pub fn missing(&self, file: FileId) -> u64 {
        let (mut at, mut bytes) = (0, 0);
        while let Some(part) = self.absent(file, &(at..file.size)) {
            bytes += part.end - part.start;
            at = part.end;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::{CacheClass, CacheConfig};

    use super::*;

    #[tokio::test]
    async fn many_files_are_removed_in_steps() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().into(), CacheConfig::default()).unwrap();
        while !cache.becomes_usable(Duration::from_secs(5)).await {}
        let ids: Vec<u64> = (1..=PURGED_AT_ONCE as u64 + 3).collect();
        for id in &ids {
            let file = FileId {
                id: *id,
                size: 4096,
            };
            cache.put(CacheClass::Playback, file, 0, &Bytes::from(vec![7; 4096]));
        }
        cache.flush().await.unwrap();
        // Time is over from the start.
        let first = cache.purge_until(Instant::now(), &ids).await.unwrap();
        assert_eq!((first.files, first.left), (PURGED_AT_ONCE as u64, 3));
        assert!(first.bytes >= 4096 * first.files, "{first:?}");
        let left: Vec<u64> = cache.list().iter().map(|file| file.id).collect();
        assert_eq!(left, ids[PURGED_AT_ONCE..]);
        let second = cache.purge_until(Instant::now(), &left).await.unwrap();
        assert_eq!((second.files, second.left), (3, 0));
        assert!(cache.list().is_empty());
    }
}
