//! Tokens for files over HTTP: listed, made, revoked.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{get, post};
use debridfs_acquire::{Action, Selection, Step};
use debridfs_base::volume::{NoAnswer, Volume};
use debridfs_listen::{OWN, Right, TokenError, TokenRights, Tokens, root_of};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Refused};
use crate::client::with_arguments;
use crate::server::Engine;
use crate::{CallError, Client, RunningEngine};

/// What `GET /tokens` answers.
#[derive(Debug, Serialize, Deserialize)]
struct TokenList {
    tokens: Vec<TokenLine>,
}

/// A token, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLine {
    /// What it is called.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it lets do, and where.
    #[serde(flatten)]
    pub rights: TokenRights,
}

/// A token that was just made: the only time that its text is told.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewToken {
    /// Its text.
    pub token: String,
    /// What addresses of files begin with; may be empty.
    pub url: String,
    /// Whether `http.listen` is set.
    pub served: bool,
}

/// A token that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// True.
    pub revoked: bool,
    /// Downloads whose `.strm` files are written again with another token.
    pub written_anew: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Named {
    name: String,
}

/// A token to be made. In an address a list is text with commas.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    name: String,
    #[serde(default)]
    root: String,
    may: Option<String>,
}

impl Wanted {
    fn rights(&self) -> Result<TokenRights, Refused> {
        let bad = |words: String| Refused::new(StatusCode::BAD_REQUEST, words);
        let root = root_of(&self.root);
        let root = root.ok_or_else(|| bad(format!("{:?} names no directory", self.root)))?;
        let may = match &self.may {
            None => TokenRights::default().may,
            Some(words) => rights(words).map_err(bad)?,
        };
        Ok(TokenRights { root, may })
    }
}

/// Rights as text with commas.
fn rights(words: &str) -> Result<Vec<Right>, String> {
    let words = words.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(str::parse)
        .collect()
}

impl Client {
    /// Lists tokens.
    pub async fn tokens(&self) -> Result<Vec<TokenLine>, CallError> {
        let list: TokenList = self.get("/tokens").await?;
        Ok(list.tokens)
    }

    /// Makes a token; refused when there is one of this name.
    pub async fn new_token(&self, name: &str, rights: &TokenRights) -> Result<NewToken, CallError> {
        let may: Vec<_> = rights.may.iter().map(Right::word).collect();
        let wanted = Wanted {
            name: name.to_owned(),
            root: rights.root.clone(),
            may: Some(may.join(",")),
        };
        self.post(&with_arguments("/tokens/new", &wanted)).await
    }

    /// Takes a token back; refused when there is none of this name.
    pub async fn revoke_token(&self, name: &str) -> Result<Revoked, CallError> {
        self.post(&with_arguments("/tokens/revoke", &named(name)))
            .await
    }
}

fn named(name: &str) -> Named {
    Named {
        name: name.to_owned(),
    }
}

/// Tokens for files over HTTP, and what they are for.
#[derive(Clone)]
pub struct HttpTokens {
    /// The tokens.
    pub tokens: Arc<Tokens>,
    /// What addresses of files begin with.
    pub url: String,
    /// Whether files are served over HTTP at all.
    pub served: bool,
    /// Whether downloads are put in place as `.strm` files, for which there always is a token.
    pub makes_strm: bool,
}

/// `GET /tokens`, `POST /tokens/new` and `POST /tokens/revoke`.
pub(crate) fn routes() -> Router<Arc<RunningEngine>> {
    Router::new()
        .route("/tokens", get(list))
        .route("/tokens/new", post(create))
        .route("/tokens/revoke", post(revoke))
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Exists(_) | TokenError::BadName(_) => StatusCode::CONFLICT,
            TokenError::Unknown(_) => StatusCode::NOT_FOUND,
            TokenError::NoRandom | TokenError::Unread | TokenError::File { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(code, error)
    }
}

impl From<NoAnswer> for Refused {
    fn from(error: NoAnswer) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }
}

async fn list(State(engine): Engine) -> Json<TokenList> {
    let tokens = engine
        .parts
        .tokens
        .tokens
        .list()
        .into_iter()
        .map(|token| TokenLine {
            name: token.name,
            created: token.created,
            rights: token.rights,
        });
    Json(TokenList {
        tokens: tokens.collect(),
    })
}

async fn create(State(engine): Engine, Query(wanted): Query<Wanted>) -> Answer<NewToken> {
    let rights = wanted.rights()?;
    let HttpTokens {
        tokens,
        url,
        served,
        ..
    } = engine.parts.tokens.clone();
    let dir = tokens.dir().to_owned();
    let create = move || tokens.create(&wanted.name, rights, Timestamp::now());
    let token = Volume::state().run(&dir, create).await??;
    Ok(Json(NewToken { token, url, served }))
}

/// The one for `.strm` files is replaced at once, and files that still lie where they were put are written anew.
async fn revoke(State(engine): Engine, Query(named): Query<Named>) -> Answer<Revoked> {
    let HttpTokens {
        tokens, makes_strm, ..
    } = engine.parts.tokens.clone();
    let own = named.name == OWN;
    let dir = tokens.dir().to_owned();
    let revoked = Volume::state().run(&dir, move || {
        tokens.revoke(&named.name)?;
        match own && makes_strm {
            true => tokens.make_own(Timestamp::now()),
            false => Ok(()),
        }
    });
    revoked.await??;
    let mut again = 0;
    if let Some(queue) = engine.queue().get().filter(|_| own) {
        let jobs = queue.jobs();
        let jobs = jobs
            .iter()
            .filter(|job| job.action == Action::Strm && job.step == Step::Complete);
        let hashes: Vec<_> = jobs.map(|job| job.hash).collect();
        again = hashes.len() as u64;
        if let Err(error) = queue.recheck(Selection::Some(hashes)).await {
            tracing::warn!(%error, ".strm files keep an address that is not served any more");
        }
    }
    Ok(Json(Revoked {
        revoked: true,
        written_anew: again,
    }))
}
