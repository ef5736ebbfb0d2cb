//! The engine that has the lease: is it alive, is it at work, how did it end, when comes the next.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Keeper;
use super::child::{self, Child};
use super::clients::{Client, Said, Waiting};
use super::stand_in;
use super::undying::{self, is_half_dead};
use crate::connection::Connection;
use crate::options::{Level, Mode};
use debridfs_handover::journal::{Aftermath, End, Journal};
use debridfs_handover::{EngineState, FromKeeper, LeaseTerms, PROTOCOL, Recovery, ToKeeper};

/// An engine that lost its mount, or closed its socket, has so long to end by itself: it may die
/// at any time without loss.
const END_LIMIT: Duration = Duration::from_millis(500);

/// An engine that served for so long was no failure, even if nobody asked it anything.
const PROVEN: Duration = Duration::from_secs(10);

/// A loop that was away for so long (machine or keeper were stopped) says nothing about the
/// engine's heartbeat.
const AWAY: Duration = Duration::from_secs(2);

/// An engine with a lease.
#[derive(Debug)]
pub(super) struct Peer {
    pub client: Client,
    pub version: String,
    pub state: EngineState,
    /// Its connection is gone: it must end, and is told so.
    pub stale: bool,
    /// When it has to have ended.
    pub end_by: Option<Instant>,
    /// It closed the socket.
    pub closed: bool,
    /// When it was killed first.
    killed_at: Option<Instant>,
    leased_at: Instant,
    answered: u64,
    heartbeat: u64,
    heartbeat_at: Instant,
    beaten: bool,
}

impl Peer {
    /// An engine that gets ready.
    pub fn new(client: Client, version: String, journal: &Journal, now: Instant) -> Peer {
        Peer {
            client,
            version,
            state: EngineState::Starting,
            stale: false,
            end_by: None,
            closed: false,
            killed_at: None,
            leased_at: now,
            answered: journal.answered(),
            heartbeat: journal.heartbeat(),
            heartbeat_at: now,
            beaten: false,
        }
    }
}

/// Delay before the next engine, after so many in a row that were of no use.
pub(super) fn back_off(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => {
            Duration::from_millis(100 << doublings.min(6)).min(Duration::from_secs(5))
        }
    }
}

/// Settles what a dead engine left in the journal; who made two engines die is refused.
pub(super) fn bury(connection: &Connection, end: End) -> Aftermath {
    let aftermath = connection.journal.after_death(end);
    for held in &aftermath.condemned {
        stand_in::end(connection, held, libc::EIO, false);
    }
    aftermath
}

