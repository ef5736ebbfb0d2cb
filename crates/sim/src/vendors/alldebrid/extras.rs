//! What is no part of a torrent's life: web hosts, saved links, the history, and the PIN by which a device comes by a key.

use serde_json::{Value, json};

use super::call::Call;
use super::{Refusal, done};
use crate::vendors::answer::Answer;
use crate::vendors::device::{ALLOWED_WITHIN_S, token_of};

pub(super) fn answer(call: &Call, endpoint: &str) -> Result<Answer, Refusal> {
    match endpoint {
        "v4/hosts" | "v4/user/hosts" => Ok(done(hosts())),
        "v4/hosts/domains" => Ok(done(json!({
            "hosts": ["example.com"], "streams": [], "redirectors": [],
        }))),
        "v4/hosts/priority" => Ok(done(json!({ "hosts": { "example": 1 } }))),
        "v4/user/links" | "v4/user/history" => Ok(done(json!({ "links": [] }))),
        "v4/user/links/save" | "v4/user/links/delete" => match call.text("links") {
            Some(_) => Ok(done(json!({ "message": "Links were changed" }))),
            None => Err(Refusal::of("USER_LINK_MISSING")),
        },
        "v4/user/history/delete" => Ok(done(json!({ "message": "History was deleted" }))),
        "v4/user/notification/clear" => Ok(done(json!({ "message": "Notification was cleared" }))),
        "v4/pin/get" => Ok(pin(call)),
        "v4/pin/check" => check(call),
        // No link is one of a stream or of a redirector.
        "v4/link/streaming" => Err(Refusal::of("STREAM_INVALID_GEN_ID")),
        "v4/link/redirector" => Err(Refusal::of("REDIRECTOR_NOT_SUPPORTED")),
        _ => Err(Refusal::of("404")),
    }
}

fn hosts() -> Value {
    json!({
        "hosts": { "example": {
            "name": "example", "type": "premium", "domains": ["example.com"], "status": true,
            "regexps": ["example\\.com/([0-9a-z]+)"], "regexp": "example\\.com/([0-9a-z]+)",
        } },
        "streams": {},
        "redirectors": {},
    })
}

/// The PIN that the user types into the vendor's page, and what the device asks with meanwhile.
fn pin(call: &Call) -> Answer {
    let (check, pin) = call.sim.inner.devices.begin(call.now_ms);
    done(json!({
        "pin": pin, "check": check, "expires_in": ALLOWED_WITHIN_S,
        "user_url": format!("https://alldebrid.com/pin/?pin={pin}"),
        "base_url": "https://alldebrid.com/pin/",
        "check_url": format!("https://api.alldebrid.com/v4/pin/check?check={check}&pin={pin}"),
    }))
}

fn check(call: &Call) -> Result<Answer, Refusal> {
    let (pin, check) = (call.text("pin"), call.text("check"));
    let (Some(_), Some(check)) = (pin, check) else {
        return Err(Refusal::of("PIN_INVALID"));
    };
    if !call.sim.inner.devices.knows(&check, call.now_ms) {
        return Err(Refusal::of("PIN_EXPIRED"));
    }
    Ok(done(match token_of(&call.sim, &check) {
        Some(key) => json!({ "activated": true, "apikey": key, "expires_in": ALLOWED_WITHIN_S }),
        None => json!({ "activated": false, "expires_in": ALLOWED_WITHIN_S }),
    }))
}
