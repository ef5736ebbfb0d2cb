//! Real-Debrid: the REST API, `/rest/1.0/…`, and the device flow, `/oauth/v2/…`.

mod answer;
mod call;
mod endpoint;
mod names;
mod oauth;
mod settings;
mod torrents;
mod unrestrict;
mod user;

use axum::extract::Request;
use axum::response::Response;

use super::{Arrival, finish};
use crate::fault::ApiFault;
use crate::sim::Sim;
use answer::{Answer, VendorError};
use call::Call;
use endpoint::Endpoint;

pub use settings::RealDebridSettings;

/// The vendor's host in restricted links.
pub(crate) const LINK_PREFIX: &str = "https://real-debrid.com/d/";

/// Answers one call, and everything that is no path of the simulation.
pub(crate) async fn handle(sim: Sim, request: Request) -> Response {
    if let Some(call) = request.uri().path().strip_prefix("/oauth/v2/") {
        let call = call.to_owned();
        let answer = oauth::handle(&sim, &call, request).await;
        sim.inner.counters.call("oauth", answer.outcome());
        return answer.respond();
    }
    let uri = request.uri().clone();
    let Some(path) = uri.path().strip_prefix("/rest/1.0/") else {
        return Answer::error(VendorError(3)).respond();
    };
    let endpoint = Endpoint::of(path);
    let (arrival, body) = match Arrival::of(&sim, endpoint.name(), request).await {
        Ok(arrived) => arrived,
        Err(response) => return response,
    };
    let admitted = match body {
        None => Err(VendorError(26)),
        Some(body) => Call::admit(&sim, endpoint, path, &arrival.head, body),
    };
    let call = match admitted {
        Ok(call) => call,
        Err(error) => return finish(&sim, endpoint.name(), Answer::error(error)),
    };
    let refuse = |fault: &ApiFault| Some(Answer::error(VendorError(fault.code?)));
    let answer = || call.answer().unwrap_or_else(Answer::error);
    arrival.conclude(&sim, refuse, answer).await
}
