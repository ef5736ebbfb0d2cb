//! What an account tells of its use.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::{DirectLink, HosterLink};

/// How much of a budget of calls one key has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BudgetUse {
    /// The calls that count, by the vendor's word of them; `None`: all calls.
    pub word: Option<&'static str>,
    /// Calls that count now.
    pub used: u32,
    /// Calls that may, in any time of length `per`.
    pub calls: u32,
    /// The length of that time.
    pub per: Duration,
}

/// A used slot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ActiveCount {
    /// Torrents on their way.
    pub active: u64,
    /// How many may be.
    pub limit: u64,
}

/// Traffic of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrafficDay {
    /// `YYYY-MM-DD`, in the provider's time.
    pub date: String,
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes by hoster.
    pub hosts: BTreeMap<String, u64>,
}

/// An entry of the list of direct links that were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The provider's id.
    pub id: String,
    /// What the link was made of.
    pub link: HosterLink,
    /// The direct link; its time is when it was made.
    pub direct: DirectLink,
}

/// Part of the list of direct links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadPage {
    /// Newest first.
    pub items: Vec<Download>,
    /// Entries in all, when told.
    pub total: Option<u64>,
    /// Entries that could not be read.
    pub unreadable: Vec<String>,
}
