//! What can be set of Premiumize alone.

use serde::{Deserialize, Serialize};

/// Limits and habits of Premiumize. Habits that come now and then are off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PremiumizeSettings {
    /// Fair-use points of the account, a gigabyte each; 0 = no limit.
    pub points: u32,
    /// Points that were used before the simulation began.
    pub points_used: u32,
    /// Lists of folders and files tell no time.
    pub no_times: bool,
    /// `src` of a transfer is its magnet, as it was once, instead of an address of the vendor.
    pub magnet_in_src: bool,
    /// So long after a transfer has finished its files come to the cloud.
    pub late_files_ms: u32,
    /// Errors have a message alone.
    pub no_codes: bool,
}

impl Default for PremiumizeSettings {
    fn default() -> Self {
        Self {
            points: 1000,
            points_used: 0,
            no_times: false,
            magnet_in_src: false,
            late_files_ms: 0,
            no_codes: false,
        }
    }
}
