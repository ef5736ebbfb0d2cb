//! Who may see the pages: a session by cookie, or a token with every call. Without a login only a browser on this machine.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use debridfs_listen::{
    Attempts, Caller, Digest32, HashedPassword, Lifetime, Logins, OWN, Refused, Right, Sessions,
    TooMany, digest, forwarding, has_foreign, is_cross_site, is_digest_of, is_rebound, random,
};
use tokio::sync::Semaphore;

/// When a session ends by itself.
const LIFETIME: Lifetime = Lifetime {
    idle: Duration::from_secs(24 * 3600),
    longest: Duration::from_secs(30 * 24 * 3600),
};
/// Passwords that are compared at once: each takes 19 MiB.
const COMPARISONS: usize = 2;
/// The name of the front in the log.
const FRONT: &str = "pages";
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
        let token = self.token.as_ref();
        token.is_some_and(|token| is_digest_of(token, text))
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
    /// There is no login, and a proxy passes the call on for somebody else.
    Forwarded,
    /// There is no login, and the host's name could be anybody's (DNS rebinding).
    Name,
    /// A browser sends it for a page of another site.
    Foreign,
}

impl From<TooMany> for Refusal {
    fn from(_: TooMany) -> Self {
        Self::Busy
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotLoggedIn => Self::NoSession,
            Refused::Wrong => Self::Wrong,
            Refused::TooMany | Refused::Busy => Self::Busy,
        }
    }
}

/// The door.
pub(super) struct Gate {
    login: Login,
    /// Whether only this machine reaches the server.
    loopback: bool,
    /// What the forms hold that are shown without a session.
    csrf: String,
    comparisons: Semaphore,
    /// Each with what its forms hold.
    sessions: Sessions<String>,
    attempts: Arc<Attempts>,
}

impl Gate {
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn new(login: Login, loopback: bool, attempts: Arc<Attempts>) -> io::Result<Self> {
        Ok(Self {
            login,
            loopback,
            csrf: random()?,
            comparisons: Semaphore::new(COMPARISONS),
            sessions: Sessions::new(COOKIE, LIFETIME),
            attempts,
        })
    }

    /// Whether there is a login, so that logging out means something.
    pub(super) fn has_login(&self) -> bool {
        !self.login.is_open()
    }

    /// What is refused before anybody's right is looked at.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match self.login.is_open() {
            true if !self.loopback => Err(Refusal::Closed),
            true if forwarding(headers).is_some() => Err(Refusal::Forwarded),
            true if is_rebound(headers) => Err(Refusal::Name),
            _ => Ok(()),
        }
    }

    /// Refuses a change that a browser sends for a page of another site.
    pub(super) fn check_change(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match is_cross_site(headers) || has_foreign(headers, &[header::ORIGIN]) {
            true => Err(Refusal::Foreign),
            false => Ok(()),
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
        if let Some(csrf) = self.sessions.find(headers) {
            let by = By::Session;
            return Ok(Visitor { csrf, by });
        }
        match bearer(headers) {
            Some(token) => {
                let is_good = || self.login.is_token(token);
                match self.attempts.judge(peer, FRONT, Some(token), is_good)? {
                    true => Ok(self.anybody(By::Token)),
                    false => Err(Refusal::Wrong),
                }
            }
            None => Err(Refusal::NoSession),
        }
    }

    /// Who calls the API: a user or token of `logins`, or whoever may see the pages, who may do
    /// everything there.
    pub(super) async fn caller(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        logins: &Logins,
    ) -> Result<Caller, Refusal> {
        if let Some(token) = bearer(headers).filter(|token| self.login.is_token(token)) {
            // Also the right one waits after wrong ones.
            self.attempts.judge(peer, FRONT, Some(token), || true)?;
            return Ok(manager("the token of the pages"));
        }
        if headers.contains_key(header::AUTHORIZATION) {
            let caller = logins.caller(FRONT, peer, headers).await?;
            // It lies in files that others read.
            return match caller.name == OWN {
                true => Err(Refusal::Wrong),
                false => Ok(caller),
            };
        }
        if self.sessions.find(headers).is_some() {
            return Ok(manager("a session of the pages"));
        }
        match self.login.is_open() {
            true => self.check_origin(headers).map(|()| manager("this machine")),
            false => Err(Refusal::NoSession),
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
        self.attempts.begin(peer)?;
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
            self.attempts.failed(peer, FRONT);
            return Err(Refusal::Wrong);
        }
        self.attempts.forgive(peer);
        self.begin(secure).ok_or(Refusal::Busy)
    }

    /// Ends the session; the cookie that says so.
    pub(super) fn log_out(&self, headers: &HeaderMap) -> HeaderValue {
        self.sessions.end(headers);
        HeaderValue::from_static("debridfs_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0")
    }

    fn begin(&self, secure: bool) -> Option<HeaderValue> {
        let secure = if secure { "; Secure" } else { "" };
        let seconds = LIFETIME.longest.as_secs();
        let attributes = format!("; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}");
        self.sessions.begin(random().ok()?, &attributes)
    }
}

/// The token that is shown.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = shown.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// One who may do everything.
fn manager(name: &str) -> Caller {
    Caller {
        name: name.to_owned(),
        root: String::new(),
        may: vec![Right::Read, Right::Manage],
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Failures before an address has to wait, and how long.
    const FAILURES: u32 = 5;
    const BAN: Duration = Duration::from_secs(60);
    const IDLE: Duration = LIFETIME.idle;
    const LONGEST: Duration = LIFETIME.longest;
    const PEER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    fn gate() -> Gate {
        Gate::new(Login::new(None, Some("token")), false, Arc::default()).unwrap()
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
        let gate = Gate::new(Login::new(Some(password), None), false, Arc::default()).unwrap();
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
        let open = Gate::new(Login::default(), true, Arc::default()).unwrap();
        for host in ["127.0.0.1:8282", "localhost", "[::1]:8282"] {
            assert_eq!(open.check_origin(&at(host)), Ok(()), "{host}");
        }
        let rebound = open.check_origin(&at("evil.example:8282"));
        assert_eq!(rebound, Err(Refusal::Name));
        for name in ["forwarded", "x-forwarded-for", "x-real-ip", "via"] {
            let mut passed_on = at("127.0.0.1:8282");
            passed_on.insert(name, HeaderValue::from_static("203.0.113.7"));
            let refused = open.check_origin(&passed_on);
            assert_eq!(refused, Err(Refusal::Forwarded), "{name}");
            assert_eq!(gate().check_origin(&passed_on), Ok(()), "with a login");
        }
        let wide = Gate::new(Login::default(), false, Arc::default()).unwrap();
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
