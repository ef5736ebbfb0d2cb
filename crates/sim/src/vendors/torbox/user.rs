//! `user/me`, `stats` and `webdl/hosters`.

use serde_json::json;

use super::call::Call;
use super::envelope::{Refusal, done};
use super::item::{auth_id, date};
use crate::vendors::answer::Answer;

const DAY_MS: i64 = 86_400_000;

pub(super) fn me(call: &Call) -> Result<Answer, Refusal> {
    let (premium, seed, bytes) = call.with_account(|_, account| {
        let bytes: u64 = account.traffic.days().values().sum();
        (account.state.premium, account.seed, bytes)
    })?;
    let today_ms = call.now_ms / DAY_MS * DAY_MS;
    let mut user = json!({
        "id": 169_000,
        "auth_id": auth_id(seed),
        "created_at": "2025-01-01T00:00:00Z",
        "updated_at": date(today_ms),
        "email": "simulated@example.com",
        "base_email": "simulated@example.com",
        "plan": call.settings.torbox.plan_of(premium),
        "customer": auth_id(seed),
        "server": 1,
        "is_subscribed": premium,
        "premium_expires_at": date(today_ms + if premium { 180 * DAY_MS } else { -DAY_MS }),
        "cooldown_until": "2025-01-01T00:00:00Z",
        "total_downloaded": bytes,
        "total_bytes_downloaded": bytes,
        "total_bytes_uploaded": 0,
        "torrents_downloaded": 0,
        "usenet_downloads_downloaded": 0,
        "web_downloads_downloaded": 0,
        "additional_concurrent_slots": 0,
        "long_term_seeding": false,
        "long_term_storage": false,
        "is_vendor": false,
        "vendor_id": null,
        "user_referral": auth_id(seed ^ 1),
        "purchases_referred": 0,
    });
    if call.flag("settings") {
        user["settings"] = json!({
            "email_notifications": false, "web_notifications": true, "mobile_notifications": false,
            "rss_notifications": false, "seed_torrents": 1, "allow_zipped": true, "cdn_selection": "auto",
        });
    }
    Ok(done("User data retrieved successfully.", user))
}

pub(super) fn stats() -> Result<Answer, Refusal> {
    let stats = json!({
        "active_torrents": 1, "active_usenet_downloads": 0, "active_web_downloads": 0,
        "total_bytes_downloaded": 0, "total_bytes_uploaded": 0, "total_downloads": 1, "total_servers": 1,
        "total_torrent_downloads": 1, "total_usenet_downloads": 0, "total_users": 1, "total_web_downloads": 0,
    });
    Ok(done("Stats retrieved successfully.", stats))
}

pub(super) fn hosters() -> Result<Answer, Refusal> {
    let hoster = json!({
        "id": 1, "name": "Example", "domains": ["example.com"], "url": "https://example.com", "icon": "",
        "status": true, "type": "hoster", "note": null, "daily_link_limit": 0, "daily_link_used": 0,
        "daily_bandwidth_limit": 0, "daily_bandwidth_used": 0,
    });
    Ok(done("Hosters retrieved successfully.", json!([hoster])))
}
