//! HTTP clients: TLS, proxy, IP version; and one request with its whole answer, or with one that comes piece by piece.

mod client;
mod streaming;
mod tls;
mod transport;

pub use client::{ClientError, ClientOptions, IpChoice, Setting};
pub use reqwest::Url;
pub use streaming::{Pieces, StreamingClient};
pub use transport::{Network, Transport, TransportError};
