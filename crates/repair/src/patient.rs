//! A release of which something is wrong, or was said to be.

use std::collections::{BTreeSet, VecDeque};

use debridfs_provider::{InfoHash, TorrentId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Lines of evidence kept of one release; the first one always is.
const MOST_EVIDENCE: usize = 16;

/// What is done about a bad release, in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// The same torrent is added once more, where it is or at another provider.
    Add {
        /// Configured name of the provider.
        provider: String,
    },
    /// The arr that grabbed it deletes its file, blocklists the release and searches for another one.
    AskArr,
    /// The arr has another release in its place: this one is removed as the removal policy says.
    LetGo,
}

/// How far it is with a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "stage")]
pub enum Stage {
    /// Somebody says that it cannot be read; no check has confirmed that often enough.
    Suspect,
    /// It can be read, but only from some of the providers that hold it; the others are treated when there is time.
    Spared,
    /// Confirmed: it waits for a treatment.
    Quarantined,
    /// Being treated.
    Treated {
        /// With what.
        treatment: Treatment,
    },
    /// The treatment is over; a check tells whether it helped.
    Recovering {
        /// Which treatment.
        treatment: Treatment,
    },
    /// An arr was asked for another release. This one stays as it is.
    Replaced,
    /// Every provider that holds it refuses it for its name. It is added where another one has it already; no arr is told.
    Blocked,
    /// Nothing helped.
    GivenUp,
}

impl Stage {
    /// The word in `status` and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Suspect => "suspect",
            Self::Spared => "spared",
            Self::Quarantined => "quarantined",
            Self::Treated { .. } => "treated",
            Self::Recovering { .. } => "recovering",
            Self::Replaced => "replaced",
            Self::Blocked => "blocked",
            Self::GivenUp => "given-up",
        }
    }

    /// Whether it says nothing more of the provider: it is looked at now and then, and a blocked one is added elsewhere.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Replaced | Self::Blocked | Self::GivenUp)
    }
}

/// Something that was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PatientEvidence)]
pub struct Evidence {
    /// When.
    pub at: Timestamp,
    /// For people.
    pub words: String,
}

/// That a torrent is about to be added, stored before it is: after a crash what was added is found by what was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Intent {
    /// At which provider.
    pub provider: String,
    /// Its torrents of this release at that time.
    #[schema(value_type = Vec<String>)]
    pub before: BTreeSet<TorrentId>,
}

/// A release of which something is wrong, or was said to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Patient {
    /// Its identity.
    #[schema(value_type = String)]
    pub hash: InfoHash,
    /// What it is called in the library.
    pub name: String,
    /// Files that could not be read, by path in the release; all of it when empty.
    #[serde(default)]
    pub files: BTreeSet<String>,
    /// Providers that hold it.
    pub providers: Vec<String>,
    /// Those of them whose copies are bad, while the others serve it or nothing is known of them; all of them when empty.
    #[serde(default)]
    pub broken: BTreeSet<String>,
    /// Providers that refuse it for its name.
    #[serde(default)]
    pub refused: BTreeSet<String>,
    /// How far it is.
    #[serde(flatten)]
    pub stage: Stage,
    /// Checks that confirmed it.
    #[serde(default)]
    pub confirmations: u32,
    /// When a check last did.
    #[serde(default)]
    pub confirmed: Option<Timestamp>,
    /// Since when.
    pub since: Timestamp,
    /// Nothing is done before.
    pub next: Timestamp,
    /// Treatments that are over.
    #[serde(default)]
    pub tried: Vec<Treatment>,
    /// When an arr was asked for another release, and searched.
    #[serde(default)]
    pub asked: Option<Timestamp>,
    /// Somebody said that it is to be treated, whatever the number of others.
    #[serde(default)]
    pub approved: bool,
    /// See [`Intent`].
    #[serde(default)]
    pub intent: Option<Intent>,
    /// What speaks against it, oldest first.
    #[serde(default)]
    #[schema(value_type = Vec<Evidence>)]
    pub evidence: VecDeque<Evidence>,
    /// Something is under way for it in this process.
    #[serde(skip)]
    pub busy: bool,
}

impl Patient {
    /// Whether it was confirmed that it cannot be read from anywhere.
    pub fn is_bad(&self) -> bool {
        !matches!(self.stage, Stage::Suspect | Stage::Spared) && self.broken.is_empty()
    }

    /// Providers that may be at fault.
    pub(crate) fn blamed(&self) -> impl Iterator<Item = &String> {
        let all = self.broken.is_empty();
        let providers = self.providers.iter();
        providers.filter(move |&name| all || self.broken.contains(name))
    }

    /// Whether every provider that holds it refuses it for its name.
    pub fn is_blocked(&self) -> bool {
        let mut holders = self.providers.iter();
        !self.refused.is_empty() && holders.all(|name| self.refused.contains(name))
    }

    /// Forgets what was confirmed.
    pub(crate) fn begin_anew(&mut self) {
        self.stage = Stage::Suspect;
        self.confirmations = 0;
        self.confirmed = None;
    }

    /// Where it waits for a treatment.
    pub(crate) fn waiting(&self) -> Stage {
        match self.broken.is_empty() {
            true if self.is_blocked() => Stage::Blocked,
            true => Stage::Quarantined,
            false => Stage::Spared,
        }
    }

    pub(crate) fn note(&mut self, at: Timestamp, words: &str) {
        if let Some(last) = self.evidence.back_mut()
            && last.words == words
        {
            last.at = at;
            return;
        }
        if self.evidence.len() >= MOST_EVIDENCE {
            self.evidence.remove(1);
        }
        self.evidence.push_back(Evidence {
            at,
            words: words.to_owned(),
        });
    }
}
