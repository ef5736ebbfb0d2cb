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

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use debridfs_base::Secret;
use debridfs_listen::{Attempts, TooMany, mark_answer, peer, same};
use serde_json::{Value, json};

use crate::callers::LARGEST_BODY;
use crate::claims::{Caller, Claims};
use crate::params::{Params, Unreadable};
use crate::{Acquire, Error, callers};

/// What `mode=version` says.
const VERSION: &str = "4.5.1";
/// The name of the front in the log.
const FRONT: &str = "SABnzbd API";
/// The largest request of somebody who shows no key in its address or its head: it may be in the
/// body, and who sends it may be anybody.
const LARGEST_UNKNOWN: usize = 64 << 10;
/// A header that may hold the key.
const KEY_HEADER: &str = "x-api-key";

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
    attempts: Arc<Attempts>,
    claims: Claims,
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

/// The API over `acquire`, at `/api` and `/sabnzbd/api`. To be served by
/// [`debridfs_listen::Front::serve`], which tells the peer's address: by that wrong keys are counted
/// in `attempts`.
pub fn router(acquire: Arc<Acquire>, credentials: Credentials, attempts: Arc<Attempts>) -> Router {
    let front = Front {
        acquire,
        credentials,
        attempts,
        claims: Claims::default(),
    };
    Router::new().fallback(serve).with_state(Arc::new(front))
}

async fn serve(State(front): State<Arc<Front>>, request: Request) -> Response {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    if path.is_empty() {
        return "debridfs: SABnzbd API at /api".into_response();
    }
    if !path.ends_with("/api") {
        return StatusCode::NOT_FOUND.into_response();
    }
    // Nobody is let in without a key, so a proxy in front lets nobody in either.
    if let Err(reason) = callers::check_origin(request.headers(), false) {
        callers::tell(&front.attempts, &request, FRONT, reason);
        let words = format!("debridfs: {reason}\n");
        return (StatusCode::UNAUTHORIZED, words).into_response();
    }
    let answer = match handle(&front, request).await {
        Ok(answer) => answer,
        Err(Unanswered::Unreadable(Unreadable(code, words))) => {
            return (code, words).into_response();
        }
        Err(Unanswered::Refused(refused)) => {
            Said::Value(json!({ "status": false, "error": refused.0 }))
        }
    };
    let mut answer = answer.into_response();
    mark_answer(answer.headers_mut());
    answer
}

/// Why there is no answer of the queue.
enum Unanswered {
    Unreadable(Unreadable),
    Refused(Refused),
}

impl From<Refused> for Unanswered {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Unreadable> for Unanswered {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

/// Looks for the key where no body is needed first: what strangers send is not read.
async fn handle(front: &Front, request: Request) -> Result<Said, Unanswered> {
    let peer = peer(request.extensions());
    let header = request.headers().get(KEY_HEADER);
    let header = header.and_then(|value| value.to_str().ok());
    let header = header.map(str::to_owned);
    let caller = Caller::program(request.headers(), peer);
    let query = Params::of_query(&request);
    if let Some(said) = open_to_all(&query) {
        return Ok(said);
    }
    let key = header.as_deref();
    let known = Shown::of(&query, key).is_some();
    if known {
        front.check(peer, &query, key)?;
    }
    let most = if known { LARGEST_BODY } else { LARGEST_UNKNOWN };
    let mut params = match Params::read(request, most).await {
        Err(Unreadable(StatusCode::PAYLOAD_TOO_LARGE, words)) if !known => {
            let words = format!("{words} without a key: put `apikey` into the address\n");
            return Err(Unreadable(StatusCode::PAYLOAD_TOO_LARGE, words).into());
        }
        read => read?,
    };
    if !known {
        if let Some(said) = open_to_all(&params) {
            return Ok(said);
        }
        front.check(peer, &params, key)?;
    }
    note(&front.claims, &caller, &params);
    params.viewer = front.claims.viewer(&caller);
    Ok(answer(front, &params).await.inspect_err(|refused| {
        let mode = params.get("mode").unwrap_or_default();
        tracing::info!(
            mode,
            reason = refused.0,
            "a call of the SABnzbd API was refused"
        );
    })?)
}

/// Remembers what a call tells of its caller: the category it lists, or all of them, or adds to.
fn note(claims: &Claims, caller: &Caller, params: &Params) {
    let category = params.get("cat").or_else(|| params.get("category"));
    let category = category
        .map(str::trim)
        .filter(|name| !matches!(*name, "" | "*" | "all"));
    let changes = params.get("name").is_some_and(|name| !name.is_empty());
    match params.get("mode") {
        Some("queue" | "history") if !changes => claims.note(caller, category),
        Some("addfile" | "addurl") if category.is_some() => claims.note(caller, category),
        _ => {}
    }
}

/// What is answered without a key: it tells nothing but what is here.
fn open_to_all(params: &Params) -> Option<Said> {
    match params.get("mode")? {
        "version" => Some(Said::Value(json!({ "version": VERSION }))),
        "auth" => Some(Said::Value(json!({ "auth": "apikey" }))),
        _ => None,
    }
}

async fn answer(front: &Front, params: &Params) -> Result<Said, Refused> {
    let mode = params.get("mode").unwrap_or_default();
    if let Some(answer) = read::answer(&front.acquire, mode, params) {
        return Ok(answer);
    }
    let changed = change::answer(&front.acquire, mode, params).await;
    changed.map(Said::Value)
}

/// What a call shows: a key, or a name and a password.
enum Shown<'a> {
    Key(&'a str),
    Login(&'a str, &'a str),
}

impl<'a> Shown<'a> {
    fn of(params: &'a Params, header: Option<&'a str>) -> Option<Self> {
        let value = |name| params.get(name).filter(|value| !value.is_empty());
        if let Some(key) = value("apikey").or(header) {
            return Some(Self::Key(key));
        }
        Some(Self::Login(value("ma_username")?, value("ma_password")?))
    }
}

impl Front {
    /// Whether a call shows what it has to.
    fn check(
        &self,
        peer: Option<IpAddr>,
        params: &Params,
        header: Option<&str>,
    ) -> Result<(), Refused> {
        let Some(shown) = Shown::of(params, header) else {
            return Err(Refused::new("API Key Required"));
        };
        let Credentials { key, login } = &self.credentials;
        let (judged, wrong) = match shown {
            Shown::Key(shown) => {
                let is_good = || bool::from(same(shown, key.expose()));
                let judged = self.attempts.judge(peer, FRONT, Some(shown), is_good);
                (judged, "API Key Incorrect")
            }
            Shown::Login(name, password) => {
                let is_good = || {
                    login.as_ref().is_some_and(|login| {
                        bool::from(same(name, &login.0) & same(password, login.1.expose()))
                    })
                };
                let judged = self.attempts.judge(peer, FRONT, None, is_good);
                (judged, "Authentication failed")
            }
        };
        match judged {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refused::new(wrong)),
            Err(TooMany) => Err(Refused::new(
                "too many wrong keys from this address: try again in a minute",
            )),
        }
    }
}
