//! The file of histories: a line of JSON per event, appended; begun anew when it is long, with the one before it kept.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use debridfs_base::state_file;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::tuning::events::LONGEST_FILE;

/// An event with its file and number; a later line of the same number replaces an earlier one.
type Line = (u64, u64, Event);

#[derive(Serialize, Deserialize)]
struct Row {
    file: u64,
    number: u64,
    #[serde(flatten)]
    event: Event,
}

/// The open file. Trouble with it is told once, and reading goes on.
pub(super) struct EventFile {
    path: PathBuf,
    told: bool,
}

impl EventFile {
    /// The file at `path`, and the events in it, oldest first. Lines that make no sense, such as one cut off by a full disk, are left out.
    pub(super) fn open(path: &Path) -> (Self, Vec<Line>) {
        let mut lines = Vec::new();
        for path in [aside(path), path.to_owned()] {
            // Without it there is no history.
            let text = match state_file::load(&path, Timestamp::now()) {
                Ok(text) => text.unwrap_or_default(),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "histories of files cannot be read");
                    Vec::new()
                }
            };
            let rows = text.split(|byte| *byte == b'\n');
            lines.extend(
                rows.filter_map(|row| serde_json::from_slice::<Row>(row).ok())
                    .map(|row| (row.file, row.number, row.event)),
            );
        }
        let file = Self {
            path: path.to_owned(),
            told: false,
        };
        (file, lines)
    }

    /// Adds lines.
    pub(super) fn append(&mut self, lines: &[Line]) {
        if let Err(error) = self.try_append(lines)
            && !std::mem::replace(&mut self.told, true)
        {
            tracing::warn!(path = %self.path.display(), %error, "histories of files are not kept");
        }
    }

    fn try_append(&self, lines: &[Line]) -> io::Result<()> {
        let mut text = Vec::new();
        for (file, number, event) in lines {
            let row = Row {
                file: *file,
                number: *number,
                event: event.clone(),
            };
            // Begins on a line of its own even behind one that was cut off.
            text.push(b'\n');
            serde_json::to_writer(&mut text, &row)?;
        }
        let mut file = self.open_to_append()?;
        if file.metadata()?.len() > LONGEST_FILE {
            std::fs::rename(&self.path, aside(&self.path))?;
            file = self.open_to_append()?;
        }
        file.write_all(&text)
    }

    fn open_to_append(&self) -> io::Result<File> {
        state_file::check_kind(&self.path)?;
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventKind;

    fn line(number: u64) -> Line {
        let event = Event {
            first: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
            count: 1,
            kind: EventKind::Network,
            provider: "rd".to_owned(),
            detail: "x".repeat(300),
        };
        (number % 7, number, event)
    }

    #[test]
    fn the_files_stay_short_and_the_newest_lines_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let (mut file, lines) = EventFile::open(&path);
        assert!(lines.is_empty());
        for number in 0..10_000 {
            file.append(&[line(number)]);
        }
        let length = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(length(&path) + length(&aside(&path)) < 2 * LONGEST_FILE + 4096);
        let (_, lines) = EventFile::open(&path);
        assert_eq!(lines.last(), Some(&line(9_999)));
    }

    #[test]
    fn a_line_cut_off_costs_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let (mut file, _) = EventFile::open(&path);
        file.append(&[line(1), line(2)]);
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 10]).unwrap();
        file.append(&[line(3)]);
        let (_, lines) = EventFile::open(&path);
        assert_eq!(lines, [line(1), line(3)]);
    }
}
