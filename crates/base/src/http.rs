//! HTTP clients: TLS, proxy, IP version, where they may go; and one request with its whole answer, or with one that comes piece by piece.

mod client;
mod reach;
mod streaming;
mod tls;
mod transport;

pub use client::{ClientError, ClientOptions, IpChoice, Setting};
pub use ipnet::IpNet;
pub use reach::{NotAllowed, Reach};
pub use reqwest::Url;
pub use streaming::{Pieces, StreamingClient};
pub use transport::{Network, Transport, TransportError};
