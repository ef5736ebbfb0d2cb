//! How downloads are done.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{SystemClock, WallClock};
use debridfs_services::Arr;
use serde::{Deserialize, Serialize};

use crate::FileFilter;
use crate::checkpoint::Checkpoint;
use crate::job::{Action, Uncached};

/// What happens at the provider when somebody deletes a job together with its files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeletePolicy {
    /// Nothing: the job and its symlinks go, the library keeps the release.
    #[default]
    Ignore,
    /// The torrent is deleted from the account after [`AcquireConfig::trash_time`], unless it was asked for again.
    Trash,
    /// The torrent is deleted from the account at once.
    Provider,
}

/// A category that is there from the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CategoryRule {
    /// Its folder; below the downloads folder when absent.
    pub folder: Option<PathBuf>,
    /// In place of [`AcquireConfig::action`].
    pub action: Option<Action>,
    /// In place of [`AcquireConfig::uncached`].
    pub uncached: Option<Uncached>,
    /// In place of [`AcquireConfig::order`].
    pub order: Option<Vec<String>>,
    /// In place of [`AcquireConfig::filter`].
    pub filter: Option<FileFilter>,
}

/// How downloads are done.
#[derive(Clone)]
pub struct AcquireConfig {
    /// The store's file; its directory is made if need be.
    pub store: PathBuf,
    /// Absolute folder for everything that is put in place.
    pub downloads: PathBuf,
    /// The providers that are asked for new jobs, in this order; all, as they were handed in, when empty.
    pub order: Vec<String>,
    /// What is done with what is ready.
    pub action: Action,
    /// What is done about what the provider does not have.
    pub uncached: Uncached,
    /// Categories with rules of their own.
    pub categories: BTreeMap<String, CategoryRule>,
    /// Which files are wanted.
    pub filter: FileFilter,
    /// What a deletion together with files means at the provider.
    pub delete: DeletePolicy,
    /// See [`DeletePolicy::Trash`]. Default 7 days.
    pub trash_time: Duration,
    /// Bytes a second that all downloads to the disk together may take; 0 = no limit.
    pub download_rate: u64,
    /// How often the list of an account is asked for while jobs wait for it. Default 10 s.
    pub poll_every: Duration,
    /// Arrs that are told of failed grabs, and of complete ones.
    pub arrs: Vec<Arc<Arr>>,
    /// Wall time.
    pub clock: Arc<dyn WallClock>,
    /// Where it is noted which jobs are in hand, which has to outlive the process alone: in memory at best. Nothing is noted without.
    pub in_hand: Option<PathBuf>,
    /// For tests that kill the program.
    pub checkpoint: Checkpoint,
}

impl AcquireConfig {
    /// The defaults.
    pub fn new(store: impl Into<PathBuf>, downloads: impl Into<PathBuf>) -> Self {
        Self {
            store: store.into(),
            downloads: downloads.into(),
            order: Vec::new(),
            action: Action::default(),
            uncached: Uncached::default(),
            categories: BTreeMap::new(),
            filter: FileFilter::default(),
            delete: DeletePolicy::default(),
            trash_time: Duration::from_secs(7 * 24 * 3600),
            download_rate: 0,
            poll_every: Duration::from_secs(10),
            arrs: Vec::new(),
            clock: Arc::new(SystemClock),
            in_hand: None,
            checkpoint: Arc::new(|_| {}),
        }
    }

    /// Which files of a job in `category` are wanted.
    pub(crate) fn filter_of(&self, category: &str) -> &FileFilter {
        let rule = self.categories.get(category);
        let own = rule.and_then(|rule| rule.filter.as_ref());
        own.unwrap_or(&self.filter)
    }
}

impl std::fmt::Debug for AcquireConfig {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("AcquireConfig")
            .field("store", &self.store)
            .field("downloads", &self.downloads)
            .finish_non_exhaustive()
    }
}
