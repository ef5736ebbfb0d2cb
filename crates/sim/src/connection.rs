//! A TCP connection that is counted, that can tell when everything is written, and that can be closed with a reset.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use http::header;
use http::request::Parts;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::sim::Sim;

/// What handlers know of the connection of their request.
#[derive(Debug)]
pub(crate) struct Connection {
    sim: Sim,
    /// How often everything written so far had been handed to the kernel.
    flushes: AtomicU64,
    flushed: AtomicWaker,
    reset: AtomicBool,
    cdn: AtomicBool,
}

impl Connection {
    pub(crate) fn new(sim: Sim) -> Self {
        sim.inner.counters.connections.enter();
        Self {
            sim,
            flushes: AtomicU64::new(0),
            flushed: AtomicWaker::new(),
            reset: AtomicBool::new(false),
            cdn: AtomicBool::new(false),
        }
    }

    /// Counts the connection among those of the CDN, once.
    pub(crate) fn carries_cdn(&self) {
        if !self.cdn.swap(true, Ordering::Relaxed) {
            self.sim.inner.counters.cdn_connections.enter();
        }
    }

    pub(crate) fn reset_on_close(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }

    /// Waits for a flush after the one counted by `mark`. To be called from the task that writes the connection.
    pub(crate) async fn flushed_after(&self, mark: u64) {
        std::future::poll_fn(|cx| {
            self.flushed.register(cx.waker());
            if self.flushes() > mark {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.sim.inner.counters.connections.leave();
        if *self.cdn.get_mut() {
            self.sim.inner.counters.cdn_connections.leave();
        }
    }
}

/// What a request's listener knows about itself.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// Base URL of direct links; `None` when only the request's `Host` can tell.
    pub(crate) cdn: Option<String>,
    pub(crate) scheme: &'static str,
    /// Base URL of the other listener, for redirects.
    pub(crate) other: Option<String>,
}

/// Base URL of the CDN for whoever sent a request.
pub(crate) fn cdn_url(request: &Parts) -> String {
    let Some(listener) = request.extensions.get::<Arc<Listener>>() else {
        return "http://sim.invalid".to_owned();
    };
    let host = || {
        let host = request.headers.get(header::HOST);
        host.and_then(|host| host.to_str().ok())
            .unwrap_or("127.0.0.1")
    };
    let own = || format!("{}://{}", listener.scheme, host());
    listener.cdn.clone().unwrap_or_else(own)
}

/// The stream of a [`Connection`].
pub(crate) struct Counted {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Counted {
    pub(crate) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Relaxed)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "the connection will be closed without a reset");
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        if result.is_ready() {
            self.connection.flushes.fetch_add(1, Ordering::AcqRel);
            self.connection.flushed.wake();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
