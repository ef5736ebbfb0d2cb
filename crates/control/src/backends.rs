//! Which FUSE backend answers, switching it, and rolling one out.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Json;
use axum::routing::{get, post};
use debridfs_fuse::{
    BackendKind, Backends, Compared, Decision, RolloutError, RolloutStatus, Stage, SwitchError,
    Tried,
};
use futures_util::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use utoipa::ToSchema;

use crate::answer::{Answer, RefusalKind, Refused};
use crate::client::with_arguments;
use crate::server::Engine;
use crate::{CallError, Client, RunningEngine};

/// How it stands with the backends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BackendsStatus {
    /// The one that answers; during a rollout the one that did before.
    pub active: BackendKind,
    /// `fuse.backend`.
    pub configured: BackendKind,
    /// Who answered before the last switch of this engine.
    pub before: Option<BackendKind>,
    /// Switches since the engine started.
    pub switches: u64,
    /// What the trials at the start said.
    pub tried: Vec<Tried>,
    /// What the comparison of the backends found.
    pub compared: Compared,
    /// The rollout that is under way, and what was decided.
    #[serde(default)]
    pub rollout: RolloutStatus,
}

/// A rollout that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollingOut {
    /// The backend that is to answer in the end.
    pub backend: BackendKind,
    /// Shares of the nodes and their times; those of the configuration when absent.
    #[serde(default)]
    #[schema(example = "10%:15m,50%:30m,100%:30m")]
    pub stages: Option<String>,
}

/// What is to become of the rollout that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutStep {
    /// It stays at its stage.
    Pause,
    /// It goes on.
    Resume,
    /// Its next stage begins at once; after the last one the backend answers everything for good.
    Promote,
    /// The backend answers everything for good, at once.
    Finish,
    /// It is rolled back.
    Stop,
}

impl RolloutStep {
    fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote => "promote",
            Self::Finish => "finish",
            Self::Stop => "stop",
        }
    }
}

#[derive(Debug, Deserialize)]
struct Wanted {
    backend: BackendKind,
}

#[derive(Debug, Deserialize)]
struct Step {
    step: RolloutStep,
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

    /// Begins a rollout; refused when one is under way or the backend cannot answer.
    pub async fn roll_out_backend(&self, what: &RollingOut) -> Result<BackendsStatus, CallError> {
        self.post(&with_arguments("/backend/rollout", what)).await
    }

    /// Steers the rollout that is under way; refused when there is none.
    pub async fn steer_rollout(&self, step: RolloutStep) -> Result<BackendsStatus, CallError> {
        self.post(&format!("/backend/rollout/{}", step.name()))
            .await
    }
}

/// Decisions about rollouts: the last ones, and those that come.
pub fn decisions(backends: &Backends) -> impl Stream<Item = Decision> + Send + use<> {
    let to_come = backends.decisions();
    let last = backends.rollout().last;
    let newest = last.last().map_or(0, |decision| decision.number);
    let to_come = stream::unfold(to_come, move |mut to_come| async move {
        loop {
            match to_come.recv().await {
                // Made between the two looks above.
                Ok(decision) if decision.number <= newest => {}
                Ok(decision) => return Some((decision, to_come)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    stream::iter(last).chain(to_come)
}

impl RunningEngine {
    /// How it stands with the backends.
    pub fn backends(&self) -> BackendsStatus {
        let backends = &self.parts.backends;
        BackendsStatus {
            active: backends.active(),
            configured: backends.configured(),
            before: backends.before(),
            switches: backends.switches(),
            tried: backends.tried().to_vec(),
            compared: backends.compared(),
            rollout: backends.rollout(),
        }
    }

    /// Carries rollouts out, for ever.
    pub async fn drive_rollouts(self: Arc<Self>) {
        let state_dir = Some(self.info.state_dir.clone());
        self.parts.backends.clone().drive_rollouts(state_dir).await;
    }

    /// How it stands with rollouts.
    pub fn rollout(&self) -> RolloutStatus {
        self.parts.backends.rollout()
    }

    /// Lets another backend answer, from the next request on; refused when it failed its trial.
    pub async fn switch_backend(&self, to: BackendKind) -> Answered {
        self.change(|backends| Ok(backends.switch(to)?)).await
    }

    /// Rolls a rollout back, or lets the backend answer that did before the last switch.
    pub async fn roll_back_backend(&self) -> Answered {
        let back = |backends: &Backends| Ok(backends.rollback().map(drop)?);
        self.change(back).await
    }

    /// Begins a rollout; refused when one is under way or the backend cannot answer.
    pub async fn roll_out_backend(&self, what: &RollingOut) -> Answered {
        let stages = what.stages.as_deref().map(Stage::list).transpose();
        let stages = stages.map_err(|error| Refused::new(RefusalKind::Invalid, error))?;
        let begin = |backends: &Backends| backends.start_rollout(what.backend, stages);
        self.change(begin).await
    }

    /// Steers the rollout that is under way; refused when there is none.
    pub async fn steer_rollout(&self, step: RolloutStep) -> Answered {
        let steer = |backends: &Backends| match step {
            RolloutStep::Pause => backends.pause_rollout(true),
            RolloutStep::Resume => backends.pause_rollout(false),
            RolloutStep::Promote => backends.promote_rollout(false),
            RolloutStep::Finish => backends.promote_rollout(true),
            RolloutStep::Stop => backends.stop_rollout(),
        };
        self.change(steer).await
    }

    /// Makes a change, and keeps it for the next engine. This one has made it, whether that can be
    /// kept or not.
    async fn change(&self, change: impl FnOnce(&Backends) -> Result<(), RolloutError>) -> Answered {
        let backends = &self.parts.backends;
        change(backends)?;
        if let Err(error) = backends.keep(&self.info.state_dir).await {
            tracing::warn!(%error, "who answers is not kept for the next engine yet");
        }
        Ok(self.backends())
    }
}

type Answered = Result<BackendsStatus, Refused>;

/// `GET /backend`, `POST /backend/switch/{name}`, `POST /backend/rollback`, and `POST
/// /backend/rollout` with a step behind it or none.
pub(crate) fn routes() -> Router<Arc<RunningEngine>> {
    Router::new()
        .route("/backend", get(status))
        .route("/backend/switch/{backend}", post(switch))
        .route("/backend/rollback", post(rollback))
        .route("/backend/rollout", post(roll_out))
        .route("/backend/rollout/{step}", post(steer))
}

impl From<SwitchError> for Refused {
    fn from(error: SwitchError) -> Self {
        Self::new(RefusalKind::Conflict, error)
    }
}

impl From<RolloutError> for Refused {
    fn from(error: RolloutError) -> Self {
        let kind = match error {
            RolloutError::Plan(_) => RefusalKind::Invalid,
            _ => RefusalKind::Conflict,
        };
        Self::new(kind, error)
    }
}

async fn status(State(engine): Engine) -> Json<BackendsStatus> {
    Json(engine.backends())
}

async fn switch(State(engine): Engine, Path(wanted): Path<Wanted>) -> Answer<BackendsStatus> {
    Ok(Json(engine.switch_backend(wanted.backend).await?))
}

async fn rollback(State(engine): Engine) -> Answer<BackendsStatus> {
    Ok(Json(engine.roll_back_backend().await?))
}

async fn roll_out(State(engine): Engine, Query(what): Query<RollingOut>) -> Answer<BackendsStatus> {
    Ok(Json(engine.roll_out_backend(&what).await?))
}

async fn steer(State(engine): Engine, Path(wanted): Path<Step>) -> Answer<BackendsStatus> {
    Ok(Json(engine.steer_rollout(wanted.step).await?))
}
