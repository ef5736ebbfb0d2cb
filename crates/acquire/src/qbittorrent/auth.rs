//! Who may call: sessions by cookie, a key, or user and password with every call.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use data_encoding::BASE64;
use debridfs_base::Secret;
use debridfs_listen::{Attempts, Lifetime, Sessions, TooMany, same};
use subtle::Choice;

use super::{FRONT, text};
use crate::params::Params;

/// A session ends when it was not used for an hour (qBittorrent's default), and not before.
const LIFETIME: Lifetime = Lifetime {
    idle: Duration::from_secs(3600),
    longest: Duration::MAX,
};
/// The session's cookie.
const COOKIE: &str = "SID";

/// An arr that may log in with its own URL as user and its own key as password.
#[derive(Debug, Clone)]
pub struct ArrLogin {
    /// The arr's URL.
    pub url: String,
    /// The arr's API key.
    pub key: Secret,
}

/// Who may call.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// User name that goes with `password`.
    pub user: String,
    /// Password.
    pub password: Option<Secret>,
    /// Key for `Authorization: Bearer`.
    pub key: Option<Secret>,
    /// Arrs that log in as themselves.
    pub arrs: Vec<ArrLogin>,
}

impl Credentials {
    /// Whether there are none: then everybody who can connect may call, so the address has to be a loopback one.
    pub fn is_open(&self) -> bool {
        self.password.is_none() && self.key.is_none() && self.arrs.is_empty()
    }
}

/// Why a call is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing was shown, or a session that has ended.
    NoSession,
    /// Something wrong was shown.
    Wrong,
    /// Too many wrong things were shown.
    Banned,
}

impl From<TooMany> for Refusal {
    fn from(_: TooMany) -> Self {
        Self::Banned
    }
}

/// The door.
pub(super) struct Auth {
    credentials: Credentials,
    sessions: Sessions<()>,
    attempts: Arc<Attempts>,
}

impl Auth {
    pub(super) fn new(credentials: Credentials, attempts: Arc<Attempts>) -> Self {
        Self {
            credentials,
            sessions: Sessions::new(COOKIE, LIFETIME),
            attempts,
        }
    }

    /// Who failed to log in, here and elsewhere.
    pub(super) fn attempts(&self) -> &Arc<Attempts> {
        &self.attempts
    }

    /// Whether everybody who can connect may call.
    pub(super) fn is_open(&self) -> bool {
        self.credentials.is_open()
    }

    /// Whether a call may be made.
    pub(super) fn check(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<(), Refusal> {
        if self.credentials.is_open() || self.sessions.find(headers).is_some() {
            return Ok(());
        }
        let Some(shown) = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
        else {
            return Err(Refusal::NoSession);
        };
        let key = bearer(shown);
        let is_good = || self.is_shown(shown);
        match self.attempts.judge(peer, FRONT, key, is_good)? {
            true => Ok(()),
            false => Err(Refusal::Wrong),
        }
    }

    /// Whether an `Authorization` is right.
    fn is_shown(&self, shown: &str) -> bool {
        if let Some(key) = bearer(shown) {
            return self.is_key(key);
        }
        match shown.split_once(' ') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => BASE64
                .decode(rest.trim().as_bytes())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .is_some_and(|pair| {
                    // A URL as user has colons of its own; keys have none.
                    let parts = [pair.split_once(':'), pair.rsplit_once(':')];
                    let mut parts = parts.into_iter().flatten();
                    parts.any(|(user, password)| self.is_login(user, password))
                }),
            _ => false,
        }
    }

    /// `auth/login`.
    pub(super) fn login(&self, params: &Params, peer: Option<IpAddr>) -> Response {
        let user = params.get("username").unwrap_or_default();
        let password = params.get("password").unwrap_or_default();
        if !self.credentials.is_open() {
            let is_good = || self.is_login(user, password);
            match self.attempts.judge(peer, FRONT, None, is_good) {
                Ok(true) => {}
                Ok(false) => return text(StatusCode::OK, "Fails."),
                Err(TooMany) => return banned(),
            }
        }
        let mut answer = text(StatusCode::OK, "Ok.");
        let attributes = "; HttpOnly; SameSite=Strict; path=/";
        match self.sessions.begin((), attributes) {
            Some(cookie) => {
                answer.headers_mut().insert(header::SET_COOKIE, cookie);
                answer
            }
            None => text(StatusCode::INTERNAL_SERVER_ERROR, "no random numbers"),
        }
    }

    /// Ends the session.
    pub(super) fn logout(&self, headers: &HeaderMap) {
        self.sessions.end(headers);
    }

    /// All pairs are compared, whatever the first ones gave.
    fn is_login(&self, user: &str, password: &str) -> bool {
        let own = self.credentials.password.iter();
        let own =
            own.map(|secret| same(user, &self.credentials.user) & same(password, secret.expose()));
        let url = canonical(user);
        let arrs = self.credentials.arrs.iter();
        let arrs =
            arrs.map(|arr| same(&url, &canonical(&arr.url)) & same(password, arr.key.expose()));
        let good = own.chain(arrs).fold(Choice::from(0), |any, one| any | one);
        bool::from(good) && !password.is_empty()
    }

    fn is_key(&self, key: &str) -> bool {
        let known = self.credentials.key.as_ref();
        known.is_some_and(|known| bool::from(same(key, known.expose()))) && !key.is_empty()
    }
}

/// The key of an `Authorization: Bearer`.
fn bearer(shown: &str) -> Option<&str> {
    let (scheme, key) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The answer to an address that is banned.
pub(super) fn banned() -> Response {
    let words = "Your IP address has been banned after too many failed authentication attempts.";
    text(StatusCode::FORBIDDEN, words)
}

/// A URL as people write it in two places: any case, with or without a slash at the end.
fn canonical(url: &str) -> String {
    url.trim().trim_end_matches('/').to_ascii_lowercase()
}
