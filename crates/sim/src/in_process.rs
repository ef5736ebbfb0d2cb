//! The way from a client of ours into a router of this process: without a socket, so that tests can pause tokio's time.

use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use debridfs_base::WallClock;
use debridfs_base::http::{Transport, TransportError};
use http::uri::{Parts, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::Sim;

/// How long a call may take, as the client's own default for the first byte over the network.
const LIMIT: Duration = Duration::from_secs(15);

/// A [`Transport`] into the router of a [`Sim`], an [`ArrProgram`](crate::arr_program::ArrProgram) or a
/// [`MediaServer`](crate::media_server::MediaServer), with the network's limits of time and size.
#[derive(Debug, Clone)]
pub struct InProcess {
    router: Router,
    delay: Duration,
}

impl InProcess {
    /// Into `router`, without delay.
    pub fn new(router: Router) -> Self {
        Self {
            router,
            delay: Duration::ZERO,
        }
    }

    /// Each request and each answer takes `delay` on its way.
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    async fn travel(&self) {
        // A sleep of no length may still take a tick.
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
    }

    async fn call(
        &self,
        request: http::Request<Bytes>,
        max_body: usize,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let (mut head, body) = request.into_parts();
        // As a server sees it: without the authority.
        let mut line = Parts::default();
        line.path_and_query = head.uri.path_and_query().cloned();
        head.uri = Uri::from_parts(line).map_err(|why| TransportError::Request(why.to_string()))?;
        self.travel().await;
        let request = http::Request::from_parts(head, Body::from(body));
        let Ok(answer) = self.router.clone().oneshot(request).await;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, max_body).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => TransportError::TooLarge(max_body),
            false => TransportError::Broken(error.to_string()),
        })?;
        self.travel().await;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        max_body: usize,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let call = timeout(LIMIT, self.call(request, max_body));
        call.await.unwrap_or(Err(TransportError::NoAnswer(LIMIT)))
    }
}

/// The simulation's calendar, so that its midnight is the client's.
impl WallClock for Sim {
    fn now(&self) -> Timestamp {
        self.clock().now()
    }
}
