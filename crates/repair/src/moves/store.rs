//! What outlives a restart: one small file, written anew as a whole with each change.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::io;
use std::path::Path;

use debridfs_base::{replace_file, state_file};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Move;
use crate::StoreError;

/// The version of the file's form that is written; an older program leaves a newer one alone.
const VERSION: u32 = 1;

/// All that is stored.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredMoves {
    #[serde(default)]
    version: u32,
    #[serde(default)]
    pub(super) moves: Vec<Move>,
}

impl StoredMoves {
    pub(super) fn new(moves: Vec<Move>) -> Self {
        Self {
            version: VERSION,
            moves,
        }
    }

    /// Reads the file; nothing when there is none. One that cannot be understood is moved aside: what was asked has to be asked again, and what was added is
    /// found in the account then.
    pub(super) fn load(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let fail = |error| StoreError::Io {
            path: path.to_owned(),
            error,
        };
        match state_file::load_json::<Self>(path, now).map_err(fail)? {
            Some(stored) if stored.version > VERSION => Err(StoreError::Newer(path.to_owned())),
            stored => Ok(stored.unwrap_or_default()),
        }
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), StoreError> {
        let text = serde_json::to_vec(self).map_err(io::Error::from);
        let written = text.and_then(|text| replace_file(path, &text));
        written.map_err(|error| StoreError::Io {
            path: path.to_owned(),
            error,
        })
    }
}
