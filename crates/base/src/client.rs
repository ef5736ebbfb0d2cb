//! Who asks for bytes.

use std::fmt;
use std::net::IpAddr;

/// A reader, as its front knows it: for limits, and to show who reads what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// A thread that reads the mount, by its number (`gettid(2)`). The kernel gives 0 for one in a PID namespace that the
    /// engine does not see.
    Process(u32),
    /// Whoever asks over HTTP; without an address over a unix socket.
    Http(Option<IpAddr>),
    /// Whoever asks over NFS.
    Nfs(IpAddr),
    /// This program, for itself.
    Own,
}

impl Client {
    /// Its front: `fuse`, `http`, `nfs` or `own`.
    pub fn front(self) -> &'static str {
        match self {
            Self::Process(_) => "fuse",
            Self::Http(_) => "http",
            Self::Nfs(_) => "nfs",
            Self::Own => "own",
        }
    }
}

/// The client within its front: `pid 1234` or an address; nothing where it is not known.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(0) | Self::Http(None) | Self::Own => Ok(()),
            Self::Process(pid) => write!(f, "pid {pid}"),
            Self::Http(Some(address)) | Self::Nfs(address) => address.fmt(f),
        }
    }
}
