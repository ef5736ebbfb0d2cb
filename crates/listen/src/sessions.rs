//! Who has logged in, by cookie.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::secret::{Digest32, digest, random};

/// Sessions at once; the one not used for longest makes room.
const SESSIONS: usize = 1000;

/// When a session ends by itself.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    /// It was not used for so long.
    pub idle: Duration,
    /// It was begun so long ago: a page that is left open keeps it in use.
    pub longest: Duration,
}

#[derive(Debug)]
struct Session<T> {
    holds: T,
    begun: Instant,
    used: Instant,
}

/// The sessions of one front; each holds a `T`.
#[derive(Debug)]
pub struct Sessions<T> {
    cookie: &'static str,
    lifetime: Lifetime,
    /// By the hash of their id: looking one up tells nothing about the id by the time it takes.
    table: Mutex<HashMap<Digest32, Session<T>>>,
}

impl<T: Clone> Sessions<T> {
    /// None yet; their ids are in the cookie `cookie`.
    pub fn new(cookie: &'static str, lifetime: Lifetime) -> Self {
        Self {
            cookie,
            lifetime,
            table: Mutex::default(),
        }
    }

    /// Begins one; the value of `Set-Cookie`, with `attributes` (`; Path=/`) behind the id. Nothing
    /// where the system gives no random numbers.
    pub fn begin(&self, holds: T, attributes: &str) -> Option<HeaderValue> {
        let id = random().ok()?;
        let now = Instant::now();
        let mut table = self.table.lock();
        table.retain(|_, session| self.is_alive(session, now));
        if table.len() >= SESSIONS
            && let Some((oldest, _)) = table.iter().min_by_key(|(_, session)| session.used)
        {
            let oldest = *oldest;
            table.remove(&oldest);
        }
        let (begun, used) = (now, now);
        table.insert(digest(&id), Session { holds, begun, used });
        HeaderValue::try_from(format!("{}={id}{attributes}", self.cookie)).ok()
    }

    /// What the caller's session holds, if it has one; it is in use now.
    pub fn find(&self, headers: &HeaderMap) -> Option<T> {
        let now = Instant::now();
        let mut table = self.table.lock();
        ids(self.cookie, headers).find_map(|id| {
            let session = table.get_mut(&digest(id))?;
            if !self.is_alive(session, now) {
                return None;
            }
            session.used = now;
            Some(session.holds.clone())
        })
    }

    /// Ends the caller's session.
    pub fn end(&self, headers: &HeaderMap) {
        let mut table = self.table.lock();
        for id in ids(self.cookie, headers) {
            table.remove(&digest(id));
        }
    }

    fn is_alive(&self, session: &Session<T>, now: Instant) -> bool {
        now - session.used < self.lifetime.idle && now - session.begun < self.lifetime.longest
    }
}

fn ids<'a>(cookie: &'a str, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(move |pair| pair.trim().strip_prefix(cookie)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn sessions() -> Sessions<u32> {
        let lifetime = Lifetime {
            idle: HOUR,
            longest: 10 * HOUR,
        };
        Sessions::new("sid", lifetime)
    }

    /// As a browser sends it back, among others.
    fn shown(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        let value = HeaderValue::try_from(format!("a=b; {pair}; sidx=c")).unwrap();
        headers.insert(header::COOKIE, value);
        headers
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_by_disuse_by_age_and_when_it_is_ended() {
        let sessions = sessions();
        let set = sessions.begin(7, "; HttpOnly; Path=/").unwrap();
        assert!(set.to_str().unwrap().ends_with("; HttpOnly; Path=/"));
        let headers = shown(&set);
        assert_eq!(sessions.find(&headers), Some(7));
        assert_eq!(sessions.find(&HeaderMap::new()), None);
        tokio::time::advance(HOUR).await;
        assert_eq!(sessions.find(&headers), None, "not used for an hour");

        let headers = shown(&sessions.begin(8, "").unwrap());
        for _ in 0..19 {
            tokio::time::advance(HOUR / 2).await;
            assert_eq!(sessions.find(&headers), Some(8));
        }
        tokio::time::advance(HOUR / 2).await;
        assert_eq!(sessions.find(&headers), None, "ten hours old");

        let headers = shown(&sessions.begin(9, "").unwrap());
        sessions.end(&headers);
        assert_eq!(sessions.find(&headers), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_session_that_was_not_used_for_longest_makes_room() {
        let sessions = sessions();
        let mut shown_by = Vec::new();
        for number in 0..u32::try_from(SESSIONS).unwrap() {
            shown_by.push(shown(&sessions.begin(number, "").unwrap()));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(sessions.find(&shown_by[0]), Some(0));
        sessions.begin(3, "").unwrap();
        assert_eq!(sessions.find(&shown_by[0]), Some(0), "it was just used");
        assert_eq!(sessions.find(&shown_by[1]), None);
        assert_eq!(sessions.find(&shown_by[2]), Some(2));
    }
}
