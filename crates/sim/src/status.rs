//! Where a torrent stands.

use serde::{Deserialize, Serialize};

/// The vendor's words for where a torrent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words are the vendor's")]
pub enum Status {
    MagnetConversion,
    WaitingFilesSelection,
    Queued,
    Downloading,
    Compressing,
    Uploading,
    Downloaded,
    MagnetError,
    Error,
    Virus,
    Dead,
}

impl Status {
    /// Takes one of the account's slots. A torrent that waits for its selection takes none.
    pub(crate) fn is_active(self) -> bool {
        matches!(
            self,
            Self::MagnetConversion
                | Self::Queued
                | Self::Downloading
                | Self::Compressing
                | Self::Uploading
        )
    }

    pub(crate) fn is_final(self) -> bool {
        matches!(
            self,
            Self::Downloaded | Self::MagnetError | Self::Error | Self::Virus | Self::Dead
        )
    }

    pub(crate) fn is_past_selection(self) -> bool {
        !matches!(
            self,
            Self::MagnetConversion | Self::WaitingFilesSelection | Self::MagnetError
        )
    }
}
