//! Where something is served, and what is said while it cannot be.

use std::io;
use std::net::SocketAddr;

use debridfs_base::{AttentionKind, Board, Trouble};
use tokio::net::TcpListener;

use crate::tcp;

/// Where something is served.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// What, such as `qBittorrent API`.
    pub what: &'static str,
    /// The setting that says where.
    pub setting: &'static str,
    /// Where.
    pub address: SocketAddr,
}

impl Place {
    /// Listens there; until it can, `board` says why not.
    pub async fn listen(&self, board: &Board) -> TcpListener {
        let listener = tcp(self.address, |error, by| {
            let Trouble { words, help } = self.trouble(&error, by);
            if board.raise(
                AttentionKind::Port,
                self.setting,
                Trouble::new(&words, &help),
            ) {
                tracing::error!(help, "{words}");
            }
        });
        let listener = listener.await;
        board.settle(AttentionKind::Port, self.setting);
        listener
    }

    /// What is said where it cannot listen, `by` whom the address is held if that is known.
    pub fn trouble(&self, error: &io::Error, by: Option<&str>) -> Trouble {
        let Self {
            what,
            setting,
            address,
        } = self;
        if error.kind() != io::ErrorKind::AddrInUse {
            let help = format!(
                "`{setting}` has to be an address of this machine, with a port that its user may take"
            );
            return Trouble::new(format!("no {what}: {address}: {error}"), help);
        }
        let by = by.map_or_else(String::new, |by| format!(" by {by}"));
        let help = format!(
            "stop that program (it is tried again by itself), or set `{setting}` to another port"
        );
        Trouble::new(format!("no {what}: {address} is taken{by}"), help)
    }
}
