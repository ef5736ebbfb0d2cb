//! The control socket: only its owner can open it, so there is no login.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::json;

use crate::{AcceptError, Instance, Status};

/// `GET /status` and `POST /library/accept`.
pub fn control_router(instance: Arc<dyn Instance>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/library/accept", post(accept))
        .with_state(instance)
}

async fn status(State(instance): State<Arc<dyn Instance>>) -> Json<Status> {
    Json(instance.status())
}

async fn accept(State(instance): State<Arc<dyn Instance>>) -> Response {
    match instance.accept_loss().await {
        Ok(releases) => Json(json!({ "accepted": releases })).into_response(),
        Err(error) => {
            let code = match error {
                AcceptError::NothingHeld => StatusCode::CONFLICT,
                AcceptError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (code, Json(json!({ "error": error.to_string() }))).into_response()
        }
    }
}
