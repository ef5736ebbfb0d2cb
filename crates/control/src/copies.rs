//! Copies of releases in `debridfs why --json` and `debridfs status --json`. Scripts rely on the
//! forms: fields are added, never renamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One account's possession of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopyLine {
    /// The provider's configured name.
    pub provider: String,
    /// The provider's id of the copy.
    pub id: String,
    /// The fingerprint of the key whose account holds it, as [`crate::KeyStatus::id`]; `None` where
    /// the provider has no keys.
    pub key: Option<String>,
    /// How it stands by what the provider told: `good`, `unknown` (files or links are not told yet),
    /// `not-ready`, or why it cannot be served, in the words of `user.debridfs.reason`.
    pub health: String,
    /// What the provider said last when it was asked about the copy; `None`: it never refused it.
    pub verdict: Option<Verdict>,
}

/// What a provider said of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// `answered`, or the kind of the refusal: `not_found`, `link_broken`, `file_unavailable`, `infringing`, `rejected`,
    /// `bad_request`, `malformed`.
    pub said: String,
    /// The refusal in words for people.
    pub words: String,
    /// Since when it says so.
    pub at: Timestamp,
}

/// Copies of all releases in `__all__`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopiesStatus {
    /// How many there are.
    pub total: u64,
    /// Releases that more than one copy can serve.
    pub spared: u64,
    /// Copies that were refused when their provider was asked last.
    pub refused: u64,
    /// Some of those.
    pub lines: Vec<RefusedCopy>,
}

/// A copy that its provider refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedCopy {
    /// The release's name.
    pub release: String,
    /// The copy.
    #[serde(flatten)]
    pub copy: CopyLine,
}
