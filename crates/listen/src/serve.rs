//! The one accept loop: every listener of the program goes through [`serve`]. What is to hold for all
//! connections (limits of time and number) belongs here.

use std::net::IpAddr;

use axum::Router;
use axum::http::{Extensions, Request};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix;
use tower::ServiceExt;

/// The address of whoever is connected, found in each request's extensions. Connections by a unix
/// socket have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The address of the caller, if its connection has one.
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<Peer>().map(|peer| peer.0)
}

/// Addresses of connections.
pub trait Address {
    /// What its requests are marked with.
    fn peer(&self) -> Option<Peer>;
}

impl Address for std::net::SocketAddr {
    fn peer(&self) -> Option<Peer> {
        Some(Peer(self.ip()))
    }
}

impl Address for unix::SocketAddr {
    fn peer(&self) -> Option<Peer> {
        None
    }
}

/// Accepts connections for ever and serves `router` on each. Connections outlive this future: a
/// dropped one only accepts no more.
pub async fn serve<L>(mut listener: L, router: Router)
where
    L: Listener<Addr: Address>,
{
    loop {
        // Logs what goes wrong, and waits a second where another try at once would fail as well.
        let (io, address) = listener.accept().await;
        tokio::spawn(connection(io, address.peer(), router.clone()));
    }
}

async fn connection<I>(io: I, peer: Option<Peer>, router: Router)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = router.map_request(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        request
    });
    let service = TowerToHyperService::new(router);
    let served = http1::Builder::new().serve_connection(TokioIo::new(io), service);
    if let Err(error) = served.await {
        // The caller hung up, or does not speak HTTP.
        tracing::trace!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;
    use crate::bind;

    /// Says whom it takes its caller for.
    fn router() -> Router {
        let said = |request: axum::extract::Request| async move {
            format!("{:?}", peer(request.extensions()))
        };
        Router::new().route("/", get(said))
    }

    async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
        let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn started() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router()));
        address
    }

    #[tokio::test]
    async fn requests_carry_the_address_of_their_connection() {
        let stream = TcpStream::connect(started().await).await.unwrap();
        let answer = ask(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.ends_with("Some(127.0.0.1)"), "{answer}");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        tokio::spawn(serve(bind::unix(&path).unwrap(), router()));
        let answer = ask(UnixStream::connect(path).await.unwrap()).await;
        assert!(answer.ends_with("None"), "{answer}");
    }

    #[tokio::test]
    async fn one_connection_does_not_hold_up_another() {
        let address = started().await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET / HT").await.unwrap();
        let mut garbage = TcpStream::connect(address).await.unwrap();
        garbage.write_all(b"\x16\x03\x01\r\n\r\n").await.unwrap();
        let answer = ask(TcpStream::connect(address).await.unwrap()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
}
