//! Directories that two instances must not share, and what is said when they would: each removes
//! what it does not know of the other's, and both write the same files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::Trouble;
use debridfs_base::instance_lock::{Claim, Instance, InstanceLock, claim};
use debridfs_config::Config;
use parking_lot::Mutex;

/// A keeper answers at once. One that does not is not waited for: its engine's number will do.
const ANSWER: Duration = Duration::from_millis(500);

/// That another instance has a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// The setting that names it.
    key: String,
    dir: PathBuf,
    /// Its keeper, or its engine where that cannot be asked.
    pid: u32,
    mount: PathBuf,
}

impl InUse {
    /// Of the directory `dir`, which `key` names and `theirs` has. May take half a second.
    pub(crate) fn by(theirs: Instance, key: &str, dir: &Path) -> Self {
        let keeper = theirs.keeper();
        let keeper = keeper.and_then(|socket| debridfs_handover::status(socket, ANSWER).ok());
        let (pid, mount) = match keeper {
            Some(keeper) => (keeper.keeper_pid, keeper.mount),
            None => (theirs.pid, theirs.mount),
        };
        Self {
            key: key.into(),
            dir: dir.into(),
            pid,
            mount,
        }
    }

    /// What to do.
    pub fn help(&self) -> String {
        format!(
            "give this instance a `{}` of its own, or stop the other one first",
            self.key
        )
    }
}

impl fmt::Display for InUse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dir, mount) = (self.dir.display(), self.mount.display());
        write!(
            out,
            "{dir} is in use by another instance: pid {}, mounted at {mount}",
            self.pid
        )
    }
}

impl From<InUse> for Trouble {
    fn from(error: InUse) -> Self {
        Self::new(format!("`{}`: {error}", error.key), error.help())
    }
}

/// Keeps other instances out of the directories of this one, for as long as a clone of it lives.
#[derive(Debug, Clone)]
pub struct Alone {
    config: Arc<Config>,
    kept: Arc<Mutex<BTreeMap<PathBuf, InstanceLock>>>,
    /// Directories of which the log knows that they cannot be locked.
    told: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Alone {
    /// For the instance that `config` describes.
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            kept: Arc::default(),
            told: Arc::default(),
        }
    }

    /// Keeps others out of `dir`, which the setting `key` names, by the file `lock` in it. What is not
    /// there, or cannot be locked, is nobody's; the latter is logged. May wait for its volume, and then
    /// for a second.
    ///
    /// # Errors
    /// Another instance has it.
    pub fn keep(&self, key: &str, dir: &Path, lock: &str) -> Result<(), InUse> {
        if self.kept.lock().contains_key(dir) {
            return Ok(());
        }
        let claimed = self.config.instance();
        match claimed.and_then(|own| claim(dir, lock, &own)) {
            Ok(Claim::Ours(lock)) => {
                self.kept.lock().insert(dir.into(), lock);
            }
            Ok(Claim::Theirs(theirs)) => return Err(InUse::by(theirs, key, dir)),
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => {}
            Err(error) => {
                if self.told.lock().insert(dir.into()) {
                    let dir = dir.display();
                    tracing::warn!(%dir, lock, %error, "other instances cannot be kept out of it");
                }
            }
        }
        Ok(())
    }
}
