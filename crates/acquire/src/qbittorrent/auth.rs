//! Who may call: sessions by cookie, a key, or user and password with every call.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use data_encoding::BASE64;
use debridfs_base::Secret;
use debridfs_listen::{Attempts, Lifetime, Sessions, TooMany, same};

use super::{FRONT, text};
use crate::claims::Caller;
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

/// A login that is right.
enum Login {
    /// The user's or the key's, whoever uses it.
    Own,
    /// That of the arr at this URL.
    Arr(Arc<str>),
}

/// The door.
pub(super) struct Auth {
    credentials: Credentials,
    sessions: Sessions<Caller>,
    /// Sessions begun so far.
    begun: AtomicU64,
    attempts: Arc<Attempts>,
}

impl Auth {
    pub(super) fn new(credentials: Credentials, attempts: Arc<Attempts>) -> Self {
        Self {
            credentials,
            sessions: Sessions::new(COOKIE, LIFETIME),
            begun: AtomicU64::new(0),
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

    /// Who makes a call, if it may be made.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Caller, Refusal> {
        if let Some(caller) = self.sessions.find(headers) {
            return Ok(caller);
        }
        let program = || Caller::program(headers, peer);
        if self.credentials.is_open() {
            return Ok(program());
        }
        let Some(shown) = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
        else {
            return Err(Refusal::NoSession);
        };
        let key = bearer(shown);
        let mut login = None;
        let is_good = || {
            login = self.shown(shown);
            login.is_some()
        };
        match self.attempts.judge(peer, FRONT, key, is_good)? {
            true => Ok(match login {
                Some(Login::Arr(url)) => Caller::Arr(url),
                Some(Login::Own) | None => program(),
            }),
            false => Err(Refusal::Wrong),
        }
    }

    /// Whose login an `Authorization` shows, if it is right.
    fn shown(&self, shown: &str) -> Option<Login> {
        if let Some(key) = bearer(shown) {
            return self.is_key(key).then_some(Login::Own);
        }
        let (scheme, rest) = shown.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let bytes = BASE64.decode(rest.trim().as_bytes()).ok()?;
        let pair = String::from_utf8(bytes).ok()?;
        // A URL as user has colons of its own; keys have none.
        let parts = [pair.split_once(':'), pair.rsplit_once(':')];
        let mut parts = parts.into_iter().flatten();
        parts.find_map(|(user, password)| self.login_of(user, password))
    }

    /// `auth/login`.
    pub(super) fn login(&self, params: &Params, peer: Option<IpAddr>) -> Response {
        let user = params.get("username").unwrap_or_default();
        let password = params.get("password").unwrap_or_default();
        let mut login = None;
        if !self.credentials.is_open() {
            let is_good = || {
                login = self.login_of(user, password);
                login.is_some()
            };
            match self.attempts.judge(peer, FRONT, None, is_good) {
                Ok(true) => {}
                Ok(false) => return text(StatusCode::OK, "Fails."),
                Err(TooMany) => return banned(),
            }
        }
        let mut answer = text(StatusCode::OK, "Ok.");
        let attributes = "; HttpOnly; SameSite=Strict; path=/";
        let caller = match login {
            Some(Login::Arr(url)) => Caller::Arr(url),
            Some(Login::Own) | None => Caller::Session(self.begun.fetch_add(1, Ordering::Relaxed)),
        };
        match self.sessions.begin(caller, attributes) {
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

    /// Whose user and password these are. All pairs are compared, whatever the first ones gave.
    fn login_of(&self, user: &str, password: &str) -> Option<Login> {
        let own = self.credentials.password.iter();
        let own = own.map(|secret| {
            let good = same(user, &self.credentials.user) & same(password, secret.expose());
            (good, None)
        });
        let url = canonical(user);
        let arrs = self.credentials.arrs.iter().map(|arr| {
            let good = same(&url, &canonical(&arr.url)) & same(password, arr.key.expose());
            (good, Some(arr))
        });
        let mut login = None;
        for (good, arr) in own.chain(arrs) {
            if bool::from(good) && login.is_none() && !password.is_empty() {
                login = Some(match arr {
                    Some(arr) => Login::Arr(canonical(&arr.url).into()),
                    None => Login::Own,
                });
            }
        }
        login
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
