//! The queue in the shape of qBittorrent's Web API, version 5 (API 2.11.4), for arrs and the tools around them.
//!
//! | question | decided in |
//! |---|---|
//! | who may call | `auth` |
//! | what a call is given | `params` |
//! | how a job looks | `view`, and `cards` for what was made of it |
//! | what arrs and tools read | `read`, `listing`, `preferences` |
//! | what they change | `change`, `add`, `trackers` |
//! | what has little to do here | `lesser` |
//!
//! Every answer comes from memory. Arguments are taken from the query and from the body alike, as programs differ in where they put
//! them; calls that change something have to be POST. An unknown call is 404, a call without a session 403.

mod add;
mod auth;
mod cards;
mod change;
mod lesser;
mod listing;
mod params;
mod preferences;
mod read;
mod trackers;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use debridfs_listen::{Attempts, mark_answer, peer};
use serde::Serialize;

pub use self::auth::{ArrLogin, Credentials};
use self::auth::{Auth, Refusal};
use self::cards::Cards;
use crate::callers::LARGEST_BODY;
use crate::claims::{Caller, Claims};
use crate::params::Params;
use crate::{Acquire, Error, callers};

/// What `app/version` says. Arrs choose their calls by the API's version; others by this one.
const VERSION: &str = "v5.1.0";
/// What `app/webapiVersion` says: the API of 5.1 (`stopped` in `torrents/add` since 2.11.0).
const API_VERSION: &str = "2.11.4";
/// The name of the front in the log.
const FRONT: &str = "qBittorrent API";
/// The largest login: a name and a password. Whoever logs in may be anybody.
const LARGEST_LOGIN: usize = 4 << 10;

/// The front and what it needs.
struct Front {
    acquire: Arc<Acquire>,
    auth: Auth,
    claims: Claims,
    cards: Cards,
}

/// What a call comes to.
type Answer = Result<Response, Refused>;

/// An answer that says no.
#[derive(Debug)]
struct Refused(StatusCode, String);

impl Refused {
    fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self(status, words.into())
    }

    fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    fn bad_request() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad Request")
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        text(self.0, self.1)
    }
}

/// The API over `acquire`. To be served by [`debridfs_listen::Front::serve`], which tells the peer's
/// address: by that failed logins are counted in `attempts`.
pub fn router(acquire: Arc<Acquire>, credentials: Credentials, attempts: Arc<Attempts>) -> Router {
    let front = Front {
        acquire,
        auth: Auth::new(credentials, attempts),
        claims: Claims::default(),
        cards: Cards::default(),
    };
    Router::new().fallback(serve).with_state(Arc::new(front))
}

async fn serve(State(front): State<Arc<Front>>, request: Request) -> Response {
    let mut answer = handle(&front, request).await.into_response();
    mark_answer(answer.headers_mut());
    answer
}

async fn handle(front: &Front, request: Request) -> Answer {
    let peer = peer(request.extensions());
    let path = request.uri().path().to_owned();
    if let Err(reason) = callers::check_origin(request.headers(), front.auth.is_open()) {
        callers::tell(front.auth.attempts(), &request, FRONT, reason);
        let words = format!("Unauthorized: {reason}\n");
        return Err(Refused::new(StatusCode::UNAUTHORIZED, words));
    }
    if path == "/" {
        return Ok(text(StatusCode::OK, "debridfs: qBittorrent API at /api/v2"));
    }
    let call = path.strip_prefix("/api/v2/").unwrap_or_default();
    let call = call.trim_end_matches('/');
    let is_post = request.method() == Method::POST;
    if call == "auth/login" {
        must_be_post(is_post)?;
        let params = Params::read(request, LARGEST_LOGIN).await?;
        return Ok(front.auth.login(&params, peer));
    }
    let caller = match front.auth.check(request.headers(), peer) {
        Ok(caller) => caller,
        Err(Refusal::NoSession) => return Err(Refused::new(StatusCode::FORBIDDEN, "Forbidden")),
        Err(Refusal::Wrong) => {
            let mut answer = text(StatusCode::UNAUTHORIZED, "Unauthorized");
            answer.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"debridfs\""),
            );
            return Ok(answer);
        }
        Err(Refusal::Banned) => return Ok(auth::banned()),
    };
    if call == "auth/logout" {
        front.auth.logout(request.headers());
        return Ok(text(StatusCode::OK, ""));
    }
    let mut params = Params::read(request, LARGEST_BODY).await?;
    note(front, &caller, call, &params);
    params.viewer = front.claims.viewer(&caller);
    if let Some(answer) = read::answer(front, call, &params) {
        return answer;
    }
    let acquire = &front.acquire;
    if call == "torrents/export" {
        return lesser::export(acquire, &params).await;
    }
    if let Some(changes) = lesser::changes(call) {
        must_be_post(is_post || !changes)?;
        return lesser::answer(acquire, call, &params);
    }
    if !change::is_known(call) {
        return Err(Refused::not_found());
    }
    must_be_post(is_post)?;
    change::answer(acquire, call, &params).await
}

/// Remembers what a call tells of its caller: the category it lists, or all of them, or adds to.
fn note(front: &Front, caller: &Caller, call: &str, params: &Params) {
    match (call, params.get("category")) {
        ("torrents/info", category) if params.get("hashes").is_none_or(str::is_empty) => {
            front.claims.note(caller, category);
        }
        ("sync/maindata", _) => front.claims.note(caller, None),
        ("torrents/add", Some(category)) if !category.trim().is_empty() => {
            front.claims.note(caller, Some(category.trim()));
        }
        _ => {}
    }
}

fn must_be_post(is_post: bool) -> Result<(), Refused> {
    match is_post {
        true => Ok(()),
        false => Err(Refused::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Method Not Allowed",
        )),
    }
}

fn text(status: StatusCode, words: impl Into<String>) -> Response {
    (status, words.into()).into_response()
}

fn json<T: Serialize>(value: &T) -> Response {
    Json(value).into_response()
}

fn done() -> Response {
    text(StatusCode::OK, "")
}

/// The answer to a failure of the queue.
fn failure(error: Error) -> Refused {
    let status = match &error {
        Error::NoCategory(_) | Error::BadCategory(_) | Error::CategoryExists(_) => {
            StatusCode::CONFLICT
        }
        Error::Release(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::Store { .. }
        | Error::NoAnswer(_)
        | Error::NewerSchema { .. }
        | Error::NoProvider(_) => {
            tracing::error!(%error, "a call of the qBittorrent API failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    Refused::new(status, error.to_string())
}
