//! The cache on disk: listed, emptied, kept and filled. Paths are looked up in the tree, bytes come through it as for any reader.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Json;
use axum::routing::{get, post};
use debridfs_archive::is_archive;
use debridfs_base::ByteSize;
use debridfs_cache::{Cache, CacheError, FileId, Purged};
use debridfs_catalogue::is_file;
use debridfs_content::HandleOwner;
use debridfs_tree::files_below;
use debridfs_vfs::NodeId;
use hyper::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::answer::{Answer, RefusalKind, Refused};
use crate::client::with_arguments;
use crate::server::Engine;
use crate::{CallError, Client, RunningEngine};

/// One file in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CachedLine {
    /// Where it is shown, relative to the mount; absent when it is not, or no longer.
    pub path: Option<String>,
    /// Its inode number.
    pub id: u64,
    /// Whether it is the archive of a packed release, which is never shown itself: the headers in it were read.
    #[serde(default)]
    pub archive: bool,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of it in the cache.
    pub cached: u64,
    /// `playback`, or `probe` when only its head and tail were looked at.
    pub class: String,
    /// Whether it is never evicted.
    pub pinned: bool,
    /// When it was used last, in Unix time.
    pub used: u64,
}

/// How far the warming of a path is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warmth {
    /// Files.
    pub files: u64,
    /// Bytes of them in the cache.
    pub cached: u64,
    /// All their bytes.
    pub total: u64,
    /// Bytes that this call read; what others read may displace them from the cache again.
    #[serde(default)]
    pub fetched: u64,
    /// Why a read failed, if one did.
    pub trouble: Option<String>,
    /// Whether all that is absent is of files that cannot be read as they are, so that it is of no use to call again.
    #[serde(default)]
    pub hopeless: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Any {
    path: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct One {
    path: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Warm {
    path: PathBuf,
    #[serde(default)]
    reader: u64,
    #[serde(default)]
    later: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Files {
    files: u64,
}

/// A call that was not answered for so long has failed: the files of releases may have to be asked for first.
const PATIENCE: Duration = Duration::from_secs(60);
/// Files that one command may be about.
const MOST_FILES: usize = 10_000;
/// A call to warm or to purge is answered after this time, so that its caller can show how far it is.
const STEP_FOR: Duration = Duration::from_secs(1);
/// A cache that cannot be used for longer is told to be so.
const USABLE_WITHIN: Duration = Duration::from_secs(5);

impl Client {
    /// What is in the cache; refused when the cache is turned off.
    pub async fn cached(&self) -> Result<Vec<CachedLine>, CallError> {
        self.get("/cache").await
    }

    /// Removes files at and below `path`, or all, for about a second; to be called until none is left.
    pub async fn purge(&self, path: Option<PathBuf>) -> Result<Purged, CallError> {
        self.post_patiently(&with_arguments("/cache/purge", &Any { path }))
            .await
    }

    /// Keeps the files at and below `path` whatever comes, or no longer; how many there are.
    pub async fn pin(&self, path: PathBuf, pinned: bool) -> Result<u64, CallError> {
        let call = match pinned {
            true => "/cache/pin",
            false => "/cache/unpin",
        };
        let answer: Files = self
            .post_patiently(&with_arguments(call, &One { path }))
            .await?;
        Ok(answer.files)
    }

    /// Fetches more of the files at and below `path`, for a few seconds, as the reader number `reader`; to be called until all is there, or
    /// nothing more can be had. The first `later` files by path come after all others: those that made trouble hold up none.
    pub async fn warm(&self, path: PathBuf, reader: u64, later: u64) -> Result<Warmth, CallError> {
        let warm = Warm {
            path,
            reader,
            later,
        };
        self.post_patiently(&with_arguments("/cache/warm", &warm))
            .await
    }

    async fn post_patiently<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::POST, path, PATIENCE).await
    }
}

/// What the cache says, with sizes as people read them.
fn refused(error: CacheError) -> Refused {
    let words = match error {
        CacheError::DoesNotFit { needed, limit } => format!(
            "{} would be pinned, and {} may be (nine tenths of the cache's size)",
            ByteSize(needed),
            ByteSize(limit)
        ),
        other => other.to_string(),
    };
    Refused::new(RefusalKind::Conflict, words)
}

/// `GET /cache`, and `POST /cache/purge`, `pin`, `unpin` and `warm` with `?path=`.
pub(crate) fn routes() -> Router<Arc<RunningEngine>> {
    Router::new()
        .route("/cache", get(list))
        .route("/cache/purge", post(purge))
        .route("/cache/pin", post(pin))
        .route("/cache/unpin", post(unpin))
        .route("/cache/warm", post(warm))
}

async fn list(State(engine): Engine) -> Answer<Vec<CachedLine>> {
    Ok(Json(engine.cached()?))
}

async fn purge(State(engine): Engine, Query(what): Query<Any>) -> Answer<Purged> {
    Ok(Json(engine.purge_cache(what.path.as_deref()).await?))
}

async fn pin(State(engine): Engine, Query(what): Query<One>) -> Answer<Files> {
    let files = engine.pin_in_cache(&what.path, true).await?;
    Ok(Json(Files { files }))
}

async fn unpin(State(engine): Engine, Query(what): Query<One>) -> Answer<Files> {
    let files = engine.pin_in_cache(&what.path, false).await?;
    Ok(Json(Files { files }))
}

async fn warm(State(engine): Engine, Query(what): Query<Warm>) -> Answer<Warmth> {
    let Warm {
        path,
        reader,
        later,
    } = what;
    Ok(Json(engine.warm_cache(&path, reader, later).await?))
}

impl RunningEngine {
    fn cache(&self) -> Result<&Arc<Cache>, Refused> {
        let cache = self.parts.content.cache();
        cache.ok_or_else(|| {
            Refused::new(
                RefusalKind::NotConfigured,
                "the cache is turned off (content.cache.enabled)",
            )
        })
    }

    /// The files of releases at and below `path`, each once, in however many views it is shown.
    async fn files_at(&self, path: &Path) -> Result<Vec<FileId>, Refused> {
        let found = files_below(&*self.parts.tree, &self.info.mount, path, MOST_FILES).await;
        let mut known = HashSet::new();
        let mut files = Vec::new();
        for (_, attr) in found? {
            if is_file(attr.id) && attr.size > 0 && known.insert(attr.id) {
                files.push(FileId {
                    id: attr.id.0,
                    size: attr.size,
                });
            }
        }
        Ok(files)
    }

    /// What is in the cache, each file once.
    ///
    /// # Errors
    /// The cache is turned off.
    pub fn cached(&self) -> Result<Vec<CachedLine>, Refused> {
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
                path: self.parts.tree.path(NodeId(file.id)),
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

    /// Removes files at and below `path`, or all, for about a second; to be called until none is left.
    ///
    /// # Errors
    /// There is no such path, or the cache is turned off or cannot be used.
    pub async fn purge_cache(&self, path: Option<&Path>) -> Result<Purged, Refused> {
        let cache = self.cache()?;
        let mut wanted = None;
        if let Some(path) = path {
            let files = self.files_at(path).await?;
            wanted = Some(files.iter().map(|file| file.id).collect::<HashSet<u64>>());
        }
        // What was put before is listed after this.
        cache.settle().await.map_err(refused)?;
        let mut ids: Vec<u64> = cache.list().iter().map(|file| file.id).collect();
        ids.retain(|id| wanted.as_ref().is_none_or(|wanted| wanted.contains(id)));
        ids.sort_unstable();
        ids.dedup();
        let purged = cache.purge_until(Instant::now() + STEP_FOR, &ids);
        purged.await.map_err(refused)
    }

    /// Keeps the files at and below `path` whatever comes, or no longer; how many there are.
    ///
    /// # Errors
    /// There is no such path, they do not fit, or the cache is turned off or cannot be used.
    pub async fn pin_in_cache(&self, path: &Path, pinned: bool) -> Result<u64, Refused> {
        let cache = self.cache()?;
        let mut files = self.files_at(path).await?;
        if !pinned {
            let kept = cache.list().into_iter().filter(|file| file.pinned);
            let kept: HashSet<_> = kept.map(|file| file.id).collect();
            files.retain(|file| kept.contains(&file.id));
        }
        let count = files.len() as u64;
        cache.pin(files, pinned).await.map_err(refused)?;
        Ok(count)
    }

    /// Fetches more of the files at and below `path`, for about a second, as the reader number `reader`; to be called until
    /// all is there, or nothing more can be had. The first `later` files by path come after all others.
    ///
    /// # Errors
    /// As [`Self::pin_in_cache`].
    pub async fn warm_cache(
        &self,
        path: &Path,
        reader: u64,
        later: u64,
    ) -> Result<Warmth, Refused> {
        let cache = self.cache()?;
        let mut files = self.files_at(path).await?;
        let total = files.iter().map(|file| file.size).sum();
        let limit = cache.stats().limit;
        if !cache.becomes_usable(USABLE_WITHIN).await {
            return Err(refused(CacheError::Unusable));
        }
        if total > limit {
            return Err(Refused::new(
                RefusalKind::Conflict,
                format!(
                    "{} do not fit into the cache, whose limit is {} now",
                    ByteSize(total),
                    ByteSize(limit)
                ),
            ));
        }
        let later = usize::try_from(later).unwrap_or(0) % files.len().max(1);
        files.rotate_left(later);
        let handle = HandleOwner::Warming.handle(reader);
        let tree = &self.parts.tree;
        let warming = tree.warm(cache, &files, handle, STEP_FOR).await;
        let (mut missing, mut hopeless) = (0, true);
        for file in &files {
            let bytes = cache.missing(*file);
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
    }
}
