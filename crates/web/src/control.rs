//! The control socket: only its owner can open it, so there is no login.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use crate::{AcceptError, Instance, Status};

/// `GET /status`, `GET /why?path=…` and `POST /library/accept`.
pub fn control_router(instance: Arc<dyn Instance>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/library/accept", post(accept))
        .route("/why", get(why))
        .with_state(instance)
}

async fn status(State(instance): State<Arc<dyn Instance>>) -> Json<Status> {
    Json(instance.status())
}

#[derive(Deserialize)]
struct Asked {
    path: String,
}

async fn why(State(instance): State<Arc<dyn Instance>>, Query(asked): Query<Asked>) -> Response {
    match instance.why(&asked.path) {
        Ok(report) => Json(report).into_response(),
        Err(error) => (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response(),
    }
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
