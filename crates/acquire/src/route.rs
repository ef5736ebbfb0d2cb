//! Which provider a job went to, and why.

use serde::{Deserialize, Serialize};

use crate::{Evidence, Job};

/// Why a job is with the provider that it is with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chosen {
    /// The account held it before.
    Held,
    /// The provider had it in its cache.
    Cached,
    /// It was added to see whether it is ready soon.
    Trial,
    /// No provider of the category's order had it in its cache: it is waited for here.
    Waits,
    /// There is no other.
    Only,
}

/// What a provider said against taking a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// It is not in its cache. The provider may still download it.
    Uncached,
    /// It was waited for as long as the category allows.
    TooLong,
    /// Its name is refused, whatever it holds: says nothing of the release.
    Blocked,
    /// Its content is refused.
    Infringing,
    /// The torrent is not taken.
    Rejected,
    /// It failed there.
    Dead,
    /// Our request was wrong.
    BadRequest,
}

impl Refusal {
    /// Whether the provider is not asked again for this job.
    pub(crate) fn is_final(self) -> bool {
        self != Self::Uncached
    }

    /// What it says against the release.
    pub(crate) fn evidence(self) -> Option<Evidence> {
        match self {
            Self::Uncached | Self::TooLong => Some(Evidence::Uncached),
            Self::Infringing => Some(Evidence::Infringing),
            Self::Rejected => Some(Evidence::Rejected),
            Self::Dead => Some(Evidence::Dead),
            Self::Blocked | Self::BadRequest => None,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Uncached => "not cached",
            Self::TooLong => "took too long",
            Self::Blocked => "blocked",
            Self::Infringing => "infringing",
            Self::Rejected => "not taken",
            Self::Dead => "failed",
            Self::BadRequest => "not understood",
        }
    }
}

/// A provider that a job did not stay with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Its configured name.
    pub provider: String,
    /// Why.
    pub why: Refusal,
    /// The same, for people.
    pub words: String,
}

impl Job {
    /// The provider that it is with, why, and which ones were passed over; for people. `None` when nobody was asked yet.
    pub fn route(&self) -> Option<String> {
        let at = self.at.as_ref().map(|at| {
            let why = match at.chosen {
                Some(Chosen::Held) => ", which held it",
                Some(Chosen::Cached) => ", which has it cached",
                Some(Chosen::Trial) => ", to see whether it is cached there",
                Some(Chosen::Waits) => ", as no provider has it cached",
                Some(Chosen::Only) | None => "",
            };
            format!("at {}{why}", at.provider)
        });
        let passed = self.passed.iter().map(|passed| {
            let why = passed.why.words();
            format!("{} ({why})", passed.provider)
        });
        let passed: Vec<String> = passed.collect();
        let passed = (!passed.is_empty()).then(|| format!("passed over: {}", passed.join(", ")));
        match (at, passed) {
            (Some(at), Some(passed)) => Some(format!("{at}; {passed}")),
            (at, passed) => at.or(passed),
        }
    }

    /// What it says to people beside its step: why it failed, what is in its way, or where it is.
    pub fn words(&self) -> Option<String> {
        let said = self.reason.as_ref().or(self.live.trouble.as_ref());
        said.cloned().or_else(|| self.route())
    }

    /// Notes that `provider` does not have, or does not take it.
    pub(crate) fn pass(&mut self, provider: &str, why: Refusal, words: String) {
        self.passed.retain(|passed| passed.provider != provider);
        self.passed.push(Passed {
            provider: provider.to_owned(),
            why,
            words,
        });
    }

    /// Lets every provider be asked again.
    pub(crate) fn forget_route(&mut self) {
        self.at = None;
        self.adding = None;
        self.adding_at = None;
        self.selected = None;
        self.passed.clear();
        self.blocked = false;
    }
}
