//! Repair, tokens for files, and recordings of reads.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use debridfs_content::TraceLine;
use debridfs_control::{Check, NewToken, Revoked, TokenLine};
use debridfs_listen::TokenRights;
use debridfs_repair::RepairStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Home;
use crate::ask::{AnyPath, Body, OnePath, Path};
use crate::problem::{Problem, Problems};

pub(crate) fn routes() -> OpenApiRouter<Home> {
    OpenApiRouter::new()
        .routes(routes!(list_repair))
        .routes(routes!(check_release))
        .routes(routes!(approve_repair))
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
        .routes(routes!(begin_trace))
        .routes(routes!(take_trace, end_trace))
}

/// Releases that cannot be read, or are said to be
#[utoipa::path(get, path = "/repair", tag = "repair",
    responses((status = 200, description = "What was asked for", body = RepairStatus), Problems))]
async fn list_repair(State(house): State<Home>) -> Result<Json<RepairStatus>, Problem> {
    Ok(Json(house.engine.patients()?))
}

/// Look now whether a file or release can be read
#[utoipa::path(post, path = "/repair/check", tag = "repair", request_body = OnePath,
    responses((status = 200, description = "What was asked for", body = Check), Problems))]
async fn check_release(
    State(house): State<Home>,
    Body(what): Body<OnePath>,
) -> Result<Json<Check>, Problem> {
    Ok(Json(house.engine.check(&what.path).await?))
}

/// How many are treated.
#[derive(Debug, Serialize, ToSchema)]
struct Approved {
    /// Releases that were not approved before.
    approved: u64,
}

/// Let a release, or all that are listed, be treated although many are suspects
#[utoipa::path(post, path = "/repair/run", tag = "repair", request_body = AnyPath,
    responses((status = 200, description = "What was asked for", body = Approved), Problems))]
async fn approve_repair(
    State(house): State<Home>,
    Body(what): Body<AnyPath>,
) -> Result<Json<Approved>, Problem> {
    let approved = house.engine.approve(what.path.as_deref()).await?;
    Ok(Json(Approved { approved }))
}

/// Tokens, without their texts.
#[derive(Debug, Serialize, ToSchema)]
struct Tokens {
    /// The oldest first.
    tokens: Vec<TokenLine>,
}

/// Tokens for files over HTTP
#[utoipa::path(get, path = "/tokens", tag = "tokens",
    responses((status = 200, description = "What was asked for", body = Tokens), Problems))]
async fn list_tokens(State(house): State<Home>) -> Json<Tokens> {
    let tokens = house.engine.tokens();
    Json(Tokens { tokens })
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
struct Named {
    /// What it is called: letters, digits, `-`, `_` and `.`, at most 64.
    #[schema(example = "kodi")]
    name: String,
    /// What it lets do, and where; reading all of the library when both are absent.
    #[serde(flatten)]
    rights: TokenRights,
}

/// Make a token for files over HTTP
///
/// Its text is told this once.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = Named,
    responses((status = 201, description = "What was made", body = NewToken), Problems))]
async fn create_token(
    State(house): State<Home>,
    Body(named): Body<Named>,
) -> Result<(StatusCode, Json<NewToken>), Problem> {
    let token = house.engine.create_token(named.name, named.rights).await?;
    Ok((StatusCode::CREATED, Json(token)))
}

/// Take a token back
///
/// `signed-urls` is the one that signs addresses: revoking it ends all of them.
#[utoipa::path(delete, path = "/tokens/{name}", tag = "tokens",
    params(("name" = String, Path, description = "What it is called")),
    responses((status = 200, description = "What was asked for", body = Revoked), Problems))]
async fn revoke_token(
    State(house): State<Home>,
    Path(name): Path<String>,
) -> Result<Json<Revoked>, Problem> {
    Ok(Json(house.engine.revoke_token(name).await?))
}

/// A recording.
#[derive(Debug, Serialize, ToSchema)]
struct Begun {
    /// Its number.
    recording: u64,
}

/// Begin to record the reads of the files at and below a path, or of all
#[utoipa::path(post, path = "/traces", tag = "traces", request_body = AnyPath,
    responses((status = 201, description = "What was made", body = Begun), Problems))]
async fn begin_trace(
    State(house): State<Home>,
    Body(what): Body<AnyPath>,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    let path = what.path.as_deref().map(std::path::Path::new);
    let recording = house.engine.begin_trace(path).await?;
    Ok((StatusCode::CREATED, Json(Begun { recording })))
}

/// A part of a recording.
#[derive(Debug, Serialize, ToSchema)]
struct Trace {
    /// What came since the last call.
    lines: Vec<TraceLine>,
}

/// What a recording brought since the last call
#[utoipa::path(get, path = "/traces/{recording}", tag = "traces",
    params(("recording" = u64, Path, description = "Its number")),
    responses((status = 200, description = "What was asked for", body = Trace), Problems))]
async fn take_trace(
    State(house): State<Home>,
    Path(recording): Path<u64>,
) -> Result<Json<Trace>, Problem> {
    let lines = house.engine.take_trace(recording, false)?;
    Ok(Json(Trace { lines }))
}

/// End a recording
#[utoipa::path(delete, path = "/traces/{recording}", tag = "traces",
    params(("recording" = u64, Path, description = "Its number")),
    responses((status = 200, description = "What was asked for", body = Trace), Problems))]
async fn end_trace(
    State(house): State<Home>,
    Path(recording): Path<u64>,
) -> Result<Json<Trace>, Problem> {
    let lines = house.engine.take_trace(recording, true)?;
    Ok(Json(Trace { lines }))
}
