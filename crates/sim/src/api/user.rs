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

pub(super) fn traffic_details(call: &Call) -> Result<Answer, VendorError> {
    let first = call.query.get("start").map_or("", String::as_str);
    let last = call.query.get("end").map_or("9999", String::as_str);
    let days = call.with_account(|account| account.traffic.days())?;
    let shown: BTreeMap<_, _> = days
        .into_iter()
        .filter(|(day, _)| day.as_str() >= first && day.as_str() <= last)
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
            "id": "rd", "name": "Real-Debrid", "image": "", "supported": 1, "status": "up", "check_time": null,
            "competitors_status": {},
        }}),
    ))
}

pub(super) fn settings() -> Result<Answer, VendorError> {
    Ok(Answer::json(
        200,
        &json!({
            "download_ports": ["normal"], "download_port": "normal", "locales": { "en": "English" }, "locale": "en",
            "streaming_qualities": ["original"], "streaming_quality": "original", "mobile_streaming_quality": "original",
            "streaming_languages": { "eng": "English" }, "streaming_language_preference": "eng",
            "streaming_cast_audio": ["aac"], "streaming_cast_audio_preference": "aac",
        }),
    ))
}

pub(super) fn disable_token(call: &Call) -> Result<Answer, VendorError> {
    call.with_account(|account| account.state.revoked = true)?;
    Ok(Answer::empty(204))
}
