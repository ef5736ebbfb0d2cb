//! The engine that has the lease: is it alive, is it at work, how did it end, when comes the next.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::child::{self, Child};
use super::clients::{Client, Said, Waiting};
use super::stand_in;
use super::undying::{self, is_half_dead};
use super::{Keeper, Order};
use crate::connection::Connection;
use crate::log::printable;
use crate::options::{Level, Mode};
use debridfs_handover::journal::{Aftermath, End, Journal};
use debridfs_handover::{
    EngineState, FromKeeper, LeaseTerms, PROTOCOL, Recovery, ToKeeper, Unmounted,
};

/// An engine that lost its mount, or closed its socket, has this long to end by itself: it may die
/// at any time without loss.
const END_LIMIT: Duration = Duration::from_millis(500);

/// An engine that served for this long was no failure, even if it was never asked anything.
const PROVEN: Duration = Duration::from_secs(10);

/// A loop that was away for this long (machine or keeper were stopped) says nothing about the
/// engine's heartbeat.
const AWAY: Duration = Duration::from_secs(2);

/// An engine that was admitted.
#[derive(Debug)]
pub(super) struct Peer {
    pub client: Client,
    pub version: String,
    pub state: EngineState,
    /// It has the connection, or had it; otherwise there has been none since it came.
    pub leased: bool,
    /// Its connection is gone: it must end, and is told so.
    pub stale: bool,
    /// When it has to have ended.
    pub end_by: Option<Instant>,
    /// It closed the socket.
    pub closed: bool,
    /// When it was killed first.
    killed_at: Option<Instant>,
    admitted_at: Instant,
    answered: u64,
    heartbeat: u64,
    heartbeat_at: Instant,
    beaten: bool,
}

impl Peer {
    /// An engine that gets ready.
    pub fn new(client: Client, version: String, now: Instant) -> Peer {
        Peer {
            client,
            version,
            state: EngineState::Starting,
            leased: false,
            stale: false,
            end_by: None,
            closed: false,
            killed_at: None,
            admitted_at: now,
            answered: 0,
            heartbeat: 0,
            heartbeat_at: now,
            beaten: false,
        }
    }

    /// It has the connection of this journal from now on.
    pub fn with_lease(mut self, journal: &Journal, now: Instant) -> Peer {
        self.leased = true;
        self.state = EngineState::Starting;
        self.answered = journal.answered();
        self.heartbeat = journal.heartbeat();
        self.heartbeat_at = now;
        self
    }

    /// Notes that it lives if its heartbeat has moved, or if the loop was not there to look
    /// (`away`).
    fn feel_pulse(&mut self, heartbeat: u64, away: bool, now: Instant) {
        let moved = heartbeat != self.heartbeat;
        self.beaten |= moved;
        self.heartbeat = heartbeat;
        if moved || away {
            self.heartbeat_at = now;
        }
    }
}

/// Settles what a dead engine left in the journal; a request that made two engines die is refused.
pub(super) fn bury(connection: &Connection, end: End) -> Aftermath {
    let aftermath = connection.journal.after_death(end);
    for held in &aftermath.condemned {
        stand_in::end(connection, held, libc::EIO, false);
    }
    aftermath
}

impl Keeper {
    pub(super) fn start_engine(&mut self, now: Instant) {
        if self.is_unsettled() {
            return;
        }
        let Some(command) = self.processes.upgrading.command() else {
            return;
        };
        let place = self.connection.is_some() || self.mounts.trouble().is_some();
        let due = self.restarts.is_due(now) && place;
        if self.processes.engine.is_some() || !due {
            return;
        }
        match Child::start(&command, self.options.owner) {
            Ok(child) => self.processes.engine = Some(child),
            Err(error) => {
                let text = format!("cannot start the engine: {error}");
                self.restarts.ended(&text, false, now);
                self.log(Level::Error, &text);
            }
        }
    }

