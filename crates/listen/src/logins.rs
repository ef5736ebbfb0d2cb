//! Who calls: users with passwords by Basic, tokens by Bearer, for every front that has no login of
//! its own shape.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::recent::Recent;
use crate::shown::Shown;
use crate::users::{User, Users};
use crate::{Attempts, Caller, Digest32, Network, Tokens, TooMany};

/// Passwords that are hashed at one time: each takes 19 MiB and a processor.
const AT_ONCE: usize = 2;
/// How long a call waits for that.
const WAIT: Duration = Duration::from_secs(10);
/// How long a verified password is remembered: a player that shows it with each of a thousand
/// ranges costs one hash in that time.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Verified passwords that are remembered, of all callers.
const MOST: usize = 1000;

/// Why a call is refused. As an answer: 401 with `WWW-Authenticate`, 429, or 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nothing was shown. Clients call so first, and it counts as no failure.
    NotLoggedIn,
    /// What was shown is wrong.
    Wrong,
    /// This address showed wrong logins too often, and has to wait for a minute.
    TooMany,
    /// Others' passwords are being hashed.
    Busy,
}

impl From<TooMany> for Refused {
    fn from(_: TooMany) -> Self {
        Self::TooMany
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, words, wait) = match self {
            Self::NotLoggedIn | Self::Wrong => (StatusCode::UNAUTHORIZED, "log in\n", None),
            Self::TooMany => {
                let words = "too many wrong logins, wait for a minute\n";
                (StatusCode::TOO_MANY_REQUESTS, words, Some("60"))
            }
            Self::Busy => {
                let words = "other logins are being checked, try again in a moment\n";
                (StatusCode::SERVICE_UNAVAILABLE, words, Some("5"))
            }
        };
        let mut answer = (status, words).into_response();
        let headers = answer.headers_mut();
        match wait {
            Some(wait) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(wait));
            }
            None => {
                for challenge in [
                    "Basic realm=\"debridfs\", charset=\"UTF-8\"",
                    "Bearer realm=\"debridfs\"",
                ] {
                    let challenge = HeaderValue::from_static(challenge);
                    headers.append(header::WWW_AUTHENTICATE, challenge);
                }
            }
        }
        answer
    }
}

/// Tells callers apart. Clones share everything.
///
/// A wrong password takes as long whether there is a user of that name or not. A verified one is
/// remembered for ten minutes by a keyed digest, for the network it came from.
#[derive(Debug, Clone)]
pub struct Logins {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    users: RwLock<Arc<Users>>,
    tokens: Arc<Tokens>,
    attempts: Arc<Attempts>,
    remembered: Mutex<Recent<Proof, (Arc<User>, Instant)>>,
    turns: Arc<Semaphore>,
    hashed: AtomicU64,
}

/// A user name with a password, by their keyed digest, as shown from one network.
type Proof = (Option<Network>, Digest32);

impl Logins {
    /// Lets in who shows one of `tokens`, and no user before [`Self::set_users`]. Wrong logins are
    /// counted in `attempts`.
    pub fn new(tokens: Arc<Tokens>, attempts: Arc<Attempts>) -> Self {
        Self {
            shared: Arc::new(Shared {
                users: RwLock::new(Arc::new(Users::none())),
                tokens,
                attempts,
                remembered: Mutex::new(Recent::new(MOST)),
                turns: Arc::new(Semaphore::new(AT_ONCE)),
                hashed: AtomicU64::new(0),
            }),
        }
    }

    /// From now on these are the users. What was remembered of others is forgotten.
    ///
    /// # Errors
    /// The system gives no random numbers: the users are those of before.
    pub fn set_users(&self, users: Vec<User>) -> io::Result<()> {
        let users = Arc::new(Users::new(users)?);
        let mut now = self.shared.users.write();
        *now = users;
        *self.shared.remembered.lock() = Recent::new(MOST);
        Ok(())
    }

