//! A keeper that comes after another one was lost: the engine outlived that one, serves on, and
//! brings the connection back.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::clients::Client;
use super::engine::Peer;
use super::{Keeper, describe, target};
use crate::KeeperError;
use crate::connection::Connection;
use crate::handover::{EngineState, FromKeeper, LeaseTerms, PROTOCOL};
use crate::options::{Level, Mode};

/// How long the engine of a mount that is alive may take to come: it tries every 200 ms.
const RETURN_LIMIT: Duration = Duration::from_secs(5);

impl Keeper {
    /// When a mount of ours is served here, waits for the engine that does so. Without one the
    /// mount is somebody else's, or beyond help, and is judged as such.
    pub(super) fn wait_for_return(&mut self) {
        let attached = matches!(self.options.mode, Mode::Attached);
        if !attached || !target::is_alive(&self.path) {
            return;
        }
        self.log(
            Level::Info,
            "the mount is there already: waiting for its engine to bring it back",
        );
        let end = Instant::now() + RETURN_LIMIT;
        while self.connection.is_none() && Instant::now() < end && !self.stopping {
            self.wait();
            self.hear_signals(Instant::now());
            self.hear(Instant::now());
        }
    }

    /// An engine brings a connection.
    pub(super) fn take_back(
        &mut self,
        client: Client,
        protocol: u32,
        version: String,
        terms: &LeaseTerms,
        fds: Vec<OwnedFd>,
        now: Instant,
    ) {
        match self.returned(protocol, terms, fds) {
            Ok(connection) => {
                let _ = client.send(&FromKeeper::Returned, &[]);
                let text = format!(
                    "took {} back from engine {}, version {version}",
                    self.path.display(),
                    client.pid
                );
                self.log(Level::Info, &text);
                self.connection_number = terms.connection;
                self.generation = terms.generation;
                self.leases = 1;
                let mut peer = Peer::new(client, version, &connection.journal, now);
                peer.state = EngineState::Serving;
                self.peer = Some(peer);
                // The lost keeper may have taken requests that it told nobody of, one of them a moment ago.
                self.stand_in.recover(&connection);
                self.connection = Some(connection);
                self.hand_over = true;
                if let Some(ready) = self.options.ready.take() {
                    ready();
                }
            }
            Err(reason) => {
                self.log(
                    Level::Warn,
                    &format!("a returned mount is refused: {reason}"),
                );
                let _ = client.send(&FromKeeper::Refused { reason }, &[]);
            }
        }
    }

    fn returned(
        &self,
        protocol: u32,
        terms: &LeaseTerms,
        fds: Vec<OwnedFd>,
    ) -> Result<Connection, String> {
        if self.connection.is_some() {
            return Err("this keeper has a mount already".into());
        }
        if protocol != PROTOCOL {
            return Err(format!(
                "it speaks handover {protocol}, this keeper {PROTOCOL}"
            ));
        }
        Connection::taken_back(&self.path, terms, fds)
            .map_err(|error: KeeperError| describe(&error))
    }
}
