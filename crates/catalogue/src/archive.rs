//! What is known of the one archive into which a provider packed a torrent's files.

use debridfs_provider::HosterLink;
use serde::{Deserialize, Serialize};

use crate::{BadReason, Copy};

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

impl Copy {
    /// Whether there is one link for several selected files: then it is an archive of them.
    pub(crate) fn is_packed(&self) -> bool {
        let selected = self.detail.as_ref().map(|detail| {
            let selected = detail.files.iter().filter(|file| file.selected);
            selected.take(2).count()
        });
        self.links.len() == 1 && selected == Some(2)
    }

    /// What was found in the torrent's archive, if it is packed and its present link was looked into.
    pub(crate) fn findings(&self) -> Option<&Findings> {
        let archive = self.archive.as_ref()?;
        (self.is_packed() && archive.link == self.links[0]).then_some(&archive.findings)
    }

    /// Files in the torrent's archive, and the archive's size.
    pub(crate) fn members(&self) -> Option<(&[Member], u64)> {
        match self.findings()? {
            Findings::Members { size, members } => Some((members, *size)),
            Findings::Refused(_) => None,
        }
    }
}
