//! Commands to the cache: paths are looked up in the tree, bytes come through the content as for any reader.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_content::{Cache, Content, FileRef};
use debridfs_vfs::{Answer, NodeId, ReadRequest, Tree, Vfs, files_below};
use debridfs_web::{CacheAnswer, CacheDesk, CacheRefused, CachedLine, Purged, Warmth};
use tokio::time::Instant;

use super::parts::Parts;

/// Files that one command may be about.
const MOST_FILES: usize = 10_000;
/// A call to warm is answered after so long, so that its caller can show how far it is.
const WARM_FOR: Duration = Duration::from_secs(1);
/// Bytes read at once when warming, and before the disk is waited for: half of what may wait for it.
const STEP: u64 = 1 << 20;
const BEFORE_DISK: u64 = 16 << 20;
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

/// The files at and below `path`: id and size.
async fn files(tree: &Tree, mount: &Path, path: &Path) -> Result<Vec<FileRef>, CacheRefused> {
    let found = files_below(tree, mount, path, MOST_FILES)
        .await
        .map_err(refused)?;
    let files = found.into_iter().map(|(_, attr)| FileRef {
        id: attr.id.0,
        size: attr.size,
        // The cache asks nobody.
        sources: Arc::from([]),
    });
    Ok(files.filter(|file| file.size > 0).collect())
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
            let ids = match path {
                None => None,
                Some(path) => {
                    let files = files(&tree, &mount, &path).await?;
                    Some(files.iter().map(|file| file.id).collect())
                }
            };
            let (files, bytes) = cache?.purge(ids).await.map_err(refused)?;
            Ok(Purged { files, bytes })
        })
    }

    fn pin(&self, path: PathBuf, pinned: bool) -> CacheAnswer<u64> {
        let (cache, tree, mount) = (self.cache(), self.tree.clone(), self.mount.clone());
        Box::pin(async move {
            let files = files(&tree, &mount, &path).await?;
            let count = files.len() as u64;
            let files = files.into_iter().map(|file| (file.id, file.size)).collect();
            cache?.pin(files, pinned).await.map_err(refused)?;
            Ok(count)
        })
    }

    fn warm(&self, path: PathBuf, reader: u64) -> CacheAnswer<Warmth> {
        let (cache, tree, mount) = (self.cache(), self.tree.clone(), self.mount.clone());
        Box::pin(async move {
            let cache = cache?;
            let files = files(&tree, &mount, &path).await?;
            let total = files.iter().map(|file| file.size).sum();
            let limit = cache.stats().limit;
            if !cache.is_usable() {
                return Err(CacheRefused("the cache cannot be used now".into()));
            }
            if total > limit {
                return Err(CacheRefused(format!(
                    "{total} bytes do not fit into the cache, whose limit is {limit} now"
                )));
            }
            let trouble = warm(&cache, &tree, &files, reader | WARMING).await;
            let absent: u64 = files.iter().map(|file| absent(&cache, file)).sum();
            Ok(Warmth {
                files: files.len() as u64,
                cached: total - absent,
                total,
                trouble,
            })
        })
    }
}

/// Bytes of `file` that are not in the cache.
fn absent(cache: &Cache, file: &FileRef) -> u64 {
    let (mut at, mut bytes) = (0, 0);
    while let Some(part) = cache.absent(file, &(at..file.size)) {
        bytes += part.end - part.start;
        at = part.end;
    }
    bytes
}

/// Reads what is absent, for a while. Returns why the last read failed, if it did.
async fn warm(cache: &Cache, tree: &Tree, files: &[FileRef], handle: u64) -> Option<String> {
    let end = Instant::now() + WARM_FOR;
    let mut read = 0;
    for file in files {
        let mut at = 0;
        while let Some(part) = cache.absent(file, &(at..file.size)) {
            let size = (part.end - part.start).min(STEP);
            let request = ReadRequest {
                id: NodeId(file.id),
                handle,
                offset: part.start,
                // At most a step.
                size: size as u32,
                deadline: WARM_FOR * 2,
            };
            let answer = match tree.read(request) {
                Answer::Now(answer) => answer,
                Answer::Later(answer) => answer.await,
            };
            if let Err(error) = answer {
                return Some(error.to_string());
            }
            at = part.start + size;
            read += size;
            let pause = read >= BEFORE_DISK || Instant::now() >= end;
            if pause && let Err(error) = cache.flush().await {
                return Some(error.to_string());
            }
            if Instant::now() >= end {
                return None;
            }
            read %= BEFORE_DISK;
        }
        tree.release(handle);
    }
    cache.flush().await.err().map(|error| error.to_string())
}
