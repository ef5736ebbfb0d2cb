//! Commands to the cache: paths are looked up in the tree, bytes come through the content as for any reader.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::ByteSize;
use debridfs_cache::{Cache, CacheError, FileId};
use debridfs_catalogue::is_file;
use debridfs_content::Content;
use debridfs_tree::{Tree, files_below};
use debridfs_vfs::{Answer, NodeId, ReadRequest, Vfs};
use debridfs_web::{CacheAnswer, CacheDesk, CacheRefused, CachedLine, Purged, Warmth};
use tokio::time::Instant;

use super::archives::is_archive;
use super::parts::Parts;

/// Files that one command may be about.
const MOST_FILES: usize = 10_000;
/// A call to warm or to purge is answered after so long, so that its caller can show how far it is.
const STEP_FOR: Duration = Duration::from_secs(1);
/// Files that are removed at once; each takes three changes of a directory, and the disk may be a slow one.
const PURGED_AT_ONCE: usize = 16;
/// A cache that cannot be used for longer is told to be so.
const USABLE_WITHIN: Duration = Duration::from_secs(5);
/// Bytes read at once when warming, and before the disk is waited for: half of what may wait for it.
const STEP: u64 = 1 << 20;
const BEFORE_DISK: u64 = 8 << 20;
/// Readers that warm have numbers that no open file has.
const WARMING: u64 = 1 << 63;

/// Carries out what is asked over the control socket.
pub struct Desk {
    content: Arc<Content>,
    tree: Arc<Tree>,
    mount: PathBuf,
}

impl Desk {
    /// A desk for the cache of `parts`, shown at `mount`.
    pub fn new(parts: &Parts, mount: PathBuf) -> Self {
        Self {
            content: parts.content.clone(),
            tree: parts.tree.clone(),
            mount,
        }
    }

    fn cache(&self) -> Result<Arc<Cache>, CacheRefused> {
        let cache = self.content.cache().cloned();
        cache.ok_or_else(|| CacheRefused("the cache is turned off (content.cache.enabled)".into()))
    }
}

fn refused(error: impl std::fmt::Display) -> CacheRefused {
    CacheRefused(error.to_string())
}

/// What the cache says, with sizes as people read them.
fn refused_by_cache(error: CacheError) -> CacheRefused {
    match error {
        CacheError::DoesNotFit { needed, limit } => CacheRefused(format!(
            "{} would be pinned, and {} may be (nine tenths of the cache's size)",
            ByteSize(needed),
            ByteSize(limit)
        )),
        other => refused(other),
    }
}

/// The files of releases at and below `path`, each once, in however many views it is shown.
async fn files(tree: &Tree, mount: &Path, path: &Path) -> Result<Vec<FileId>, CacheRefused> {
    let found = files_below(tree, mount, path, MOST_FILES)
        .await
        .map_err(refused)?;
    let mut known = HashSet::new();
    let mut files = Vec::new();
    for (_, attr) in found {
        if is_file(attr.id) && attr.size > 0 && known.insert(attr.id) {
            files.push(FileId {
                id: attr.id.0,
                size: attr.size,
            });
        }
    }
    Ok(files)
}

impl CacheDesk for Desk {
    fn list(&self) -> Result<Vec<CachedLine>, CacheRefused> {
        let mut lines: Vec<CachedLine> = Vec::new();
        let mut places = HashMap::new();
        for file in self.cache()?.list() {
            // What was played comes first; head and tail of the same file may be kept apart from it.
            let place = *places.entry(file.id).or_insert(lines.len());
            if let Some(line) = lines.get_mut(place) {
                line.cached += file.bytes;
                line.pinned |= file.pinned;
                line.used = line.used.max(file.used);
                continue;
            }
            lines.push(CachedLine {
                path: self.tree.path(NodeId(file.id)),
                id: file.id,
                archive: is_archive(file.id),
                size: file.size,
                cached: file.bytes,
                class: file.class.as_str().into(),
                pinned: file.pinned,
                used: file.used,
            });
        }
        Ok(lines)
    }

    fn purge(&self, path: Option<PathBuf>) -> CacheAnswer<Purged> {
        let (cache, tree, mount) = (self.cache(), self.tree.clone(), self.mount.clone());
        Box::pin(async move {
            let cache = cache?;
            let mut wanted = None;
            if let Some(path) = path {
                let files = files(&tree, &mount, &path).await?;
                wanted = Some(files.iter().map(|file| file.id).collect::<HashSet<u64>>());
            }
            // What was put before is listed after this.
            cache.settle().await.map_err(refused_by_cache)?;
            let mut ids: Vec<u64> = cache.list().iter().map(|file| file.id).collect();
            ids.retain(|id| wanted.as_ref().is_none_or(|wanted| wanted.contains(id)));
            ids.sort_unstable();
            ids.dedup();
            purge(&cache, &ids, Instant::now() + STEP_FOR).await
        })
    }

    fn pin(&self, path: PathBuf, pinned: bool) -> CacheAnswer<u64> {
        let (cache, tree, mount) = (self.cache(), self.tree.clone(), self.mount.clone());
        Box::pin(async move {
            let cache = cache?;
            let mut files = files(&tree, &mount, &path).await?;
            if !pinned {
                let kept = cache.list().into_iter().filter(|file| file.pinned);
                let kept: HashSet<_> = kept.map(|file| file.id).collect();
                files.retain(|file| kept.contains(&file.id));
            }
            let count = files.len() as u64;
            cache.pin(files, pinned).await.map_err(refused_by_cache)?;
            Ok(count)
        })
    }

