//! Addresses of the servers that are measured.

use std::net::{SocketAddr, TcpListener, TcpStream};

use debridfs_measure::until;

use crate::Result;

/// An address on loopback that is free now.
pub(crate) fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Waits, at most 30 s, until `what` listens at `address`.
pub(crate) fn listening(what: &str, address: SocketAddr) -> Result<()> {
    until(&format!("{what} listens"), 30, || {
        TcpStream::connect(address).is_ok()
    })?;
    Ok(())
}
