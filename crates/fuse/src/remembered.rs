//! Who answers, kept for the engines after this one.

use std::path::{Path, PathBuf};

use debridfs_base::{replace_file, state_file};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backend_kind::BackendKind;
use crate::rollout::Progress;

/// Name of the file in the state directory.
const FILE: &str = "backend.json";

/// Who was to answer, who was let answer instead, and how far a rollout is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// `fuse.backend` at that time.
    pub(crate) configured: BackendKind,
    pub(crate) active: BackendKind,
    /// The rollout that was under way. An engine of a version without rollouts does not see it.
    #[serde(default)]
    pub(crate) rollout: Option<Progress>,
    /// The kernel may still believe a backend that was taken back.
    #[serde(default)]
    pub(crate) untold: bool,
}

impl Kept {
    /// The backend that a switch let answer, if `fuse.backend` is the same as it was then: a setting
    /// that changed since is the later word.
    pub(crate) fn switched(&self, configured: BackendKind) -> Option<BackendKind> {
        (self.configured == configured).then_some(self.active)
    }
}

/// What an earlier engine kept; nothing if it was one of a later version that had other backends.
pub fn remembered(state_dir: &Path) -> Option<Kept> {
    let read = state_file::load_json::<Value>(&path(state_dir), Timestamp::now());
    let unknown = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "it is not known whether the backend was switched");
    };
    let kept = read.inspect_err(|error| unknown(error)).ok()??;
    serde_json::from_value(kept)
        .inspect_err(|error| unknown(error))
        .ok()
}

/// Keeps it.
///
/// # Errors
/// Of the file system.
pub(crate) fn remember(state_dir: &Path, kept: &Kept) -> std::io::Result<()> {
    let text = serde_json::to_vec(kept).map_err(std::io::Error::other)?;
    replace_file(&path(state_dir), &text)
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NATIVE: BackendKind = BackendKind::Native;
    const FBRS: BackendKind = BackendKind::Fbrs;

    #[test]
    fn a_switch_holds_until_the_setting_changes() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(remembered(dir.path()), None);
        let kept = Kept {
            configured: NATIVE,
            active: FBRS,
            rollout: None,
            untold: true,
        };
        remember(dir.path(), &kept).unwrap();
        let read = remembered(dir.path()).unwrap();
        assert_eq!(read, kept);
        assert_eq!(read.switched(NATIVE), Some(FBRS));
        assert_eq!(read.switched(FBRS), None);
    }

    #[test]
    fn what_a_later_version_kept_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let later = r#"{"configured":"native","active":"uring"}"#;
        std::fs::write(path(dir.path()), later).unwrap();
        assert_eq!(remembered(dir.path()), None);
        let kept = std::fs::read_to_string(path(dir.path())).unwrap();
        assert_eq!(kept, later, "for that version, should it come back");
    }

    #[test]
    fn what_a_version_without_rollouts_kept_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let old = r#"{"configured":"native","active":"fbrs"}"#;
        std::fs::write(path(dir.path()), old).unwrap();
        let read = remembered(dir.path()).unwrap();
        assert_eq!((read.rollout, read.untold), (None, false));
    }
}
