//! Time, user, traffic, hosts.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::answer::{Answer, VendorError};
use super::call::Call;
use super::endpoint::Endpoint;
use crate::clock::iso;

pub(super) fn time(call: &Call) -> Result<Answer, VendorError> {
    let local = call.sim.inner.clock.local(call.now_ms);
    let format = if call.endpoint == Endpoint::TimeIso {
        "%Y-%m-%dT%H:%M:%S%z"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    Ok(Answer::text(local.strftime(format).to_string()))
}

#[derive(Serialize)]
struct User<'a> {
    id: u32,
    username: &'a str,
    email: &'a str,
    points: u32,
    locale: &'a str,
    avatar: &'a str,
    r#type: &'a str,
    premium: i64,
    expiration: String,
}

/// Seconds of premium that an account in good standing has left.
const PREMIUM_S: i64 = 180 * 24 * 3600;

pub(super) fn user(call: &Call) -> Result<Answer, VendorError> {
    let premium = call.with_account(|account| account.state.premium)?;
    let left = if premium { PREMIUM_S } else { 0 };
    Ok(Answer::json(
        200,
        &User {
            id: 1_234_567,
            username: "simulated",
            email: "s*****d@example.com",
            points: 1000,
            locale: "en",
            avatar: "https://fcdn.real-debrid.com/images/forum/empty.png",
            r#type: if premium { "premium" } else { "free" },
            premium: left,
            // Whole days, so that the answer and its ETag do not change with every second.
            expiration: iso((call.now_ms / 86_400_000) * 86_400_000 + left * 1000),
        },
    ))
}

pub(super) fn traffic(call: &Call) -> Result<Answer, VendorError> {
    let cap = call.settings.traffic_cap;
    if cap == 0 {
        return Ok(Answer::json(200, &json!({})));
    }
    let day = call.sim.inner.clock.day(call.now_ms);
    let bytes = call.with_account(|account| account.traffic.on(&day))?;
    let left = cap.saturating_sub(bytes);
    Ok(Answer::json(
        200,
        &json!({ "real-debrid.com": {
            "left": left, "bytes": bytes, "links": 0, "limit": cap, "type": "bytes", "extra": 0, "reset": "daily",
        }}),
    ))
}

/// From a week ago to today, when nothing else is asked for.
pub(super) fn traffic_details(call: &Call) -> Result<Answer, VendorError> {
    let day = |ms| call.sim.inner.clock.day(ms);
    let asked = |name: &str| call.query.get(name).cloned();
    let first = asked("start").unwrap_or_else(|| day(call.now_ms - 7 * 86_400_000));
    let last = asked("end").unwrap_or_else(|| day(call.now_ms));
    let days = call.with_account(|account| account.traffic.days())?;
    let shown: BTreeMap<_, _> = days
        .into_iter()
        .filter(|(day, _)| *day >= first && *day <= last)
        .map(|(day, bytes)| {
            (
                day,
                json!({ "host": { "real-debrid.com": bytes }, "bytes": bytes }),
            )
        })
        .collect();
    Ok(Answer::json(200, &shown))
}

pub(super) fn hosts() -> Result<Answer, VendorError> {
    Ok(Answer::json(
        200,
        &json!({ "real-debrid.com": {
            "id": "rd", "name": "Real-Debrid",
            "image": "https://fcdn.real-debrid.com/images/hosters/realdebrid.png",
            "image_big": "https://fcdn.real-debrid.com/images/hosters/realdebrid.png",
        }}),
    ))
}

/// What links of the one host look like, as an expression of PCRE with its slashes.
pub(super) fn hosts_regex() -> Result<Answer, VendorError> {
    let link = r"/(http|https):\/\/(\w+\.)?real-debrid\.com\/d\/[0-9A-Z]{13}/";
    Ok(Answer::json(200, &[link]))
}

pub(super) fn hosts_status() -> Result<Answer, VendorError> {
    Ok(Answer::json(
        200,
        &json!({ "real-debrid.com": {
            "id": "rd", "name": "Real-Debrid", "image": "", "supported": 1, "status": "up", "check_time": null,
            "competitors_status": {},
        }}),
    ))
}

pub(super) fn settings(call: &Call) -> Result<Answer, VendorError> {
    let changed = call.with_account(|account| account.settings.clone())?;
    let mut shown = usual_settings();
    for (name, value) in changed {
        shown[name] = value.into();
    }
    Ok(Answer::json(200, &shown))
}

/// Those that can be changed; the others list what may be chosen.
const CHANGEABLE: [&str; 6] = [
    "download_port",
    "locale",
    "streaming_language_preference",
    "streaming_quality",
    "mobile_streaming_quality",
    "streaming_cast_audio_preference",
];

pub(super) fn update_settings(call: &Call) -> Result<Answer, VendorError> {
    let name = call.form("setting_name").ok_or(VendorError(1))?;
    let value = call.form("setting_value").ok_or(VendorError(1))?;
    if !CHANGEABLE.contains(&&*name) {
        return Err(VendorError(2));
    }
    call.with_account(|account| account.settings.insert(name, value))?;
    Ok(Answer::empty(204))
}

fn usual_settings() -> serde_json::Value {
    json!({
            "download_ports": ["normal"], "download_port": "normal", "locales": { "en": "English" }, "locale": "en",
            "streaming_qualities": ["original"], "streaming_quality": "original", "mobile_streaming_quality": "original",
            "streaming_languages": { "eng": "English" }, "streaming_language_preference": "eng",
            "streaming_cast_audio": ["aac"], "streaming_cast_audio_preference": "aac",
    })
}

pub(super) fn disable_token(call: &Call) -> Result<Answer, VendorError> {
    call.with_account(|account| account.state.revoked = true)?;
    Ok(Answer::empty(204))
}
