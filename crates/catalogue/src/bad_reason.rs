//! Why a release cannot be served.

use serde::{Deserialize, Serialize};

/// Why a release cannot be served, shown by `user.debridfs.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadReason {
    /// The provider packed several files into one RAR, and nobody has looked into that yet.
    PackedRar,
    /// That RAR is compressed.
    RarCompressed,
    /// That RAR is encrypted.
    RarEncrypted,
    /// That RAR is solid: no file in it can be read alone.
    RarSolid,
    /// That RAR is one of several volumes.
    RarSplit,
    /// That RAR is none, or says of itself what cannot be true.
    RarDamaged,
    /// Fewer links than selected files.
    MissingLinks,
    /// It is in no list of the provider any more.
    Removed,
    /// The provider reports an error, a virus or a dead torrent.
    Failed,
    /// Checks confirmed that it cannot be read ([`crate::Catalogue::quarantine`]). It is tried all the same when somebody reads.
    Unreadable,
    /// Its provider refuses it for its name, as [`Self::Unreadable`] otherwise.
    Blocked,
}

impl BadReason {
    /// Whether waiting does not change it. What nobody has looked into yet may turn out to be well, and
    /// what was found unreadable is tried again by each reader.
    pub fn is_final(self) -> bool {
        match self {
            Self::PackedRar | Self::Unreadable | Self::Blocked => false,
            Self::RarCompressed
            | Self::RarEncrypted
            | Self::RarSolid
            | Self::RarSplit
            | Self::RarDamaged
            | Self::MissingLinks
            | Self::Removed
            | Self::Failed => true,
        }
    }

    /// The word shown to people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PackedRar => "packed-rar",
            Self::RarCompressed => "rar-compressed",
            Self::RarEncrypted => "rar-encrypted",
            Self::RarSolid => "rar-solid",
            Self::RarSplit => "rar-split",
            Self::RarDamaged => "rar-damaged",
            Self::MissingLinks => "missing-links",
            Self::Removed => "removed",
            Self::Failed => "failed",
            Self::Unreadable => "unreadable",
            Self::Blocked => "blocked",
        }
    }
}
