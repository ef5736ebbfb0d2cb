//! What can be set of Debrid-Link alone.

use serde::{Deserialize, Serialize};

/// Limits and habits of Debrid-Link. The limits of `seedbox/limits` are a premium account's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DebridLinkSettings {
    /// Calls of one endpoint in any minute; one more closes it. The vendor does not say how many; 0 = no limit.
    pub flood_calls: u32,
    /// So long a flood closes its endpoint: 503 `floodDetected` for every call of it.
    pub flood_s: u32,
    /// Torrents that are not cached added from one midnight to the next; `maxTorrent` above, 0 = no limit.
    pub adds_a_day: u32,
    /// Bytes of the largest torrent; `torrentTooBig` above.
    pub largest: u64,
    /// A torrent of more files is a ZIP in the list, until it is asked for by its id.
    pub zip_above: u32,
    /// Names of files begin with the torrent's directory, if it has several.
    pub names_with_top: bool,
    /// A filter of ids of which none is known is no filter: all torrents come.
    pub unknown_id_lists_all: bool,
    /// What is ready is seeding (8) instead of finished (100).
    pub seeding: bool,
    /// This address is a server's or a VPN's: `serverNotAllowed`.
    pub server_not_allowed: bool,
}

impl Default for DebridLinkSettings {
    fn default() -> Self {
        Self {
            flood_calls: 120,
            flood_s: 3600,
            adds_a_day: 50,
            largest: 1 << 40,
            zip_above: 200,
            names_with_top: true,
            unknown_id_lists_all: true,
            seeding: false,
            server_not_allowed: false,
        }
    }
}
