//! Who may see the pages: a session by cookie, or a token with every call. Without a login only a browser on this machine.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use data_encoding::BASE64URL_NOPAD;
use debridfs_callers::{Digest32, authority, digest, is_local, text};
use parking_lot::{Mutex, MutexGuard};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::HashedPassword;

/// Failures from one address before it has to wait.
const FAILURES: u32 = 5;
/// How long it waits then. Everybody behind one gateway has one address, so it is short.
const BAN: Duration = Duration::from_secs(60);
/// Addresses whose failures are remembered.
const ADDRESSES: usize = 10_000;
/// A session that was not used for so long ends.
const IDLE: Duration = Duration::from_secs(24 * 3600);
/// No session lives longer: a page that is left open keeps it in use.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// Sessions at once; the one not used for longest makes room.
const SESSIONS: usize = 1000;
/// Passwords that are compared at once: each takes 19 MiB.
const COMPARISONS: usize = 2;
/// The session's cookie.
const COOKIE: &str = "debridfs_session";

/// What is asked of whoever wants to see the pages.
#[derive(Clone, Default)]
pub struct Login {
    password: Option<HashedPassword>,
    token: Option<Digest32>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Login")
            .field("password", &self.password.is_some())
            .field("token", &self.token.is_some())
            .finish()
    }
}

impl Login {
    /// Either of them lets in; none of them: nobody has to log in.
    pub fn new(password: Option<HashedPassword>, token: Option<&str>) -> Self {
        Self {
            password,
            token: token.map(digest),
        }
    }

    /// Whether nobody has to log in.
    pub fn is_open(&self) -> bool {
        self.password.is_none() && self.token.is_none()
    }

    fn is_token(&self, text: &str) -> bool {
        let digest = digest(text);
        self.token
            .is_some_and(|token| bool::from(token.ct_eq(&digest)))
    }
}

/// Somebody who may see the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visitor {
    /// What each form has to hold: a page of another site cannot know it.
    pub(super) csrf: String,
    /// How they came in.
    pub(super) by: By,
}

/// How a visitor came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// There is no login.
    Nothing,
    /// A session.
    Session,
    /// A token in a header, which no browser adds by itself.
    Token,
}

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing was shown, or a session that has ended.
    NoSession,
    /// What was shown is wrong.
    Wrong,
    /// Too many wrong things were shown; or too many at once.
    Busy,
    /// There is no login, and the address can be reached from elsewhere.
    Closed,
    /// There is no login, and the host's name could be anybody's (DNS rebinding).
    Name,
    /// A browser sends it for a page of another site.
    Foreign,
}

struct Session {
    csrf: String,
    begun: Instant,
    used: Instant,
}

#[derive(Default)]
struct State {
    /// By the hash of their id: looking one up tells nothing about the id by the time it takes.
    sessions: HashMap<Digest32, Session>,
    /// Failures in a row by address, with the last one.
    failures: HashMap<IpAddr, (u32, Instant)>,
}

/// Sessions and failures.
pub(super) struct Gate {
    login: Login,
    /// Whether only this machine reaches the server.
    loopback: bool,
    /// What the forms hold that are shown without a session.
    csrf: String,
    comparisons: Semaphore,
    state: Mutex<State>,
}

impl Gate {
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn new(login: Login, loopback: bool) -> Result<Self, getrandom::Error> {
        Ok(Self {
            login,
            loopback,
            csrf: random()?,
            comparisons: Semaphore::new(COMPARISONS),
            state: Mutex::default(),
        })
    }

    /// Whether there is a login, so that logging out means something.
    pub(super) fn has_login(&self) -> bool {
        !self.login.is_open()
    }

