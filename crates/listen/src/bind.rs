//! Taking an address, or a socket's path.
#![allow(
    clippy::disallowed_methods,
    reason = "a socket lies in memory (runtime_dir)"
)]

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::time::Instant;

use crate::holder;

/// How soon a taken address is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How often it is looked who has it: that reads the descriptors of all processes.
const LOOK: Duration = Duration::from_secs(60);

/// Listens on `address`. One that cannot be had is tried again until it can; `failed` hears of each
/// try that came to nothing, and of who has the address as far as that is known.
pub async fn tcp(
    address: SocketAddr,
    mut failed: impl FnMut(io::Error, Option<&str>),
) -> TcpListener {
    let mut by = None;
    let mut look_at = Instant::now();
    loop {
        let error = match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => error,
        };
        if error.kind() == io::ErrorKind::AddrInUse && look_at <= Instant::now() {
            look_at = Instant::now() + LOOK;
            let look = tokio::task::spawn_blocking(move || holder(address.port()));
            by = look.await.ok().flatten();
        }
        failed(error, by.as_deref());
        tokio::time::sleep(RETRY).await;
    }
}

/// Binds beside `path` and moves it there, so that it takes the place of a dead process's socket and
/// is never open to other users.
///
/// # Errors
/// The directory cannot be made or written, or the path is too long for a socket.
pub fn unix(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let fresh = path.with_extension(format!("{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_taken_address_is_waited_for() {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = first.local_addr().unwrap();
        let second = tokio::spawn(tcp(address, |_, _| {}));
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        assert_eq!(second.await.unwrap().local_addr().unwrap(), address);
    }

    /// A listener of Multipath TCP serves clients by paths that a packet filter was not asked about.
    #[tokio::test]
    async fn only_plain_tcp_is_listened_to() {
        let listener = tcp(([127, 0, 0, 1], 0).into(), |_, _| {}).await;
        let protocol = rustix::net::sockopt::socket_protocol(&listener);
        assert_eq!(protocol, Ok(Some(rustix::net::ipproto::TCP)));
    }

    #[tokio::test]
    async fn a_socket_is_private_and_replaces_a_dead_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/control.sock");
        let dead = unix(&path).unwrap();
        drop(dead);
        assert!(tokio::net::UnixStream::connect(&path).await.is_err());
        let _living = unix(&path).unwrap();
        assert!(tokio::net::UnixStream::connect(&path).await.is_ok());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let names = std::fs::read_dir(dir.path().join("run")).unwrap();
        assert_eq!(names.count(), 1, "nothing is left beside it");
    }
}
