//! Stand-ins of Plex, Jellyfin, Emby, a webhook and Discord, as those who are told of changes: they check each call as their documents describe it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Plex Media Server: `X-Plex-Token`, libraries with folders, scans of a folder.
    Plex,
    /// Jellyfin: `Authorization: MediaBrowser Token="…"`.
    Jellyfin,
    /// Emby: `X-Emby-Token`.
    Emby,
    /// Any server that takes JSON with `Authorization: Bearer …`.
    Webhook,
    /// A Discord webhook, whose URL is the secret.
    Discord,
}

#[derive(Debug, Default)]
struct Memory {
    /// Calls that were right, as `METHOD path?query body`.
    told: Vec<String>,
    /// Calls that were wrong, with the reason.
    wrong: Vec<String>,
    /// Answers in place of the true one, the next one first.
    failing: Vec<u16>,
    /// Libraries and their folders.
    sections: Vec<(String, String)>,
}

/// One program. Clones are the same one.
#[derive(Debug, Clone)]
pub struct MediaServer {
    kind: Listener,
    token: String,
    memory: Arc<Mutex<Memory>>,
}

impl MediaServer {
    /// A program that lets in who has `token`.
    pub fn new(kind: Listener, token: &str) -> Self {
        Self {
            kind,
            token: token.to_owned(),
            memory: Arc::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock()
    }

    /// Gives Plex a library with a folder.
    pub fn add_section(&self, key: &str, folder: &str) {
        let section = (key.to_owned(), folder.to_owned());
        self.memory().sections.push(section);
    }

    /// Answers the next calls with these statuses.
    pub fn fail_next(&self, statuses: &[u16]) {
        self.memory().failing = statuses.iter().rev().copied().collect();
    }

    /// What it was told: for Plex `KEY PATH` of each scan, for others the body of each call.
    pub fn told(&self) -> Vec<String> {
        self.memory().told.clone()
    }

    /// Calls that are none of its API.
    pub fn wrong(&self) -> Vec<String> {
        self.memory().wrong.clone()
    }

    /// Its API.
    pub fn router(&self) -> Router {
        Router::new().fallback(take).with_state(self.clone())
    }

    fn is_let_in(&self, headers: &HeaderMap) -> bool {
        let (name, value) = match self.kind {
            Listener::Plex => ("x-plex-token", self.token.clone()),
            Listener::Jellyfin => (
                "authorization",
                format!("MediaBrowser Token=\"{}\"", self.token),
            ),
            Listener::Emby => ("x-emby-token", self.token.clone()),
            Listener::Webhook => ("authorization", format!("Bearer {}", self.token)),
            Listener::Discord => return true,
        };
        headers.get(name).is_some_and(|own| *own == *value)
    }

    fn refuse(&self, status: StatusCode, why: &str) -> Response {
        self.memory().wrong.push(why.to_owned());
        status.into_response()
    }

    fn plex(&self, method: &Method, path: &str, query: &str) -> Response {
        if method != Method::GET {
            return self.refuse(StatusCode::NOT_FOUND, "Plex scans by GET");
        }
        if path == "/library/sections" {
            let memory = self.memory();
            let sections = memory.sections.iter().map(|(key, folder)| {
                json!({ "key": key, "title": key, "Location": [{ "id": 1, "path": folder }] })
            });
            let sections: Vec<Value> = sections.collect();
            let size = sections.len();
            let said = json!({ "MediaContainer": { "size": size, "Directory": sections } });
            return Json(said).into_response();
        }
        let parts: Vec<&str> = path.split('/').collect();
        let ["", "library", "sections", key, "refresh"] = parts[..] else {
            return self.refuse(StatusCode::NOT_FOUND, path);
        };
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let Some((_, folder)) = pairs.find(|(name, _)| name == "path") else {
            return self.refuse(StatusCode::BAD_REQUEST, "a scan of the whole library");
        };
        let mut memory = self.memory();
        let mut sections = memory.sections.iter();
        if !sections.any(|(own, place)| own == key && folder.starts_with(place.as_str())) {
            memory.wrong.push(format!("{folder} is not in {key}"));
            return StatusCode::NOT_FOUND.into_response();
        }
        memory.told.push(format!("{key} {folder}"));
        StatusCode::OK.into_response()
    }

    fn post(&self, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        let kind = headers.get("content-type");
        if method != Method::POST || kind.is_none_or(|kind| kind != "application/json") {
            return self.refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no JSON");
        }
        let Ok(said) = serde_json::from_slice::<Value>(body) else {
            return self.refuse(StatusCode::BAD_REQUEST, "no JSON");
        };
        let right = match self.kind {
            Listener::Jellyfin | Listener::Emby => {
                let updates = said["Updates"].as_array();
                path == "/Library/Media/Updated"
                    && updates.is_some_and(|updates| {
                        updates.iter().all(|one| {
                            let kind = one["UpdateType"].as_str();
                            one["Path"].is_string()
                                && matches!(kind, Some("Created" | "Modified" | "Deleted"))
                        })
                    })
            }
            Listener::Discord => {
                let text = said["content"].as_str().unwrap_or_default();
                !text.is_empty() && text.chars().count() <= 2000
            }
            Listener::Plex | Listener::Webhook => said.is_object(),
        };
        if !right {
            return self.refuse(StatusCode::BAD_REQUEST, &format!("{path} {said}"));
        }
        self.memory().told.push(said.to_string());
        StatusCode::NO_CONTENT.into_response()
    }
}

async fn take(State(server): State<MediaServer>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if let Some(status) = server.memory().failing.pop() {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return status.into_response();
    }
    if !server.is_let_in(&head.headers) {
        return server.refuse(StatusCode::UNAUTHORIZED, "no token");
    }
    let Ok(body) = axum::body::to_bytes(body, 1 << 20).await else {
        return server.refuse(StatusCode::PAYLOAD_TOO_LARGE, "too long");
    };
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    match server.kind {
        Listener::Plex => server.plex(&head.method, path, query),
        Listener::Jellyfin | Listener::Emby
            if path == "/System/Info" && head.method == Method::GET =>
        {
            Json(json!({ "ServerName": "simulated", "Version": "10.10.3", "Id": "1" }))
                .into_response()
        }
        _ => server.post(&head.method, path, &head.headers, &body),
    }
}
