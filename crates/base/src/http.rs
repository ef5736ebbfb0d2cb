//! HTTP clients: TLS, proxy, IP version; and one request with its whole answer.

mod client;
mod tls;
mod transport;

pub use client::{ClientError, ClientOptions, IpChoice, Setting};
pub use transport::{Network, Transport, TransportError};
