//! A server of the pages on a port of its own, and a client that sends what it is told to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use axum::{Extension, Router};
use bytes::Bytes;
use debridfs_control::{
    Accepting, CachedLine, Instance, QueuedJob, ReleaseLine, ReleaseList, ReleaseQuery, Status,
    ViewLine, WhyEvent, WhyFile, WhyReport, WhyState,
};
use debridfs_listen::{Caller, Limits, Listeners, Logins, OWN, TokenRights, Tokens};
use debridfs_web::{Changing, Login, PageSource, Pages, QueueChange, pages_router};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

/// What the pages are asked to show, and what they asked for.
#[derive(Default)]
pub struct Fake {
    pub releases: Vec<ReleaseLine>,
    pub jobs: Mutex<Vec<QueuedJob>>,
    pub log: Vec<String>,
    pub cached: Vec<CachedLine>,
    pub problem: String,
    /// Changes that were asked for.
    pub changes: Mutex<Vec<QueueChange>>,
    /// Why they are refused, if they are.
    pub refusal: Option<String>,
}

/// Who calls, as the API is told.
async fn who(Extension(caller): Extension<Caller>) -> String {
    let may: Vec<_> = caller.may.iter().map(|right| right.word()).collect();
    format!("{}: {}", caller.name, may.join(","))
}

/// One token, which is called `reader`, with its text.
fn tokens() -> (Arc<Tokens>, String) {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::new(dir.path());
    tokens.load(at()).unwrap();
    let text = tokens
        .create("reader", TokenRights::default(), at())
        .unwrap();
    (Arc::new(tokens), text)
}

pub fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

pub fn release(name: impl Into<String>) -> ReleaseLine {
    ReleaseLine {
        name: name.into(),
        hash: "ab".repeat(20),
        bytes: 3 << 30,
        files: Some(2),
        added: at(),
        providers: vec!["rd".into()],
        bad: None,
    }
}

pub fn job(name: &str) -> QueuedJob {
    QueuedJob {
        hash: "ab".repeat(20),
        name: name.into(),
        category: "tv".into(),
        step: "waiting".into(),
        stopped: false,
        progress: 0.25,
        bytes: 1 << 30,
        added: at(),
        completed: None,
        path: "/downloads/tv".into(),
        evidence: None,
        told: None,
        reason: None,
        provider: None,
        route: None,
        blocked: false,
    }
}

impl Instance for Fake {
    fn status(&self) -> Status {
        let status = json!({
            "version": "0.1.0", "healthy": self.problem.is_empty(), "problems": [self.problem],
            "attention": [{ "kind": "port", "subject": self.problem, "words": self.problem, "help": self.problem, "since": at() }],
            "keeper": { "pid": 1, "restarts": 0, "last_death": null },
            "engine": { "pid": 2, "state": "serving", "started": "2026-11-21T04:00:00Z" },
            "mount": { "path": "/mnt/dfs", "since": null }, "backend": "native",
            "library": { "listed": true, "releases": self.releases.len(), "bad": 0, "unknown": 0, "files": 2, "bytes": 5,
                         "updated": null, "age_seconds": null, "full_list": null, "sync_seconds_left": null, "held": [] },
            "providers": [{ "name": "rd", "kind": "real-debrid", "healthy": true, "budget_left": 200, "budget_per_minute": 250,
                            "calls": 7, "failures": 1, "waiting": 0, "cooldown_seconds": 1.5, "last_error": null,
                            "account": { "plan": "pro", "premium": true, "expires": "2027-01-01T00:00:00Z", "slots_used": 2, "slots": 10, "fair_use": 0.37, "read": at() },
                            "keys": [{ "number": 1, "id": "3fa9c1d2", "calls": 1,
                                       "budgets": [{ "calls": "all", "used": 50, "limit": 250, "seconds": 60 },
                                                   { "calls": "create", "used": 3, "limit": 60, "seconds": 3600 }], "refused": null, "traffic_counted": 1,
                                       "traffic_used": 1 << 30, "traffic_limit": 1_u64 << 40, "playback_only": false,
                                       "used_up": false, "traffic_resets": null }] }],
            "content": { "memory_used": 0, "memory_limit": 1, "fetched": 0, "served": 0, "requests": 0, "connections": 0,
                         "links_resolved": 0, "read_errors": 0,
                         "cache": { "usable": true, "files": 1, "bytes": 1, "limit": 4, "probe_bytes": 0, "probe_limit": 0,
                                    "hits": 0, "misses": 0, "hit_bytes": 0, "written": 0, "evicted": 0, "skipped": 0,
                                    "bypasses": 0, "errors": 0, "damaged": 0 } },
            "last_error": null,
        });
        serde_json::from_value(status).unwrap()
    }

