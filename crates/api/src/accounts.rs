//! Accounts at providers, and moves between them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use debridfs_control::{Moving, ProviderLine, TestStep};
use debridfs_repair::Move;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Home;
use crate::ask::{Body, Path};
use crate::problem::{Problem, Problems};

pub(crate) fn routes() -> OpenApiRouter<Home> {
    OpenApiRouter::new()
        .routes(routes!(list_providers))
        .routes(routes!(test_provider))
        .routes(routes!(resume_providers))
        .routes(routes!(list_moves, begin_move))
        .routes(routes!(stop_move))
}

/// Accounts.
#[derive(Debug, Serialize, ToSchema)]
struct Providers {
    /// In the order of the configuration.
    providers: Vec<ProviderLine>,
}

/// Accounts, each asked for its plan now
#[utoipa::path(get, path = "/providers", tag = "providers",
    responses((status = 200, description = "What was asked for", body = Providers), Problems))]
async fn list_providers(State(house): State<Home>) -> Json<Providers> {
    let providers = house.engine.providers().await;
    Json(Providers { providers })
}

/// How a test went.
#[derive(Debug, Serialize, ToSchema)]
struct Tested {
    /// In the order in which they were made.
    steps: Vec<TestStep>,
}

/// Try an account step by step
#[utoipa::path(post, path = "/providers/{name}/test", tag = "providers",
    params(("name" = String, Path, description = "Its name in the configuration")),
    responses((status = 200, description = "What was asked for", body = Tested), Problems))]
async fn test_provider(
    State(house): State<Home>,
    Path(name): Path<String>,
) -> Result<Json<Tested>, Problem> {
    let steps = house.engine.test_provider(&name).await?;
    Ok(Json(Tested { steps }))
}

/// Which account is meant.
#[derive(Debug, Deserialize, ToSchema)]
struct Which {
    /// Its name in the configuration; all when it is absent.
    #[serde(default)]
    provider: Option<String>,
}

/// Accounts that go on.
#[derive(Debug, Serialize, ToSchema)]
struct Resumed {
    /// Names of those that paused.
    resumed: Vec<String>,
}

/// End the pauses after refusals
#[utoipa::path(post, path = "/providers/resume", tag = "providers", request_body = Which,
    responses((status = 200, description = "What was asked for", body = Resumed), Problems))]
async fn resume_providers(
    State(house): State<Home>,
    Body(which): Body<Which>,
) -> Result<Json<Resumed>, Problem> {
    let resumed = house.engine.resume(which.provider.as_deref())?;
    Ok(Json(Resumed { resumed }))
}

/// Moves between accounts.
#[derive(Debug, Serialize, ToSchema)]
struct Moves {
    /// Those that are under way or ended within seven days.
    moves: Vec<Move>,
}

/// Releases that are moved to another account
#[utoipa::path(get, path = "/moves", tag = "providers",
    responses((status = 200, description = "What was asked for", body = Moves), Problems))]
async fn list_moves(State(house): State<Home>) -> Result<Json<Moves>, Problem> {
    let moves = house.engine.moves()?;
    Ok(Json(Moves { moves }))
}

/// Begin to move a release to another account, or go on with it
#[utoipa::path(post, path = "/moves", tag = "providers", request_body = Moving,
    responses((status = 201, description = "What was made", body = Move), Problems))]
async fn begin_move(
    State(house): State<Home>,
    Body(moving): Body<Moving>,
) -> Result<(StatusCode, Json<Move>), Problem> {
    let begun = house.engine.begin_move(moving).await?;
    Ok((StatusCode::CREATED, Json(begun)))
}

/// End a move where it is
#[utoipa::path(delete, path = "/moves/{release}", tag = "providers",
    params(("release" = String, Path, description = "An info-hash, a name or a part of one")),
    responses((status = 200, description = "What was asked for", body = Move), Problems))]
async fn stop_move(
    State(house): State<Home>,
    Path(release): Path<String>,
) -> Result<Json<Move>, Problem> {
    Ok(Json(house.engine.stop_move(&release).await?))
}
