//! What is known of the one archive into which a provider packed a torrent's files, or of links of which
//! nobody can tell by their number whose they are.

use debridfs_provider::HosterLink;
use serde::{Deserialize, Serialize};

use crate::{BadReason, Copy};

/// Links that were looked into; they are never looked into again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The torrent's first link: that of the archive, if there is one.
    pub link: HosterLink,
    /// What it gives.
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
    /// No archive: what each of the torrent's links gives, in their order.
    Named(Vec<Named>),
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

/// What a link gives, as the provider says when a direct link is made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The link.
    pub link: HosterLink,
    /// The provider's name of the file; empty if it did not tell.
    pub name: String,
    /// Its size in bytes; 0 if it did not tell.
    pub size: u64,
}

/// A torrent of which nobody knows yet what its links give: one link of several files, or fewer links or
/// more than files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unexamined {
    /// Provider's configured name.
    pub provider: String,
    /// The provider's id of the torrent.
    pub torrent: debridfs_provider::TorrentId,
    /// Its links, at least one: a single one may be that of an archive.
    pub links: Vec<HosterLink>,
    /// The provider's display name of the torrent.
    pub name: String,
}

impl Unexamined {
    pub(crate) fn of(copy: &Copy) -> Self {
        Self {
            provider: copy.provider.clone(),
            torrent: copy.id.clone(),
            links: copy.links.clone(),
            name: copy.filename.clone(),
        }
    }
}
