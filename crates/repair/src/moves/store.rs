//! What outlives a restart: one small file, written anew as a whole with each change.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Move;
use crate::StoreError;
use crate::store::load;

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
        load(path, now, |stored: &Self| stored.version <= VERSION)
    }
}
