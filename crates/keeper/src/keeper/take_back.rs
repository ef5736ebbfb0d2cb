//! A keeper that comes after another one was lost: the engine outlived that one, serves on, and
//! brings the connection back; or the service manager has it, whatever became of the engine.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::process::{Signal, pidfd_send_signal};

use super::clients::Client;
use super::engine::{Peer, bury};
use super::service_manager::{Kept, LastEngine};
use super::{Keeper, Order, undying};
use crate::connection::Connection;
use crate::log::printable;
use crate::options::{Level, Mode};
use crate::{KeeperError, aside};
use debridfs_base::with_causes;
use debridfs_handover::journal::End;
use debridfs_handover::{EngineState, FromKeeper, LeaseTerms, PROTOCOL, Recovery};

/// How long the engine of a mount that is alive may take to come: it tries every 200 ms.
const RETURN_LIMIT: Duration = Duration::from_secs(5);

/// An engine that is killed together with its keeper has this long to be gone.
const DEATH_LIMIT: Duration = Duration::from_secs(1);

impl Keeper {
    /// When a mount of ours is served here, waits for the engine that does so. Without one the
    /// mount is another keeper's, or beyond help, and is judged as such.
    pub(super) fn wait_for_return(&mut self) {
        let attached = matches!(self.options.mode, Mode::Attached);
        if attached && self.mount_point.is_alive() {
            self.await_engine(None);
        }
    }

    /// Waits until an engine has brought its connection, but no longer than its process lives,
    /// where that can be seen.
    fn await_engine(&mut self, engine: Option<&LastEngine>) {
        self.log(
            Level::Info,
            "the mount is there already: waiting for its engine to bring it back",
        );
        let end = Instant::now() + RETURN_LIMIT;
        let gone = || engine.is_some_and(|engine| engine.is_gone_within(Duration::ZERO));
        while self.connection.is_none()
            && Instant::now() < end
            && self.order == Order::Keep
            && !gone()
        {
            self.wait();
            self.hear_signals();
            self.hear(Instant::now());
        }
    }

    /// Takes the mount that the service manager kept. What of it is of no use is let go.
    pub(super) fn resume(&mut self, kept: Vec<Kept>) {
        for kept in kept {
            if let Err(reason) = self.resume_one(kept) {
                self.log(
                    Level::Warn,
                    &format!("dropping a mount that the service manager kept: {reason}"),
                );
            }
        }
    }

    fn resume_one(&mut self, kept: Kept) -> Result<(), String> {
        if self.connection.is_some() {
            self.manager.let_go(&kept.terms);
            return Err("there is a newer one".into());
        }
        let Kept {
            terms,
            fds,
            engine,
            note,
        } = kept;
        self.manager.resume(&terms, note);
        let resumed = self.resume_with(&terms, fds, &engine);
        if resumed.is_err() {
            self.manager.forget();
        }
        resumed
    }

    fn resume_with(
        &mut self,
        terms: &LeaseTerms,
        fds: Vec<OwnedFd>,
        engine: &LastEngine,
    ) -> Result<(), String> {
        match self.options.mode {
            Mode::Attached if !engine.is_gone_within(Duration::ZERO) => {
                self.await_engine(Some(engine));
            }
            Mode::Attached => {}
            // It ends with its keeper.
            Mode::Child { .. } => {
                engine.is_gone_within(DEATH_LIMIT);
            }
        }
        if self.connection.is_some() {
            return Ok(());
        }
        // What was lent cannot be called back: nobody else may have it while that engine can still
        // move.
        if !engine.is_gone_within(Duration::ZERO) {
            self.end_for_good(engine)?;
        }
        let connection = Connection::taken_back(&self.mount_point.path, terms, fds)
            .map_err(|error: KeeperError| with_causes(&error))?;
        self.mounts.number = terms.connection;
        self.lent.generation = terms.generation;
        self.lent.of_this_connection = u64::from(terms.generation > 0);
        let mut waiting = 0;
        if self.options.recovery == Recovery::Journal {
            waiting = bury(&connection, End::Killed).waiting;
        }
        self.stand_in.recover(&connection, false);
        self.connection = Some(connection);
        self.ask_for_what_was_lost(Instant::now());
        let text = format!(
            "took {} over from the service manager; {waiting} requests wait for the next engine",
            self.mount_point.path.display()
        );
        self.log(Level::Info, &text);
        Ok(())
    }

    /// Ends the engine of a lost keeper. One that was killed and does not end is left behind, as
    /// [`undying`] says.
    fn end_for_good(&self, engine: &LastEngine) -> Result<(), String> {
        let LastEngine::Process(process) = engine else {
            return Err("its engine may live, and cannot be ended from here".into());
        };
        self.log(Level::Warn, "the engine of a lost keeper lives: ended");
        let killed = pidfd_send_signal(process, Signal::KILL);
        if engine.is_gone_within(undying::PATIENCE) {
            return Ok(());
        }
        killed.map_err(|error| format!("its engine cannot be ended from here: {error}"))?;
        let text = "it cannot end, as a system call of it hangs: is the volume of the cache or of the state away? Going on without it";
        self.log(Level::Error, text);
        Ok(())
    }

    /// Lets the service manager have the connection, if there is one.
    pub(super) fn give_to_manager(&mut self) {
        let Some(connection) = &self.connection else {
            return;
        };
        let terms = self.terms(connection, self.lent.generation);
        if let Err(error) = self.manager.keep(connection, &terms) {
            let text = format!(
                "the service manager does not keep the mount, which ends with this process: {error}"
            );
            self.log.line(Level::Warn, &text);
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
                let version = printable(&version);
                let _ = client.send(&FromKeeper::Returned, &[]);
                let text = format!(
                    "took {} back from engine {}, version {version}",
                    self.mount_point.path.display(),
                    client.pid
                );
                self.log(Level::Info, &text);
                self.mounts.number = terms.connection;
                self.lent.generation = terms.generation;
                self.lent.of_this_connection = 1;
                self.tell_manager_of(&client, &connection);
                let peer = Peer::new(client, version, now);
                let mut peer = peer.with_lease(&connection.journal, now);
                peer.state = EngineState::Serving;
                self.lent.peer = Some(peer);
                // The lost keeper may have taken requests that it told nobody of, one of them a
                // moment ago.
                self.stand_in.recover(&connection, true);
                self.connection = Some(connection);
                self.lent.hand_over = true;
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

    fn tell_manager_of(&mut self, client: &Client, connection: &Connection) {
        let terms = self.terms(connection, self.lent.generation);
        let mut told = Ok(());
        if !self.manager.holds(terms.connection) {
            told = self.manager.keep(connection, &terms);
        }
        let process = client.pidfd().map(AsFd::as_fd);
        let told = told.and_then(|()| self.manager.note_lease(&terms, process));
        if let Err(error) = told {
            let text = format!("the service manager does not keep the mount: {error}");
            self.log(Level::Warn, &text);
        }
    }

    fn returned(
        &self,
        protocol: u32,
        terms: &LeaseTerms,
        fds: Vec<OwnedFd>,
    ) -> Result<Connection, String> {
        if self.connection.is_some() {
            aside::close(fds);
            return Err("this keeper has a mount already".into());
        }
        if self.lent.peer.is_some() {
            aside::close(fds);
            return Err("another engine is running and waits for a mount".into());
        }
        if protocol != PROTOCOL {
            aside::close(fds);
            return Err(format!(
                "it speaks handover {protocol}, this keeper {PROTOCOL}"
            ));
        }
        Connection::taken_back(&self.mount_point.path, terms, fds)
            .map_err(|error: KeeperError| with_causes(&error))
    }
}
