//! The HTTP side: one router for everything, and how a request can end without an answer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::{HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

use super::{Connection, Listener};
use crate::cdn::{Cut, cut_body};
use crate::sim::Sim;
use crate::{api, cdn, control};

/// Marks a response that is never to be sent: the connection is reset instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abort;

/// No answer. Without a socket, the caller gets a body that fails at once.
pub(crate) fn abort() -> Response {
    let mut response = Response::new(cut_body(bytes::Bytes::new(), None));
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

impl Sim {
    /// The API, the CDN and the control interface as one service: usable with `tower::ServiceExt::oneshot` and without any socket.
    pub fn router(&self) -> Router {
        Router::new()
            .route(
                "/d/{*rest}",
                any(|State(sim): State<Sim>, request: Request| cdn::handle(sim, request)),
            )
            .nest("/control", control::router())
            .fallback(|State(sim): State<Sim>, request: Request| api::handle(sim, request))
            .with_state(self.clone())
    }
}

pub(super) async fn serve_http<S>(
    stream: S,
    connection: Arc<Connection>,
    listener: Arc<Listener>,
    service: Router,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let to_answer = connection.clone();
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let (service, connection, listener) =
            (service.clone(), to_answer.clone(), listener.clone());
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(connection.clone());
            request.extensions_mut().insert(listener);
            let Ok(response) = service.oneshot(request).await;
            if response.extensions().get::<Abort>().is_some() {
                connection.reset_on_close();
                return Err(Cut);
            }
            Ok(response)
        }
    });
    let result = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
