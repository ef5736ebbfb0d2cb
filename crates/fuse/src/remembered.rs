//! The last switch, kept for the engines after this one.

use std::path::{Path, PathBuf};

use debridfs_base::{replace_file, state_file};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::selection::BackendKind;

/// Name of the file in the state directory.
const FILE: &str = "backend.json";

/// Who was to answer, and who was let answer instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Switched {
    /// `fuse.backend` when the switch was made.
    configured: BackendKind,
    active: BackendKind,
}

/// The backend that a switch let answer, if `fuse.backend` is the same as it was then: a setting
/// that changed since is the later word.
pub fn remembered(state_dir: &Path, configured: BackendKind) -> Option<BackendKind> {
    let read = state_file::load_json::<Switched>(&path(state_dir), Timestamp::now());
    let kept = read.unwrap_or_else(|error| {
        tracing::warn!(%error, "it is not known whether the backend was switched");
        None
    })?;
    (kept.configured == configured).then_some(kept.active)
}

/// Keeps a switch.
///
/// # Errors
/// Of the file system.
pub fn remember(
    state_dir: &Path,
    configured: BackendKind,
    active: BackendKind,
) -> std::io::Result<()> {
    let switched = Switched { configured, active };
    let text = serde_json::to_vec(&switched).map_err(std::io::Error::other)?;
    replace_file(&path(state_dir), &text)
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_holds_until_the_setting_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (native, fbrs) = (BackendKind::Native, BackendKind::Fbrs);
        assert_eq!(remembered(dir.path(), native), None);
        remember(dir.path(), native, fbrs).unwrap();
        assert_eq!(remembered(dir.path(), native), Some(fbrs));
        assert_eq!(remembered(dir.path(), fbrs), None);
    }
}