    /// Passwords that were hashed since the start, right or wrong.
    pub fn hashed(&self) -> u64 {
        self.shared.hashed.load(Ordering::Relaxed)
    }

    /// Who calls, by the `Authorization` of `headers`: `Basic` with a user and its password, or with
    /// the name of a token and its text for clients that know no other; `Bearer` with the text of a
    /// token. `front` is what the log calls the listener, `peer` the caller's address.
    ///
    /// Ask with every request, whatever its method: OPTIONS and PROPFIND tell of files as well.
    ///
    /// # Errors
    /// [`Refused`], which is an answer.
    pub async fn caller(
        &self,
        front: &'static str,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<Caller, Refused> {
        match Shown::of(headers) {
            Shown::Nothing => Err(Refused::NotLoggedIn),
            Shown::Bearer(token) => self.bearer(front, peer, &token),
            Shown::Basic { user, password } => self.basic(front, peer, user, password).await,
        }
    }

    fn bearer(&self, front: &str, peer: Option<IpAddr>, token: &str) -> Result<Caller, Refused> {
        let mut found = None;
        let is_good = || {
            found = self.shared.tokens.caller(token);
            found.is_some()
        };
        let attempts = &self.shared.attempts;
        attempts.judge(peer, front, Some(token), is_good)?;
        found.ok_or(Refused::Wrong)
    }

    async fn basic(
        &self,
        front: &'static str,
        peer: Option<IpAddr>,
        name: String,
        password: String,
    ) -> Result<Caller, Refused> {
        let shared = &self.shared;
        let token = shared.tokens.caller(&password);
        if token.is_some_and(|token| token.name == name) {
            return self.bearer(front, peer, &password);
        }
        let proof = (peer.map(Network::of), shared.digest(&name, &password));
        // Also a right one waits, or a guesser behind the same address would be told.
        if shared.attempts.has_to_wait(peer) {
            return Err(Refused::TooMany);
        }
        if let Some(user) = shared.recall(&proof) {
            return Ok(user.caller());
        }
        let turn = timeout(WAIT, shared.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Refused::Busy);
        };
        // A client's first calls come side by side: one of them was hashed meanwhile.
        if let Some(user) = shared.recall(&proof) {
            return Ok(user.caller());
        }
        shared.attempts.begin(peer)?;
        let shared = shared.clone();
        // The thread ends its work also when the caller hangs up: a good login is then forgiven.
        let verified = tokio::task::spawn_blocking(move || {
            let user = shared.verify(&name, &password);
            match &user {
                Some(user) => {
                    shared.attempts.forgive(peer);
                    shared.remember(proof, user);
                }
                None => shared.attempts.failed(peer, front),
            }
            // The next one in turn finds it remembered.
            drop(turn);
            user
        });
        let user = verified.await.map_err(|_| Refused::Busy)?;
        user.map(|user| user.caller()).ok_or(Refused::Wrong)
    }
}

impl Shared {
    /// The user, if this is its password. One hash is made in any case.
    fn verify(&self, name: &str, password: &str) -> Option<Arc<User>> {
        let users = self.users.read().clone();
        let (hash, user) = users.pick(name);
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let is_good = hash.is_of(password);
        user.filter(|_| is_good).cloned()
    }

    fn digest(&self, name: &str, password: &str) -> Digest32 {
        let users = self.users.read().clone();
        users.digest(&[name.as_bytes(), b"\0", password.as_bytes()])
    }

    fn recall(&self, proof: &Proof) -> Option<Arc<User>> {
        let remembered = self.remembered.lock();
        let (user, since) = remembered.get(proof)?;
        (since.elapsed() < REMEMBERED).then(|| user.clone())
    }

