//! What can be set of AllDebrid alone.

use serde::{Deserialize, Serialize};

/// Limits and habits of AllDebrid. Habits that come now and then are off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AllDebridSettings {
    /// Calls in any second, besides those in a minute; 0 = no limit.
    pub calls_per_second: u32,
    /// HTTP status of the page that answers a call above a limit: 429 or 503.
    pub limit_status: u16,
    /// Torrents that an account may hold; `MAGNET_TOO_MANY` above, 0 = no limit.
    pub most_magnets: u32,
    /// `data.magnets` of a list is an object by places (`"0"`, `"1"`, …) instead of a list.
    pub by_place: bool,
    /// So long a download waits for servers, with size and all counters at 0; 580 000 to 622 000 were measured.
    pub waiting_ms: u32,
    /// So long an unlocked link is `delayed`; 0 = not at all.
    pub delayed_ms: u32,
    /// Of every hundred unlocked links, the first so many lead to the host 0.0.0.0.
    pub null_routed_percent: u32,
    /// This address is a server's or a VPN's: `NO_SERVER` for links, `MAGNET_NO_SERVER` for torrents.
    pub no_server: bool,
}

impl Default for AllDebridSettings {
    fn default() -> Self {
        Self {
            calls_per_second: 12,
            limit_status: 429,
            most_magnets: 1000,
            by_place: false,
            waiting_ms: 0,
            delayed_ms: 0,
            null_routed_percent: 0,
            no_server: false,
        }
    }
}