    fn warm(&self, path: PathBuf, reader: u64, later: u64) -> CacheAnswer<Warmth> {
        let (cache, tree, mount) = (self.cache(), self.tree.clone(), self.mount.clone());
        Box::pin(async move {
            let cache = cache?;
            let mut files = files(&tree, &mount, &path).await?;
            let total = files.iter().map(|file| file.size).sum();
            let limit = cache.stats().limit;
            if !becomes_usable(&cache).await {
                return Err(refused_by_cache(CacheError::Unusable));
            }
            if total > limit {
                return Err(CacheRefused(format!(
                    "{} do not fit into the cache, whose limit is {} now",
                    ByteSize(total),
                    ByteSize(limit)
                )));
            }
            let later = usize::try_from(later).unwrap_or(0) % files.len().max(1);
            files.rotate_left(later);
            let warming = warm(&cache, &tree, &files, reader | WARMING).await;
            let (mut missing, mut hopeless) = (0, true);
            for file in &files {
                let bytes = absent(&cache, *file);
                missing += bytes;
                hopeless &= bytes == 0 || warming.unreadable.contains(&file.id);
            }
            Ok(Warmth {
                files: files.len() as u64,
                cached: total - missing,
                total,
                fetched: warming.fetched,
                trouble: warming.trouble,
                hopeless: hopeless && missing > 0,
            })
        })
    }
}

/// Whether the cache can be used. An engine that has just taken over waits for its side files, and whoever warms need not know of that.
async fn becomes_usable(cache: &Cache) -> bool {
    let end = Instant::now() + USABLE_WITHIN;
    while !cache.is_usable() && Instant::now() < end {
        tokio::time::sleep(USABLE_WITHIN / 100).await;
    }
    cache.is_usable()
}

/// Removes these files, some at a time, until `end` at least.
async fn purge(cache: &Cache, ids: &[u64], end: Instant) -> Result<Purged, CacheRefused> {
    let mut purged = Purged {
        left: ids.len() as u64,
        ..Purged::default()
    };
    for some in ids.chunks(PURGED_AT_ONCE) {
        let removed = cache.purge(Some(some.iter().copied().collect())).await;
        let (files, bytes) = removed.map_err(refused_by_cache)?;
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
fn absent(cache: &Cache, file: FileId) -> u64 {
    let (mut at, mut bytes) = (0, 0);
    while let Some(part) = cache.absent(file, &(at..file.size)) {
        bytes += part.end - part.start;
        at = part.end;
    }
    bytes
}

/// What came of warming for a while.
#[derive(Default)]
struct Warming {
    /// Bytes that were read.
    fetched: u64,
    /// Why the first read that failed did.
    trouble: Option<String>,
    /// Files that the library itself refuses to read, so that nobody was asked for their bytes.
    unreadable: HashSet<u64>,
}

/// Reads what is absent, for a while. A file that makes trouble is left for the next call.
async fn warm(cache: &Cache, tree: &Tree, files: &[FileId], handle: u64) -> Warming {
    let end = Instant::now() + STEP_FOR;
    let mut warming = Warming::default();
    let mut waiting = 0;
    for file in files {
        let mut at = 0;
        while let Some(part) = cache.absent(*file, &(at..file.size)) {
            let size = (part.end - part.start).min(STEP);
            let request = ReadRequest {
                id: NodeId(file.id),
                handle,
                offset: part.start,
                // At most a step.
                size: size as u32,
                deadline: STEP_FOR * 2,
            };
            let answer = match tree.read(request) {
                Answer::Now(answer) => {
                    if answer.is_err() {
                        warming.unreadable.insert(file.id);
                    }
                    answer
                }
                Answer::Later(answer) => answer.await,
            };
            if let Err(error) = answer {
                warming.trouble.get_or_insert(error.to_string());
                break;
            }
            at = part.start + size;
            waiting += size;
            warming.fetched += size;
            if Instant::now() >= end {
                break;
            }
            if waiting >= BEFORE_DISK {
                if let Err(error) = cache.flush().await {
                    warming.trouble.get_or_insert(error.to_string());
                    break;
                }
                waiting = 0;
            }
        }
        tree.release(handle);
        if Instant::now() >= end {
            break;
        }
    }
    if let Err(error) = cache.flush().await {
        warming.trouble.get_or_insert(error.to_string());
    }
    warming
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use debridfs_cache::{CacheClass, CacheConfig};

    use super::*;

    #[tokio::test]
    async fn many_files_are_removed_in_steps() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().into(), CacheConfig::default()).unwrap();
        while !becomes_usable(&cache).await {}
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
        let first = purge(&cache, &ids, Instant::now()).await.unwrap();
        assert_eq!((first.files, first.left), (PURGED_AT_ONCE as u64, 3));
        assert!(first.bytes >= 4096 * first.files, "{first:?}");
        let left: Vec<u64> = cache.list().iter().map(|file| file.id).collect();
        assert_eq!(left, ids[PURGED_AT_ONCE..]);
        let second = purge(&cache, &left, Instant::now()).await.unwrap();
        assert_eq!((second.files, second.left), (3, 0));
        assert!(cache.list().is_empty());
    }
}
