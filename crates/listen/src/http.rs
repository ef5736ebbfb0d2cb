//! HTTP on a connection that was let in.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::http::{Extensions, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::activity::Busy;
use crate::budget::{ByteBudget, Taken};
use crate::http_counts::{FrontName, HttpCounts};
use crate::serve::{Front, Guest};

/// Of one connection: the longest head of a request, and what is kept of an answer for a slow
/// reader. A call may name a thousand torrents by 41 letters each.
const BUFFER: usize = 64 << 10;
/// What a connection is answered that is one too many.
pub(crate) const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\
     Retry-After: 5\r\nConnection: close\r\n\r\ndebridfs: too many connections, try again in a moment\n";

/// The address of whoever is connected, found in each request's extensions. Connections by a unix
/// socket have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Found in the extensions of each request that came by TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encrypted;

/// The address of the caller, if its connection has one.
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<Peer>().map(|peer| peer.0)
}

/// Serves `router` until the caller leaves. The limits of time are those of the accept loop, not
/// hyper's: its clock for heads also runs while there is no request, and it has none for bodies and
/// answers.
pub(crate) async fn connection<I>(stream: I, guest: Guest, router: Router, front: Front)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = guest.begin();
        let begun = Instant::now();
        let front = front.clone();
        let answer = answer(
            request,
            guest.clone(),
            router.clone(),
            front.bodies().clone(),
        );
        async move {
            let answer = answer.await;
            let name = answer.extensions().get::<FrontName>().copied();
            let counts = front.http(name.unwrap_or(FrontName(front.name())));
            counts.answered(answer.status(), begun.elapsed());
            Ok::<_, Infallible>(answer.map(|body| Answering {
                body,
                counts,
                _busy: busy,
            }))
        }
    });
    let mut server = http1::Builder::new();
    server.max_buf_size(BUFFER);
    let served = server.serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        // The caller hung up, or does not speak HTTP.
        tracing::trace!(%error, "a connection ended");
    }
}

async fn answer(
    request: Request<Incoming>,
    guest: Guest,
    router: Router,
    bodies: Arc<ByteBudget>,
) -> Response {
    let held = Arc::new(Held {
        taken: Mutex::new(bodies.try_take(0)),
        refused: AtomicBool::new(false),
        unread: AtomicBool::new(false),
    });
    let (peer, encrypted) = (guest.peer, guest.encrypted);
    let mut request = request.map(|body| Asking {
        body,
        ended: false,
        guest,
        held: held.clone(),
    });
    if let Some(peer) = peer {
        request.extensions_mut().insert(Peer(peer));
    }
    if encrypted {
        request.extensions_mut().insert(Encrypted);
    }
    let Ok(mut answer) = router.oneshot(request).await;
    if held.refused.load(Ordering::Relaxed) {
        // The handler takes it for a caller that broke off.
        return no_memory();
    }
    if held.unread.load(Ordering::Relaxed) {
        // hyper closes the connection without a word, and the caller's next request would be lost.
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
    answer
}

fn no_memory() -> Response {
    let words =
        "debridfs: the memory for requests is in use, try again in a moment (server.bodies)\n";
    let headers = [(header::RETRY_AFTER, "5"), (header::CONNECTION, "close")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, words).into_response()
}

/// What the body of one request takes of the memory, until it is answered.
struct Held {
    taken: Mutex<Option<Taken>>,
    /// There was not so much left.
    refused: AtomicBool,
    /// It was let go before its end.
    unread: AtomicBool,
}

impl Held {
    fn grow(&self, bytes: usize) -> bool {
        let mut taken = self.taken.lock();
        let grown = taken
            .as_mut()
            .is_some_and(|taken| taken.try_grow(bytes as u64));
        if !grown {
            self.refused.store(true, Ordering::Relaxed);
        }
        grown
    }
}

/// There is no memory left for the body.
#[derive(Debug, thiserror::Error)]
#[error("the memory for requests is in use")]
struct NoMemory;

/// The body of a request, counted while it is read.
struct Asking {
    body: Incoming,
    ended: bool,
    guest: Guest,
    held: Arc<Held>,
}

impl hyper::body::Body for Asking {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match polled.is_pending() {
            true => self.guest.activity().wants_body(),
            false => self.guest.activity().has_body(),
        }
        let frame = match ready!(polled) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => {
                self.ended = true;
                return Poll::Ready(None);
            }
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        Poll::Ready(Some(match self.held.grow(bytes) {
            true => Ok(frame),
            false => Err(NoMemory.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // Whether or not all of it came, it is not waited for any more.
        self.guest.activity().has_body();
        let read = self.ended || hyper::body::Body::is_end_stream(&self.body);
        self.held.unread.store(!read, Ordering::Relaxed);
    }
}

/// The body of an answer; the connection is in use as long as it is there.
struct Answering {
    body: Body,
    counts: Arc<HttpCounts>,
    _busy: Busy,
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.counts.sent(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
