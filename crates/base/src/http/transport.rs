//! The way of a request to the API and back: over the network, or to whatever a test puts in its place.

use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

/// Why there was no answer. Holds no secret and no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection: refused, no such name, TLS, proxy.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The address is one that must not be asked ([`super::NotAllowed`]).
    #[error("{0}")]
    NotAllowed(String),
    /// The host's name leads to an address of no host, 0.0.0.0 or ::, as some name servers say of hosts that are gone or blocked.
    #[error("{0}")]
    NoHost(String),
    /// The head of the answer did not come in time.
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
    /// The answer began and did not end in time.
    #[error("the answer was not complete within {0:?}")]
    TooSlow(Duration),
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The answer's body is larger than any sound one.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The request could not be made: a defect of ours.
    #[error("the request cannot be sent: {0}")]
    Request(String),
}

/// Sends one request and reads the whole answer.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends `request` (absolute URI) once and never again, and reads a body of at most `max_body` bytes.
    async fn send(
        &self,
        request: http::Request<Bytes>,
        max_body: usize,
    ) -> Result<http::Response<Bytes>, TransportError>;
}

/// The network.
#[derive(Debug)]
pub struct Network {
    client: reqwest::Client,
    first_byte_timeout: Duration,
    total_timeout: Duration,
}

impl Network {
    /// Requests by `client`: the head of an answer has to come within `first_byte_timeout`, all of it within `total_timeout`.
    pub fn new(
        client: reqwest::Client,
        first_byte_timeout: Duration,
        total_timeout: Duration,
    ) -> Self {
        Self {
            client,
            first_byte_timeout,
            total_timeout,
        }
    }
}

#[async_trait]
impl Transport for Network {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        max_body: usize,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let begun = Instant::now();
        let total = begun + self.total_timeout;
        let head = total.min(begun + self.first_byte_timeout);
        let request = reqwest::Request::try_from(request)
            .map_err(|error| TransportError::Request(words(error)))?;
        let mut response = timeout_at(head, self.client.execute(request))
            .await
            .map_err(|_| TransportError::NoAnswer(head - begun))?
            .map_err(|error| match () {
                () if error.is_connect() => TransportError::Connect(words(error)),
                () if error.is_builder() => TransportError::Request(words(error)),
                () => TransportError::Broken(words(error)),
            })?;
        let told = response.content_length().unwrap_or(0);
        if told > max_body as u64 {
            return Err(TransportError::TooLarge(max_body));
        }
        let mut body = BytesMut::new();
        loop {
            let chunk = timeout_at(total, response.chunk())
                .await
                .map_err(|_| TransportError::TooSlow(self.total_timeout))?
                .map_err(|error| TransportError::Broken(words(error)))?;
            let Some(chunk) = chunk else { break };
            if body.len() + chunk.len() > max_body {
                return Err(TransportError::TooLarge(max_body));
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = http::Response::new(body.freeze());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

/// The innermost cause says most; the URL is left out.
pub(super) fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = inner.to_string();
        cause = inner.source();
    }
    words
}
