//! A release on its way to another account.

use std::collections::BTreeSet;
use std::time::Duration;

use debridfs_provider::{InfoHash, TorrentId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::MoveError;

/// Between looks at what is on its way, and tries of what did not work: doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// What somebody wants moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Which release.
    pub hash: InfoHash,
    /// What it is called in the library.
    pub name: String,
    /// Configured name of the provider that gets it.
    pub to: String,
    /// Of the provider that it is taken from; all that hold it when absent.
    pub from: Option<String>,
    /// Whether it is deleted there afterwards.
    pub remove_source: bool,
    /// Whether it is added only if the target has it already.
    pub cached: bool,
}

/// A torrent in an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceCopy {
    /// Configured name of the provider.
    pub provider: String,
    /// Its id of the torrent.
    #[schema(value_type = String)]
    pub id: TorrentId,
}

/// How far it is with a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum MoveStep {
    /// Nothing was done yet.
    Planned,
    /// It is added at the target, where there were these torrents of it `before`.
    Adding {
        /// What is found beside them was added by us.
        #[schema(value_type = Vec<String>)]
        before: BTreeSet<TorrentId>,
    },
    /// The target fetches it.
    Waiting {
        /// The target's id of it.
        #[schema(value_type = String)]
        id: TorrentId,
        /// Whether it was added by this move.
        ours: bool,
    },
    /// All is there: heads and tails of files are compared.
    Comparing {
        /// The target's id of it.
        #[schema(value_type = String)]
        id: TorrentId,
        /// The file that was compared last, by its path in the release.
        after: Option<String>,
    },
    /// All was the same: it is deleted where it came from.
    Removing {
        /// The target's id of it.
        #[schema(value_type = String)]
        id: TorrentId,
    },
    /// The target has it.
    Done,
    /// The target does not get it.
    Failed,
}

impl MoveStep {
    /// The word in answers and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Adding { .. } => "adding",
            Self::Waiting { .. } => "waiting",
            Self::Comparing { .. } => "comparing",
            Self::Removing { .. } => "removing",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more is done.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// A release on its way to another account. Scripts rely on it as `debridfs provider move --json`: fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Move {
    /// Which release.
    #[schema(value_type = String)]
    pub hash: InfoHash,
    /// What it is called in the library.
    pub name: String,
    /// Configured name of the provider that gets it.
    pub to: String,
    /// Torrents that it is taken from.
    pub sources: Vec<SourceCopy>,
    /// Whether those are deleted once all is there and was compared.
    pub remove_source: bool,
    /// Whether it is added only if the target has it already.
    pub cached: bool,
    /// How far it is.
    #[serde(flatten)]
    pub step: MoveStep,
    /// What it waits for, or what came of it; for people.
    pub words: String,
    /// Share that the target has fetched, 0 to 1, while it waits for that.
    pub progress: f64,
    /// Files whose heads and tails were compared and are the same.
    pub compared: u64,
    /// When it was asked for.
    pub asked: Timestamp,
    /// When something last came of it.
    pub changed: Timestamp,
    /// Nothing is done before.
    pub next: Timestamp,
    /// Times in a row that nothing came of it.
    #[serde(default)]
    pub tries: u32,
}

impl Move {
    /// A move that begins `now`, of what is `held`.
    pub(crate) fn begin(ask: Ask, held: &[SourceCopy], now: Timestamp) -> Result<Self, MoveError> {
        let from = |copy: &&SourceCopy| {
            copy.provider != ask.to && ask.from.as_ref().is_none_or(|name| *name == copy.provider)
        };
        let sources: Vec<SourceCopy> = held.iter().filter(from).cloned().collect();
        if sources.is_empty() {
            return Err(match ask.from {
                Some(name) => MoveError::NotThere(name),
                None => MoveError::NothingToMove(ask.to),
            });
        }
        let mut names: Vec<String> = sources.iter().map(|one| one.provider.clone()).collect();
        names.dedup();
        if ask.remove_source && names.len() > 1 {
            return Err(MoveError::SeveralSources(names));
        }
        Ok(Self {
            hash: ask.hash,
            name: ask.name,
            to: ask.to,
            sources,
            remove_source: ask.remove_source,
            cached: ask.cached,
            step: MoveStep::Planned,
            words: "waits for its turn".to_owned(),
            progress: 0.0,
            compared: 0,
            asked: now,
            changed: now,
            next: now,
            tries: 0,
        })
    }

    /// As it is after a step that led to `step`; the next one follows at once.
    pub(crate) fn reach(
        mut self,
        step: MoveStep,
        words: impl Into<String>,
        now: Timestamp,
    ) -> Self {
        self.step = step;
        self.words = words.into();
        self.tries = 0;
        self.changed = now;
        self.next = now;
        self
    }

    /// As it is when the step has to be made again later.
    pub(crate) fn wait(mut self, words: impl Into<String>, now: Timestamp) -> Self {
        let words = words.into();
        if self.words != words {
            self.words = words;
            self.changed = now;
        }
        let pause = FIRST_PAUSE * 2u32.saturating_pow(self.tries.min(10));
        self.tries = self.tries.saturating_add(1);
        self.next = now
            .saturating_add(pause.min(LONGEST_PAUSE))
            .unwrap_or(Timestamp::MAX);
        self
    }
}
