//! What can be set while the simulation runs.

use serde::{Deserialize, Serialize};

use crate::vendors::{
    AllDebridSettings, DebridLinkSettings, Kind, PremiumizeSettings, RealDebridSettings,
    TorBoxSettings,
};

/// Limits, times and rates. The defaults are Real-Debrid's where they are known, quick where only a test waits for them; [`Settings::of`]
/// has those of another vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Calls an account may make in any 60 s, refused ones included; 0 = no limit.
    pub calls_per_minute: u32,
    /// After a refusal for too many calls, adds and unrestricts within 30 s answer 451 with code 35.
    pub penalty_infringing: bool,
    /// Torrents that may be active at once; 509 above.
    pub active_limit: u32,
    /// Torrents that download at once; others wait in `queued`.
    pub parallel_downloads: u32,
    /// Time in `magnet_conversion`.
    pub magnet_conversion_ms: u32,
    /// Least time in `queued`.
    pub queued_ms: u32,
    /// Time in `downloading`.
    pub downloading_ms: u32,
    /// Time in `compressing`; 0 leaves the state out.
    pub compressing_ms: u32,
    /// Time in `uploading`; 0 leaves the state out.
    pub uploading_ms: u32,
    /// Whether a hash that nobody described counts as cached.
    pub unknown_hashes_cached: bool,
    /// Life of a direct link.
    pub link_ttl_s: u32,
    /// Bytes an account may fetch from one midnight (of the vendor) to the next; 0 = no cap.
    pub traffic_cap: u64,
    /// Which code tells that the cap is reached: 23 or 36.
    pub traffic_code: i32,
    /// Added to every answer of the API.
    pub api_delay_ms: u32,
    /// Time to the first byte of a CDN answer.
    pub first_byte_ms: u32,
    /// Bytes a second of one transfer; 0 = no limit.
    pub connection_rate: u64,
    /// Bytes a second of all transfers together; 0 = no limit.
    pub total_rate: u64,
    /// Transfers an account may have open at once, 429 above; 0 = no limit. About 32 at the vendor.
    pub max_parallel: u32,
    /// Transfers of one direct link open at once, 429 above; 0 = no limit.
    pub max_parallel_per_link: u32,
    /// What Real-Debrid has of its own.
    pub realdebrid: RealDebridSettings,
    /// What TorBox has of its own.
    pub torbox: TorBoxSettings,
    /// What AllDebrid has of its own.
    pub alldebrid: AllDebridSettings,
    /// What Debrid-Link has of its own.
    pub debridlink: DebridLinkSettings,
    /// What Premiumize has of its own.
    pub premiumize: PremiumizeSettings,
}

impl Settings {
    /// The defaults of a vendor.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::RealDebrid => Self::default(),
            Kind::TorBox => Self {
                calls_per_minute: 300,
                uploading_ms: 12_000,
                // A URL was seen to work for this long.
                link_ttl_s: 12_600,
                // Of one host of the CDN, which is all that there is here.
                max_parallel: 20,
                ..Self::default()
            },
            Kind::AllDebrid => Self {
                calls_per_minute: 600,
                active_limit: 30,
                ..Self::default()
            },
            Kind::Premiumize => Self {
                // Its limit of calls is not published, and it was not seen to limit transfers.
                calls_per_minute: 0,
                active_limit: 25,
                link_ttl_s: 24 * 3600,
                max_parallel: 0,
                ..Self::default()
            },
            Kind::DebridLink => Self {
                // Each endpoint has its own flood control.
                calls_per_minute: 0,
                active_limit: 20,
                uploading_ms: 0,
                // URLs were not seen to end: ten years.
                link_ttl_s: 10 * 365 * 24 * 3600,
                ..Self::default()
            },
        }
    }

    /// How long a download does nothing before it begins.
    pub(crate) fn before_download_ms(&self) -> u32 {
        let waits = self.alldebrid.waiting_ms;
        self.torbox.checking_ms.saturating_add(waits)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calls_per_minute: 250,
            penalty_infringing: false,
            active_limit: 100,
            parallel_downloads: 25,
            magnet_conversion_ms: 2_000,
            queued_ms: 1_000,
            downloading_ms: 20_000,
            compressing_ms: 0,
            uploading_ms: 3_000,
            unknown_hashes_cached: false,
            link_ttl_s: 7 * 24 * 3600,
            traffic_cap: 0,
            traffic_code: 23,
            api_delay_ms: 0,
            first_byte_ms: 0,
            connection_rate: 0,
            total_rate: 0,
            max_parallel: 32,
            max_parallel_per_link: 0,
            realdebrid: RealDebridSettings::default(),
            torbox: TorBoxSettings::default(),
            alldebrid: AllDebridSettings::default(),
            debridlink: DebridLinkSettings::default(),
            premiumize: PremiumizeSettings::default(),
        }
    }
}
