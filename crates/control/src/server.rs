//! The engine's end of the control socket: only its owner can open it, so there is no login.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;

use crate::{
    RunningEngine, backends, cached, instance, moves, providers, queue, repair, tokens, traces,
};

/// What the calls are about.
pub(crate) type Engine = State<Arc<RunningEngine>>;

/// All calls to `engine`.
pub fn control_router(engine: Arc<RunningEngine>) -> Router {
    Router::new()
        .merge(backends::routes())
        .merge(cached::routes())
        .merge(moves::routes())
        .merge(providers::routes())
        .merge(queue::routes())
        .merge(repair::routes())
        .merge(tokens::routes())
        .merge(traces::routes())
        .with_state(engine.clone())
        .merge(instance::routes(engine))
}