    fn why(&self, path: &str) -> Result<WhyReport, String> {
        if path == "gone" {
            return Err(format!("{path} is not in the library"));
        }
        Ok(WhyReport {
            path: path.to_owned(),
            state: WhyState::Trouble,
            summary: "the provider gives no link at the moment".into(),
            files: vec![WhyFile {
                path: path.to_owned(),
                size: 7,
                sources: 1,
                state: WhyState::Trouble,
                events: vec![WhyEvent {
                    first: at(),
                    last: at(),
                    count: 3,
                    what: "no_link".into(),
                    provider: "rd".into(),
                    detail: path.to_owned(),
                }],
                ..WhyFile::default()
            }],
            ..WhyReport::default()
        })
    }

    fn accept_loss(&self) -> Accepting {
        unreachable!("not a matter of the pages")
    }
}

impl PageSource for Fake {
    fn views(&self) -> Vec<ViewLine> {
        let all = |name: &str| ViewLine {
            name: name.into(),
            releases: self.releases.len(),
        };
        vec![all("__all__"), all("__bad__")]
    }

    fn releases(&self, query: &ReleaseQuery) -> Option<ReleaseList> {
        if !self.views().iter().any(|view| view.name == query.view) {
            return None;
        }
        let found = self.releases.iter();
        let found: Vec<_> = found.filter(|one| one.name.contains(&query.text)).collect();
        let shown = found.iter().skip(query.skip).take(query.limit);
        Some(ReleaseList {
            total: found.len(),
            lines: shown.map(|line| (*line).clone()).collect(),
        })
    }

    fn queue(&self) -> Option<Vec<QueuedJob>> {
        Some(self.jobs.lock().unwrap().clone())
    }

    fn categories(&self) -> Vec<String> {
        vec!["tv".into()]
    }

    fn change_queue(&self, change: QueueChange) -> Changing {
        self.changes.lock().unwrap().push(change);
        let refusal = self.refusal.clone();
        Box::pin(async move { refusal.map_or(Ok(()), Err) })
    }

    fn cached(&self) -> Result<Vec<CachedLine>, String> {
        Ok(self.cached.clone())
    }

    fn log(&self) -> Vec<String> {
        self.log.clone()
    }
}

/// An answer.
pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The hidden field that every form has.
    pub fn csrf(&self) -> String {
        let (_, rest) = self
            .body
            .split_once("name=\"csrf\" value=\"")
            .expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }
}

/// A server of the pages.
pub struct Site {
    address: SocketAddr,
    pub fake: Arc<Fake>,
    /// The text of a token that lets read.
    pub reader: String,
    /// The text of the one for `.strm` files, as older versions made it.
    pub strm: String,
}

impl Site {
    /// Serves what `fake` shows to whoever `login` lets in.
    pub async fn new(fake: Fake, login: Login) -> Self {
        Self::at(fake, login, true).await
    }

    /// As `new`, at an address that is said to be a loopback one or not.
    pub async fn at(fake: Fake, login: Login, loopback: bool) -> Self {
        let fake = Arc::new(fake);
        let listeners = Listeners::new(Limits::default());
        let (tokens, reader) = tokens();
        let strm = tokens.create(OWN, TokenRights::default(), at()).unwrap();
        let router = pages_router(Pages {
            instance: fake.clone(),
            source: fake.clone(),
            login,
            loopback,
            attempts: listeners.attempts().clone(),
            api: Router::new().route("/api/v1/who", any(who)),
            logins: Logins::new(tokens, listeners.attempts().clone()),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(listeners.front("test").serve(listener, router.unwrap()));
        Self {
            address,
            fake,
            reader,
            strm,
        }
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.call(Method::GET, path, headers, Bytes::new()).await
    }

    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.call(Method::POST, path, headers, body.into()).await
    }

    /// A body of a kind that `headers` tell.
    pub async fn post_body(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        self.call(Method::POST, path, headers, body.into()).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let driver = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", self.address.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        driver.abort();
        Answer {
            code: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}
