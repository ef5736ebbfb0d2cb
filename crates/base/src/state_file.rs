//! One policy for files of state that cannot be read. None is ever removed or overwritten.
//!
//! - What can never be that file (its content makes no sense, or it is a directory, a pipe or a
//!   device) is moved aside, and this is logged. It stays beside the new file until somebody removes
//!   it; `status` and `doctor` name it.
//! - What cannot be read now (its mode or owner forbid it, it is a link to nowhere, its volume fails)
//!   is left where it is, as it may be readable again: its part waits for it, or does without.

use std::ffi::OsString;
use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

/// What stands between a file's name and the time at which it was moved aside.
const MARK: &str = ".corrupt-";

/// What SQLite keeps beside a database in WAL mode: companions for [`move_aside`].
pub const SQLITE: &[&str] = &["-wal", "-shm"];

/// Whether a file may be opened at `path`: there is one, or nothing at all. Whoever opens a pipe
/// waits for its other end.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`]: something else is there, which can be moved aside. Of the file
/// system: it cannot be looked at, or is a link to nowhere.
pub fn check_kind(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(found) => {
            let words = format!("it is no file but {}", kind_of(found.file_type()));
            Err(io::Error::new(io::ErrorKind::InvalidData, words))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match std::fs::symlink_metadata(path) {
                Ok(_) => Err(io::Error::other("it is a link to nowhere")),
                Err(_) => Ok(()),
            }
        }
        Err(error) => Err(error),
    }
}

fn kind_of(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

/// The bytes of a file; `None` when there is none, or when what was there is no file and was moved
/// aside.
///
/// # Errors
/// Of the file system: it cannot be read now, or not be moved.
pub fn load(path: &Path, now: Timestamp) -> io::Result<Option<Vec<u8>>> {
    match check_kind(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            move_aside(path, &[], &error, now)?;
            return Ok(None);
        }
        checked => checked?,
    }
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Reads a JSON file; `None` when there is none, or when it cannot be understood and was moved aside.
///
/// # Errors
/// As [`load`].
pub fn load_json<T: DeserializeOwned>(path: &Path, now: Timestamp) -> io::Result<Option<T>> {
    let Some(text) = load(path, now)? else {
        return Ok(None);
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
    // A link to nowhere takes a name as well.
    while name.try_exists()? || name.is_symlink() {
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
    fn what_is_no_file_is_moved_aside_and_a_link_to_nowhere_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("directory")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in ["directory", "pipe", "socket"] {
            assert_eq!(load_json::<u32>(&at(name), now).unwrap(), None, "{name}");
            assert!(!at(name).exists(), "{name}");
        }
        assert_eq!(moved_aside_in(dir.path()).len(), 3);
        std::os::unix::fs::symlink("/nowhere/at/all", at("link")).unwrap();
        let error = load_json::<u32>(&at("link"), now).unwrap_err();
        assert!(error.to_string().contains("link to nowhere"), "{error}");
        assert!(at("link").is_symlink());
        // A link to a file is as good as the file.
        std::fs::write(at("file"), "17").unwrap();
        std::os::unix::fs::symlink(at("file"), at("good")).unwrap();
        assert_eq!(load_json(&at("good"), now).unwrap(), Some(17u32));
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
