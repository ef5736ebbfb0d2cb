//! Files over HTTP: the tokens, the listener, and what the control socket changes about them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use debridfs_acquire::{Acquire, Action, Selection, Step};
use debridfs_dav::{OWN, TokenError, Tokens, address, router};
use debridfs_vfs::Vfs;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::sockets;
use crate::config::Config;
use crate::failure::{Doing, Failure};

/// Files over HTTP.
#[derive(Clone)]
pub struct HttpFiles {
    listen: Option<SocketAddr>,
    /// What addresses begin with.
    url: String,
    tokens: Arc<Tokens>,
    makes_strm: bool,
}

impl HttpFiles {
    /// Reads the tokens, and makes the one for `.strm` files if there are to be any.
    pub fn load(config: &Config) -> Result<Self, Failure> {
        let tokens = Tokens::load(&config.state_dir).doing(|| "tokens".into())?;
        let makes_strm = config.acquire.makes_strm();
        if makes_strm {
            tokens
                .make_own(Timestamp::now())
                .doing(|| "tokens".into())?;
        }
        Ok(Self {
            listen: config.http.listen,
            url: config.http.url.trim_end_matches('/').to_owned(),
            tokens: Arc::new(tokens),
            makes_strm,
        })
    }

    /// The address of a file by its path in the mount.
    ///
    /// # Errors
    /// Why it has none, for people.
    pub fn url(&self, path: &str) -> Result<String, String> {
        if self.listen.is_none() || self.url.is_empty() {
            return Err("`http.listen` and `http.url` are not configured".to_owned());
        }
        let token = self.tokens.own();
        let token = token.ok_or("there is no token for .strm files: restart the engine")?;
        Ok(format!("{}{}", self.url, address(&token, path)))
    }

    /// Serves them, if an address is configured.
    pub async fn serve(self, vfs: Arc<dyn Vfs>) {
        let Some(listen) = self.listen else {
            return;
        };
        let router = router(vfs, self.tokens);
        sockets::front(listen, "files over HTTP", true, router).await;
    }
}

#[derive(Clone)]
struct Desk {
    http: HttpFiles,
    queue: Option<Arc<Acquire>>,
}

/// `GET /tokens`, `POST /tokens/new` and `POST /tokens/revoke` of the control socket.
pub fn control(http: HttpFiles, queue: Option<Arc<Acquire>>) -> Router {
    Router::new()
        .route("/tokens", get(list))
        .route("/tokens/new", post(create))
        .route("/tokens/revoke", post(revoke))
        .with_state(Desk { http, queue })
}

async fn list(State(desk): State<Desk>) -> Response {
    let tokens = desk.http.tokens.list();
    let tokens = tokens
        .iter()
        .map(|token| json!({ "name": token.name, "created": token.created }));
    Json(json!({ "tokens": tokens.collect::<Vec<_>>() })).into_response()
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

fn refused(error: &TokenError) -> Response {
    let status = match error {
        TokenError::Exists(_) | TokenError::BadName(_) => StatusCode::CONFLICT,
        TokenError::Unknown(_) => StatusCode::NOT_FOUND,
        TokenError::NoRandom | TokenError::File { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(json!({ "error": error.to_string() }))).into_response()
}

fn ended() -> Response {
    let words = json!({ "error": "stopping" });
    (StatusCode::SERVICE_UNAVAILABLE, Json(words)).into_response()
}

async fn create(State(desk): State<Desk>, Query(named): Query<Named>) -> Response {
    let tokens = desk.http.tokens.clone();
    let created = spawn_blocking(move || tokens.create(&named.name, Timestamp::now())).await;
    match created {
        Ok(Ok(token)) => Json(json!({ "token": token, "url": desk.http.url })).into_response(),
        Ok(Err(error)) => refused(&error),
        Err(_) => ended(),
    }
}

/// The one for `.strm` files is replaced at once, and files that still lie where they were put are written anew.
async fn revoke(State(desk): State<Desk>, Query(named): Query<Named>) -> Response {
    let (tokens, makes_strm) = (desk.http.tokens.clone(), desk.http.makes_strm);
    let own = named.name == OWN;
    let revoked = spawn_blocking(move || {
        tokens.revoke(&named.name)?;
        match own && makes_strm {
            true => tokens.make_own(Timestamp::now()),
            false => Ok(()),
        }
    });
    match revoked.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return refused(&error),
        Err(_) => return ended(),
    }
    let mut again = 0;
    if let Some(queue) = desk.queue.filter(|_| own) {
        let jobs = queue.jobs();
        let jobs = jobs
            .iter()
            .filter(|job| job.action == Action::Strm && job.step == Step::Complete);
        let hashes: Vec<_> = jobs.map(|job| job.hash).collect();
        again = hashes.len();
        if let Err(error) = queue.recheck(Selection::Some(hashes)).await {
            tracing::warn!(%error, ".strm files keep an address that is not served any more");
        }
    }
    Json(json!({ "revoked": true, "written_anew": again })).into_response()
}
