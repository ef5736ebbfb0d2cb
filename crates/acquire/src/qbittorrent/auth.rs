//! Who may call: sessions by cookie, a key, or user and password with every call.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use debridfs_base::Secret;
use debridfs_callers::{Digest32, digest, same};
use parking_lot::{Mutex, MutexGuard};
use subtle::Choice;
use tokio::time::Instant;

use super::text;
use crate::params::Params;

/// Failures from one address before it is banned (qBittorrent's `web_ui_max_auth_fail_count`).
const FAILURES: u32 = 5;
/// How long it is banned then. Everybody behind one gateway shares an address, so it is short; guessing is hopeless all the same.
const BAN: Duration = Duration::from_secs(60);
/// A session that was not used for so long ends (qBittorrent's default).
const SESSION: Duration = Duration::from_secs(3600);
/// Sessions at once; the one not used for longest makes room.
const SESSIONS: usize = 1000;
/// Addresses whose failures are remembered.
const ADDRESSES: usize = 10_000;

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

#[derive(Debug, Default)]
struct State {
    /// Sessions by the hash of their id, with their last use.
    sessions: HashMap<Digest32, Instant>,
    /// Failures in a row by address, with the last one.
    failures: HashMap<IpAddr, (u32, Instant)>,
}

/// Sessions and failures.
pub(super) struct Auth {
    credentials: Credentials,
    state: Mutex<State>,
}

impl Auth {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            state: Mutex::default(),
        }
    }

    /// Whether everybody who can connect may call.
    pub(super) fn is_open(&self) -> bool {
        self.credentials.is_open()
    }

    /// Whether a call may be made.
    pub(super) fn check(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<(), Refusal> {
        if self.credentials.is_open() || self.has_session(headers) {
            return Ok(());
        }
        let Some(shown) = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
        else {
            return Err(Refusal::NoSession);
        };
        if self.is_banned(peer) {
            return Err(Refusal::Banned);
        }
        let (scheme, rest) = shown.split_once(' ').unwrap_or((shown, ""));
        let good = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => self.is_key(rest.trim()),
            "basic" => BASE64
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
        };
        self.count(peer, good);
        match good {
            true => Ok(()),
            false => Err(Refusal::Wrong),
        }
    }

    /// `auth/login`.
    pub(super) fn login(&self, params: &Params, peer: Option<IpAddr>) -> Response {
        let user = params.get("username").unwrap_or_default();
        let password = params.get("password").unwrap_or_default();
        if self.is_banned(peer) {
            return banned();
        }
        let good = self.credentials.is_open() || self.is_login(user, password);
        self.count(peer, good);
        if !good {
            tracing::warn!(?peer, "a login to the qBittorrent API failed");
            return text(StatusCode::OK, "Fails.");
        }
        let mut answer = text(StatusCode::OK, "Ok.");
        match self.begin() {
            Some(cookie) => {
                answer.headers_mut().insert(header::SET_COOKIE, cookie);
                answer
            }
            None => text(StatusCode::INTERNAL_SERVER_ERROR, "no random numbers"),
        }
    }

    /// Ends the session.
    pub(super) fn logout(&self, headers: &HeaderMap) {
        let mut state = self.state();
        for id in session_ids(headers) {
            state.sessions.remove(&digest(id));
        }
    }

    fn begin(&self) -> Option<HeaderValue> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).ok()?;
        let id = BASE64URL_NOPAD.encode(&random);
        let now = Instant::now();
        let mut state = self.state();
        state.sessions.retain(|_, used| now - *used < SESSION);
        if state.sessions.len() >= SESSIONS
            && let Some(oldest) = state.sessions.iter().min_by_key(|(_, used)| **used)
        {
            let oldest = *oldest.0;
            state.sessions.remove(&oldest);
        }
        state.sessions.insert(digest(&id), now);
        HeaderValue::try_from(format!("SID={id}; HttpOnly; SameSite=Strict; path=/")).ok()
    }

    fn has_session(&self, headers: &HeaderMap) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        // Looking a hash up tells nothing about the id by the time it takes.
        session_ids(headers).any(|id| match state.sessions.get_mut(&digest(id)) {
            Some(used) if now - *used < SESSION => {
                *used = now;
                true
            }
            _ => false,
        })
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

    fn is_banned(&self, peer: Option<IpAddr>) -> bool {
        let state = self.state();
        let failures = peer.and_then(|peer| state.failures.get(&peer));
        failures.is_some_and(|(count, last)| *count >= FAILURES && last.elapsed() < BAN)
    }

    fn count(&self, peer: Option<IpAddr>, good: bool) {
        let Some(peer) = peer else { return };
        let now = Instant::now();
        let mut state = self.state();
        if good {
            state.failures.remove(&peer);
            return;
        }
        state.failures.retain(|_, (_, last)| now - *last < BAN);
        if state.failures.len() < ADDRESSES || state.failures.contains_key(&peer) {
            let failures = state.failures.entry(peer).or_insert((0, now));
            *failures = (failures.0 + 1, now);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
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

fn session_ids(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix("SID="))
}