    /// What is refused before anybody's right is looked at.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = text(headers, header::HOST).unwrap_or_default();
        if self.login.is_open() {
            if !self.loopback {
                return Err(Refusal::Closed);
            }
            if !host.is_empty() && !is_local(host) {
                return Err(Refusal::Name);
            }
        }
        Ok(())
    }

    /// Refuses a change that a browser sends for a page of another site.
    pub(super) fn check_change(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let site = text(headers, HeaderName::from_static("sec-fetch-site"));
        if site.is_some_and(|site| site != "same-origin" && site != "none") {
            return Err(Refusal::Foreign);
        }
        let host = text(headers, header::HOST).unwrap_or_default();
        match text(headers, header::ORIGIN) {
            Some(origin) if authority(origin) != host => Err(Refusal::Foreign),
            _ => Ok(()),
        }
    }

    /// Who asks.
    pub(super) fn visitor(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Visitor, Refusal> {
        if self.login.is_open() {
            return Ok(self.anybody(By::Nothing));
        }
        if let Some(csrf) = self.session(headers) {
            let by = By::Session;
            return Ok(Visitor { csrf, by });
        }
        let shown = text(headers, header::AUTHORIZATION).and_then(|text| text.split_once(' '));
        match shown {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                self.attempt(peer)?;
                if !self.login.is_token(token.trim()) {
                    return Err(Refusal::Wrong);
                }
                self.forgive(peer);
                Ok(self.anybody(By::Token))
            }
            _ => Err(Refusal::NoSession),
        }
    }

    fn anybody(&self, by: By) -> Visitor {
        let csrf = self.csrf.clone();
        Visitor { csrf, by }
    }

    /// Begins a session for whoever knows the password or the token; its cookie.
    pub(super) async fn log_in(
        &self,
        shown: &str,
        peer: Option<IpAddr>,
        secure: bool,
    ) -> Result<HeaderValue, Refusal> {
        let Ok(_turn) = self.comparisons.try_acquire() else {
            return Err(Refusal::Busy);
        };
        // Counted before it is compared, or as many could be tried at once as connections can be made.
        self.attempt(peer)?;
        let good = self.login.is_token(shown)
            || match self.login.password.clone() {
                None => false,
                Some(password) => {
                    let shown = shown.to_owned();
                    let compared = tokio::task::spawn_blocking(move || password.is_of(&shown));
                    compared.await.unwrap_or(false)
                }
            };
        if !good {
            tracing::warn!(?peer, "a login to the pages failed");
            return Err(Refusal::Wrong);
        }
        self.forgive(peer);
        self.begin(secure).ok_or(Refusal::Busy)
    }

    /// Ends the session; the cookie that says so.
    pub(super) fn log_out(&self, headers: &HeaderMap) -> HeaderValue {
        let mut state = self.state();
        for id in session_ids(headers) {
            state.sessions.remove(&digest(id));
        }
        HeaderValue::from_static("debridfs_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0")
    }

    fn begin(&self, secure: bool) -> Option<HeaderValue> {
        let (id, csrf) = (random().ok()?, random().ok()?);
        let now = Instant::now();
        let mut state = self.state();
        state.sessions.retain(|_, session| is_alive(session, now));
        if state.sessions.len() >= SESSIONS
            && let Some((oldest, _)) = state.sessions.iter().min_by_key(|(_, one)| one.used)
        {
            let oldest = *oldest;
            state.sessions.remove(&oldest);
        }
        let (begun, used) = (now, now);
        state
            .sessions
            .insert(digest(&id), Session { csrf, begun, used });
        let secure = if secure { "; Secure" } else { "" };
        let seconds = LONGEST.as_secs();
        HeaderValue::try_from(format!(
            "{COOKIE}={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}"
        ))
        .ok()
    }

    fn session(&self, headers: &HeaderMap) -> Option<String> {
        let now = Instant::now();
        let mut state = self.state();
        session_ids(headers).find_map(|id| {
            let session = state.sessions.get_mut(&digest(id))?;
            if !is_alive(session, now) {
                return None;
            }
            session.used = now;
            Some(session.csrf.clone())
        })
    }

    /// Counts a try, unless there were too many.
    fn attempt(&self, peer: Option<IpAddr>) -> Result<(), Refusal> {
        let Some(peer) = peer else { return Ok(()) };
        let now = Instant::now();
        let mut state = self.state();
        state.failures.retain(|_, (_, last)| now - *last < BAN);
        let known = state.failures.len();
        match state.failures.get_mut(&peer) {
            // Not counted, or whoever shares the address could be kept out for ever.
            Some((count, _)) if *count >= FAILURES => Err(Refusal::Busy),
            Some(failures) => {
                *failures = (failures.0 + 1, now);
                Ok(())
            }
            None if known < ADDRESSES => {
                state.failures.insert(peer, (1, now));
                Ok(())
            }
            None => Err(Refusal::Busy),
        }
    }

    fn forgive(&self, peer: Option<IpAddr>) {
        if let Some(peer) = peer {
            self.state().failures.remove(&peer);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

fn is_alive(session: &Session, now: Instant) -> bool {
    now - session.used < IDLE && now - session.begun < LONGEST
}

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

fn session_ids(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    fn gate() -> Gate {
        Gate::new(Login::new(None, Some("token")), false).unwrap()
    }

    fn with_cookie(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::try_from(pair).unwrap());
        headers
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_end_by_disuse_by_age_and_by_logging_out() {
        let gate = gate();
        let headers = with_cookie(&gate.log_in("token", PEER, false).await.unwrap());
        let first = gate.visitor(&headers, PEER).unwrap();
        assert_eq!(first.by, By::Session);
        assert_ne!(first.csrf, gate.csrf);
        tokio::time::advance(IDLE / 2).await;
        assert!(gate.visitor(&headers, PEER).is_ok());
        tokio::time::advance(IDLE * 3 / 4).await;
        assert!(gate.visitor(&headers, PEER).is_ok(), "it was used since");
        tokio::time::advance(IDLE).await;
        assert_eq!(gate.visitor(&headers, PEER), Err(Refusal::NoSession));

        let headers = with_cookie(&gate.log_in("token", PEER, false).await.unwrap());
        let begun = Instant::now();
        while begun.elapsed() < LONGEST {
            assert!(gate.visitor(&headers, PEER).is_ok());
            tokio::time::advance(IDLE / 2).await;
        }
        assert_eq!(gate.visitor(&headers, PEER), Err(Refusal::NoSession));

        let headers = with_cookie(&gate.log_in("token", PEER, false).await.unwrap());
        gate.log_out(&headers);
        assert_eq!(gate.visitor(&headers, PEER), Err(Refusal::NoSession));
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_is_slowed_down_by_address() {
        let gate = gate();
        for _ in 0..FAILURES {
            let tried = gate.log_in("wrong", PEER, false).await;
            assert_eq!(tried.unwrap_err(), Refusal::Wrong);
        }
        let tried = gate.log_in("token", PEER, false).await;
        assert_eq!(tried.unwrap_err(), Refusal::Busy, "even the right one");
        let mut headers = HeaderMap::new();
        let bearer = HeaderValue::from_static("Bearer token");
        headers.insert(header::AUTHORIZATION, bearer);
        assert_eq!(gate.visitor(&headers, PEER), Err(Refusal::Busy));
        assert_eq!(gate.visitor(&headers, OTHER).unwrap().by, By::Token);
        tokio::time::advance(BAN).await;
        assert!(gate.log_in("token", PEER, false).await.is_ok());
        // What went well is not counted.
        for _ in 0..2 * FAILURES {
            assert!(gate.log_in("token", PEER, false).await.is_ok());
        }
    }

    #[tokio::test]
    async fn passwords_are_compared_a_few_at_a_time() {
        let password = HashedPassword::of("good").unwrap();
        let gate = Gate::new(Login::new(Some(password), None), false).unwrap();
        let turns = gate.comparisons.try_acquire_many(2).unwrap();
        let tried = gate.log_in("good", PEER, false).await;
        assert_eq!(tried.unwrap_err(), Refusal::Busy);
        drop(turns);
        let cookie = gate.log_in("good", PEER, true).await.unwrap();
        for part in ["; HttpOnly", "; SameSite=Strict", "; Secure"] {
            assert!(cookie.to_str().unwrap().contains(part), "{cookie:?}");
        }
        assert_eq!(
            gate.log_in("bad", PEER, false).await.unwrap_err(),
            Refusal::Wrong
        );
    }

    #[test]
    fn without_a_login_only_this_machine_is_answered() {
        let at = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            headers
        };
        let open = Gate::new(Login::default(), true).unwrap();
        for host in ["127.0.0.1:8282", "localhost", "[::1]:8282"] {
            assert_eq!(open.check_origin(&at(host)), Ok(()), "{host}");
        }
        let rebound = open.check_origin(&at("evil.example:8282"));
        assert_eq!(rebound, Err(Refusal::Name));
        let wide = Gate::new(Login::default(), false).unwrap();
        let host = at("192.168.1.2:8282");
        assert_eq!(wide.check_origin(&host), Err(Refusal::Closed));
        assert_eq!(gate().check_origin(&at("evil.example")), Ok(()));
    }

    #[test]
    fn changes_for_other_sites_are_refused() {
        let gate = gate();
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("box:8282"));
            headers.insert(name, HeaderValue::from_static(value));
            gate.check_change(&headers)
        };
        assert_eq!(with("sec-fetch-site", "same-origin"), Ok(()));
        assert_eq!(with("sec-fetch-site", "none"), Ok(()));
        assert_eq!(with("origin", "http://box:8282"), Ok(()));
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "http://evil.example"),
            ("origin", "http://box:8283"),
            ("origin", "null"),
        ] {
            assert_eq!(with(name, value), Err(Refusal::Foreign), "{name}: {value}");
        }
    }
}
