//! The cache on disk.

use std::path::Path;

use axum::extract::State;
use axum::response::Json;
use debridfs_cache::Purged;
use debridfs_control::{CachedLine, Warmth};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Home;
use crate::ask::{AnyPath, Body, OnePath};
use crate::problem::{Problem, Problems};

pub(crate) fn routes() -> OpenApiRouter<Home> {
    OpenApiRouter::new()
        .routes(routes!(list_cache))
        .routes(routes!(purge_cache))
        .routes(routes!(pin_in_cache))
        .routes(routes!(unpin_in_cache))
        .routes(routes!(warm_cache))
}

/// What is in the cache.
#[derive(Debug, Serialize, ToSchema)]
struct Cached {
    /// Each file once.
    files: Vec<CachedLine>,
}

/// What is in the cache
#[utoipa::path(get, path = "/cache", tag = "cache",
    responses((status = 200, description = "What was asked for", body = Cached), Problems))]
async fn list_cache(State(house): State<Home>) -> Result<Json<Cached>, Problem> {
    let engine = house.engine.clone();
    // A large cache is a long list.
    let listed = tokio::task::spawn_blocking(move || engine.cached()).await;
    let listed = listed.map_err(|error| {
        Problem::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            error,
        )
    })?;
    Ok(Json(Cached { files: listed? }))
}

/// Remove files at and below a path, or all, for about a second
///
/// To be called until `left` is 0.
#[utoipa::path(post, path = "/cache/purge", tag = "cache", request_body = AnyPath,
    responses((status = 200, description = "What was asked for", body = Purged), Problems))]
async fn purge_cache(
    State(house): State<Home>,
    Body(what): Body<AnyPath>,
) -> Result<Json<Purged>, Problem> {
    let path = what.path.as_deref().map(Path::new);
    Ok(Json(house.engine.purge_cache(path).await?))
}

/// How many files it was.
#[derive(Debug, Serialize, ToSchema)]
struct Files {
    /// Their number.
    files: u64,
}

/// Keep the files at and below a path whatever comes
#[utoipa::path(post, path = "/cache/pin", tag = "cache", request_body = OnePath,
    responses((status = 200, description = "What was asked for", body = Files), Problems))]
async fn pin_in_cache(
    State(house): State<Home>,
    Body(what): Body<OnePath>,
) -> Result<Json<Files>, Problem> {
    let files = house.engine.pin_in_cache(Path::new(&what.path), true);
    let files = files.await?;
    Ok(Json(Files { files }))
}

/// Keep the files at and below a path no longer
#[utoipa::path(post, path = "/cache/unpin", tag = "cache", request_body = OnePath,
    responses((status = 200, description = "What was asked for", body = Files), Problems))]
async fn unpin_in_cache(
    State(house): State<Home>,
    Body(what): Body<OnePath>,
) -> Result<Json<Files>, Problem> {
    let files = house.engine.pin_in_cache(Path::new(&what.path), false);
    let files = files.await?;
    Ok(Json(Files { files }))
}

/// What is fetched into the cache.
#[derive(Debug, Deserialize, ToSchema)]
struct Warming {
    /// Below the mount point, or relative to the root.
    path: String,
    /// A number of the caller's choice, the same in each call for a path: it tells readers apart.
    #[serde(default)]
    reader: u64,
    /// So many files, the first ones by path, come after all others.
    #[serde(default)]
    later: u64,
}

/// Fetch more of the files at and below a path, for about a second
///
/// To be called until `cached` is `total`, or `hopeless` is true.
#[utoipa::path(post, path = "/cache/warm", tag = "cache", request_body = Warming,
    responses((status = 200, description = "What was asked for", body = Warmth), Problems))]
async fn warm_cache(
    State(house): State<Home>,
    Body(warming): Body<Warming>,
) -> Result<Json<Warmth>, Problem> {
    let Warming {
        path,
        reader,
        later,
    } = warming;
    let warmth = house.engine.warm_cache(Path::new(&path), reader, later);
    Ok(Json(warmth.await?))
}
