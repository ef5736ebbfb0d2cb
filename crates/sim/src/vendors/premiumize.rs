//! Premiumize: the API, `/api/…`.
//!
//! Sources: the vendor's description of its API, and what clients in use have measured where that is silent. What is not here answers
//! `not_found`: `folder/uploadinfo`, `zip/generate`, and of OAuth all but the flow for devices.

mod call;
mod cloud;
mod item;
mod settings;
mod transfer;

use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::Answer;
use super::{Arrival, device, finish, form};
use crate::fault::ApiFault;
use crate::sim::{Sim, SimError};
use call::Call;

pub(crate) use cloud::Memory;
pub use settings::PremiumizeSettings;

/// The endpoints, by the names that counters and faults use: the path below `/api/`.
const ENDPOINTS: [&str; 18] = [
    "account/info",
    "cache/check",
    "folder/create",
    "folder/delete",
    "folder/list",
    "folder/paste",
    "folder/rename",
    "folder/search",
    "item/delete",
    "item/details",
    "item/listall",
    "item/rename",
    "services/list",
    "transfer/clearfinished",
    "transfer/create",
    "transfer/delete",
    "transfer/directdl",
    "transfer/list",
];

/// A call that was not done, told with HTTP 200: a code, which older errors have none of, and a message.
#[derive(Debug)]
struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    fn of(code: &'static str, message: &str) -> Self {
        Self {
            code,
            message: message.to_owned(),
        }
    }

    fn not_found(what: &str) -> Self {
        Self::of("not_found", &format!("{what} not found."))
    }

    fn login() -> Self {
        Self::of("authentication_failed", "Not logged in.")
    }

    fn fair_use() -> Self {
        Self::of("account_limit_reached", "Fair use limit reached!")
    }

    /// As the vendor tells it.
    fn answer(self, no_code: bool) -> Answer {
        let mut told = json!({ "status": "error", "message": self.message });
        if !no_code && !self.code.is_empty() {
            told["code"] = json!(self.code);
        }
        let mut answer = Answer::json(200, &told);
        answer.code = Some(match self.code {
            "" => "error".into(),
            code => code.into(),
        });
        answer
    }
}

impl From<SimError> for Refusal {
    fn from(_: SimError) -> Self {
        Self::login()
    }
}

/// The answer to a call that was done: `fields`, an object, with its status.
fn done(mut fields: Value) -> Answer {
    fields["status"] = json!("success");
    Answer::json(200, &fields)
}

/// The refusal that a fault names, by its code.
fn refusal_of(word: &str) -> Answer {
    let told = json!({ "status": "error", "code": word, "message": format!("simulated: {word}") });
    let mut answer = Answer::json(200, &told);
    answer.code = Some(word.to_owned().into());
    answer
}

/// `POST /token`: a device asks for its codes (`response_type`), and then for a token (`grant_type`).
async fn oauth(sim: &Sim, request: Request) -> Response {
    let (arrival, body) = match Arrival::of(sim, "token", request).await {
        Ok(arrived) => arrived,
        Err(response) => return response,
    };
    let fields = form::parameters(&arrival.head, &body.unwrap_or_default());
    let text = |name: &str| String::from_utf8(form::bytes(&fields, name)?.into()).ok();
    let answer = || match (text("client_id"), text("response_type"), text("grant_type")) {
        (Some(_), Some(kind), _) if kind == "device_code" => device::begin(
            sim,
            ("verification_uri", "https://www.premiumize.me/device"),
        ),
        (Some(_), _, Some(kind)) if kind == "device_code" => {
            device::token(sim, text("code").as_deref())
        }
        (Some(_), None, Some(_)) => device::error("unsupported_grant_type"),
        _ => device::error("invalid_request"),
    };
    arrival.conclude(sim, |_| None, answer).await
}

/// Answers one call, and everything that is no path of the simulation.
pub(super) async fn handle(sim: Sim, request: Request) -> Response {
    if request.uri().path() == "/token" {
        return oauth(&sim, request).await;
    }
    let path = request.uri().path();
    let path = path.strip_prefix("/api").unwrap_or(path).trim_matches('/');
    let known = ENDPOINTS.iter().find(|name| **name == path);
    let endpoint = known.copied().unwrap_or("unknown");
    let (arrival, body) = match Arrival::of(&sim, endpoint, request).await {
        Ok(arrived) => arrived,
        Err(response) => return response,
    };
    let no_codes = sim.settings().premiumize.no_codes;
    let admitted = match body {
        None => Err(Refusal::of("", "The file is too large.")),
        Some(body) => Call::admit(&sim, endpoint, &arrival.head, body),
    };
    let call = match admitted {
        Ok(call) => call,
        Err(refusal) => return finish(&sim, endpoint, refusal.answer(no_codes)),
    };
    let refuse = |fault: &ApiFault| Some(refusal_of(fault.error.as_deref()?));
    let answer = || {
        call.answer(endpoint)
            .unwrap_or_else(|refusal| refusal.answer(no_codes))
    };
    arrival.conclude(&sim, refuse, answer).await
}
