//! Recordings of what is read: begun, fetched, ended.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Json;
use axum::routing::{get, post};
use debridfs_content::{RecordError, TraceLine};
use debridfs_tree::files_below;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, RefusalKind, Refused};
use crate::client::with_arguments;
use crate::server::Engine;
use crate::{CallError, Client, RunningEngine};

/// Files that one recording may be limited to; for more, all are recorded.
const MOST_FILES: usize = 10_000;

#[derive(Debug, Serialize, Deserialize)]
struct What {
    path: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    recording: u64,
}

impl Client {
    /// Begins to record the reads of the files at and below `path`, or of all; the recording's number; refused while there is another one.
    pub async fn begin_trace(&self, path: Option<PathBuf>) -> Result<u64, CallError> {
        let begun: Begun = self
            .post(&with_arguments("/traces", &What { path }))
            .await?;
        Ok(begun.recording)
    }

    /// What a recording brought since the last call; refused when there is no such recording, or no longer.
    pub async fn take_trace(&self, recording: u64) -> Result<Vec<TraceLine>, CallError> {
        self.get(&format!("/traces/{recording}")).await
    }

    /// As [`Self::take_trace`], and ends it.
    pub async fn end_trace(&self, recording: u64) -> Result<Vec<TraceLine>, CallError> {
        self.delete(&format!("/traces/{recording}")).await
    }
}

/// `POST /traces?path=`, `GET /traces/{number}` and `DELETE /traces/{number}`.
pub(crate) fn routes() -> Router<Arc<RunningEngine>> {
    Router::new()
        .route("/traces", post(begin))
        .route("/traces/{number}", get(take).delete(end))
}

impl From<RecordError> for Refused {
    fn from(error: RecordError) -> Self {
        let code = match error {
            RecordError::Busy => RefusalKind::Conflict,
            RecordError::Unknown => RefusalKind::NotFound,
        };
        Self::new(code, error)
    }
}

impl RunningEngine {
    /// Begins to record the reads of the files at and below `path`, or of all; the recording's number.
    ///
    /// # Errors
    /// There is no such path, it has too many files, or there is another recording.
    pub async fn begin_trace(&self, path: Option<&std::path::Path>) -> Result<u64, Refused> {
        let mut files = None;
        if let Some(path) = path {
            let (tree, mount) = (&*self.parts.tree, &self.info.mount);
            let found = files_below(tree, mount, path, MOST_FILES).await;
            let found = found.map_err(|error| Refused::new(RefusalKind::NotFound, error))?;
            files = Some(found.into_iter().map(|(_, attr)| attr.id.0).collect());
        }
        Ok(self.parts.content.begin_trace(files)?)
    }

    /// What a recording brought since the last call, and its end if `end`.
    ///
    /// # Errors
    /// There is no such recording, or no longer.
    pub fn take_trace(&self, recording: u64, end: bool) -> Result<Vec<TraceLine>, Refused> {
        Ok(self.parts.content.take_trace(recording, end)?)
    }
}

async fn begin(State(engine): Engine, Query(what): Query<What>) -> Answer<Begun> {
    let recording = engine.begin_trace(what.path.as_deref()).await?;
    Ok(Json(Begun { recording }))
}

async fn take(State(engine): Engine, Path(recording): Path<u64>) -> Answer<Vec<TraceLine>> {
    Ok(Json(engine.take_trace(recording, false)?))
}

async fn end(State(engine): Engine, Path(recording): Path<u64>) -> Answer<Vec<TraceLine>> {
    Ok(Json(engine.take_trace(recording, true)?))
}