    /// Collects processes that ended.
    pub(super) fn reap(&mut self, now: Instant) {
        for (pid, status) in child::reap() {
            let engine = self.processes.engine.as_ref();
            if engine.is_some_and(|engine| engine.pid == pid) {
                self.processes.engine = None;
                self.processes.offspring.expect(now);
                let (reason, end) = child::describe(status);
                self.give_up_if_refused(status.exit_status());
                self.engine_gone(&reason, end, now);
                self.after_engine(&reason, end);
            } else if self.processes.undying.ended(pid) {
                let text = format!("engine {} ended at last", pid.as_raw_nonzero());
                self.log(Level::Info, &text);
            } else if self.processes.upgrading.is_successor(pid) {
                self.processes.offspring.expect(now);
                let (reason, _) = child::describe(status);
                self.upgrade_failed(&format!("the new engine {reason} before it was ready"));
            }
        }
    }

    /// Readers may wait for a mount that was served: there the next engine may be admitted.
    fn give_up_if_refused(&mut self, status: Option<i32>) {
        let refused = status.is_some() && status == self.options.refused;
        if refused && self.lent.generation == 0 {
            self.order = Order::GiveUp;
        }
    }

    fn engine_gone(&mut self, reason: &str, end: End, now: Instant) {
        let mut served = false;
        let mut text = format!("engine {reason}");
        let peer = self.lent.peer.take();
        let stale = peer.as_ref().is_some_and(|peer| peer.stale);
        if let Some(peer) = &peer {
            served = peer.state != EngineState::Starting && now - peer.admitted_at > PROVEN;
        }
        if let Some(connection) = self.connection.as_ref()
            && let Some(peer) = peer.filter(|peer| peer.leased && !peer.stale)
        {
            served |= connection.journal.answered() != peer.answered;
            if self.options.recovery == Recovery::Journal {
                let aftermath = bury(connection, end);
                let (waiting, suspects) = (aftermath.waiting, aftermath.suspects);
                let condemned = aftermath.condemned.len();
                text.push_str(&format!(
                    "; {waiting} requests wait for the next, {suspects} of them suspects, \
                     {condemned} refused after killing two engines"
                ));
            }
        }
        self.log(Level::Warn, &text);
        self.recount |= !stale;
        self.restarts.ended(reason, served || stale, now);
        self.watch.start_again();
    }

    /// New clients, and what the known ones say.
    pub(super) fn hear(&mut self, now: Instant) {
        self.callers.let_in();
        for client in std::mem::take(&mut self.callers.clients) {
            // Descriptors are wanted of nobody but an engine that brings a connection back.
            match client.receive(self.connection.is_none()) {
                Said::Nothing => self.callers.clients.push(client),
                Said::End => {}
                Said::Message(message) => self.hear_client(client, message),
                Said::Return {
                    protocol,
                    version,
                    terms,
                    fds,
                } => self.take_back(client, protocol, version, &terms, fds, now),
            }
        }
        self.callers.let_go();
        self.hear_engine(now);
    }

    fn hear_client(&mut self, client: Client, message: ToKeeper) {
        match message {
            ToKeeper::Serving | ToKeeper::Return { .. } => {}
            ToKeeper::Status => {
                if client.send(&FromKeeper::Status(self.status()), &[]).is_ok() {
                    self.callers.clients.push(client);
                }
            }
            ToKeeper::Upgrade => {
                let answer = match self.begin_upgrade() {
                    Ok(()) => FromKeeper::Status(self.status()),
                    Err(reason) => FromKeeper::Refused { reason },
                };
                let _ = client.send(&answer, &[]);
            }
            ToKeeper::Hello {
                protocol,
                version,
                replace,
                without_mount,
                ..
            } => {
                if let Some(reason) = self.refusal(&client, protocol) {
                    self.log(Level::Warn, &format!("engine refused: {reason}"));
                    let _ = client.send(&FromKeeper::Refused { reason }, &[]);
                    return;
                }
                let successor = self.processes.upgrading.successor();
                let replace = match &self.options.mode {
                    Mode::Attached => replace,
                    Mode::Child { .. } => {
                        successor.is_some_and(|successor| successor.pid() == client.pid)
                    }
                };
                self.callers.waiting.push_back(Waiting {
                    client,
                    version: printable(&version),
                    replace,
                    without_mount,
                });
            }
        }
    }

