//! `/oauth/v2/…`: the device flow (RFC 8628, in the vendor's words), by which a program comes by a token that nobody types into it.
//! What the user does on the vendor's page is `POST /control/oauth/allow` here.

use std::collections::HashMap;

use axum::extract::Request;
use http::header;
use serde_json::json;

use super::answer::{Answer, VendorError};
use crate::sim::Sim;
use crate::vendors::arrival::MAX_BODY;
use crate::vendors::device::{ALLOWED_WITHIN_S, INTERVAL_S, text};

/// What asks for a token, by a device's code or by a token to refresh.
const GRANT: &str = "http://oauth.net/grant_type/device/1.0";

/// Answers one call; `call` is what follows `/oauth/v2/`.
pub(super) async fn handle(sim: &Sim, call: &str, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let host = parts.headers.get(header::HOST);
    let host = host
        .and_then(|host| host.to_str().ok())
        .unwrap_or("sim.invalid");
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return Answer::error(VendorError(26));
    };
    let of_query = form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes());
    let of_body = form_urlencoded::parse(&body).into_owned();
    let given: HashMap<String, String> = of_query.into_owned().chain(of_body).collect();
    let answer = match (call.trim_end_matches('/'), parts.method.as_str()) {
        ("device/code", "GET") => begin(sim, &given, host),
        ("device/credentials", "GET") => credentials(sim, &given),
        ("token", "POST") => token(sim, &given),
        ("device/code" | "device/credentials" | "token", _) => Err(VendorError(4)),
        _ => Err(VendorError(3)),
    };
    answer.unwrap_or_else(Answer::error)
}

type Given = HashMap<String, String>;

fn need<'a>(given: &'a Given, name: &str) -> Result<&'a str, VendorError> {
    let value = given.get(name).filter(|value| !value.is_empty());
    value.map(String::as_str).ok_or(VendorError(1))
}

fn begin(sim: &Sim, given: &Given, host: &str) -> Result<Answer, VendorError> {
    need(given, "client_id")?;
    let (code, user_code) = sim.inner.devices.begin(sim.inner.clock.now_ms());
    let page = format!("http://{host}/device");
    Ok(Answer::json(
        200,
        &json!({
            "device_code": code,
            "user_code": user_code,
            "interval": INTERVAL_S,
            "expires_in": ALLOWED_WITHIN_S,
            "verification_url": page,
            "direct_verification_url": format!("{page}?user_code={user_code}"),
        }),
    ))
}

/// Refused until the user has allowed it: whoever waits asks again.
fn credentials(sim: &Sim, given: &Given) -> Result<Answer, VendorError> {
    need(given, "client_id")?;
    let code = need(given, "code")?;
    let (secret, _) = sim.inner.devices.allowed(code).ok_or(VendorError(9))?;
    let id = text(&[b"client", code.as_bytes()]);
    Ok(Answer::json(
        200,
        &json!({ "client_id": id, "client_secret": secret }),
    ))
}

/// The token of the account; it refreshes to the same one.
fn token(sim: &Sim, given: &Given) -> Result<Answer, VendorError> {
    need(given, "client_id")?;
    let (secret, code) = (need(given, "client_secret")?, need(given, "code")?);
    if need(given, "grant_type")? != GRANT {
        return Err(VendorError(2));
    }
    let allowed = sim.inner.devices.allowed(code);
    let (_, account) = allowed
        .filter(|(own, _)| own == secret)
        .ok_or(VendorError(9))?;
    let token = sim.with_account(account, |account| account.token.clone());
    let token = token.map_err(|_| VendorError(9))?;
    Ok(Answer::json(
        200,
        &json!({
            "access_token": token,
            "expires_in": 3600,
            "token_type": "Bearer",
            "refresh_token": code,
        }),
    ))
}
