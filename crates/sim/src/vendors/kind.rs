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
}

impl Kind {
    /// All of them, by the names that [`Kind::from_str`] takes.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("realdebrid", Self::RealDebrid),
        ("torbox", Self::TorBox),
        ("alldebrid", Self::AllDebrid),
        ("debridlink", Self::DebridLink),
    ];

    /// Whether a torrent that stands so takes one of the slots for downloading.
    pub(crate) fn takes_slot(self, status: Status) -> bool {
        match self {
            Self::RealDebrid => status == Status::Downloading,
            Self::TorBox | Self::AllDebrid | Self::DebridLink => {
                status.is_active() && status != Status::Queued
            }
        }
    }

    /// Where the API is below the base URL.
    pub fn api_path(self) -> &'static str {
        match self {
            Self::RealDebrid => "/rest/1.0",
            Self::TorBox => "/v1/api",
            Self::AllDebrid => "",
            Self::DebridLink => "/api/v2",
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
