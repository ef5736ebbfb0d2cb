//! The HTTP side: one router for everything.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

use crate::connection::{Connection, Listener};
use crate::cut::{Abort, Cut};
use crate::sim::Sim;
use crate::{cdn, control, vendors};

impl Sim {
    /// The API, the CDN and the control interface as one service: usable with `tower::ServiceExt::oneshot` and without any socket.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/d/{*rest}", any(cdn))
            .route("/dl/{*rest}", any(cdn))
            .route("/dld/{*rest}", any(cdn))
            .nest("/control", control::router())
            .route("/control/", any(control::unknown))
            .fallback(|State(sim): State<Sim>, request: Request| vendors::handle(sim, request))
            .with_state(self.clone())
    }
}

async fn cdn(State(sim): State<Sim>, request: Request) -> Response {
    cdn::handle(sim, request).await
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