    fn refusal(&self, client: &Client, protocol: u32) -> Option<String> {
        if protocol != PROTOCOL {
            return Some(format!(
                "it speaks handover {protocol}, this keeper {PROTOCOL}"
            ));
        }
        if self.callers.too_many_wait() {
            return Some("too many engines wait already".into());
        }
        let mut engines = self.processes.engines();
        match &self.options.mode {
            Mode::Attached => None,
            Mode::Child { .. } if engines.any(|child| child.pid() == client.pid) => None,
            Mode::Child { .. } => Some("this keeper runs its engine itself".into()),
        }
    }

    fn hear_engine(&mut self, now: Instant) {
        // Bounded: a mad engine must not keep the loop from everything else.
        for _ in 0..16 {
            let Some(peer) = self.lent.peer.as_mut().filter(|peer| !peer.closed) else {
                break;
            };
            match peer.client.receive(false) {
                Said::Nothing => break,
                // Once a lease: whatever it is said again for is no news.
                Said::Message(ToKeeper::Serving)
                    if !peer.stale && peer.state == EngineState::Starting =>
                {
                    peer.state = EngineState::Serving;
                    let leased = peer.leased;
                    let what = if leased { "" } else { " all but the mount" };
                    let text = format!(
                        "engine {} serves{what}, version {}",
                        peer.client.pid, peer.version
                    );
                    self.lent.hand_over = leased;
                    let version = peer.version.clone();
                    self.log(Level::Info, &text);
                    self.upgrade_serves(version);
                    if let Some(ready) = self.options.ready.take_if(|_| leased) {
                        ready();
                    }
                }
                Said::Message(ToKeeper::Status) => {
                    let status = FromKeeper::Status(self.status());
                    if let Some(peer) = &self.lent.peer {
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
        // Attached: nothing else tells of its death. A child is reaped.
        if self.processes.engine.is_none()
            && let Some(peer) = &self.lent.peer
        {
            // One whose connection is gone has let go of nothing that matters, and may go on in
            // the same process.
            let let_go = peer.closed && (peer.stale || !peer.leased);
            let gone = let_go || peer.client.is_dead().unwrap_or(peer.closed);
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
        let Some(peer) = self.lent.peer.as_mut() else {
            let silent = |child: &&mut Child| now - child.started > limits.start;
            if let Some(child) = self.processes.engine.as_mut().filter(silent) {
                child.signal(rustix::process::Signal::KILL);
                child.started = now;
                self.log(Level::Error, "engine never came for its lease: ended");
            }
            return;
        };
        if let Some(connection) = self.connection.as_ref().filter(|_| !peer.stale) {
            peer.feel_pulse(connection.journal.heartbeat(), away, now);
        }
        let silent = now - peer.heartbeat_at;
        // Killed by another process, and cannot end.
        let half_dead = silent > undying::PATIENCE
            && (self.processes.engine.as_ref()).is_some_and(|child| is_half_dead(child.pid));
        let limit = if peer.beaten {
            limits.heartbeat
        } else {
            limits.start
        };
        // Without a connection there is no heartbeat.
        let hung = peer.leased && !peer.stale && (silent > limit || half_dead);
        let late = peer.end_by.is_some_and(|end| now > end);
        if !hung && !late {
            return;
        }
        let killed = match &self.processes.engine {
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
        let Some(peer) = &self.lent.peer else {
            return;
        };
        let long_ago = |killed: Instant| now - killed > undying::PATIENCE;
        if !peer.killed_at.is_some_and(long_ago) || !self.processes.undying.has_room() {
            return;
        }
        let reason = "was killed and cannot end, as a system call of it hangs";
        let text = format!(
            "engine {} {reason}: is the volume of the cache or of the state away? Going on without it",
            peer.client.pid
        );
        self.log(Level::Error, &text);
        let child = self.processes.engine.take();
        self.engine_gone(reason, End::Killed, now);
        if let Some(child) = child {
            self.processes.offspring.expect(now);
            self.processes.undying.add(child.pid);
            self.after_engine(reason, End::Killed);
        }
    }

    /// Gives the connection to the engine that was admitted without, or else to the one that has
    /// waited longest; while nothing can be mounted, admits one without.
    pub(super) fn admit(&mut self, now: Instant) {
        if self.is_unsettled() {
            return;
        }
        let next = self.lent.generation.saturating_add(1);
        match (&self.connection, &self.lent.peer) {
            (Some(_), None) => {
                if let Some(one) = self.callers.next() {
                    self.lend(Peer::new(one.client, one.version, now), next, now);
                }
            }
            (Some(_), Some(peer)) if self.lent.is_without_mount() && peer.end_by.is_none() => {
                if let Some(peer) = self.lent.peer.take() {
                    self.lend(peer, self.lent.generation, now);
                }
            }
            (None, None) => self.admit_without_mount(next, now),
            _ => {}
        }
    }

    fn admit_without_mount(&mut self, generation: u64, now: Instant) {
        let Some(trouble) = self.mounts.trouble().cloned() else {
            return;
        };
        let Some(one) = self.callers.next_without_mount() else {
            return;
        };
        let message = FromKeeper::Unmounted(Unmounted {
            generation,
            mount: self.mount_point.path.clone(),
            trouble,
        });
        if let Err(error) = one.client.send(&message, &[]) {
            let text = format!("engine could not be admitted: {error}");
            self.log(Level::Warn, &text);
            return;
        }
        self.lent.generation = generation;
        self.lent.peer = Some(Peer::new(one.client, one.version, now));
    }

    /// Lends the connection to `peer`, which has no other.
    fn lend(&mut self, peer: Peer, generation: u64, now: Instant) {
        let Some(connection) = &self.connection else {
            return;
        };
        if self.lent.of_this_connection > 0 && self.options.recovery != Recovery::Journal {
            connection.journal.empty();
            if self.options.recovery == Recovery::Resend
                && let Err(error) = connection.resend()
            {
                self.log(
                    Level::Error,
                    &format!("the kernel refused to resend: {error}"),
                );
            }
        }
        connection.journal.write_header();
        let terms = self.terms(connection, generation);
        let process = peer.client.pidfd().map(AsFd::as_fd);
        if let Err(error) = self.manager.note_lease(&terms, process) {
            let text = format!("the service manager cannot be told of the engine: {error}");
            self.log.line(Level::Warn, &text);
        }
        let lent = connection.lent();
        if let Err(error) = peer.client.send(&FromKeeper::Lease(terms), &lent) {
            let text = format!("engine could not be given its lease: {error}");
            self.log(Level::Warn, &text);
            return;
        }
        self.lent.generation = generation;
        self.lent.of_this_connection += 1;
        self.lent.peer = Some(peer.with_lease(&connection.journal, now));
        // What the stand-in took so far is found by the adoption.
        self.lent.hand_over = false;
    }

    /// What a lease says beside descriptors.
    pub(super) fn terms(&self, connection: &Connection, generation: u64) -> LeaseTerms {
        LeaseTerms {
            generation,
            connection: self.mounts.number,
            layout: *connection.journal.layout(),
            init: connection.init,
            recovery: self.options.recovery,
            mount: self.mount_point.path.clone(),
            mounted_at: connection.mounted_at,
            deadline: u64::try_from(self.options.limits.deadline.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Its connection is gone: it must end, and gets the new one only by a successor.
    pub(super) fn retire_engine(&mut self, now: Instant) {
        if let Some(peer) = self.lent.peer.as_mut().filter(|peer| peer.leased) {
            peer.stale = true;
            peer.end_by = Some(now + END_LIMIT);
            let _ = peer.client.send(&FromKeeper::Stop, &[]);
        }
    }
}
