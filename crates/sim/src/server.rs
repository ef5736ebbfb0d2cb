//! Puts a simulation on TCP, with or without TLS.

mod router;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::connection::{Connection, Counted, Listener};
use crate::sim::Sim;
use crate::tls::TestCa;

/// Congestion control of what is sent.
const UNPACED: &str = "reno";

/// Where and how to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Address of the API, the CDN and the control interface; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Another address for the CDN alone; direct links lead there then.
    pub cdn_listen: Option<SocketAddr>,
    /// Serve HTTPS, with a certificate of a new CA made for this.
    pub tls: bool,
    /// More host names and addresses for the certificate.
    pub hosts: Vec<String>,
    /// Base URL in direct links when clients reach the CDN otherwise than by its own address (`http://sim:8080`).
    pub public_cdn_url: Option<String>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            cdn_listen: None,
            tls: false,
            hosts: Vec::new(),
            public_cdn_url: None,
        }
    }
}

/// Why serving could not begin.
#[derive(Debug)]
pub enum ServeError {
    /// The address could not be taken.
    Bind(SocketAddr, std::io::Error),
    /// The certificate could not be made.
    Tls(String),
}

impl std::fmt::Display for ServeError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bind(address, error) => write!(out, "cannot listen on {address}: {error}"),
            Self::Tls(reason) => write!(out, "cannot make a certificate: {reason}"),
        }
    }
}

impl std::error::Error for ServeError {}

/// A running server; dropping it closes every connection at once, and connecting is refused from then on.
#[derive(Debug)]
pub struct Served {
    sim: Sim,
    base_url: String,
    cdn_url: String,
    ca_pem: Option<String>,
    addresses: Vec<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl Served {
    /// Scheme, host and port, without a slash at the end. The control interface is at `/control`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Base URL for clients of the API: `…/rest/1.0` or `…/v1/api`.
    pub fn api_url(&self) -> String {
        format!("{}{}", self.base_url, self.sim.kind().api_path())
    }

    /// Scheme, host and port of the CDN.
    pub fn cdn_url(&self) -> &str {
        &self.cdn_url
    }

    /// The token of account 0.
    pub fn token(&self) -> String {
        self.sim.token()
    }

    /// The CA's certificate, with TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Addresses listened on: the API's, then the CDN's if it has its own.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The simulation.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// Closes everything and waits until the ports are free.
    pub async fn stop(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // An aborted task says so; there is nothing else to learn.
            let _ = task.await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Serves `sim` until the result is dropped. Needs a running tokio runtime.
///
/// # Errors
/// An address is taken, or the certificate could not be made.
pub async fn serve(sim: Sim, options: ServeOptions) -> Result<Served, ServeError> {
    let main = bind(options.listen).await?;
    let cdn = match options.cdn_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let ca = if options.tls {
        let addresses = [Some(main.1), cdn.as_ref().map(|cdn| cdn.1)];
        let ips = addresses
            .into_iter()
            .flatten()
            .map(|address| address.ip().to_string());
        Some(TestCa::new(options.hosts.iter().cloned().chain(ips)).map_err(ServeError::Tls)?)
    } else {
        None
    };
    let scheme = if options.tls { "https" } else { "http" };
    let base_url = url(scheme, main.1);
    let own_cdn_url = cdn.as_ref().map(|cdn| url(scheme, cdn.1));
    let cdn_url = options
        .public_cdn_url
        .or_else(|| own_cdn_url.clone())
        .unwrap_or_else(|| base_url.clone());
    // Listening on all addresses, only the client knows under which one it found us.
    let ask_host = cdn_url == base_url && main.1.ip().is_unspecified();
    let listener = |other: Option<&String>| {
        Arc::new(Listener {
            cdn: (!ask_host).then(|| cdn_url.clone()),
            scheme,
            other: other.cloned(),
        })
    };
    let mut addresses = vec![main.1];
    let acceptor = ca.as_ref().map(TestCa::acceptor);
    let mut tasks = vec![tokio::spawn(accept(
        main.0,
        sim.clone(),
        listener(own_cdn_url.as_ref()),
        acceptor.clone(),
    ))];
    if let Some((socket, address)) = cdn {
        addresses.push(address);
        tasks.push(tokio::spawn(accept(
            socket,
            sim.clone(),
            listener(Some(&base_url)),
            acceptor,
        )));
    }
    let ca_pem = ca.map(|ca| ca.pem().to_owned());
    Ok(Served {
        sim,
        base_url,
        cdn_url,
        ca_pem,
        addresses,
        tasks,
    })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |error| ServeError::Bind(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    send_unpaced(&listener);
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Lets accepted connections send without TCP's own pacing, whatever this machine is set to. Over the loopback device BBR's timers run on the
/// core of whoever reads, where a CDN's never do, and they are a second shaping beside the one that was asked for. Reno is part of every
/// kernel (tcp(7), `TCP_CONGESTION`).
fn send_unpaced(listener: &TcpListener) {
    if let Err(error) = rustix::net::sockopt::set_tcp_congestion(listener, UNPACED) {
        tracing::warn!(%error, "cannot choose TCP's congestion control: this machine's own shapes what is sent");
    }
}

/// The address as a client on this machine would write it.
fn url(scheme: &str, address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        ip if ip.is_unspecified() => format!("{scheme}://127.0.0.1:{port}"),
        _ => format!("{scheme}://{address}"),
    }
}

async fn accept(socket: TcpListener, sim: Sim, listener: Arc<Listener>, tls: Option<TlsAcceptor>) {
    let service = sim.router();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => {
                match accepted {
                    Ok((stream, _)) => {
                        let connection = serve_connection(stream, sim.clone(), listener.clone(), tls.clone(), service.clone());
                        connections.spawn(connection);
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely, until some connection is closed.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    sim: Sim,
    listener: Arc<Listener>,
    tls: Option<TlsAcceptor>,
    service: axum::Router,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let connection = Arc::new(Connection::new(sim));
    let counted = Counted::new(stream, connection.clone());
    match tls {
        None => router::serve_http(counted, connection, listener, service).await,
        Some(acceptor) => match acceptor.accept(counted).await {
            Ok(stream) => router::serve_http(stream, connection, listener, service).await,
            Err(error) => tracing::debug!(%error, "no TLS session"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_accepted_is_sent_without_pacing() {
        let (listener, address) = bind(ServeOptions::default().listen).await.unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, _) = accepted.unwrap();
        let control = rustix::net::sockopt::tcp_congestion(&stream).unwrap();
        assert_eq!(control, UNPACED);
    }
}
