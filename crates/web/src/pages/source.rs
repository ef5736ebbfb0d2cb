//! What the pages show, asked of whoever has it.

use std::pin::Pin;

use bytes::Bytes;
use debridfs_control::{CachedLine, QueuedJob, ReleaseList, ReleaseQuery, ViewLine};

/// What [`PageSource::change_queue`] comes to: nothing, or why it was not done, in words for people.
pub type Changing = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Whoever has the library, the queue, the cache and the log. Nothing here may wait for a provider.
pub trait PageSource: Send + Sync + 'static {
    /// The views in the order of the root.
    fn views(&self) -> Vec<ViewLine>;
    /// A part of a view; `None` when there is no such view. May look at every release, so it is called on the blocking pool.
    fn releases(&self, query: &ReleaseQuery) -> Option<ReleaseList>;
    /// Downloads, the newest first; `None` when none are configured, or they are not open.
    fn queue(&self) -> Option<Vec<QueuedJob>>;
    /// Names of categories.
    fn categories(&self) -> Vec<String>;
    /// Changes the queue.
    fn change_queue(&self, change: QueueChange) -> Changing;
    /// What is in the cache on disk, called on the blocking pool as well.
    ///
    /// # Errors
    /// Why there is nothing to list, in words for people.
    fn cached(&self) -> Result<Vec<CachedLine>, String>;
    /// The last lines of the log, the oldest first.
    fn log(&self) -> Vec<String>;
}

/// A change of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueChange {
    /// Takes in a magnet link or info-hash.
    Add {
        /// The link.
        link: String,
        /// Its category; may be empty.
        category: String,
    },
    /// Takes in a `.torrent`.
    Upload {
        /// What is in the file.
        torrent: Bytes,
        /// Its category; may be empty.
        category: String,
    },
    /// Not to be gone on with.
    Stop(String),
    /// To be gone on with.
    Start(String),
    /// A failed one begins anew; links of a complete one are made again.
    Again(String),
    /// Removed, with what was put in place for an arr if `files`.
    Remove {
        /// Which.
        hash: String,
        /// Whether its links go as well.
        files: bool,
    },
}
