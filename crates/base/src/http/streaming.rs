//! Requests whose answers come piece by piece.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http::HeaderMap;
use reqwest::Url;

use super::reach::{NotAllowed, Reach};
use super::transport::{TransportError, words};

/// A body, piece by piece, as it comes.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// A client for bodies of any size. Sets no time limit but its connection's. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StreamingClient {
    client: reqwest::Client,
    /// Where it may go; anywhere without one.
    reach: Option<Arc<Reach>>,
}

impl StreamingClient {
    /// Requests by `client`, to wherever it is told.
    pub fn new(client: reqwest::Client) -> Self {
        let reach = None;
        Self { client, reach }
    }

    /// Requests by `client`, whose names are resolved within `reach`.
    pub(super) fn within(client: reqwest::Client, reach: Arc<Reach>) -> Self {
        let reach = Some(reach);
        Self { client, reach }
    }

    /// Whether `url` may be asked: its name is resolved, and nobody is connected to.
    ///
    /// # Errors
    /// It may not, or its name has no address.
    pub async fn may_ask(&self, url: &Url) -> Result<(), TransportError> {
        match &self.reach {
            Some(reach) => reach.resolve(url).await,
            None => Ok(()),
        }
    }

    /// Sends one GET, once: the head of the answer, and its body to come.
    ///
    /// # Errors
    /// There was no answer, or the address is one that must not be asked.
    pub async fn get(
        &self,
        url: Url,
        headers: HeaderMap,
    ) -> Result<http::Response<Pieces>, TransportError> {
        if let Some(reach) = &self.reach {
            reach.check(&url).await?;
        }
        let sent = self.client.get(url).headers(headers).send().await;
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
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(why) = inner.downcast_ref::<NotAllowed>() {
            return why.clone().into();
        }
        cause = inner.source();
    }
    if error.is_connect() {
        TransportError::Connect(words(error))
    } else {
        TransportError::Broken(words(error))
    }
}
