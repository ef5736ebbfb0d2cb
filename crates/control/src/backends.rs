//! Which FUSE backend answers, and switching it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::{get, post};
use debridfs_base::volume::Volume;
use debridfs_fuse::{BackendKind, Backends, Compared, SwitchError, Tried};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, RefusalKind, Refused};
use crate::server::Engine;
use crate::{CallError, Client, RunningEngine};

/// How it stands with the backends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendsStatus {
    /// The one that answers.
    pub active: BackendKind,
    /// `fuse.backend`.
    pub configured: BackendKind,
    /// Who answered before the last switch of this engine.
    pub before: Option<BackendKind>,
    /// Switches since the engine started.
    pub switches: u64,
    /// What the trials at the start said.
    pub tried: Vec<Tried>,
    /// What the comparison of the backends found; `None` where none can be made.
    pub compared: Option<Compared>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    backend: BackendKind,
}

impl Client {
    /// How it stands with the backends.
    pub async fn backends(&self) -> Result<BackendsStatus, CallError> {
        self.get("/backend").await
    }

    /// Lets another backend answer, from the next request on; refused when it failed its trial.
    pub async fn switch_backend(&self, to: BackendKind) -> Result<BackendsStatus, CallError> {
        self.post(&format!("/backend/switch/{to}")).await
    }

    /// Lets the one answer that did before; refused when there was none.
    pub async fn roll_back_backend(&self) -> Result<BackendsStatus, CallError> {
        self.post("/backend/rollback").await
    }
}

/// `GET /backend`, `POST /backend/switch/{name}` and `POST /backend/rollback`.
pub(crate) fn routes() -> Router<Arc<RunningEngine>> {
    Router::new()
        .route("/backend", get(status))
        .route("/backend/switch/{backend}", post(switch))
        .route("/backend/rollback", post(rollback))
}

impl From<SwitchError> for Refused {
    fn from(error: SwitchError) -> Self {
        Self::new(RefusalKind::Conflict, error)
    }
}

async fn status(State(engine): Engine) -> Json<BackendsStatus> {
    Json(of(&engine))
}

async fn switch(
    State(engine): Engine,
    axum::extract::Path(wanted): axum::extract::Path<Wanted>,
) -> Answer<BackendsStatus> {
    backends(&engine).switch(wanted.backend)?;
    keep(&engine).await;
    Ok(Json(of(&engine)))
}

async fn rollback(State(engine): Engine) -> Answer<BackendsStatus> {
    backends(&engine).rollback()?;
    keep(&engine).await;
    Ok(Json(of(&engine)))
}

fn backends(engine: &RunningEngine) -> &Backends {
    &engine.parts.backends
}

fn of(engine: &RunningEngine) -> BackendsStatus {
    let backends = backends(engine);
    BackendsStatus {
        active: backends.active(),
        configured: backends.configured(),
        before: backends.before(),
        switches: backends.switches(),
        tried: backends.tried().to_vec(),
        compared: backends.compared(),
    }
}

/// Keeps the switch for the next engine. This one has made it, whether that can be kept or not.
async fn keep(engine: &RunningEngine) {
    let dir = engine.info.state_dir.clone();
    let (configured, active) = (backends(engine).configured(), backends(engine).active());
    let kept = Volume::state().run(&engine.info.state_dir, move || {
        debridfs_fuse::remember(&dir, configured, active)
    });
    let error = match kept.await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(silent) => silent.to_string(),
    };
    tracing::warn!("the switch of the backend is not kept for the next engine: {error}");
}