    fn remember(&self, proof: Proof, user: &Arc<User>) {
        // Held so that users that are set meanwhile find an empty table.
        let users = self.users.read();
        if users.has(user) {
            let entry = (user.clone(), Instant::now());
            self.remembered.lock().put(proof, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use data_encoding::BASE64;
    use jiff::Timestamp;

    use super::*;
    use crate::{HashedPassword, Right, TokenRights};

    /// Failures before an address has to wait.
    const FAILURES: usize = 5;

    struct World {
        _dir: tempfile::TempDir,
        tokens: Arc<Tokens>,
        token: String,
        logins: Logins,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let tokens = Arc::new(Tokens::new(dir.path()));
            let now = Timestamp::UNIX_EPOCH;
            tokens.load(now).unwrap();
            let token = tokens.create("kodi", TokenRights::default(), now).unwrap();
            let logins = Logins::new(tokens.clone(), Arc::default());
            logins.set_users(vec![anna()]).unwrap();
            Self {
                _dir: dir,
                tokens,
                token,
                logins,
            }
        }

        async fn ask(&self, from: u8, authorization: &str) -> Result<Caller, Refused> {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::try_from(authorization).unwrap();
            headers.insert(header::AUTHORIZATION, value);
            self.logins.caller("test", address(from), &headers).await
        }

        async fn basic(&self, from: u8, user: &str, password: &str) -> Result<Caller, Refused> {
            let text = BASE64.encode(format!("{user}:{password}").as_bytes());
            self.ask(from, &format!("Basic {text}")).await
        }
    }

    fn anna() -> User {
        User {
            name: "anna".into(),
            password: HashedPassword::of("pass:word").unwrap(),
            root: "films".into(),
            may: vec![Right::Read, Right::Manage],
        }
    }

    fn address(from: u8) -> Option<IpAddr> {
        Some(Ipv4Addr::new(192, 0, 2, from).into())
    }

    #[tokio::test]
    async fn users_and_tokens_are_let_in_with_what_they_may() {
        let world = World::new();
        let anna = world.basic(1, "anna", "pass:word").await.unwrap();
        assert_eq!((anna.name.as_str(), anna.root.as_str()), ("anna", "films"));
        assert!(anna.may(Right::Manage));
        let kodi = world.ask(1, &format!("Bearer {}", world.token)).await;
        let kodi = kodi.unwrap();
        assert_eq!(kodi.name, "kodi");
        assert!(kodi.may(Right::Read) && !kodi.may(Right::Manage));
        let by_basic = world.basic(1, "kodi", &world.token).await;
        assert_eq!(by_basic, Ok(kodi));
        assert_eq!(world.logins.hashed(), 1, "tokens cost none");
        // It is the password of its own name alone.
        let by_other = world.basic(3, "anna", &world.token).await;
        assert_eq!(by_other, Err(Refused::Wrong));

        world.tokens.revoke("kodi").unwrap();
        let bearer = world.ask(2, &format!("Bearer {}", world.token)).await;
        assert_eq!(bearer, Err(Refused::Wrong));
        let basic = world.basic(2, "kodi", &world.token).await;
        assert_eq!(basic, Err(Refused::Wrong));
        let nothing = world.logins.caller("test", None, &HeaderMap::new()).await;
        assert_eq!(nothing, Err(Refused::NotLoggedIn));
    }

    #[tokio::test]
    async fn a_wrong_password_is_the_same_work_whether_there_is_such_a_user_or_not() {
        let world = World::new();
        for (from, name, password) in [
            (1, "anna", "wrong"),
            (2, "nobody", "wrong"),
            (3, "nobody", "pass:word"),
            (4, "", ""),
            (5, "kodi", "wrong"),
        ] {
            let before = world.logins.hashed();
            let answer = world.basic(from, name, password).await;
            assert_eq!(answer, Err(Refused::Wrong), "{name:?}");
            assert_eq!(world.logins.hashed(), before + 1, "{name:?}");
        }
        world.logins.set_users(Vec::new()).unwrap();
        let before = world.logins.hashed();
        let answer = world.basic(6, "anna", "pass:word").await;
        assert_eq!(answer, Err(Refused::Wrong));
        assert_eq!(world.logins.hashed(), before + 1);
    }

    #[tokio::test]
    async fn a_thousand_ranges_cost_one_hash_for_each_network_and_ten_minutes() {
        let world = World::new();
        let first = (0..20).map(|_| world.basic(1, "anna", "pass:word"));
        for caller in futures_util::future::join_all(first).await {
            caller.unwrap();
        }
        // Two were hashed side by side, before either was remembered.
        let hashed = world.logins.hashed();
        assert!(hashed <= AT_ONCE as u64, "{hashed}");
        for _ in 0..1000 {
            world.basic(1, "anna", "pass:word").await.unwrap();
        }
        assert_eq!(world.logins.hashed(), hashed);
        world.basic(2, "anna", "pass:word").await.unwrap();
        assert_eq!(world.logins.hashed(), hashed + 1, "another network");
        tokio::time::pause();
        tokio::time::advance(REMEMBERED).await;
        tokio::time::resume();
        world.basic(1, "anna", "pass:word").await.unwrap();
        assert_eq!(world.logins.hashed(), hashed + 2, "it is old");
        // Another password for anna: what was remembered is of no use.
        let other = HashedPassword::of("other").unwrap();
        let changed = User {
            password: other,
            ..anna()
        };
        world.logins.set_users(vec![changed]).unwrap();
        let answer = world.basic(1, "anna", "pass:word").await;
        assert_eq!(answer, Err(Refused::Wrong));
    }

    #[tokio::test]
    async fn guessers_wait_and_learn_nothing_meanwhile() {
        let world = World::new();
        world.basic(1, "anna", "pass:word").await.unwrap();
        let bearer = format!("Bearer {}", world.token);
        world.ask(1, &bearer).await.unwrap();
        for number in 0..FAILURES {
            let answer = world.basic(1, "anna", &format!("guess {number}")).await;
            assert_eq!(answer, Err(Refused::Wrong));
        }
        let hashed = world.logins.hashed();
        for password in ["guess", "pass:word"] {
            let answer = world.basic(1, "anna", password).await;
            assert_eq!(answer, Err(Refused::TooMany), "{password}");
        }
        assert_eq!(world.logins.hashed(), hashed, "no work for it");
        // A token that was right from here goes on, by either way of showing it.
        assert!(world.ask(1, &bearer).await.is_ok());
        assert!(world.basic(1, "kodi", &world.token).await.is_ok());
        assert!(world.basic(2, "anna", "pass:word").await.is_ok());
    }

    #[tokio::test]
    async fn a_good_login_counts_as_no_failure_though_its_caller_hangs_up() {
        let world = World::new();
        for _ in 0..2 * FAILURES {
            world.logins.set_users(vec![anna()]).unwrap();
            let mut login = Box::pin(world.basic(1, "anna", "pass:word"));
            let polled = futures_util::poll!(&mut login);
            assert!(polled.is_pending());
            drop(login);
            // The thread that hashes gives its turn back at the end.
            let turns = world.logins.shared.turns.clone();
            drop(turns.acquire_many(AT_ONCE as u32).await.unwrap());
        }
        assert!(world.basic(1, "anna", "pass:word").await.is_ok());
        assert_eq!(world.logins.shared.attempts.failures(), 0);
    }

    #[test]
    fn a_refusal_says_how_to_log_in() {
        let answer = Refused::Wrong.into_response();
        assert_eq!(answer.status(), 401);
        let challenges = answer.headers().get_all(header::WWW_AUTHENTICATE);
        let schemes: Vec<_> = challenges
            .iter()
            .map(|value| value.to_str().unwrap().split(' ').next().unwrap())
            .collect();
        assert_eq!(schemes, ["Basic", "Bearer"]);
        for (refused, status) in [(Refused::TooMany, 429), (Refused::Busy, 503)] {
            let answer = refused.into_response();
            assert_eq!(answer.status(), status);
            assert!(answer.headers().contains_key(header::RETRY_AFTER));
        }
    }
}
