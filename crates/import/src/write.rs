//! The files of an import: our configuration, and one file for each secret.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::Path;

use crate::error::{Doing, Error};
use crate::plan::Plan;

/// Writes nothing if any of the files exists. Secrets belong to `owner` (user and group).
pub fn write_all(
    file: &Path,
    text: &str,
    plan: &Plan,
    owner: Option<(u32, u32)>,
) -> Result<(), Error> {
    let paths = plan.secrets.iter().map(|secret| secret.path.as_path());
    for path in paths.chain([file]) {
        if fs::symlink_metadata(path).is_ok() {
            return Err(Error::Exists(path.to_owned()));
        }
    }
    for secret in &plan.secrets {
        create(&secret.path, &secret.text, true, owner)?;
    }
    create(file, text, plan.holds_secrets(), owner)
}

/// A private file, and a directory made for it, are for `owner` alone.
fn create(path: &Path, text: &str, private: bool, owner: Option<(u32, u32)>) -> Result<(), Error> {
    let (dir_mode, mode) = if private {
        (0o700, 0o600)
    } else {
        (0o755, 0o644)
    };
    let give = |path: &Path| match owner {
        Some((uid, gid)) if private => chown(path, Some(uid), Some(gid)),
        _ => Ok(()),
    };
    let root = Path::new("/");
    let dir = path.parent().unwrap_or(root);
    if !dir.is_dir() {
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o755)
            .create(dir.parent().unwrap_or(root))
            .and_then(|()| builder.mode(dir_mode).create(dir))
            .and_then(|()| give(dir))
            .doing(|| dir.display().to_string())?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .and_then(|()| give(path))
        .doing(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::plan::Ours;

    fn plan(dir: &Path) -> Plan {
        let ours = Ours {
            kinds: &[],
            takes: |_, _| Ok(()),
        };
        let mut plan = Plan::new(&dir.join("secrets"), dir, &[], ours);
        plan.keep_secret("one", "hush");
        plan.keep_secret("two", "hush");
        plan
    }

    #[test]
    fn one_file_in_the_way_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path());
        let file = dir.path().join("config.toml");
        fs::write(&file, "mine").unwrap();
        let refused = write_all(&file, "theirs", &plan, None).unwrap_err();
        assert!(matches!(refused, Error::Exists(path) if path == file));
        assert!(!dir.path().join("secrets").exists());
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }

    #[test]
    fn secrets_are_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("etc/config.toml");
        write_all(&file, "text", &plan(dir.path()), None).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path().join("secrets")), 0o700);
        assert_eq!(mode(dir.path().join("secrets/two")), 0o600);
        assert_eq!(mode(file), 0o644);
    }
}
