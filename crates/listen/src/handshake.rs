//! The handshake of TLS on a connection that was let in.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Tls;
use crate::activity::Stream;
use crate::serve::{REFUSING, UNREAD};

/// What a client is answered that does not speak TLS here.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
     debridfs: this port speaks HTTPS, and no plain HTTP: ask by https://\n";
/// What a connection is told that is one too many: a fatal alert, `internal_error` (RFC 8446, section 6).
pub(crate) const TOO_MANY: &str = "\x15\x03\x03\x00\x02\x02\x50";

/// The first byte of a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Shakes hands; nothing where that failed. Takes as long as the caller does: the limits of its
/// connection hold, and it has no request yet, so that it makes room for others.
pub(crate) async fn shake_hands<I>(mut stream: Stream<I>, tls: &Tls) -> Option<TlsStream<Stream<I>>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    // Looked at before rustls does, which would answer with an alert first.
    if stream.peek().await.ok()?? != HANDSHAKE {
        // It may not listen.
        let _ = timeout(REFUSING, refuse(stream)).await;
        return None;
    }
    // That of this moment: it may have been replaced since the connection came.
    let shaken = TlsAcceptor::from(tls.config()?).accept(stream).await;
    shaken
        .inspect_err(|error| tracing::trace!(%error, "no handshake"))
        .ok()
}

/// Whether a part of a request came with the handshake's end, and waits to be read.
pub(crate) fn has_begun<I>(stream: &mut TlsStream<I>) -> bool {
    let state = stream.get_mut().1.process_new_packets();
    state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
}

async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<u64> {
    stream.write_all(PLAIN.as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(UNREAD), &mut tokio::io::sink()).await
}
