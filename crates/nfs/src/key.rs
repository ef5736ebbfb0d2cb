//! The key under which handles are made. It is made at the first start, or comes from a file that all servers share.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::io;
use std::path::{Path, PathBuf};

use debridfs_base::{replace_file, state_file};
use debridfs_listen::random;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::handle::KEY_LEN;

/// The key that was made here, in the state directory.
const FILE: &str = "nfs-key";
/// Which key was in use, and since when, there as well.
const NOTE: &str = "nfs-key.json";
/// Bytes of a key's text, at least: 32 letters by chance hold more than anybody can guess.
const SHORTEST: usize = 32;
/// And at most: a file that is longer is none.
const LONGEST: u64 = 64 << 10;

/// A key, and whether it took the place of another one.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key itself.
    pub bytes: [u8; KEY_LEN],
    /// Which key it is and since when it is in use.
    pub change: KeyChange,
}

/// Which key is in use, without telling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// A part of the key's hash.
    pub id: u64,
    /// Since when.
    pub since: Timestamp,
    /// Whether another one was in use before: handles of that time are stale.
    pub replaced: bool,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key of NFS handles, {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// What is in it is no key.
    #[error(
        "the key of NFS handles, {}: it has to hold 32 letters or more (`openssl rand -hex 32` makes some)",
        path.display()
    )]
    TooShort {
        /// The file.
        path: PathBuf,
    },
}

impl Key {
    /// The key in `file`. Touches no other file, as that one may be on a volume that does not answer.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(file: &Path) -> Result<[u8; KEY_LEN], KeyError> {
        let path = file.to_owned();
        match read(file) {
            Ok(text) => hashed(&text).ok_or(KeyError::TooShort { path }),
            Err(error) => Err(KeyError::File { path, error }),
        }
    }

    /// The key that was read before, or the one in the directory `state`, which is made if there is none. Writes down there which
    /// one is in use.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load(
        shared: Option<[u8; KEY_LEN]>,
        state: &Path,
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        let bytes = match shared {
            Some(bytes) => bytes,
            None => own(&state.join(FILE))?,
        };
        let note = state.join(NOTE);
        let change = note_change(&note, &bytes, now);
        let change = change.map_err(|error| KeyError::File { path: note, error })?;
        Ok(Self { bytes, change })
    }

    /// Which key was in use last, if any was.
    ///
    /// # Errors
    /// The note cannot be read.
    pub fn noted(state: &Path, now: Timestamp) -> io::Result<Option<KeyChange>> {
        state_file::load_json(&state.join(NOTE), now)
    }
}

fn read(path: &Path) -> io::Result<String> {
    state_file::check_kind(path)?;
    let length = std::fs::metadata(path)?.len();
    if length > LONGEST {
        return Err(io::Error::other(format!("{length} bytes: that is no key")));
    }
    std::fs::read_to_string(path)
}

/// The key that this instance has made, or makes now.
fn own(file: &Path) -> Result<[u8; KEY_LEN], KeyError> {
    match Key::read(file) {
        Err(KeyError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let failed = |error| KeyError::File {
        path: file.to_owned(),
        error,
    };
    let fresh = fresh().map_err(failed)?;
    replace_file(file, fresh.as_bytes()).map_err(failed)?;
    Key::read(file)
}

fn hashed(text: &str) -> Option<[u8; KEY_LEN]> {
    let text = text.trim();
    (text.len() >= SHORTEST).then(|| Sha256::digest(text.as_bytes()).into())
}

/// 384 bits by chance, as text.
fn fresh() -> io::Result<String> {
    Ok(format!("{}{}\n", random()?, random()?))
}

fn note_change(note: &Path, key: &[u8; KEY_LEN], now: Timestamp) -> io::Result<KeyChange> {
    let digest = Sha256::digest(key);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let id = u64::from_be_bytes(first);
    let before = state_file::load_json::<KeyChange>(note, now)?;
    if let Some(same) = before.filter(|before| before.id == id) {
        return Ok(same);
    }
    let change = KeyChange {
        id,
        since: now,
        replaced: before.is_some(),
    };
    replace_file(note, &serde_json::to_vec(&change)?)?;
    Ok(change)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_key_is_made_once_and_told_when_it_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path();
        assert_eq!(Key::noted(state, at(0)).unwrap(), None);
        let first = Key::load(None, state, at(1)).unwrap();
        let mode = std::fs::metadata(state.join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Key::load(None, state, at(2)).unwrap();
        assert_eq!(again.bytes, first.bytes);
        assert_eq!(again.change, first.change);
        assert_eq!((again.change.since, again.change.replaced), (at(1), false));

        let file = state.join("shared");
        std::fs::write(&file, "x".repeat(32)).unwrap();
        let with = |file: &Path, state: &Path, second| {
            Key::load(Some(Key::read(file).unwrap()), state, at(second)).unwrap()
        };
        let shared = with(&file, state, 3);
        assert_ne!(shared.bytes, first.bytes);
        assert_eq!((shared.change.since, shared.change.replaced), (at(3), true));
        assert_eq!(Key::noted(state, at(4)).unwrap(), Some(shared.change));
        // The same on another server, with or without the end of the line.
        let other = tempfile::tempdir().unwrap();
        std::fs::write(&file, format!("{}\n", "x".repeat(32))).unwrap();
        let elsewhere = with(&file, other.path(), 5);
        assert_eq!(elsewhere.bytes, shared.bytes);
        assert!(!elsewhere.change.replaced);
    }

    #[test]
    fn what_is_no_key_is_refused_and_none_is_made_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shared");
        let load = || Key::read(&file).unwrap_err();
        assert!(matches!(load(), KeyError::File { .. }));
        assert!(!file.exists());
        std::fs::write(&file, "x".repeat(31)).unwrap();
        assert!(matches!(load(), KeyError::TooShort { .. }));
        std::fs::write(&file, vec![b'x'; (LONGEST + 1) as usize]).unwrap();
        assert!(load().to_string().contains("no key"));
        assert_eq!(Key::noted(dir.path(), at(2)).unwrap(), None);
    }
}
