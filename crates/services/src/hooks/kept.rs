//! What hooks go on from after a restart: one file, written anew as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use debridfs_base::replace_file;
use debridfs_catalogue::Outline;
use serde::{Deserialize, Serialize};

use super::ChangeKind;

/// The form of the file that is written; another one is not read.
const VERSION: u32 = 1;

/// What hooks go on from after a restart.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    version: u32,
    /// What the library was when changes of it were last handed to hooks.
    pub(super) library: Outline,
    /// What waited then, by hook: paths below the mount.
    pub(super) waiting: BTreeMap<String, BTreeMap<String, ChangeKind>>,
}

impl Kept {
    /// What is to be written.
    pub(super) fn new(
        library: Outline,
        waiting: BTreeMap<String, BTreeMap<String, ChangeKind>>,
    ) -> Self {
        Self {
            version: VERSION,
            library,
            waiting,
        }
    }

    /// Reads the file; nothing when there is none that can be used: hooks then begin with the library as it is.
    pub(super) fn load(path: &Path) -> Option<Self> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            text => text,
        };
        let read = text.and_then(|text| Ok(serde_json::from_slice::<Self>(&text)?));
        match read {
            Ok(kept) if kept.version == VERSION => Some(kept),
            Ok(kept) => {
                tracing::warn!(path = %path.display(), version = kept.version, "what hooks were to be told was written by another version, and is left out");
                None
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what hooks were to be told cannot be read, and is left out");
                None
            }
        }
    }

    /// Writes the file: the old one or the new one is there after a crash.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        replace_file(path, &serde_json::to_vec(self)?)
    }
}
