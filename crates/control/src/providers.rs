//! Accounts at providers: their pauses after refusals, ended.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::post;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Refused};
use crate::client::with_arguments;
use crate::server::Engine;
use crate::{CallError, Client, RunningEngine};

#[derive(Debug, Serialize, Deserialize)]
struct Named {
    provider: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Resumed {
    resumed: Vec<String>,
}

impl Client {
    /// Ends the pauses of `provider`, or of all: the names of those that paused; refused when there is none of that name.
    pub async fn resume(&self, provider: Option<String>) -> Result<Vec<String>, CallError> {
        let path = with_arguments("/provider/resume", &Named { provider });
        let answer: Resumed = self.post(&path).await?;
        Ok(answer.resumed)
    }
}

/// `POST /provider/resume[?provider=…]`.
pub(crate) fn routes() -> Router<std::sync::Arc<RunningEngine>> {
    Router::new().route("/provider/resume", post(resume))
}

async fn resume(State(engine): Engine, Query(named): Query<Named>) -> Answer<Resumed> {
    let all = engine.parts.providers.iter();
    let meant: Vec<_> = all
        .filter(|one| {
            named
                .provider
                .as_ref()
                .is_none_or(|name| one.name() == name)
        })
        .collect();
    if let Some(name) = named.provider.filter(|_| meant.is_empty()) {
        let words = format!("no provider is called {name:?}; `debridfs status` lists them");
        return Err(Refused::new(StatusCode::NOT_FOUND, words));
    }
    let paused = meant.into_iter().filter(|one| one.end_pauses());
    let resumed = paused.map(|one| one.name().to_owned()).collect();
    Ok(Json(Resumed { resumed }))
}
