//! Whose cloud is simulated.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::status::Status;

/// A vendor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// real-debrid.com
    #[default]
    RealDebrid,
    /// torbox.app
    TorBox,
    /// alldebrid.com
    AllDebrid,
    /// debrid-link.com
    DebridLink,
    /// premiumize.me
    Premiumize,
}

impl Kind {
    /// All of them, by the names that [`Kind::from_str`] takes.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("realdebrid", Self::RealDebrid),
        ("torbox", Self::TorBox),
        ("alldebrid", Self::AllDebrid),
        ("debridlink", Self::DebridLink),
        ("premiumize", Self::Premiumize),
    ];

    /// Whether a torrent that stands so takes one of the slots for downloading.
    pub(crate) fn takes_slot(self, status: Status) -> bool {
        match self {
            Self::RealDebrid => status == Status::Downloading,
            Self::TorBox | Self::AllDebrid | Self::DebridLink | Self::Premiumize => {
                status.is_active() && status != Status::Queued
            }
        }
    }

    /// Whether it names its torrents by 13 letters and digits.
    pub(crate) fn names_by_letters(self) -> bool {
        matches!(self, Self::RealDebrid | Self::DebridLink | Self::Premiumize)
    }

    /// Whether it has downloads by an NZB or from a web host, besides torrents.
    pub(crate) fn has_other_services(self) -> bool {
        matches!(self, Self::TorBox | Self::Premiumize)
    }

    /// Where the API is below the base URL.
    pub fn api_path(self) -> &'static str {
        match self {
            Self::RealDebrid => "/rest/1.0",
            Self::TorBox => "/v1/api",
            Self::AllDebrid => "",
            Self::DebridLink => "/api/v2",
            Self::Premiumize => "/api",
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            format!("{text:?} is none of {names}")
        })
    }
}
