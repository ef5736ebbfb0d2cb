//! TorBox: the API, `/v1/api/…`.
//!
//! Sources: the vendor's documentation of its API as its SDKs carry it, and what clients in use have measured where that is silent. What is
//! not here answers `ENDPOINT_NOT_FOUND`: RSS, notifications, integrations, `user/refreshtoken`, search.

mod call;
mod control;
mod create;
mod download;
mod endpoint;
mod envelope;
mod info;
mod item;
mod list;
mod memory;
mod queue;
mod settings;
mod user;

use axum::extract::Request;
use axum::response::Response;

use super::{Arrival, finish};
use crate::fault::ApiFault;
use crate::sim::Sim;
use call::Call;
use endpoint::Endpoint;
use envelope::Refusal;

pub(crate) use download::{presigned, uuid};
pub(crate) use item::file_id;
pub(crate) use memory::Memory;
pub use settings::{FullSlots, TorBoxSettings};

/// What the CDN says of a URL that has expired or was never made.
pub(crate) const INVALID_TOKEN: &str = "Invalid Presigned Token";

/// Answers one call, and everything that is no path of the simulation.
pub(super) async fn handle(sim: Sim, request: Request) -> Response {
    let endpoint = Endpoint::of(request.uri().path());
    let (arrival, body) = match Arrival::of(&sim, endpoint.name(), request).await {
        Ok(arrived) => arrived,
        Err(response) => return response,
    };
    let admitted = match body {
        None => Err(Refusal::of("DOWNLOAD_TOO_LARGE")),
        Some(body) => Call::admit(&sim, endpoint, &arrival.head, body),
    };
    let call = match admitted {
        Ok(call) => call,
        Err(refusal) => return finish(&sim, endpoint.name(), refusal.into()),
    };
    let refuse = |fault: &ApiFault| Some(Refusal::of(fault.error.as_deref()?).into());
    let answer = || call.answer().unwrap_or_else(Into::into);
    arrival.conclude(&sim, refuse, answer).await
}
