//! What outlives a restart: one small file, written anew as a whole with each change.
//!
//! Patients are few (a library with ten thousand of them is held as a whole), and no two of them depend on each other, so a database would give nothing.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use debridfs_base::{replace_file, state_file};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Patient;

/// The version of the file's form that is written; an older program leaves a newer one alone.
const VERSION: u32 = 1;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It was written by a newer version of the program.
    #[error("{} was written by a newer version: use that again, or move the file away", .0.display())]
    Newer(PathBuf),
}

/// All that is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    #[serde(default)]
    version: u32,
    /// All patients.
    #[serde(default)]
    pub patients: Vec<Patient>,
    /// When treatments of the last hour were begun.
    #[serde(default)]
    pub spent: VecDeque<Timestamp>,
}

impl Stored {
    /// What is to be written.
    pub fn new(patients: Vec<Patient>, spent: VecDeque<Timestamp>) -> Self {
        Self {
            version: VERSION,
            patients,
            spent,
        }
    }

    /// Reads the file; nothing when there is none. One that cannot be understood is moved aside:
    /// patients are found again, and treatments that are over are found in the account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let fail = |error| StoreError::Io {
            path: path.to_owned(),
            error,
        };
        match state_file::load_json::<Self>(path, now).map_err(fail)? {
            Some(stored) if stored.version > VERSION => Err(StoreError::Newer(path.to_owned())),
            stored => Ok(stored.unwrap_or_default()),
        }
    }

    /// Writes the file; it is on the disk when this returns, the old one or the new one after a crash.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let text = serde_json::to_vec(self).map_err(io::Error::from);
        let written = text.and_then(|text| replace_file(path, &text));
        written.map_err(|error| StoreError::Io {
            path: path.to_owned(),
            error,
        })
    }
}
