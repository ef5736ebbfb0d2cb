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

#[cfg(test)]
mod tests {
    use debridfs_base::instance_lock::IN_OWN;

    use super::*;

    #[test]
    fn another_instance_is_refused_by_name_and_what_cannot_be_locked_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("state")).unwrap();
        let instance = |name: &str| {
            std::fs::create_dir_all(at(name)).unwrap();
            let mut config = Config {
                runtime_dir: at(name),
                ..Config::default()
            };
            config.mount.path = Path::new("/mnt").join(name);
            Alone::new(Arc::new(config))
        };
        let [one, two] = ["one", "two"].map(instance);
        one.keep("state_dir", &at("state"), IN_OWN).unwrap();
        instance("one")
            .keep("state_dir", &at("state"), IN_OWN)
            .unwrap();
        let refused = two.keep("state_dir", &at("state"), IN_OWN).unwrap_err();
        let pid = std::process::id();
        let words = format!("in use by another instance: pid {pid}, mounted at /mnt/one");
        assert!(refused.to_string().ends_with(&words), "{refused}");
        assert!(refused.help().contains("a `state_dir` of its own"));
        // Not there, and no directory.
        two.keep("cache_dir", &at("none"), IN_OWN).unwrap();
        std::fs::write(at("file"), "").unwrap();
        two.keep("cache_dir", &at("file"), IN_OWN).unwrap();
        // No place for the lock.
        std::fs::create_dir_all(at("odd").join(IN_OWN)).unwrap();
        two.keep("cache_dir", &at("odd"), IN_OWN).unwrap();
        drop(one);
        two.keep("state_dir", &at("state"), IN_OWN).unwrap();
    }
}
