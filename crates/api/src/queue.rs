//! Downloads.

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Json;
use bytes::Bytes;
use debridfs_control::{AddedJob, QueuedJob};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ask::{Body, Path, Query};
use crate::problem::{Problem, Problems};
use crate::{Home, House};

/// A `.torrent` with a piece for each 16 KiB of a season in full quality.
const LONGEST_TORRENT: usize = 16 << 20;

pub(crate) fn routes() -> OpenApiRouter<Home> {
    let upload = OpenApiRouter::new()
        .routes(routes!(add_torrent))
        .layer(DefaultBodyLimit::max(LONGEST_TORRENT));
    OpenApiRouter::new()
        .routes(routes!(list_queue, add_job))
        .routes(routes!(remove_job))
        .routes(routes!(stop_job))
        .routes(routes!(start_job))
        .routes(routes!(retry_job))
        .merge(upload)
}

/// Downloads.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Queue {
    /// The newest first.
    pub(crate) jobs: Vec<QueuedJob>,
    /// Names of categories.
    pub(crate) categories: Vec<String>,
}

pub(crate) fn queue(house: &House, category: Option<&str>) -> Result<Queue, Problem> {
    let mut jobs = house.engine.queued()?;
    jobs.retain(|job| category.is_none_or(|category| job.category == category));
    jobs.reverse();
    let categories = house.engine.categories();
    Ok(Queue { jobs, categories })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Those of this category alone.
    category: Option<String>,
}

/// Downloads, the newest first
#[utoipa::path(get, path = "/queue", tag = "queue", params(Which),
    responses((status = 200, description = "What was asked for", body = Queue), Problems))]
async fn list_queue(
    State(house): State<Home>,
    Query(which): Query<Which>,
) -> Result<Json<Queue>, Problem> {
    Ok(Json(queue(&house, which.category.as_deref())?))
}

/// A download to take in.
#[derive(Debug, Deserialize, ToSchema)]
struct Adding {
    /// A magnet link or an info-hash.
    #[schema(example = "00112233445566778899aabbccddeeff00112233")]
    link: String,
    /// Its category; none when it is absent.
    #[serde(default)]
    category: String,
}

/// Take in a magnet link or an info-hash
#[utoipa::path(post, path = "/queue", tag = "queue", request_body = Adding,
    responses((status = 201, description = "What was made", body = AddedJob), Problems))]
async fn add_job(
    State(house): State<Home>,
    Body(adding): Body<Adding>,
) -> Result<(StatusCode, Json<AddedJob>), Problem> {
    let added = house.engine.add_link(&adding.link, adding.category).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Into {
    /// Its category; none when it is absent.
    #[serde(default)]
    category: String,
}

/// The bytes of a `.torrent` file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "the document is made of its attributes")]
struct TorrentFile(Vec<u8>);

/// Take in a `.torrent` file
///
/// The body is the file.
#[utoipa::path(post, path = "/queue/torrent", tag = "queue", params(Into),
    request_body(content = TorrentFile, content_type = "application/octet-stream"),
    responses((status = 201, description = "What was made", body = AddedJob), Problems))]
async fn add_torrent(
    State(house): State<Home>,
    Query(into): Query<Into>,
    file: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<(StatusCode, Json<AddedJob>), Problem> {
    let file = file.map_err(|rejection| match rejection.status() {
        code @ StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(code, "too-large", rejection.body_text())
        }
        _ => Problem::invalid(rejection.body_text()),
    })?;
    let added = house.engine.add_torrent(file, into.category).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

/// Stop a download
#[utoipa::path(post, path = "/queue/{hash}/stop", tag = "queue",
    params(("hash" = String, Path, description = "Its info-hash")),
    responses((status = 204, description = "It is stopped"), Problems))]
async fn stop_job(
    State(house): State<Home>,
    Path(hash): Path<String>,
) -> Result<StatusCode, Problem> {
    house.engine.stop_job(&hash, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a stopped download go on
#[utoipa::path(post, path = "/queue/{hash}/start", tag = "queue",
    params(("hash" = String, Path, description = "Its info-hash")),
    responses((status = 204, description = "It goes on"), Problems))]
async fn start_job(
    State(house): State<Home>,
    Path(hash): Path<String>,
) -> Result<StatusCode, Problem> {
    house.engine.stop_job(&hash, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begin a failed download again, or make the links of a complete one again
#[utoipa::path(post, path = "/queue/{hash}/retry", tag = "queue",
    params(("hash" = String, Path, description = "Its info-hash")),
    responses((status = 204, description = "It is tried again"), Problems))]
async fn retry_job(
    State(house): State<Home>,
    Path(hash): Path<String>,
) -> Result<StatusCode, Problem> {
    house.engine.retry_job(&hash).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Removing {
    /// Whether what was put in place for an arr goes as well.
    #[serde(default)]
    files: bool,
}

/// Remove a download
#[utoipa::path(delete, path = "/queue/{hash}", tag = "queue",
    params(("hash" = String, Path, description = "Its info-hash"), Removing),
    responses((status = 204, description = "It is removed"), Problems))]
async fn remove_job(
    State(house): State<Home>,
    Path(hash): Path<String>,
    Query(removing): Query<Removing>,
) -> Result<StatusCode, Problem> {
    house.engine.remove_job(&hash, removing.files).await?;
    Ok(StatusCode::NO_CONTENT)
}
