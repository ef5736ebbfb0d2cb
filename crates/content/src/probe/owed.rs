//! Which new files are not filled yet, over a restart.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use debridfs_base::volume::Volume;
use debridfs_base::{replace_file, state_file};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::runtime::Handle;

/// The files, by id; in a file of its own that is written anew with each change.
#[derive(Debug)]
pub(crate) struct Owed {
    /// Where; nothing outlives a restart without.
    path: Option<PathBuf>,
    files: Mutex<Files>,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Files {
    /// Those of an earlier run, until it is known which of them are still there.
    before: BTreeSet<u64>,
    now: BTreeSet<u64>,
    /// The file will be written.
    scheduled: bool,
    /// The file could not be read yet, so it is not written either.
    unread: bool,
    told: bool,
}

impl Owed {
    /// Reads what an earlier run left at `path`.
    pub(crate) fn open(path: Option<&Path>, runtime: Handle) -> Arc<Self> {
        let read = path.map_or_else(|| Ok(BTreeSet::new()), load);
        if let (Some(path), Err(error)) = (path, &read) {
            tracing::warn!(path = %path.display(), %error, "it is not known which new files have no head and tail in the cache yet");
        }
        Arc::new(Self {
            path: path.map(Path::to_owned),
            files: Mutex::new(Files {
                unread: read.is_err(),
                before: read.unwrap_or_default(),
                ..Files::default()
            }),
            runtime,
        })
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Files> {
        self.files.lock()
    }

    /// Those of an earlier run.
    pub(crate) fn before(&self) -> BTreeSet<u64> {
        self.lock().before.clone()
    }

    /// Adds `files`; of those of an earlier run the first call names all that are still there.
    pub(crate) fn add(self: &Arc<Self>, files: impl IntoIterator<Item = u64>) {
        {
            let mut all = self.lock();
            all.before.clear();
            all.now.extend(files);
        }
        self.write();
    }

    /// `file` is filled, or left to whoever reads it.
    pub(crate) fn done(self: &Arc<Self>, file: u64) {
        if self.lock().now.remove(&file) {
            self.write();
        }
    }

    /// Writes the file soon; nobody waits for the disk.
    fn write(self: &Arc<Self>) {
        let Some(path) = self.path.clone() else {
            return;
        };
        if std::mem::replace(&mut self.lock().scheduled, true) {
            return;
        }
        let owed = self.clone();
        self.runtime.spawn(async move {
            let (writer, place) = (owed.clone(), path.clone());
            let done = Volume::state()
                .run(&path, move || writer.write_to(&place))
                .await;
            if done.is_err() {
                // The next change writes all anew.
                owed.lock().scheduled = false;
            }
        });
    }

    fn write_to(&self, path: &Path) {
        let unread = {
            let mut files = self.lock();
            files.scheduled = false;
            files.unread
        };
        let read = if unread {
            load(path)
        } else {
            Ok(BTreeSet::new())
        };
        // The next change tries again.
        let Ok(more) = read else {
            return;
        };
        let text = {
            let mut files = self.lock();
            files.unread = false;
            files.now.extend(more);
            serde_json::to_vec(&files.before.union(&files.now).collect::<Vec<_>>())
        };
        let written = text
            .map_err(io::Error::from)
            .and_then(|text| replace_file(path, &text));
        if let Err(error) = written
            && !std::mem::replace(&mut self.lock().told, true)
        {
            tracing::warn!(path = %path.display(), %error, "a restart will forget which new files have no head and tail in the cache yet");
        }
    }
}

fn load(path: &Path) -> io::Result<BTreeSet<u64>> {
    let ids = state_file::load_json(path, Timestamp::now())?;
    Ok(ids.unwrap_or_default())
}
