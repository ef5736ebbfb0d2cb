//! Samba, by smbclient.

use std::collections::BTreeSet;
use std::fs;

use debridfs_behaviour::{Capability, Front, Kind, Stat};
use rustix::io::Errno;
use tempfile::TempDir;

use super::all_but;
use crate::support::Samba;

/// A share, as smbclient shows it.
pub struct Client {
    samba: Samba,
    dir: TempDir,
}

/// The width of the time at the end of a line of `ls`, with the two spaces before it.
const TIME: usize = 26;
/// The width of the attributes in a line of `ls`.
const ATTRIBUTES: usize = 7;

impl Client {
    pub fn of(samba: Samba) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        Self { samba, dir }
    }

    /// Runs commands; what they printed, or the first error among it.
    fn run(&self, commands: &str) -> Result<String, Errno> {
        let output = self.samba.client(commands);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let Some((_, status)) = said.split_once("NT_STATUS_") else {
            return Ok(said);
        };
        let end = status
            .find(|sign: char| !sign.is_ascii_uppercase() && sign != '_' && !sign.is_ascii_digit());
        match &status[..end.unwrap_or(status.len())] {
            "OBJECT_NAME_NOT_FOUND"
            | "OBJECT_PATH_NOT_FOUND"
            | "NO_SUCH_FILE"
            | "OBJECT_NAME_INVALID" => Err(Errno::NOENT),
            "IO_DEVICE_ERROR" | "UNEXPECTED_IO_ERROR" => Err(Errno::IO),
            "NOT_A_DIRECTORY" => Err(Errno::NOTDIR),
            "FILE_IS_A_DIRECTORY" => Err(Errno::ISDIR),
            other => panic!("{commands}: NT_STATUS_{other}\n{said}"),
        }
    }
}

/// A line of `ls`: the name, whether it is a directory, its size.
fn entry(line: &str) -> Option<(String, Kind, u64)> {
    // Names are padded; what is right of them has a known width.
    let line = line.strip_prefix("  ")?;
    let before = line.get(..line.len().checked_sub(TIME)?)?;
    let (rest, size) = before.rsplit_once(' ')?;
    let size = size.parse().ok()?;
    let rest = rest.trim_end();
    let attributes = rest.rsplit(' ').next()?;
    let name = rest
        .get(..rest.len().checked_sub(attributes.len())?)?
        .trim_end();
    let known =
        attributes.len() <= ATTRIBUTES && attributes.bytes().all(|sign| b"DAHSRN".contains(&sign));
    let kind = if attributes.contains('D') {
        Kind::Directory
    } else {
        Kind::File
    };
    known.then(|| (name.to_owned(), kind, size))
}

impl Front for Client {
    fn capabilities(&self) -> BTreeSet<Capability> {
        all_but(&[
            Capability::Ranges,
            Capability::Errors,
            Capability::Case,
            Capability::Links,
            Capability::Modes,
            Capability::Inodes,
            Capability::Times,
            Capability::Symlinks,
            Capability::Writes,
            Capability::Parts,
        ])
    }

    fn stat(&self, path: &str) -> Result<Stat, Errno> {
        let told = self.run(&format!("allinfo \"{path}\"\n"))?;
        let size = told.lines().find_map(|line| {
            let rest = line.strip_prefix("stream: [::$DATA], ")?;
            rest.strip_suffix(" bytes")?.parse().ok()
        });
        Ok(Stat {
            kind: if size.is_some() {
                Kind::File
            } else {
                Kind::Directory
            },
            size: size.unwrap_or_default(),
            links: None,
            mode: None,
            inode: None,
            modified: None,
        })
    }

    fn list(&self, path: &str) -> Result<Vec<(String, Option<Kind>)>, Errno> {
        let told = self.run(&format!("ls \"{path}/*\"\n"))?;
        let entries = told.lines().filter_map(entry);
        Ok(entries
            .filter(|(name, ..)| name != "." && name != "..")
            .map(|(name, kind, _)| (name, Some(kind)))
            .collect())
    }

    fn read(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let place = self.dir.path().join("fetched");
        let _ = fs::remove_file(&place);
        self.run(&format!("get \"{path}\" \"{}\"\n", place.display()))?;
        let bytes = fs::read(&place).map_err(|_| Errno::IO)?;
        let start = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
        let end = start.saturating_add(length).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }
}
