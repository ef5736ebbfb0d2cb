//! What can be set of TorBox alone.

use serde::{Deserialize, Serialize};

/// What TorBox does with a download when all slots are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FullSlots {
    /// It goes into the queue, and the answer names a `queued_id`.
    #[default]
    Queue,
    /// `ACTIVE_LIMIT`.
    Refuse,
}

/// Limits, times and habits of TorBox. The defaults are the vendor's as documented or measured; habits that come now and then are off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TorBoxSettings {
    /// `plan` of `user/me`: 0 free, 1 essential, 2 pro, 3 standard. It gives 1, 3, 10 or 5 slots, and on the free plan 10 GB a download
    /// instead of 200.
    pub plan: u8,
    /// So long `torrents/mylist` tells what it told before, unless it is called with `bypass_cache=true`. Usenet and web downloads: 5 s at
    /// most.
    pub list_stale_s: u32,
    /// An empty list or page is 404 instead of 200 with `[]`.
    pub empty_is_404: bool,
    /// An unknown id is 500 `DATABASE_ERROR` instead of 404 `ITEM_NOT_FOUND`, deletes included.
    pub unknown_is_database_error: bool,
    /// Creates of what is not cached that succeed or are refused in any hour, of all three kinds together; 429 above, 0 = no limit.
    pub creates_per_hour: u32,
    /// Creates in any minute, cached ones included; 429 above, 0 = no limit.
    pub creates_per_minute: u32,
    /// Calls of `requestdl` in any 5 minutes; one more locks the whole account, 0 = no limit.
    pub links_per_5_minutes: u32,
    /// How long: 429 with `Retry-After` for every call.
    pub lock_s: u32,
    /// What becomes of a download that finds no slot.
    pub full_slots: FullSlots,
    /// Time in `checking`, with size -1, before `downloading`; 0 leaves it out.
    pub checking_ms: u32,
    /// `progress` falls by 0.3 at a half and goes on from there.
    pub progress_backwards: bool,
    /// So long the CDN does not know a URL yet that `requestdl` gave: 400 `Invalid Presigned Token`.
    pub token_delay_ms: u32,
}

impl Default for TorBoxSettings {
    fn default() -> Self {
        Self {
            plan: 2,
            list_stale_s: 600,
            empty_is_404: true,
            unknown_is_database_error: true,
            creates_per_hour: 60,
            creates_per_minute: 10,
            links_per_5_minutes: 100,
            lock_s: 300,
            full_slots: FullSlots::Queue,
            checking_ms: 0,
            progress_backwards: false,
            token_delay_ms: 0,
        }
    }
}

impl TorBoxSettings {
    /// The plan of an account that is `premium` or not.
    pub(super) fn plan_of(&self, premium: bool) -> u8 {
        if premium { self.plan } else { 0 }
    }

    /// Downloads at once.
    pub(crate) fn slots(&self, premium: bool) -> u32 {
        match self.plan_of(premium) {
            0 => 1,
            1 => 3,
            3 => 5,
            _ => 10,
        }
    }

    /// The largest download in bytes.
    pub(super) fn largest(&self, premium: bool) -> u64 {
        match self.plan_of(premium) {
            0 => 10_000_000_000,
            _ => 200_000_000_000,
        }
    }
}
