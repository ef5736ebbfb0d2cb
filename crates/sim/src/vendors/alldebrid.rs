//! AllDebrid: the API, `/v4/…` and `/v4.1/…`.
//!
//! Sources: the vendor's documentation, and what clients in use have measured where that is silent. What is not here answers `404`: hosts,
//! PINs, streams, redirectors, saved links.

mod call;
mod extras;
mod link;
mod list;
mod magnet;
mod memory;
mod settings;

use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::Answer;
use super::{Arrival, finish};
use crate::fault::ApiFault;
use crate::sim::{Sim, SimError};
use call::Call;

pub(crate) use memory::Memory;
pub use settings::AllDebridSettings;

/// What restricted links begin with.
pub(crate) const LINK_PREFIX: &str = "https://alldebrid.com/f/";

/// The endpoints, by the names that counters and faults use.
/// Either version has all of them, but for `magnet/status`.
const ENDPOINTS: [&str; 26] = [
    "v4/ping",
    "v4/user",
    "v4.1/magnet/status",
    "v4/magnet/status",
    "v4/magnet/files",
    "v4/magnet/upload",
    "v4/magnet/upload/file",
    "v4/magnet/delete",
    "v4/magnet/restart",
    "v4/link/unlock",
    "v4/link/delayed",
    "v4/link/infos",
    "v4/hosts",
    "v4/hosts/domains",
    "v4/hosts/priority",
    "v4/user/hosts",
    "v4/user/links",
    "v4/user/links/save",
    "v4/user/links/delete",
    "v4/user/history",
    "v4/user/history/delete",
    "v4/user/notification/clear",
    "v4/pin/get",
    "v4/pin/check",
    "v4/link/streaming",
    "v4/link/redirector",
];

/// A call that was not done: a word of the vendor's, told with HTTP 200; or a page, as there were too many calls.
#[derive(Debug)]
enum Refusal {
    Word(String),
    Page(u16),
}

impl Refusal {
    fn of(word: &str) -> Self {
        Self::Word(word.to_owned())
    }
}

impl From<SimError> for Refusal {
    fn from(_: SimError) -> Self {
        Self::of("AUTH_BAD_APIKEY")
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Word(word) => {
                let envelope = json!({ "status": "error", "error": error(&word) });
                let mut answer = Self::json(200, &envelope);
                answer.code = Some(word.into());
                answer
            }
            Refusal::Page(status) => Self {
                content_type: "text/html",
                body: "<!DOCTYPE html><html><body><h1>Too many requests</h1></body></html>".into(),
                ..Self::empty(status)
            },
        }
    }
}

/// An error as the vendor tells it.
fn error(word: &str) -> Value {
    json!({ "code": word, "message": format!("simulated: {word}") })
}

/// The answer to a call that was done.
fn done(data: Value) -> Answer {
    Answer::json(200, &json!({ "status": "success", "data": data }))
}

/// Answers one call, and everything that is no path of the simulation.
pub(super) async fn handle(sim: Sim, request: Request) -> Response {
    let path = request.uri().path().trim_matches('/');
    let known = ENDPOINTS.iter().find(|name| **name == path);
    let known = known.or_else(|| {
        let newer = path.strip_prefix("v4.1/")?;
        ENDPOINTS
            .iter()
            .find(|name| name.strip_prefix("v4/") == Some(newer))
    });
    let endpoint = known.copied().unwrap_or("unknown");
    let (arrival, body) = match Arrival::of(&sim, endpoint, request).await {
        Ok(arrived) => arrived,
        Err(response) => return response,
    };
    let admitted = match body {
        None => Err(Refusal::of("MAGNET_TOO_LARGE")),
        Some(body) => Call::admit(&sim, endpoint, &arrival.head, body),
    };
    let call = match admitted {
        Ok(call) => call,
        Err(refusal) => return finish(&sim, endpoint, refusal.into()),
    };
    let refuse = |fault: &ApiFault| Some(Refusal::of(fault.error.as_deref()?).into());
    let answer = || call.answer(endpoint).unwrap_or_else(Into::into);
    arrival.conclude(&sim, refuse, answer).await
}
