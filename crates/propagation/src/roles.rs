//! One part of the test in one real container, given a directory that all of them share.
//!
//! The host's part comes first and notes its peer group in that directory, so that the others can
//! tell a volume of the host's from one that only looks like it.

mod consumer;
mod host_side;
mod producer;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_base::mountinfo::{self, Mount};
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::host;
use crate::processes::Helpers;
use crate::report::{Phase, Recorder, Report};

pub use consumer::{Until, consume};
pub use host_side::{clean_host, look_on_host, set_up_host, stay_on_host};
pub use producer::produce;

/// Name of the host's note in the shared directory.
const NOTE_NAME: &str = "debridfs-propagation-host.json";

/// What a part of the test is told.
#[derive(Debug, Clone)]
pub struct RoleSettings {
    /// As [`crate::Settings::helper`].
    pub helper: Vec<OsString>,
    /// The shared directory: the parent of the mount point.
    pub dir: PathBuf,
    /// The directory at or above it that an instance shares with its consumers: the host's part
    /// looks whether that one is shared.
    pub share_of: PathBuf,
    /// The consumer's volume is the mount point itself.
    pub is_mount_point: bool,
    /// How long the marker is waited for.
    pub wait: Duration,
    /// Mount with `allow_other`.
    pub allow_other: bool,
}

/// The host's note.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Peer group of the mount that holds the directory.
    peer_group: u32,
}

/// A part that is running.
struct Role {
    settings: RoleSettings,
    helpers: Helpers,
    record: Recorder,
    /// Without symlinks, as mount tables have it.
    dir: PathBuf,
}

impl Role {
    fn new(settings: RoleSettings, record: Recorder) -> Self {
        Self {
            helpers: Helpers {
                program: settings.helper.clone(),
            },
            dir: resolved(&settings.dir),
            settings,
            record,
        }
    }

    fn mount(&self) -> PathBuf {
        if self.settings.is_mount_point {
            self.dir.clone()
        } else {
            self.dir.join(host::MOUNT_POINT)
        }
    }

    /// The host's peer group, if the host's part has run and the note can be seen from here.
    fn noted(&self) -> Option<u32> {
        let text = fs::read(self.dir.join(NOTE_NAME)).ok()?;
        let note: Note = serde_json::from_slice(&text).ok()?;
        Some(note.peer_group)
    }

    /// The mount that is the volume, as this process has it.
    fn volume(&mut self, phase: Phase) -> Option<Mount> {
        let found = mountinfo::read().and_then(|mounts| {
            mountinfo::containing(&mounts, &self.dir)
                .cloned()
                .ok_or_else(|| io::Error::other("no mount holds it"))
        });
        match found {
            Ok(mount) => Some(mount),
            Err(error) => {
                let seen = format!("{}: {error}", self.dir.display());
                self.record
                    .failed(phase, "directory", Code::ProducerFailed, seen);
                None
            }
        }
    }

    fn conclude(self, success: &str) -> Report {
        self.record.conclude(success)
    }
}

/// Makes the test's own directory, which may be there.
fn make_directory(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Without symlinks, and without touching the last component, which may be a mount of ours.
fn resolved(dir: &Path) -> PathBuf {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.into());
    match (whole.parent(), whole.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = fs::canonicalize(parent).unwrap_or_else(|_| parent.into());
            parent.join(name)
        }
        _ => whole,
    }
}
