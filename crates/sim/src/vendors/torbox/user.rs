//! `user/me`, `user/auth/device`, `stats` and `webdl/hosters`.

use serde_json::json;

use super::call::Call;
use super::envelope::{Refusal, done};
use super::item::{auth_id, date};
use crate::vendors::answer::Answer;
use crate::vendors::device::{ALLOWED_WITHIN_S, INTERVAL_S, token_of};

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

/// A device asks for the code that the user allows on the vendor's page.
pub(super) fn device(call: &Call) -> Result<Answer, Refusal> {
    let (code, user_code) = call.sim.inner.devices.begin(call.now_ms);
    let page = format!("https://torbox.app/oauth/device?code={user_code}");
    let begun = json!({
        "device_code": code, "code": user_code, "verification_url": page, "friendly_verification_url": page,
        "interval": INTERVAL_S, "expires_at": date(call.now_ms + ALLOWED_WITHIN_S * 1000),
    });
    Ok(done("Device code created successfully.", begun))
}

/// Refused until the user has allowed it: the device asks again.
pub(super) fn device_token(call: &Call) -> Result<Answer, Refusal> {
    let code = call.member("device_code").and_then(|code| code.as_str());
    let code = code.ok_or_else(|| Refusal::of("MISSING_REQUIRED_OPTION"))?;
    if !call.sim.inner.devices.knows(code, call.now_ms) {
        return Err(Refusal::of("INVALID_DEVICE"));
    }
    let token = token_of(&call.sim, code);
    let token = token.ok_or_else(|| Refusal::of("OAUTH_VERIFICATION_ERROR"))?;
    let given = json!({ "access_token": token, "token_type": "bearer" });
    Ok(done("Device authorized successfully.", given))
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