impl Keeper {
    /// An engine has the connection that is mounted now.
    pub(super) fn lease_is_out(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| !peer.stale)
    }

    pub(super) fn is_served(&self) -> bool {
        let served = |state| matches!(state, EngineState::Serving | EngineState::Stalled);
        self.peer
            .as_ref()
            .is_some_and(|peer| !peer.stale && served(peer.state))
    }

    pub(super) fn start_engine(&mut self, now: Instant) {
        let Some(command) = self.upgrading.command() else {
            return;
        };
        if self.child.is_some() || self.connection.is_none() || now < self.next_start {
            return;
        }
        match Child::start(&command, self.options.owner) {
            Ok(child) => {
                self.child_started = now;
                self.child = Some(child);
            }
            Err(error) => {
                let text = format!("cannot start the engine: {error}");
                self.failures = self.failures.saturating_add(1);
                self.next_start = now + back_off(self.failures);
                self.log(Level::Error, &text);
                self.last_death = Some(text);
            }
        }
    }

    /// Collects processes that ended.
    pub(super) fn reap(&mut self, now: Instant) {
        for (pid, status) in child::reap() {
            if self.child.as_ref().is_some_and(|child| child.pid == pid) {
                self.child = None;
                let (reason, end) = child::describe(status);
                self.engine_gone(&reason, end, now);
                self.after_engine(&reason, end, now);
            } else if self.undying.ended(pid) {
                let text = format!("engine {} ended at last", pid.as_raw_nonzero());
                self.log(Level::Info, &text);
            } else if self.upgrading.is_successor(pid) {
                let (reason, _) = child::describe(status);
                self.upgrade_failed(&format!("the new engine {reason} before it was ready"));
            }
        }
    }

    fn engine_gone(&mut self, reason: &str, end: End, now: Instant) {
        let peer = self.peer.take();
        let mut served = false;
        if let Some(connection) = self.connection.as_ref()
            && let Some(peer) = peer.as_ref().filter(|peer| !peer.stale)
        {
            served = connection.journal.answered() != peer.answered
                || (peer.state != EngineState::Starting && now - peer.leased_at > PROVEN);
            if self.recovery == Recovery::Journal {
                let aftermath = bury(connection, end);
                let (waiting, suspects) = (aftermath.waiting, aftermath.suspects);
                let condemned = aftermath.condemned.len();
                self.log(
                    Level::Warn,
                    &format!(
                        "engine {reason}; {waiting} requests wait for the next, {suspects} of \
                         them suspects, {condemned} refused after killing two engines"
                    ),
                );
            } else {
                self.log(Level::Warn, &format!("engine {reason}"));
            }
        } else {
            self.log(Level::Warn, &format!("engine {reason}"));
        }
        let stale = peer.is_some_and(|peer| peer.stale);
        self.failures = if served || stale {
            0
        } else {
            self.failures.saturating_add(1)
        };
        self.next_start = now + back_off(self.failures);
        self.last_death = Some(reason.to_owned());
        self.stall = None;
    }

    /// New clients, and what the known ones say.
    pub(super) fn hear(&mut self, now: Instant) {
        while let Some(client) = self.listener.accept() {
            if self.clients.len() >= super::MAX_CLIENTS {
                self.clients.remove(0);
            }
            self.clients.push(client);
        }
        for client in std::mem::take(&mut self.clients) {
            match client.receive() {
                Said::Nothing => self.clients.push(client),
                Said::End | Said::Message(ToKeeper::Serving | ToKeeper::Return { .. }) => {}
                Said::Return {
                    protocol,
                    version,
                    terms,
                    fds,
                } => self.take_back(client, protocol, version, &terms, fds, now),
                Said::Message(ToKeeper::Status) => {
                    if client.send(&FromKeeper::Status(self.status()), &[]).is_ok() {
                        self.clients.push(client);
                    }
                }
                Said::Message(ToKeeper::Upgrade) => {
                    let answer = match self.begin_upgrade(now) {
                        Ok(()) => FromKeeper::Status(self.status()),
                        Err(reason) => FromKeeper::Refused { reason },
                    };
                    let _ = client.send(&answer, &[]);
                }
                Said::Message(ToKeeper::Hello {
                    protocol,
                    version,
                    replace,
                    ..
                }) => match self.refusal(&client, protocol) {
                    None => {
                        let successor = self.upgrading.successor();
                        let replace = match &self.options.mode {
                            Mode::Attached => replace,
                            Mode::Child { .. } => {
                                successor.is_some_and(|successor| successor.pid() == client.pid)
                            }
                        };
                        self.waiting.push_back(Waiting {
                            client,
                            version,
                            replace,
                        });
                    }
                    Some(reason) => {
                        self.log(Level::Warn, &format!("engine refused: {reason}"));
                        let _ = client.send(&FromKeeper::Refused { reason }, &[]);
                    }
                },
            }
        }
        self.waiting
            .retain(|waiting| matches!(waiting.client.receive(), Said::Nothing));
        self.hear_engine(now);
    }

    fn refusal(&self, client: &Client, protocol: u32) -> Option<String> {
        if protocol != PROTOCOL {
            return Some(format!(
                "it speaks handover {protocol}, this keeper {PROTOCOL}"
            ));
        }
        if self.waiting.len() >= super::MAX_CLIENTS {
            return Some("too many engines wait already".into());
        }
        let mut children = self.child.iter().chain(self.upgrading.successor());
        match &self.options.mode {
            Mode::Attached => None,
            Mode::Child { .. } if children.any(|child| child.pid() == client.pid) => None,
            Mode::Child { .. } => Some("this keeper runs its engine itself".into()),
        }
    }

    fn hear_engine(&mut self, now: Instant) {
        // Bounded: a mad engine must not keep the loop from everything else.
        for _ in 0..16 {
            let Some(peer) = self.peer.as_mut().filter(|peer| !peer.closed) else {
                break;
            };
            match peer.client.receive() {
                Said::Nothing => break,
                Said::Message(ToKeeper::Serving) if !peer.stale => {
                    peer.state = EngineState::Serving;
                    let text = format!(
                        "engine {} serves, version {}",
                        peer.client.pid, peer.version
                    );
                    self.hand_over = true;
                    let version = peer.version.clone();
                    self.log(Level::Info, &text);
                    self.upgrade_serves(version);
                    if let Some(ready) = self.options.ready.take() {
                        ready();
                    }
                }
                Said::Message(ToKeeper::Status) => {
                    let status = FromKeeper::Status(self.status());
                    if let Some(peer) = &self.peer {
                        let _ = peer.client.send(&status, &[]);
                    }
                }
                Said::Message(_) | Said::Return { .. } => {}
                Said::End => {
                    peer.closed = true;
                    peer.end_by.get_or_insert(now + END_LIMIT);
                }
            }
        }
        // Attached: nobody else notices its death. A child is reaped.
        if self.child.is_none()
            && let Some(peer) = &self.peer
        {
            let gone = peer.client.is_dead().unwrap_or(peer.closed);
            if gone {
                self.engine_gone("ended or was killed", End::Killed, now);
            }
        }
    }

    /// Ends an engine that hangs, or that should have ended by now.
    pub(super) fn watch_engine(&mut self, now: Instant) {
        let away = now - self.last_loop > AWAY;
        self.last_loop = now;
        let limits = self.options.limits;
        self.leave_behind(now);
        let Some(peer) = self.peer.as_mut() else {
            let silent = now - self.child_started > limits.start;
            if let Some(child) = self.child.as_ref().filter(|_| silent) {
                child.signal(rustix::process::Signal::KILL);
                self.child_started = now;
                self.log(Level::Error, "engine never came for its lease: ended");
            }
            return;
        };
        if let Some(connection) = self.connection.as_ref().filter(|_| !peer.stale) {
            let heartbeat = connection.journal.heartbeat();
            if heartbeat != peer.heartbeat || away {
                peer.beaten |= heartbeat != peer.heartbeat;
                peer.heartbeat = heartbeat;
                peer.heartbeat_at = now;
            }
        }
        let limit = if peer.beaten {
            limits.heartbeat
        } else {
            limits.start
        };
        let silent = now - peer.heartbeat_at;
        // Killed by somebody else, and cannot end.
        let half_dead = silent > undying::PATIENCE
            && self
                .child
                .as_ref()
                .is_some_and(|child| is_half_dead(child.pid));
        let hung = !peer.stale && (silent > limit || half_dead);
        let late = peer.end_by.is_some_and(|end| now > end);
        if !hung && !late {
            return;
        }
        let killed = match &self.child {
            Some(child) => {
                child.signal(rustix::process::Signal::KILL);
                true
            }
            None => peer.client.kill(),
        };
        if killed {
            peer.killed_at.get_or_insert(now);
        }
        // Once, and again should the signal have had no effect after a while.
        peer.heartbeat_at = now;
        peer.end_by = peer.end_by.map(|_| now + limits.stop);
        let why = if hung {
            "engine hangs"
        } else {
            "engine did not end by itself"
        };
        let done = if killed {
            "ended"
        } else {
            "cannot be ended from here"
        };
        self.log(Level::Error, &format!("{why}: {done}"));
    }

    /// Goes on without an engine that was killed and cannot end.
    fn leave_behind(&mut self, now: Instant) {
        let Some(peer) = &self.peer else {
            return;
        };
        let long_ago = |killed: Instant| now - killed > undying::PATIENCE;
        if !peer.killed_at.is_some_and(long_ago) || !self.undying.has_room() {
            return;
        }
        let reason = "was killed and cannot end, as a system call of it hangs";
        let text = format!(
            "engine {} {reason}: is the volume of the cache or of the state away? Going on without it",
            peer.client.pid
        );
        self.log(Level::Error, &text);
        let child = self.child.take();
        self.engine_gone(reason, End::Killed, now);
        if let Some(child) = child {
            self.undying.add(child.pid);
            self.after_engine(reason, End::Killed, now);
        }
    }

    /// Gives the connection to the engine that has waited longest.
    pub(super) fn admit(&mut self, now: Instant) {
        if self.peer.is_some() || self.connection.is_none() {
            return;
        }
        let first = self.waiting.iter().position(|waiting| waiting.replace);
        let Some(Waiting {
            client, version, ..
        }) = self.waiting.remove(first.unwrap_or(0))
        else {
            return;
        };
        let Some(connection) = &self.connection else {
            return;
        };
        if self.leases > 0 && self.recovery != Recovery::Journal {
            connection.journal.empty();
            if self.recovery == Recovery::Resend
                && let Err(error) = connection.resend()
            {
                self.log(
                    Level::Error,
                    &format!("the kernel refused to resend: {error}"),
                );
            }
        }
        connection.journal.write_header();
        let terms = self.terms(connection, self.generation + 1);
        let process = client.pidfd().map(AsFd::as_fd);
        if let Err(error) = self.manager.note_lease(&terms, process) {
            let text = format!("the service manager cannot be told of the engine: {error}");
            (self.options.log)(Level::Warn, &text);
        }
        let lent = connection.lent();
        if let Err(error) = client.send(&FromKeeper::Lease(terms), &lent) {
            self.log(
                Level::Warn,
                &format!("engine could not be given its lease: {error}"),
            );
            return;
        }
        self.generation += 1;
        self.leases += 1;
        self.peer = Some(Peer::new(client, version, &connection.journal, now));
        // What the stand-in took so far is found by the adoption.
        self.hand_over = false;
    }

    /// What a lease says beside descriptors.
    pub(super) fn terms(&self, connection: &Connection, generation: u64) -> LeaseTerms {
        LeaseTerms {
            generation,
            connection: self.connection_number,
            layout: *connection.journal.layout(),
            init: connection.init,
            recovery: self.recovery,
            mount: self.path.clone(),
            mounted_at: connection.mounted_at,
            deadline: u64::try_from(self.options.limits.deadline.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Its connection is gone: it must end, and gets the new one only by a successor.
    pub(super) fn retire_engine(&mut self, now: Instant) {
        if let Some(peer) = self.peer.as_mut() {
            peer.stale = true;
            peer.end_by = Some(now + END_LIMIT);
            let _ = peer.client.send(&FromKeeper::Stop, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_five_seconds() {
        let delays: Vec<_> = (0..9).map(|n| back_off(n).as_millis()).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(back_off(u32::MAX), Duration::from_secs(5));
    }
}
