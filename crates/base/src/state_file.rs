//! One policy for files of state that cannot be read: they are moved aside, never removed and never overwritten, and this is logged. What was moved
//! aside stays beside the new file until somebody removes it; `status` and `doctor` name it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

/// What stands between a file's name and the time at which it was moved aside.
const MARK: &str = ".corrupt-";

/// What SQLite keeps beside a database in WAL mode: companions for [`move_aside`].
pub const SQLITE: &[&str] = &["-wal", "-shm"];

/// Reads a JSON file; `None` when there is none, or when it cannot be understood and was moved aside.
///
/// # Errors
/// Of the file system: it cannot be read, or not be moved.
pub fn load_json<T: DeserializeOwned>(path: &Path, now: Timestamp) -> io::Result<Option<T>> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    match serde_json::from_slice(&text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            move_aside(path, &[], &error, now)?;
            Ok(None)
        }
    }
}

/// Moves a file that cannot be used to `PATH.corrupt-TIME`, and what belongs to it (`PATH` with one of `companions` behind it, such as `-wal`) along
/// with it. Returns where it is now. A name that is taken gets a number.
///
/// # Errors
/// Of the file system. The file itself moves first: without it nothing else does.
pub fn move_aside(
    path: &Path,
    companions: &[&str],
    why: &dyn std::fmt::Display,
    now: Timestamp,
) -> io::Result<PathBuf> {
    let stamp = format!("{MARK}{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let aside = free_name(&with(path, &stamp))?;
    std::fs::rename(path, &aside)?;
    for companion in companions {
        match std::fs::rename(with(path, companion), with(&aside, companion)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    tracing::error!(path = %path.display(), aside = %aside.display(), error = %why, "a state file cannot be read and was moved aside");
    Ok(aside)
}

/// What was moved aside in a directory, sorted, without what only belongs to a database. Nothing
/// when it cannot be listed.
pub fn moved_aside_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.contains(MARK) && !SQLITE.iter().any(|end| name.ends_with(end))
        })
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// `wanted`, or the first of `wanted.2`, `wanted.3`, … that is not there: what was moved aside before is never overwritten.
fn free_name(wanted: &Path) -> io::Result<PathBuf> {
    let mut name = wanted.to_owned();
    let mut number = 1;
    while name.try_exists()? {
        number += 1;
        name = with(wanted, &format!(".{number}"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_moved_aside_and_never_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept.json");
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(load_json::<u32>(&path, now).unwrap(), None);
        std::fs::write(&path, "17").unwrap();
        assert_eq!(load_json(&path, now).unwrap(), Some(17u32));
        for text in ["{first", "{second"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(load_json::<u32>(&path, now).unwrap(), None);
            assert!(!path.exists());
        }
        let aside = moved_aside_in(dir.path());
        let names: Vec<_> = aside.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(
            names,
            [
                "kept.json.corrupt-19700101T000000Z",
                "kept.json.corrupt-19700101T000000Z.2"
            ]
        );
        let texts: Vec<_> = aside
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect();
        assert_eq!(texts, [b"{first".to_vec(), b"{second".to_vec()]);
    }

    #[test]
    fn companions_move_with_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jobs.db");
        std::fs::write(&path, "db").unwrap();
        std::fs::write(dir.path().join("jobs.db-wal"), "log").unwrap();
        let aside = move_aside(&path, SQLITE, &"no database", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(std::fs::read(&aside).unwrap(), b"db");
        assert_eq!(std::fs::read(with(&aside, "-wal")).unwrap(), b"log");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        assert_eq!(moved_aside_in(dir.path()), [aside]);
        move_aside(&path, &[], &"gone", Timestamp::UNIX_EPOCH).unwrap_err();
    }
}
