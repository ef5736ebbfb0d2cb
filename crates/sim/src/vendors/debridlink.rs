//! Debrid-Link: the API, `/api/v2/…`.
//!
//! Sources: the vendor's documentation, and what clients in use have measured where that is silent. The downloader is there,
//! and has nothing. What is not here answers `unknowR`: RSS, ZIPs that are asked for, streams, logins but that of devices, and `seedbox/cached`, which the vendor has withdrawn.

mod add;
mod call;
mod downloader;
mod list;
mod memory;
mod settings;

use axum::extract::Request;
use axum::response::Response;
use http::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::{Arrival, device, finish, form};
use crate::fault::ApiFault;
use crate::random::hash_parts;
use crate::sim::{Sim, SimError};
use call::Call;

pub(crate) use memory::Memory;
pub use settings::DebridLinkSettings;

/// The endpoints, by the names that counters and faults use. Each has a flood control of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Endpoint {
    Infos,
    List,
    Activity,
    Add,
    Remove,
    Config,
    Limits,
    Downloads,
    AddDownload,
    RemoveDownloads,
    DownloadLimits,
    Hosts,
    Unknown,
}

impl Endpoint {
    /// The endpoint of a call, and the ids in its path.
    fn of<'a>(method: &Method, path: &'a str) -> (Self, &'a str) {
        let path = path.trim_start_matches('/').trim_end_matches('/');
        let path = path.strip_prefix("api/v2/").unwrap_or_default();
        let parts: Vec<_> = path.split('/').collect();
        let (get, post) = (*method == Method::GET, *method == Method::POST);
        match parts[..] {
            ["account", "infos"] if get => (Self::Infos, ""),
            ["seedbox", "list"] if get => (Self::List, ""),
            ["seedbox", "activity"] if get => (Self::Activity, ""),
            ["seedbox", "limits"] if get => (Self::Limits, ""),
            ["seedbox", "add"] if post => (Self::Add, ""),
            ["seedbox", id, "config"] if post => (Self::Config, id),
            ["seedbox", ids, "remove"] if *method == Method::DELETE => (Self::Remove, ids),
            ["downloader", "list"] if get => (Self::Downloads, ""),
            ["downloader", "limits"] if get => (Self::DownloadLimits, ""),
            ["downloader", "add"] if post => (Self::AddDownload, ""),
            ["downloader", ids, "remove"] if *method == Method::DELETE => {
                (Self::RemoveDownloads, ids)
            }
            ["downloader", "hosts" | "hostnames" | "domains" | "regex"] if get => {
                (Self::Hosts, parts[1])
            }
            _ => (Self::Unknown, ""),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Infos => "account/infos",
            Self::List => "seedbox/list",
            Self::Activity => "seedbox/activity",
            Self::Add => "seedbox/add",
            Self::Remove => "seedbox/remove",
            Self::Config => "seedbox/config",
            Self::Limits => "seedbox/limits",
            Self::Downloads => "downloader/list",
            Self::AddDownload => "downloader/add",
            Self::RemoveDownloads => "downloader/remove",
            Self::DownloadLimits => "downloader/limits",
            Self::Hosts => "downloader/hosts",
            Self::Unknown => "unknown",
        }
    }
}

/// A call that was not done: a word of the vendor's.
#[derive(Debug)]
struct Refusal(String);

impl Refusal {
    fn of(word: &str) -> Self {
        Self(word.to_owned())
    }

    fn status(&self) -> u16 {
        match &*self.0 {
            "badToken" | "badSign" | "hidedToken" | "expired_token" => 401,
            "serverNotAllowed" | "access_denied" | "accountLocked" | "maxAttempts" => 403,
            "unknowR" | "badId" => 404,
            "internalError" | "server_error" => 500,
            "floodDetected" | "freeServerOverload" | "maintenanceHost" => 503,
            _ => 400,
        }
    }
}

impl From<SimError> for Refusal {
    fn from(_: SimError) -> Self {
        Self::of("badToken")
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let (status, word) = (refusal.status(), refusal.0);
        let envelope = json!({
            "success": false,
            "error": word,
            "error_id": format!("{:016x}", hash_parts(&[word.as_bytes()])),
            "error_description": format!("simulated: {word}"),
        });
        let mut answer = Self::json(status, &envelope);
        answer.code = Some(word.into());
        answer
    }
}

/// The answer to a call that was done.
fn done(value: Value) -> Answer {
    Answer::json(200, &json!({ "success": true, "value": value }))
}

/// `POST /api/oauth/device/code` and `/api/oauth/token`.
async fn oauth(sim: &Sim, request: Request) -> Response {
    let (arrival, body) = match Arrival::of(sim, "oauth", request).await {
        Ok(arrived) => arrived,
        Err(response) => return response,
    };
    let fields = form::parameters(&arrival.head, &body.unwrap_or_default());
    let text = |name: &str| String::from_utf8(form::bytes(&fields, name)?.into()).ok();
    let head = &arrival.head;
    let call = (head.method.as_str(), head.uri.path().trim_end_matches('/'));
    let (is_code, is_token) = (
        call == ("POST", "/api/oauth/device/code"),
        call == ("POST", "/api/oauth/token"),
    );
    let answer = || match text("client_id") {
        _ if !is_code && !is_token => Refusal::of("unknowR").into(),
        None => device::error("invalid_request"),
        Some(_) if is_code => {
            device::begin(sim, ("verification_url", "https://debrid-link.com/device"))
        }
        // What a device got once it refreshes by its refresh token, which is its code here.
        Some(_) => device::token(
            sim,
            text("code").or_else(|| text("refresh_token")).as_deref(),
        ),
    };
    arrival.conclude(sim, |_| None, answer).await
}

/// Answers one call, and everything that is no path of the simulation.
pub(super) async fn handle(sim: Sim, request: Request) -> Response {
    if request.uri().path().starts_with("/api/oauth/") {
        return oauth(&sim, request).await;
    }
    let (endpoint, _) = Endpoint::of(request.method(), request.uri().path());
    let name = endpoint.name();
    let (arrival, body) = match Arrival::of(&sim, name, request).await {
        Ok(arrived) => arrived,
        Err(response) => return response,
    };
    let admitted = match body {
        None => Err(Refusal::of("torrentTooBig")),
        Some(body) => Call::admit(&sim, endpoint, &arrival.head, body),
    };
    let call = match admitted {
        Ok(call) => call,
        Err(refusal) => return finish(&sim, name, refusal.into()),
    };
    let (_, ids) = Endpoint::of(&arrival.head.method, arrival.head.uri.path());
    let ids = ids.to_owned();
    let refuse = |fault: &ApiFault| Some(Refusal::of(fault.error.as_deref()?).into());
    let answer = || call.answer(endpoint, &ids).unwrap_or_else(Into::into);
    arrival.conclude(&sim, refuse, answer).await
}
