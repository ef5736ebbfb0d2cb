//! What hooks go on from after a restart: one file, written anew as a whole.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use debridfs_base::{replace_file, state_file};
use debridfs_catalogue::Outline;
use jiff::Timestamp;
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

    /// Reads the file; nothing when there is none that can be used: hooks then begin with the
    /// library as it is. A file of another form is moved aside.
    ///
    /// # Errors
    /// Of the file system: it cannot be read now.
    pub(super) fn load(path: &Path, now: Timestamp) -> io::Result<Option<Self>> {
        match state_file::load_json::<Self>(path, now)? {
            Some(kept) if kept.version != VERSION => {
                let why = format!("it has the form of version {}", kept.version);
                state_file::move_aside(path, &[], &why, now).map(|_| None)
            }
            kept => Ok(kept),
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
