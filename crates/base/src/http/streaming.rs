//! Requests whose answers come piece by piece.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http::HeaderMap;
use reqwest::Url;

use super::transport::{TransportError, words};

/// A body, piece by piece, as it comes.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// A client for bodies of any size. Sets no time limit but its connection's. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StreamingClient(reqwest::Client);

impl StreamingClient {
    /// Requests by `client`.
    pub fn new(client: reqwest::Client) -> Self {
        Self(client)
    }

    /// Sends one GET, once: the head of the answer, and its body to come.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn get(
        &self,
        url: Url,
        headers: HeaderMap,
    ) -> Result<http::Response<Pieces>, TransportError> {
        let sent = self.0.get(url).headers(headers).send().await;
        let mut response = sent.map_err(lost)?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let pieces: Pieces = Box::pin(response.bytes_stream().map_err(lost));
        let mut answer = http::Response::new(pieces);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

fn lost(error: reqwest::Error) -> TransportError {
    if error.is_connect() {
        TransportError::Connect(words(error))
    } else {
        TransportError::Broken(words(error))
    }
}
