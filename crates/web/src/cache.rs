//! The cache on disk, over the control socket.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What a command to the cache comes to.
pub type CacheAnswer<T> = Pin<Box<dyn Future<Output = Result<T, CacheRefused>> + Send>>;

/// Whoever has a cache.
pub trait CacheDesk: Send + Sync + 'static {
    /// What is in it.
    ///
    /// # Errors
    /// There is no cache.
    fn list(&self) -> Result<Vec<CachedLine>, CacheRefused>;
    /// Removes files at and below `path`, or all, for about a second; to be called until none is left.
    fn purge(&self, path: Option<PathBuf>) -> CacheAnswer<Purged>;
    /// Keeps the files at and below `path` whatever comes, or no longer; how many there are.
    fn pin(&self, path: PathBuf, pinned: bool) -> CacheAnswer<u64>;
    /// Fetches more of the files at and below `path`, for a few seconds, as the reader number `reader`; to be called until all is there, or
    /// nothing more can be had. So many files, the first by path, come `later` than all others: those that made trouble hold up none.
    fn warm(&self, path: PathBuf, reader: u64, later: u64) -> CacheAnswer<Warmth>;
}

/// One file in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Files.
    pub files: u64,
    /// Bytes they took on disk.
    pub bytes: u64,
    /// Files that are still to be removed.
    #[serde(default)]
    pub left: u64,
}

/// How far the warming of a path is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Why a command to the cache was refused; told to people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CacheRefused(pub String);

/// `GET /cache`, and `POST /cache/purge`, `pin`, `unpin` and `warm` with `?path=`.
pub fn cache_router(desk: Arc<dyn CacheDesk>) -> Router {
    Router::new()
        .route("/cache", get(list))
        .route("/cache/purge", post(purge))
        .route("/cache/pin", post(pin))
        .route("/cache/unpin", post(unpin))
        .route("/cache/warm", post(warm))
        .with_state(desk)
}

type Desk = State<Arc<dyn CacheDesk>>;

#[derive(Deserialize)]
struct Any {
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct One {
    path: PathBuf,
    #[serde(default)]
    reader: u64,
    #[serde(default)]
    later: u64,
}

async fn list(State(desk): Desk) -> Response {
    answer(desk.list())
}

async fn purge(State(desk): Desk, Query(what): Query<Any>) -> Response {
    answer(desk.purge(what.path).await)
}

async fn pin(State(desk): Desk, Query(what): Query<One>) -> Response {
    answer(
        desk.pin(what.path, true)
            .await
            .map(|files| json!({ "files": files })),
    )
}

async fn unpin(State(desk): Desk, Query(what): Query<One>) -> Response {
    answer(
        desk.pin(what.path, false)
            .await
            .map(|files| json!({ "files": files })),
    )
}

async fn warm(State(desk): Desk, Query(what): Query<One>) -> Response {
    answer(desk.warm(what.path, what.reader, what.later).await)
}

fn answer<T: Serialize>(said: Result<T, CacheRefused>) -> Response {
    match said {
        Ok(said) => Json(said).into_response(),
        Err(refused) => {
            let said = json!({ "error": refused.to_string() });
            (StatusCode::CONFLICT, Json(said)).into_response()
        }
    }
}
