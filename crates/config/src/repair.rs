//! `[repair]`: what is done about releases that cannot be read any more.

use std::time::Duration;

use debridfs_repair::Rules;
use serde::{Deserialize, Serialize};

use debridfs_base::HumanDuration;

/// Whoever checks more often learns nothing new.
const SHORTEST_APART: Duration = Duration::from_secs(1);

/// `[repair]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepairSection {
    /// Whether anything is done at all.
    pub enabled: bool,
    /// Between the checks that have to confirm that a release is bad; at least a second. Outages shorter than this leave no trace.
    pub apart: HumanDuration,
    /// Treatments in any hour.
    pub per_hour: u32,
    /// Whether the arrs in `[arr.NAME]` are asked for another release when nothing else helped. They delete their file of it first.
    pub ask_arrs: bool,
}

impl Default for RepairSection {
    fn default() -> Self {
        let rules = Rules::default();
        Self {
            enabled: true,
            apart: HumanDuration(rules.apart),
            per_hour: u32::try_from(rules.per_hour).unwrap_or(u32::MAX),
            ask_arrs: rules.ask_arrs,
        }
    }
}

impl RepairSection {
    /// The rules; `None` when it is turned off.
    pub fn rules(&self) -> Option<Rules> {
        (self.enabled && self.per_hour > 0).then(|| Rules {
            per_hour: self.per_hour as usize,
            ask_arrs: self.ask_arrs,
            ..Rules::with_apart(self.apart.0.max(SHORTEST_APART))
        })
    }
}
