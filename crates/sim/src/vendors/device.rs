//! Devices that come by a token which nobody types into them: the user allows them on the vendor's page. That is `POST
//! /control/oauth/allow` here. RFC 8628, which each vendor has in its own words.

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::answer::Answer;
use crate::random::{Id13, hash_parts};
use crate::sim::Sim;

/// Seconds in which the user has to allow it.
pub(super) const ALLOWED_WITHIN_S: i64 = 1800;
/// Seconds between two questions whether the user has.
pub(super) const INTERVAL_S: i64 = 5;

/// Devices that asked for a token.
#[derive(Debug, Default)]
pub(crate) struct Devices(Mutex<Vec<Device>>);

#[derive(Debug)]
struct Device {
    code: String,
    user_code: String,
    ends_ms: i64,
    /// The account of the user who allowed it.
    account: Option<usize>,
}

impl Device {
    /// Credentials of this device alone.
    fn secret(&self) -> String {
        text(&[b"secret", self.code.as_bytes()])
    }
}

impl Devices {
    /// The user of `account` allows the device that shows `user_code`. Whether there is one.
    pub(crate) fn allow(&self, user_code: &str, account: usize, now_ms: i64) -> bool {
        let mut devices = self.0.lock();
        let mut waiting = devices.iter_mut().filter(|device| device.ends_ms > now_ms);
        let device = waiting.find(|device| device.user_code == user_code);
        device.is_some_and(|device| {
            device.account = Some(account);
            true
        })
    }

    pub(super) fn begin(&self, now_ms: i64) -> (String, String) {
        let mut devices = self.0.lock();
        let number = devices.len().to_le_bytes();
        let code = text(&[b"device", &number, &now_ms.to_le_bytes()]);
        let user_code = text(&[b"user", code.as_bytes()])[..8].to_owned();
        devices.push(Device {
            code: code.clone(),
            user_code: user_code.clone(),
            ends_ms: now_ms + ALLOWED_WITHIN_S * 1000,
            account: None,
        });
        (code, user_code)
    }

    /// Whether the user may still allow the device with this code, or has.
    pub(super) fn knows(&self, code: &str, now_ms: i64) -> bool {
        let devices = self.0.lock();
        let mut devices = devices.iter().filter(|device| device.code == code);
        devices.any(|device| device.ends_ms > now_ms || device.account.is_some())
    }

    /// The secret of the device with this code, and the account, once the user has allowed it.
    pub(super) fn allowed(&self, code: &str) -> Option<(String, usize)> {
        let devices = self.0.lock();
        let device = devices.iter().find(|device| device.code == code)?;
        Some((device.secret(), device.account?))
    }
}

pub(super) fn text(parts: &[&[u8]]) -> String {
    Id13::from_number(hash_parts(parts)).as_str().to_owned()
}

/// The token of the account whose user allowed the device with this code.
pub(super) fn token_of(sim: &Sim, code: &str) -> Option<String> {
    let (_, account) = sim.inner.devices.allowed(code)?;
    sim.with_account(account, |account| account.token.clone())
        .ok()
}

/// The codes of a device, as RFC 8628 has them; `page` is the name of the member with the vendor's page, and the page.
pub(super) fn begin(sim: &Sim, (name, page): (&str, &str)) -> Answer {
    let (code, user_code) = sim.inner.devices.begin(sim.inner.clock.now_ms());
    Answer::json(
        200,
        &json!({
            "device_code": code, "user_code": user_code, name: page,
            "expires_in": ALLOWED_WITHIN_S, "interval": INTERVAL_S,
        }),
    )
}

/// The token of a device, or why there is none, as RFC 8628 has both.
pub(super) fn token(sim: &Sim, code: Option<&str>) -> Answer {
    let Some(code) = code else {
        return error("invalid_request");
    };
    if let Some(token) = token_of(sim, code) {
        let body: Value = json!({
            "access_token": token, "refresh_token": code, "expires_in": 86_400, "token_type": "bearer", "scope": "",
        });
        return Answer::json(200, &body);
    }
    match sim.inner.devices.knows(code, sim.inner.clock.now_ms()) {
        true => error("authorization_pending"),
        false => error("expired_token"),
    }
}

/// An error of OAuth: HTTP 400.
pub(super) fn error(word: &'static str) -> Answer {
    let body = json!({ "error": word, "error_description": format!("simulated: {word}") });
    let mut answer = Answer::json(400, &body);
    answer.code = Some(word.into());
    answer
}
