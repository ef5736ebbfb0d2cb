//! Small files that are written anew as a whole.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Writes `bytes` to the file at `path`, readable by its owner alone: after a crash the old one or the new one is there, whole, and after a return the new
/// one. It is written beside the old one, as `path` with `.new` behind it; two at a time would be in each other's way.
///
/// # Errors
/// Of the file system; the old file is left as it was.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600);
    let mut file = open.open(&fresh)?;
    // One that a crash left keeps the mode it has.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_one_stays_until_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept.json");
        replace_file(&path, b"old").unwrap();
        // Left by a crash: of no matter, however long it is.
        std::fs::write(dir.path().join("kept.json.new"), "half of something long").unwrap();
        replace_file(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // No room for a new one.
        std::fs::create_dir(dir.path().join("kept.json.new")).unwrap();
        replace_file(&path, b"newer").unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }
}
