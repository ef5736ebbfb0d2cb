//! Tokens for files over HTTP: listed, made, revoked.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Json;
use axum::routing::{get, post};
use debridfs_acquire::{Action, Selection, Step};
use debridfs_base::volume::{NoAnswer, Volume};
use debridfs_dav::Addresses;
use debridfs_listen::{OWN, Right, TokenError, TokenRights, Tokens, root_of};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Answer, RefusalKind, Refused};
use crate::client::with_arguments;
use crate::server::Engine;
use crate::{CallError, Client, RunningEngine};

/// What `GET /tokens` answers.
#[derive(Debug, Serialize, Deserialize)]
struct TokenList {
    tokens: Vec<TokenLine>,
}

/// A token, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// Its text.
    pub token: String,
    /// What addresses of files begin with; may be empty.
    pub url: String,
    /// Whether `http.listen` is set.
    pub served: bool,
}

/// A token that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
        let may = match &self.may {
            None => TokenRights::default().may,
            Some(words) => {
                rights(words).map_err(|words| Refused::new(RefusalKind::Invalid, words))?
            }
        };
        let root = self.root.clone();
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
#[derive(Debug, Clone)]
pub struct HttpTokens {
    /// The tokens.
    pub tokens: Arc<Tokens>,
    /// What addresses of files begin with.
    pub url: String,
    /// Whether files are served over HTTP at all.
    pub served: bool,
    /// Whether there are `.strm` files, for which there always is a token.
    pub makes_strm: bool,
    /// What is in them.
    pub addresses: Arc<Addresses>,
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
            TokenError::Exists(_) | TokenError::BadName(_) => RefusalKind::Conflict,
            TokenError::Unknown(_) => RefusalKind::NotFound,
            TokenError::NoRandom | TokenError::Unread | TokenError::File { .. } => {
                RefusalKind::Failed
            }
        };
        Self::new(code, error)
    }
}

impl From<NoAnswer> for Refused {
    fn from(error: NoAnswer) -> Self {
        Self::new(RefusalKind::Unavailable, error)
    }
}

impl RunningEngine {
    /// Tokens for files over HTTP, oldest first.
    pub fn tokens(&self) -> Vec<TokenLine> {
        let tokens = self.parts.tokens.tokens.list().into_iter();
        let lines = tokens.map(|token| TokenLine {
            name: token.name,
            created: token.created,
            rights: token.rights,
        });
        lines.collect()
    }

    /// Makes a token that lets do what `rights` say.
    ///
    /// # Errors
    /// There is one of this name, it is no name, the root is none, or the state's volume does not
    /// answer.
    pub async fn create_token(
        &self,
        name: String,
        mut rights: TokenRights,
    ) -> Result<NewToken, Refused> {
        rights.root = root_of(&rights.root).ok_or_else(|| {
            let words = format!("{:?} names no directory", rights.root);
            Refused::new(RefusalKind::Invalid, words)
        })?;
        let HttpTokens {
            tokens,
            url,
            served,
            ..
        } = self.parts.tokens.clone();
        let dir = tokens.dir().to_owned();
        let create = move || tokens.create(&name, rights, Timestamp::now());
        let token = Volume::state().run(&dir, create).await??;
        Ok(NewToken { token, url, served })
    }

    /// Takes a token back. The one for `.strm` files is replaced at once: those of the tree change, and downloads that
    /// still lie where they were put are written again.
    ///
    /// # Errors
    /// There is none of this name, or the state's volume does not answer.
    pub async fn revoke_token(&self, name: String) -> Result<Revoked, Refused> {
        let HttpTokens {
            tokens,
            makes_strm,
            addresses,
            ..
        } = self.parts.tokens.clone();
        let own = name == OWN;
        let dir = tokens.dir().to_owned();
        let revoked = Volume::state().run(&dir, move || {
            if !own {
                return tokens.revoke(&name);
            }
            let now = Timestamp::now();
            match makes_strm {
                true => tokens.replace_own(now)?,
                false => tokens.revoke(&name)?,
            }
            addresses.renew(now)
        });
        revoked.await??;
        let mut again = 0;
        if let Some(queue) = self.queue().get().filter(|_| own) {
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
        Ok(Revoked {
            revoked: true,
            written_anew: again,
        })
    }
}

async fn list(State(engine): Engine) -> Json<TokenList> {
    let tokens = engine.tokens();
    Json(TokenList { tokens })
}

async fn create(State(engine): Engine, Query(wanted): Query<Wanted>) -> Answer<NewToken> {
    let rights = wanted.rights()?;
    Ok(Json(engine.create_token(wanted.name, rights).await?))
}

async fn revoke(State(engine): Engine, Query(named): Query<Named>) -> Answer<Revoked> {
    Ok(Json(engine.revoke_token(named.name).await?))
}
