//! Recordings of what is read, over the control socket.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

/// What [`Traces::begin`] comes to.
pub type Beginning = Pin<Box<dyn Future<Output = Result<u64, TraceRefused>> + Send>>;

/// Whoever records.
pub trait Traces: Send + Sync + 'static {
    /// Begins to record the reads of the files at and below `path`, or of all; the recording's number.
    fn begin(&self, path: Option<PathBuf>) -> Beginning;
    /// What a recording brought since the last call, as the lines of a trace; `end` ends it.
    ///
    /// # Errors
    /// There is no such recording.
    fn take(&self, recording: u64, end: bool) -> Result<Vec<Value>, TraceRefused>;
}

/// Why nothing is recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceRefused {
    /// Another recording is under way.
    #[error("another recording is under way")]
    Busy,
    /// There is no such recording, or no longer.
    #[error("there is no such recording")]
    Unknown,
    /// The path cannot be recorded.
    #[error("{0}")]
    Path(String),
}

/// `POST /traces?path=`, `GET /traces/{number}` and `DELETE /traces/{number}`.
pub fn trace_router(traces: Arc<dyn Traces>) -> Router {
    Router::new()
        .route("/traces", post(begin))
        .route("/traces/{number}", get(take).delete(end))
        .with_state(traces)
}

#[derive(Deserialize)]
struct What {
    path: Option<PathBuf>,
}

async fn begin(State(traces): State<Arc<dyn Traces>>, Query(what): Query<What>) -> Response {
    match traces.begin(what.path).await {
        Ok(number) => Json(json!({ "recording": number })).into_response(),
        Err(refused) => refuse(&refused),
    }
}

async fn take(State(traces): State<Arc<dyn Traces>>, Path(number): Path<u64>) -> Response {
    lines(traces.take(number, false))
}

async fn end(State(traces): State<Arc<dyn Traces>>, Path(number): Path<u64>) -> Response {
    lines(traces.take(number, true))
}

fn lines(taken: Result<Vec<Value>, TraceRefused>) -> Response {
    match taken {
        Ok(lines) => Json(lines).into_response(),
        Err(refused) => refuse(&refused),
    }
}

fn refuse(refused: &TraceRefused) -> Response {
    let code = match refused {
        TraceRefused::Busy => StatusCode::CONFLICT,
        TraceRefused::Unknown | TraceRefused::Path(_) => StatusCode::NOT_FOUND,
    };
    (code, Json(json!({ "error": refused.to_string() }))).into_response()
}
