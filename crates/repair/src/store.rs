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
use std::time::Duration;

use debridfs_base::volume::Volume;
use debridfs_base::{replace_file, state_file};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::Patient;

/// The version of the file's form that is written; an older program leaves a newer one alone.
const VERSION: u32 = 1;

/// After the state could not be stored.
const STORE_PAUSE: Duration = Duration::from_secs(30);

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
        load(path, now, |stored: &Self| stored.version <= VERSION)
    }

    /// Writes the file; it is on the disk when this returns, the old one or the new one after a crash.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        save(self, path)
    }
}

/// Reads a file of state; nothing when there is none, or when it cannot be understood and was moved aside.
pub(crate) fn load<T: Default + DeserializeOwned>(
    path: &Path,
    now: Timestamp,
    is_known: impl Fn(&T) -> bool,
) -> Result<T, StoreError> {
    let read = state_file::load_json::<T>(path, now).map_err(|error| StoreError::Io {
        path: path.to_owned(),
        error,
    })?;
    match read {
        Some(stored) if !is_known(&stored) => Err(StoreError::Newer(path.to_owned())),
        stored => Ok(stored.unwrap_or_default()),
    }
}

/// Writes a file of state; it is on the disk when this returns, the old one or the new one after a crash.
pub(crate) fn save<T: Serialize>(stored: &T, path: &Path) -> Result<(), StoreError> {
    let text = serde_json::to_vec(stored).map_err(io::Error::from);
    let written = text.and_then(|text| replace_file(path, &text));
    written.map_err(|error| StoreError::Io {
        path: path.to_owned(),
        error,
    })
}

/// Tries once to put `stored` on the disk, and returns whether it is there. After a failure it has said that `who` waits, and paused.
pub(crate) async fn put<T: Serialize + Send + 'static>(stored: T, path: &Path, who: &str) -> bool {
    let place = path.to_owned();
    let save = move || save(&stored, &place);
    let saved = Volume::state().run(path, save).await;
    let saved = saved.map_err(|error| error.to_string());
    match saved.and_then(|saved| saved.map_err(|error| error.to_string())) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, who, "waits, as its state cannot be stored");
            sleep(STORE_PAUSE).await;
            false
        }
    }
}
