//! The queue in the shape of SABnzbd's API (4.5), for arrs and tools that know no other, and because it can say "Failed".
//!
//! Jobs are named by their info-hash in upper case: the id that an arr keeps for a grab it made through a qBittorrent. So an arr that
//! has this client beside that one hears here that its grab failed, which no state of a qBittorrent can tell it.
//!
//! | question | decided in |
//! |---|---|
//! | who may call, which call it is | here |
//! | what arrs and tools read | `read` |
//! | what they change | `change` |
//!
//! Every answer is 200 and JSON, as a client of SABnzbd expects: what is refused says `{"status": false, "error": …}`.

mod change;
mod read;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use debridfs_base::Secret;
use debridfs_listen::{mark_answer, same};
use serde_json::{Value, json};

use crate::params::Params;
use crate::{Acquire, Error, callers};

/// What `mode=version` says.
const VERSION: &str = "4.5.1";
/// The largest request: an nzb of a whole season is some MiB.
const LARGEST_BODY: usize = 64 << 20;

/// Who may call. There is no call without a key but `version` and `auth`.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The API key.
    pub key: Secret,
    /// Name and password, for callers that show these in place of the key.
    pub login: Option<(String, Secret)>,
}

/// The front and what it needs.
struct Front {
    acquire: Arc<Acquire>,
    credentials: Credentials,
}

/// Why a call is refused, in the words that callers know.
#[derive(Debug, PartialEq, Eq)]
struct Refused(String);

impl Refused {
    fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        if matches!(error, Error::Store { .. }) {
            tracing::error!(%error, "a call of the SABnzbd API failed");
        }
        Self(error.to_string())
    }
}

/// What a call comes to.
type Answer = Result<Value, Refused>;

/// JSON, or what is JSON already.
enum Said {
    Value(Value),
    Written(String),
}

impl IntoResponse for Said {
    fn into_response(self) -> Response {
        match self {
            Self::Value(value) => Json(value).into_response(),
            Self::Written(text) => {
                ([(header::CONTENT_TYPE, "application/json")], text).into_response()
            }
        }
    }
}

/// The API over `acquire`, at `/api` and `/sabnzbd/api`.
pub fn router(acquire: Arc<Acquire>, credentials: Credentials) -> Router {
    let front = Front {
        acquire,
        credentials,
    };
    Router::new()
        .fallback(serve)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(Arc::new(front))
}

async fn serve(State(front): State<Arc<Front>>, request: Request) -> Response {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    if path.is_empty() {
        return "debridfs: SABnzbd API at /api".into_response();
    }
    if !path.ends_with("/api") {
        return StatusCode::NOT_FOUND.into_response();
    }
    if let Err(reason) = callers::check_origin(request.headers(), false) {
        tracing::warn!(reason, "a call of the SABnzbd API was refused");
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let params = match Params::read(request).await {
        Ok(params) => params,
        Err(error) => return (error.0, error.1).into_response(),
    };
    let answer = answer(&front, &params).await.unwrap_or_else(|refused| {
        let mode = params.get("mode").unwrap_or_default();
        tracing::info!(
            mode,
            reason = refused.0,
            "a call of the SABnzbd API was refused"
        );
        Said::Value(json!({ "status": false, "error": refused.0 }))
    });
    let mut answer = answer.into_response();
    mark_answer(answer.headers_mut());
    answer
}

async fn answer(front: &Front, params: &Params) -> Result<Said, Refused> {
    let mode = params.get("mode").unwrap_or_default();
    match mode {
        "version" => return Ok(Said::Value(json!({ "version": VERSION }))),
        "auth" => return Ok(Said::Value(json!({ "auth": "apikey" }))),
        _ => {}
    }
    front.credentials.check(params)?;
    if let Some(answer) = read::answer(&front.acquire, mode, params) {
        return Ok(answer);
    }
    let changed = change::answer(&front.acquire, mode, params).await;
    changed.map(Said::Value)
}

impl Credentials {
    /// Whether a call shows what it has to.
    fn check(&self, params: &Params) -> Result<(), Refused> {
        let shown = |name| params.get(name).filter(|value| !value.is_empty());
        if let Some(key) = shown("apikey") {
            return match bool::from(same(key, self.key.expose())) {
                true => Ok(()),
                false => Err(Refused::new("API Key Incorrect")),
            };
        }
        let (Some(name), Some(password)) = (shown("ma_username"), shown("ma_password")) else {
            return Err(Refused::new("API Key Required"));
        };
        let good = self.login.as_ref().is_some_and(|login| {
            bool::from(same(name, &login.0) & same(password, login.1.expose()))
        });
        match good {
            true => Ok(()),
            false => Err(Refused::new("Authentication failed")),
        }
    }
}
