//! How a request ends without an answer, or in the middle of one.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::connection::Connection;

/// The connection was cut on purpose.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("cut by the simulation")
    }
}

impl std::error::Error for Cut {}

/// A body that ends early: `bytes` of it, then the connection is closed.
pub(crate) fn cut_body(bytes: Bytes, connection: Option<Arc<Connection>>) -> Body {
    let mark = connection
        .as_ref()
        .map_or(0, |connection| connection.flushes());
    Body::from_stream(futures_util::stream::unfold(0u8, move |step| {
        let (bytes, connection) = (bytes.clone(), connection.clone());
        async move {
            match step {
                0 if !bytes.is_empty() => Some((Ok(bytes), 1)),
                0 | 1 => {
                    if let Some(connection) = connection {
                        connection.flushed_after(mark).await;
                    }
                    Some((Err(Cut), 2))
                }
                _ => None,
            }
        }
    }))
}

/// Marks a response that is never to be sent: the connection is reset instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abort;

/// No answer. Without a socket, the caller gets a body that fails at once.
pub(crate) fn abort() -> Response {
    let mut response = Response::new(cut_body(Bytes::new(), None));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.extensions_mut().insert(Abort);
    response
}

/// What a proxy in front of a dead service answers.
pub(crate) fn unavailable() -> Response {
    const PAGE: &str = "<html><head><title>503 Service Temporarily Unavailable</title></head>\n\
        <body><center><h1>503 Service Temporarily Unavailable</h1></center></body></html>\n";
    let mut response = Response::new(Body::from(PAGE));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
