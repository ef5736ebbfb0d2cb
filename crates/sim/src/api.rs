//! The REST API, `/rest/1.0/…`: the way of a call from the token to the answer.

mod answer;
mod call;
mod endpoint;
mod oauth;
mod torrents;
mod unrestrict;
mod user;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header;

use crate::connection::Connection;
use crate::cut::{abort, cut_body, unavailable};
use crate::fault::{ApiFault, FaultId, OutageMode, Page};
use crate::pause::pause;
use crate::sim::Sim;
use answer::{Answer, VendorError};
use call::Call;
use endpoint::Endpoint;

pub(crate) use oauth::Devices;

/// Larger bodies are refused; the vendor's own limit for a torrent is of this order.
const MAX_BODY: usize = 10 << 20;

/// Answers one call, and everything that is no path of the simulation.
pub(crate) async fn handle(sim: Sim, request: Request) -> Response {
    if let Some(call) = request.uri().path().strip_prefix("/oauth/v2/") {
        let call = call.to_owned();
        let answer = oauth::handle(&sim, &call, request).await;
        sim.inner.counters.call("oauth", answer.outcome());
        return answer.respond();
    }
    let (parts, body) = request.into_parts();
    let uri = parts.uri.clone();
    let Some(path) = uri.path().strip_prefix("/rest/1.0/") else {
        return Answer::error(VendorError(3)).respond();
    };
    let endpoint = Endpoint::of(path);
    let counters = &sim.inner.counters;
    let connection = parts.extensions.get::<Arc<Connection>>().cloned();
    match sim.inner.faults.outage().api {
        OutageMode::None => {}
        OutageMode::Unavailable => {
            counters.call(endpoint.name(), "503".into());
            return unavailable();
        }
        OutageMode::Hang => {
            counters.call(endpoint.name(), "hang".into());
            sim.inner
                .faults
                .outage_over(|outage| outage.api != OutageMode::Hang)
                .await;
            return abort();
        }
        OutageMode::Reset => {
            counters.call(endpoint.name(), "reset".into());
            return abort();
        }
    }
    let path_and_query = uri.path_and_query().map_or("", |text| text.as_str());
    let body = axum::body::to_bytes(body, MAX_BODY).await;
    let delay = sim.settings().api_delay_ms;
    pause(Duration::from_millis(delay.into())).await;

    let admitted = match body {
        Err(_) => Err(VendorError(26)),
        Ok(body) => Call::admit(&sim, endpoint, path, parts, body),
    };
    let call = match admitted {
        Ok(call) => call,
        Err(error) => return finish(&sim, endpoint, Answer::error(error)),
    };
    let fault = sim.inner.faults.take_api(endpoint.name(), path_and_query);
    let Some((id, fault)) = fault else {
        let answer = call.answer().unwrap_or_else(Answer::error);
        return finish(&sim, endpoint, answer);
    };
    fail(&sim, call, id, fault, connection).await
}

fn finish(sim: &Sim, endpoint: Endpoint, answer: Answer) -> Response {
    let counters = &sim.inner.counters;
    counters.call(endpoint.name(), answer.outcome());
    counters
        .api_bytes
        .fetch_add(answer.body.len() as u64, Relaxed);
    answer.respond()
}

/// Answers a call wrongly.
async fn fail(
    sim: &Sim,
    call: Call,
    id: FaultId,
    fault: ApiFault,
    connection: Option<Arc<Connection>>,
) -> Response {
    let counters = &sim.inner.counters;
    let endpoint = call.endpoint;
    pause(Duration::from_millis(fault.delay_ms)).await;
    if fault.hang {
        counters.call(endpoint.name(), "hang".into());
        sim.inner.faults.cleared(id).await;
        return abort();
    }
    if fault.reset {
        counters.call(endpoint.name(), "reset".into());
        return abort();
    }
    let page = fault.page.map(|page| match page {
        Page::Malformed => r#"[{"id":"ABCDEFGHIJKLM","filename":"Sh"#.to_owned(),
        Page::Html => {
            "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>".to_owned()
        }
    });
    let body = fault.body.clone().or(page);
    let mut answer = if let Some(code) = fault.code {
        Answer::error(VendorError(code))
    } else if fault.status.is_some() {
        Answer::empty(200)
    } else {
        call.answer().unwrap_or_else(Answer::error)
    };
    if fault.lose_answer {
        counters.call(endpoint.name(), "reset".into());
        return abort();
    }
    if let Some(body) = body {
        answer.body = Bytes::from(body);
        answer.content_type = if fault.page == Some(Page::Html) {
            "text/html"
        } else {
            "application/json"
        };
        if answer.status == 204 || answer.status == 304 {
            answer.status = 200;
        }
    }
    if let Some(status) = fault.status {
        answer.status = status;
    }
    if let Some(keep) = fault.keep_items {
        answer.keep_items(keep);
    }
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse()) {
            answer.headers.insert(name, value);
        }
    }
    let Some(cut) = fault.cut_body else {
        return finish(sim, endpoint, answer);
    };
    let body = answer.body.clone();
    let mut response = finish(sim, endpoint, answer);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, body.len().into());
    if cut < body.len() {
        *response.body_mut() = cut_body(body.slice(..cut), connection);
    } else {
        *response.body_mut() = Body::from(body);
    }
    response
}
