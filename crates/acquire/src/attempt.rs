//! One run of a job: what it counts, and how a step of it ends.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::{Error as ProviderError, TorrentId};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::job::AtProvider;
use crate::plan::Skip;
use crate::shared::Shared;
use crate::watch::Watch;
use crate::{Error, Evidence};

/// Refusals to read a file that are believed, with the pauses of trouble between them.
const REFUSALS: u32 = 3;

/// What comes next.
pub(crate) enum Go {
    /// The job as it is now, at once.
    On,
    /// The same, later.
    After(Duration),
}

/// Why it does not go on.
pub(crate) enum Trouble {
    /// It may later, at the earliest after this time.
    Later(String, Duration),
    /// It does as soon as the library is mounted.
    Unmounted(String),
    /// It never will, for a reason that says nothing of the release.
    Hopeless(String),
    /// It never will, and neither would the same release another time.
    Condemned(Evidence, String),
    /// No provider takes it, and all that was said is that its name is refused: it says nothing of the release.
    Blocked(String),
    /// As [`Self::Condemned`], and what this job added to the account is to be deleted there.
    TakeBack(Evidence, String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Later(error.to_string(), Duration::ZERO)
    }
}

impl From<ProviderError> for Trouble {
    fn from(error: ProviderError) -> Self {
        let wait = error.retry_after.unwrap_or_default();
        Self::Later(error.to_string(), wait)
    }
}

pub(crate) type Outcome = Result<Go, Trouble>;

/// One run of a job; what it counts is forgotten with the program.
pub(crate) struct Attempt<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) watch: &'a Watch,
    /// Looks at the torrent by calls of its own.
    pub(crate) looks: u32,
    /// Answers in a row that there is no such torrent.
    pub(crate) missing: u32,
    /// Answers of providers that the release is infringing.
    pub(crate) infringing: HashMap<String, u32>,
    /// Providers that cannot be asked for it now.
    pub(crate) skipped: BTreeMap<String, Skip>,
    /// How often all that could be asked had been.
    pub(crate) rounds: u32,
    refusals: u32,
    /// Torrents that are gone or lack files, whatever the library says of them.
    passed_over: HashSet<(String, TorrentId)>,
    /// What is being waited for since when: the moment that names it in the store, and the same by a clock that nobody sets.
    waiting: Option<(Timestamp, Instant)>,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, watch: &'a Watch) -> Self {
        Self {
            shared,
            watch,
            looks: 0,
            missing: 0,
            infringing: HashMap::new(),
            skipped: BTreeMap::new(),
            rounds: 0,
            refusals: 0,
            passed_over: HashSet::new(),
            waiting: None,
        }
    }

    /// How long this run has been waiting for what began at `since`. The time of day takes no part: when it is wrong, or put right,
    /// no release is given up for it. With a restart the time starts over.
    pub(crate) fn elapsed_since(&mut self, since: Timestamp) -> Duration {
        match self.waiting {
            Some((named, begun)) if named == since => begun.elapsed(),
            _ => {
                self.waiting = Some((since, Instant::now()));
                Duration::ZERO
            }
        }
    }

    /// Takes another torrent than this one from now on.
    pub(crate) fn pass_over(&mut self, at: &AtProvider) {
        let torrent = (at.provider.clone(), at.torrent.clone());
        self.passed_over.insert(torrent);
    }

    /// Whether another torrent than this one is to be taken.
    pub(crate) fn is_passed_over(&self, provider: &str, torrent: &TorrentId) -> bool {
        let mut all = self.passed_over.iter();
        all.any(|(by, id)| by == provider && id == torrent)
    }

    /// A file was refused: once may be a slip.
    pub(crate) fn refused(&mut self, words: String) -> Trouble {
        self.refusals += 1;
        match self.refusals {
            REFUSALS.. => Trouble::Condemned(Evidence::Unreadable, words),
            _ => Trouble::Later(words, Duration::ZERO),
        }
    }

    /// A file was refused that the release can do without: it is left out once that is believed.
    pub(crate) fn refused_lesser(&mut self, words: String) -> Result<(), Trouble> {
        match self.refused(words) {
            Trouble::Condemned(..) => {
                self.refusals = 0;
                Ok(())
            }
            later => Err(later),
        }
    }
}
