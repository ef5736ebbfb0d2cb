//! Releases that are moved to another account: asked for, listed, stopped.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Json;
use axum::routing::{get, post};
use debridfs_provider::InfoHash;
use debridfs_repair::{Ask, Move, MoveError, Moves};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Answer, RefusalKind, Refused};
use crate::client::with_arguments;
use crate::find::{Meant, find};
use crate::server::Engine;
use crate::{CallError, Client, RunningEngine};

/// What somebody wants moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Moving {
    /// A path, a name or a part of one, or an info-hash.
    pub release: String,
    /// Configured name of the provider that gets it.
    pub to: String,
    /// Of the provider that it is taken from; all that hold it when absent.
    pub from: Option<String>,
    /// Whether it is deleted there afterwards.
    #[serde(default)]
    pub remove_source: bool,
    /// Whether it is added only if the target has it already.
    #[serde(default)]
    pub cached: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Which {
    release: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    moves: Vec<Move>,
}

impl Client {
    /// Begins a move, or goes on with the one that is under way; refused with a reason when it cannot be begun.
    pub async fn move_release(&self, moving: &Moving) -> Result<Move, CallError> {
        self.post(&with_arguments("/provider/move", moving)).await
    }

    /// All moves that are under way or ended within seven days.
    pub async fn moves(&self) -> Result<Vec<Move>, CallError> {
        let listed: Listed = self.get("/provider/moves").await?;
        Ok(listed.moves)
    }

    /// Ends a move where it is; refused when there is none.
    pub async fn stop_move(&self, release: &str) -> Result<Move, CallError> {
        let release = release.to_owned();
        let path = with_arguments("/provider/move/stop", &Which { release });
        self.post(&path).await
    }
}

/// `POST /provider/move?release=…&to=…`, `GET /provider/moves` and `POST /provider/move/stop?release=…`.
pub(crate) fn routes() -> Router<Arc<RunningEngine>> {
    Router::new()
        .route("/provider/move", post(begin))
        .route("/provider/moves", get(list))
        .route("/provider/move/stop", post(stop))
}

impl RunningEngine {
    fn open_moves(&self) -> Result<&Moves, Refused> {
        let moves = self.parts.moves.get();
        moves.map(|moves| &**moves).ok_or_else(|| {
            Refused::new(
                RefusalKind::Unavailable,
                "moves are not open yet; `debridfs status` says why",
            )
        })
    }

    /// The torrent that `text` means, with its name.
    fn torrent_of(&self, text: &str) -> Result<(InfoHash, String), Refused> {
        let library = self.parts.catalogue.library().borrow().clone();
        if let Ok(hash) = text.trim().parse::<InfoHash>() {
            return match library.release(hash) {
                Some(entry) => Ok((hash, entry.name.to_string())),
                None => Err(Refused::new(
                    RefusalKind::NotFound,
                    format!("no release has the info-hash {hash}"),
                )),
            };
        }
        let exact = self.find(text);
        let found = exact.or_else(|error| match find(text, &library, None) {
            Ok(Meant::Path(path)) => self.find(&path),
            Ok(Meant::Job(_)) => Err(error),
            Err(words) => Err(Refused::new(RefusalKind::NotFound, words)),
        })?;
        Ok((found.hash, found.name))
    }
}

fn refused(error: &MoveError) -> Refused {
    let code = match error {
        MoveError::NoProvider(_) | MoveError::Unknown => RefusalKind::NotFound,
        MoveError::NothingToMove(_)
        | MoveError::SeveralSources(_)
        | MoveError::NotThere(_)
        | MoveError::TooMany => RefusalKind::Conflict,
    };
    Refused::new(code, error)
}

impl RunningEngine {
    /// Begins a move, or goes on with the one that is under way.
    ///
    /// # Errors
    /// There is no such release or provider, or it cannot be begun.
    pub async fn begin_move(&self, moving: Moving) -> Result<Move, Refused> {
        let moves = self.open_moves()?;
        let (hash, name) = self.torrent_of(&moving.release)?;
        let ask = Ask {
            hash,
            name,
            to: moving.to,
            from: moving.from,
            remove_source: moving.remove_source,
            cached: moving.cached,
        };
        moves.ask(ask).await.map_err(|error| refused(&error))
    }

    /// All moves that are under way or ended within seven days.
    ///
    /// # Errors
    /// Moves are not open yet.
    pub fn moves(&self) -> Result<Vec<Move>, Refused> {
        Ok(self.open_moves()?.list())
    }

    /// Ends the move of `release` where it is.
    ///
    /// # Errors
    /// There is none.
    pub async fn stop_move(&self, release: &str) -> Result<Move, Refused> {
        let moves = self.open_moves()?;
        let (hash, _) = self.torrent_of(release)?;
        moves.stop(hash).await.map_err(|error| refused(&error))
    }
}

async fn begin(State(engine): Engine, Query(moving): Query<Moving>) -> Answer<Move> {
    Ok(Json(engine.begin_move(moving).await?))
}

async fn list(State(engine): Engine) -> Answer<Listed> {
    let moves = engine.moves()?;
    Ok(Json(Listed { moves }))
}

async fn stop(State(engine): Engine, Query(which): Query<Which>) -> Answer<Move> {
    Ok(Json(engine.stop_move(&which.release).await?))
}
