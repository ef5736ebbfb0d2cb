//! What is known of the one archive into which a provider packed a torrent's files.

use debridfs_provider::HosterLink;
use serde::{Deserialize, Serialize};

use crate::BadReason;

/// An archive that was looked into; it is never looked into again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The link that gives it.
    pub link: HosterLink,
    /// What is in it.
    pub findings: Findings,
}

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Findings {
    /// Files that can be read where they lie.
    Members {
        /// Bytes of the whole archive.
        size: u64,
        /// They lie within it and do not overlap.
        members: Vec<Member>,
    },
    /// Nothing can be read, and that is why.
    Refused(BadReason),
}

/// A file that lies in an archive as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its path there, with `/` between the parts.
    pub path: String,
    /// The archive's byte that is its first.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// A torrent whose archive nobody has looked into yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unexamined {
    /// Provider's configured name.
    pub provider: String,
    /// The provider's id of the torrent.
    pub torrent: debridfs_provider::TorrentId,
    /// The link of the archive.
    pub link: HosterLink,
    /// The provider's display name of the torrent.
    pub name: String,
}
