//! Backends: which one answers, switching, and rollouts.

use axum::extract::State;
use axum::response::Json;
use debridfs_control::{BackendsStatus, RollingOut, RolloutStep};
use debridfs_fuse::{BackendKind, Divergence};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Home;
use crate::ask::Body;
use crate::problem::{Problem, Problems};

pub(crate) fn routes() -> OpenApiRouter<Home> {
    OpenApiRouter::new()
        .routes(routes!(show_backends))
        .routes(routes!(list_differences))
        .routes(routes!(switch_backend))
        .routes(routes!(roll_back_backend))
        .routes(routes!(roll_out_backend, steer_rollout))
}

/// Which backend answers, and how far a rollout is
#[utoipa::path(get, path = "/backend", tag = "backend",
    responses((status = 200, description = "What was asked for", body = BackendsStatus), Problems))]
async fn show_backends(State(house): State<Home>) -> Json<BackendsStatus> {
    Json(house.engine.backends())
}

/// What the comparison found.
#[derive(Debug, Serialize, ToSchema)]
struct Differences {
    /// The newest last.
    differences: Vec<Divergence>,
}

/// The last requests about which the backends differed, with both replies
#[utoipa::path(get, path = "/backend/diff", tag = "backend",
    responses((status = 200, description = "What was asked for", body = Differences), Problems))]
async fn list_differences(State(house): State<Home>) -> Json<Differences> {
    let differences = house.engine.backends().compared.last;
    Json(Differences { differences })
}

/// Names a backend.
#[derive(Debug, Deserialize, ToSchema)]
struct Wanted {
    /// `native` or `fbrs`.
    backend: BackendKind,
}

/// Let another backend answer, from the next request on
#[utoipa::path(post, path = "/backend/switch", tag = "backend", request_body = Wanted,
    responses((status = 200, description = "How it stands now", body = BackendsStatus), Problems))]
async fn switch_backend(
    State(house): State<Home>,
    Body(wanted): Body<Wanted>,
) -> Result<Json<BackendsStatus>, Problem> {
    Ok(Json(house.engine.switch_backend(wanted.backend).await?))
}

/// Roll back what is rolled out, or let the backend answer that did before the last switch
#[utoipa::path(post, path = "/backend/rollback", tag = "backend",
    responses((status = 200, description = "How it stands now", body = BackendsStatus), Problems))]
async fn roll_back_backend(State(house): State<Home>) -> Result<Json<BackendsStatus>, Problem> {
    Ok(Json(house.engine.roll_back_backend().await?))
}

/// Let a backend answer for a growing share of the nodes
#[utoipa::path(post, path = "/backend/rollout", tag = "backend", request_body = RollingOut,
    responses((status = 200, description = "How it stands now", body = BackendsStatus), Problems))]
async fn roll_out_backend(
    State(house): State<Home>,
    Body(what): Body<RollingOut>,
) -> Result<Json<BackendsStatus>, Problem> {
    Ok(Json(house.engine.roll_out_backend(&what).await?))
}

/// What is to become of a rollout.
#[derive(Debug, Deserialize, ToSchema)]
struct Steering {
    /// The step.
    step: RolloutStep,
}

/// Pause, resume, promote, finish or stop the rollout that is under way
#[utoipa::path(patch, path = "/backend/rollout", tag = "backend", request_body = Steering,
    responses((status = 200, description = "How it stands now", body = BackendsStatus), Problems))]
async fn steer_rollout(
    State(house): State<Home>,
    Body(steering): Body<Steering>,
) -> Result<Json<BackendsStatus>, Problem> {
    Ok(Json(house.engine.steer_rollout(steering.step).await?))
}
