//! A call on its way: through an outage or a fault to an answer that is counted.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header;
use http::request::Parts;

use super::answer::Answer;
use crate::connection::Connection;
use crate::cut::{abort, cut_body, unavailable};
use crate::fault::{ApiFault, FaultId, OutageMode, Page};
use crate::pause::pause;
use crate::sim::Sim;

/// Larger bodies are refused; the vendors' own limits for a torrent are of this order.
pub(super) const MAX_BODY: usize = 10 << 20;

/// A call that no outage has kept away.
pub(super) struct Arrival {
    endpoint: &'static str,
    pub(super) head: Parts,
    connection: Option<Arc<Connection>>,
}

impl Arrival {
    /// The call with its body, `None` if that is too large; else the response that an outage gives.
    pub(super) async fn of(
        sim: &Sim,
        endpoint: &'static str,
        request: Request,
    ) -> Result<(Self, Option<Bytes>), Response> {
        let (head, body) = request.into_parts();
        let counters = &sim.inner.counters;
        match sim.inner.faults.outage().api {
            OutageMode::None => {}
            OutageMode::Unavailable => {
                counters.call(endpoint, "503".into());
                return Err(unavailable());
            }
            OutageMode::Hang => {
                counters.call(endpoint, "hang".into());
                let over = sim.inner.faults.outage_over(|o| o.api != OutageMode::Hang);
                over.await;
                return Err(abort());
            }
            OutageMode::Reset => {
                counters.call(endpoint, "reset".into());
                return Err(abort());
            }
        }
        let body = axum::body::to_bytes(body, MAX_BODY).await.ok();
        let delay = sim.settings().api_delay_ms;
        pause(Duration::from_millis(delay.into())).await;
        let connection = head.extensions.get::<Arc<Connection>>().cloned();
        let arrival = Self {
            endpoint,
            head,
            connection,
        };
        Ok((arrival, body))
    }

    /// Answers with `answer`, or as a fault wants it. `refuse` gives the vendor's refusal that a fault names.
    pub(super) async fn conclude(
        self,
        sim: &Sim,
        refuse: impl FnOnce(&ApiFault) -> Option<Answer>,
        answer: impl FnOnce() -> Answer,
    ) -> Response {
        let uri = &self.head.uri;
        let path_and_query = uri.path_and_query().map_or("", |text| text.as_str());
        match sim.inner.faults.take_api(self.endpoint, path_and_query) {
            None => finish(sim, self.endpoint, answer()),
            Some((id, fault)) => self.fail(sim, id, fault, refuse, answer).await,
        }
    }

    /// Answers a call wrongly.
    async fn fail(
        self,
        sim: &Sim,
        id: FaultId,
        fault: ApiFault,
        refuse: impl FnOnce(&ApiFault) -> Option<Answer>,
        answer: impl FnOnce() -> Answer,
    ) -> Response {
        let counters = &sim.inner.counters;
        pause(Duration::from_millis(fault.delay_ms)).await;
        if fault.hang {
            counters.call(self.endpoint, "hang".into());
            sim.inner.faults.cleared(id).await;
            return abort();
        }
        if fault.reset {
            counters.call(self.endpoint, "reset".into());
            return abort();
        }
        let mut answer = match refuse(&fault) {
            Some(refusal) => refusal,
            None if fault.status.is_some() => Answer::empty(200),
            None => answer(),
        };
        if fault.lose_answer {
            counters.call(self.endpoint, "reset".into());
            return abort();
        }
        disguise(&mut answer, &fault);
        let Some(cut) = fault.cut_body else {
            return finish(sim, self.endpoint, answer);
        };
        let body = answer.body.clone();
        let mut response = finish(sim, self.endpoint, answer);
        let length = body.len().into();
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length);
        *response.body_mut() = if cut < body.len() {
            cut_body(body.slice(..cut), self.connection)
        } else {
            Body::from(body)
        };
        response
    }
}

/// Another body, status or header than the true one.
fn disguise(answer: &mut Answer, fault: &ApiFault) {
    let page = fault.page.map(|page| match page {
        Page::Malformed => r#"[{"id":"ABCDEFGHIJKLM","filename":"Sh"#.to_owned(),
        Page::Html => {
            "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>".to_owned()
        }
    });
    if let Some(body) = fault.body.clone().or(page) {
        answer.body = Bytes::from(body);
        answer.content_type = match fault.page {
            Some(Page::Html) => "text/html",
            _ => "application/json",
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
}

/// Counts an answer and sends it.
pub(super) fn finish(sim: &Sim, endpoint: &'static str, answer: Answer) -> Response {
    let counters = &sim.inner.counters;
    counters.call(endpoint, answer.outcome());
    counters
        .api_bytes
        .fetch_add(answer.body.len() as u64, Relaxed);
    answer.respond()
}
