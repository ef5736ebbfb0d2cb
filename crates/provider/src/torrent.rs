//! A torrent as a provider tells it.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{ContentId, HosterLink};

/// The 20-byte BitTorrent v1 info-hash (BEP 3), shown as 40 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

/// The text was not 40 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an info-hash of 40 hexadecimal digits: {0:?}")]
pub struct InvalidInfoHash(pub String);

impl InfoHash {
    /// The hash that is written in any of the ways that magnets have it: 40 hexadecimal digits, or 32 of
    /// base 32 (BEP 9).
    pub fn from_digits(digits: &str) -> Option<Self> {
        match digits.len() {
            40 => digits.parse().ok(),
            32 => {
                let upper = digits.to_ascii_uppercase();
                let bytes = BASE32_NOPAD.decode(upper.as_bytes()).ok()?;
                Some(Self(bytes.try_into().ok()?))
            }
            _ => None,
        }
    }
}

impl FromStr for InfoHash {
    type Err = InvalidInfoHash;

    fn from_str(text: &str) -> Result<Self, InvalidInfoHash> {
        let invalid = || InvalidInfoHash(text.chars().take(64).collect());
        let digits = text.as_bytes();
        if digits.len() != 40 {
            return Err(invalid());
        }
        let mut hash = [0u8; 20];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let high = (pair[0] as char).to_digit(16).ok_or_else(invalid)?;
            let low = (pair[1] as char).to_digit(16).ok_or_else(invalid)?;
            *byte = (high * 16 + low) as u8;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl Serialize for InfoHash {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InfoHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A provider's own name of a torrent; one info-hash may have several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TorrentId(pub String);

impl fmt::Display for TorrentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Where a torrent stands at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TorrentStatus {
    /// The magnet is being resolved.
    MagnetConversion,
    /// Files have to be selected.
    WaitingFilesSelection,
    /// Waiting for a slot.
    Queued,
    /// On its way to the provider.
    Downloading,
    /// Being packed.
    Compressing,
    /// Being moved to the provider's servers.
    Uploading,
    /// Ready.
    Downloaded,
    /// The magnet could not be resolved.
    MagnetError,
    /// Failed.
    Error,
    /// Refused as a virus.
    Virus,
    /// No seeder left.
    Dead,
    /// A word this version does not know.
    Other(String),
}

impl TorrentStatus {
    /// Longest unknown word that is kept.
    const LONGEST_WORD: usize = 64;

    /// The status that is stored as `word`. An unknown word is kept, cut to 64 characters.
    pub fn from_word(word: &str) -> Self {
        match word {
            "magnet_conversion" => Self::MagnetConversion,
            "waiting_files_selection" => Self::WaitingFilesSelection,
            "queued" => Self::Queued,
            "downloading" => Self::Downloading,
            "compressing" => Self::Compressing,
            "uploading" => Self::Uploading,
            "downloaded" => Self::Downloaded,
            "magnet_error" => Self::MagnetError,
            "error" => Self::Error,
            "virus" => Self::Virus,
            "dead" => Self::Dead,
            other => Self::Other(other.chars().take(Self::LONGEST_WORD).collect()),
        }
    }

    /// The word under which it is stored, and shown.
    pub fn word(&self) -> &str {
        match self {
            Self::MagnetConversion => "magnet_conversion",
            Self::WaitingFilesSelection => "waiting_files_selection",
            Self::Queued => "queued",
            Self::Downloading => "downloading",
            Self::Compressing => "compressing",
            Self::Uploading => "uploading",
            Self::Downloaded => "downloaded",
            Self::MagnetError => "magnet_error",
            Self::Error => "error",
            Self::Virus => "virus",
            Self::Dead => "dead",
            Self::Other(word) => word,
        }
    }
}

/// One line of the provider's list.
#[derive(Debug, Clone, PartialEq)]
pub struct TorrentSummary {
    /// The provider's id.
    pub id: TorrentId,
    /// What it is.
    pub content: ContentId,
    /// The provider's display name; any text, also empty.
    pub filename: String,
    /// Bytes of the selected files.
    pub bytes: u64,
    /// State.
    pub status: TorrentStatus,
    /// Percent, 0 to 100.
    pub progress: f64,
    /// When it was added to the account.
    pub added: Timestamp,
    /// When it was ready, if it is.
    pub ended: Option<Timestamp>,
    /// Restricted links, in the order of the selected files.
    pub links: Vec<HosterLink>,
    /// All files, where the list tells them: nothing more need be asked of a torrent that is ready.
    pub files: Option<Vec<TorrentFile>>,
}

/// A file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TorrentFile {
    /// The provider's number of the file, for selecting it.
    pub id: u32,
    /// Path below the torrent's top directory, with or without a leading `/`; any text.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Whether the user selected it; only selected files have links.
    pub selected: bool,
}

/// All the provider says of one torrent.
#[derive(Debug, Clone, PartialEq)]
pub struct TorrentInfo {
    /// As in the list.
    pub summary: TorrentSummary,
    /// Name in the torrent file.
    pub original_filename: String,
    /// Bytes of all files, selected or not.
    pub original_bytes: u64,
    /// Files in the provider's order.
    pub files: Vec<TorrentFile>,
}

/// One page of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct TorrentPage {
    /// Newest first.
    pub items: Vec<TorrentSummary>,
    /// Torrents in the account, when told, or when the list ends with this page.
    pub total: Option<u64>,
    /// The vendor tells no total, and the list goes on after this page.
    pub goes_on: bool,
    /// Entries of the answer that could not be read and were left out of `items`, with the reason.
    /// While there are any, a missing torrent is not proved to be gone.
    pub unreadable: Vec<String>,
}
