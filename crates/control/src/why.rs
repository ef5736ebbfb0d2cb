//! The form of `debridfs why --json`. Scripts rely on it: fields are added, never renamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::CopyLine;

/// What is known of a path: how it stands, why, and what to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyReport {
    /// The path relative to the root of the mount.
    pub path: String,
    /// How it stands; of a directory the worst of its files.
    pub state: WhyState,
    /// The same in words for people.
    pub summary: String,
    /// What to do, in words for people; empty when there is nothing to do.
    pub advice: Vec<String>,
    /// The release that the path is, or is in.
    pub release: Option<WhyRelease>,
    /// The file, or the files of the directory.
    pub files: Vec<WhyFile>,
    /// Files left out as there are too many.
    pub omitted: u64,
}

/// How a file stands.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum WhyState {
    /// Nothing was noted of it: it was not read lately, or every read went well.
    #[default]
    Quiet,
    /// The last that was noted is good.
    Fine,
    /// The provider has not told the release's files yet.
    NotKnownYet,
    /// The last that was noted is a failure.
    Trouble,
    /// The release cannot be served.
    Bad,
}

/// A release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyRelease {
    /// The name shown.
    pub name: String,
    /// Its info-hash.
    pub hash: String,
    /// Providers that hold it.
    pub providers: Vec<String>,
    /// Why it is in `__bad__`: the word of `user.debridfs.reason`.
    pub reason: Option<String>,
    /// What repair knows of it and is about to do, in words for people.
    #[serde(default)]
    pub repair: Option<String>,
    /// Its copies in all accounts: first those that hold it, the preferred one first.
    #[serde(default)]
    pub copies: Vec<CopyLine>,
}

/// A file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyFile {
    /// Its path in the release.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Places it can be read from.
    pub sources: u64,
    /// The copy that gave its bytes last, of several: provider and id.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub serving: Option<(String, String)>,
    /// Copies whose bytes differ from the others', so that they are not used: provider and id of each.
    #[serde(default)]
    #[schema(value_type = Vec<Vec<String>>)]
    pub differing: Vec<(String, String)>,
    /// How it stands.
    pub state: WhyState,
    /// What happened to it, oldest first.
    pub events: Vec<WhyEvent>,
}

/// Something that happened, perhaps several times in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyEvent {
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// How often.
    pub count: u64,
    /// What: `link_made`, `no_link`, `link_broken`, `account_refused`, `out_of_traffic`, `link_refused`, `host_refused`, `wrong_answer`,
    /// `differs`, `stalled`, `network`, `fail_over`, `read_failed`, `recovered`.
    pub what: String,
    /// The provider's configured name; empty where there is none.
    pub provider: String,
    /// For people.
    pub detail: String,
}
