//! The loop of a keeper: one thread that never waits for anybody.

mod child;
mod clients;
mod engine;
#[cfg(test)]
mod hostile;
mod service_manager;
mod signals;
mod socket_place;
mod stand_in;
mod take_back;
mod target;
mod undying;
mod upgrade;

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::KeeperError;
use crate::connection::{self, Connection, Queue};
use crate::options::{KeeperOptions, Level, Mode, Owner};
use debridfs_base::with_causes;
use debridfs_handover::{EngineState, FromKeeper, KeeperStatus, Recovery};

use child::Child;
use clients::{Client, Listener, Waiting};
use engine::Peer;
use service_manager::{Kept, ServiceManager};
use signals::Signals;
use stand_in::StandIn;
use target::Place;
use undying::Undying;
use upgrade::Upgrading;

/// Length of a tick: how soon a stopped engine is noticed, at the price of 50 wake-ups a second.
const TICK: Duration = Duration::from_millis(20);

/// Requests that wait for so long, while the engine takes none, are taken by the stand-in.
const STALL: Duration = Duration::from_millis(30);

/// How often requests are looked at for their age.
const EXPIRY: Duration = Duration::from_millis(250);

/// Pause between attempts to mount again.
const MOUNT_RETRY: Duration = Duration::from_millis(250);

/// Clients that haven't said who they are; the oldest makes room.
const MAX_CLIENTS: usize = 32;

/// The queue isn't empty and the engine takes nothing.
#[derive(Clone, Copy, Debug)]
struct Stall {
    since: Instant,
    taken: u64,
    heartbeat: u64,
}

struct Keeper {
    options: KeeperOptions,
    recovery: Recovery,
    path: PathBuf,
    made_directory: bool,
    signals: Signals,
    manager: ServiceManager,
    mountinfo: File,
    listener: Listener,
    clients: Vec<Client>,
    waiting: VecDeque<Waiting>,
    connection: Option<Connection>,
    connection_number: u64,
    next_mount: Instant,
    mount_trouble: String,
    leases: u64,
    generation: u64,
    peer: Option<Peer>,
    child: Option<Child>,
    undying: Undying,
    upgrading: Upgrading,
    stopping: bool,
    /// It was told to stop so that another keeper can go on.
    leaving: bool,
    /// The mount is left to the engine or the service manager.
    leaves_mount: bool,
    child_started: Instant,
    failures: u32,
    next_start: Instant,
    last_death: Option<String>,
    stand_in: StandIn,
    stall: Option<Stall>,
    /// Since when no engine takes requests.
    unserved: Option<Instant>,
    hand_over: bool,
    next_expiry: Instant,
    last_loop: Instant,
}

/// Mounts, and keeps the mount until SIGTERM or SIGINT; then ends the engine, unmounts and
/// returns. SIGHUP replaces the engine by one of the program as it is installed by then. After SIGUSR2 the mount stays for
/// the next keeper, if an attached engine or a service manager ([`KeeperOptions::service_manager`]) has it; otherwise it is as SIGTERM.
///
/// These signals are taken by the calling thread: call it from the main thread of a process that
/// has no other, and let nothing else in that process wait for children.
///
/// # Errors
/// When the mount can't be made at all. Once it was made, the keeper mends it for as long as it
/// runs.
pub fn run(options: KeeperOptions) -> Result<(), KeeperError> {
    let (mut keeper, kept) = Keeper::prepare(options)?;
    keeper.resume(kept);
    if keeper.connection.is_none() {
        keeper.wait_for_return();
    }
    if keeper.connection.is_none() {
        keeper.mount(false)?;
    }
    while !keeper.stopping {
        keeper.wait();
        keeper.turn(Instant::now());
    }
    keeper.linger();
    Ok(())
}

impl Keeper {
    /// Everything but the mount, and what the service manager kept of former ones.
    fn prepare(options: KeeperOptions) -> Result<(Keeper, Vec<Kept>), KeeperError> {
        let (manager, kept) = if options.service_manager {
            ServiceManager::meet()
        } else {
            Default::default()
        };
        let signals = Signals::take().map_err(KeeperError::os("cannot take signals"))?;
        let path = target::resolve(&options.mount)?;
        // First, so that a second keeper for the same place ends here.
        let listener = Listener::bind(&options.socket, options.owner)?;
        let mountinfo = File::open("/proc/self/mountinfo")
            .map_err(KeeperError::os("cannot read /proc/self/mountinfo"))?;
        let owner = options.owner.unwrap_or_else(|| Owner {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        });
        let now = Instant::now();
        let keeper = Keeper {
            recovery: options.recovery,
            path,
            made_directory: false,
            signals,
            manager,
            mountinfo,
            listener,
            clients: Vec::new(),
            waiting: VecDeque::new(),
            connection: None,
            connection_number: 0,
            next_mount: now,
            mount_trouble: String::new(),
            leases: 0,
            generation: 0,
            peer: None,
            child: None,
            undying: Undying::default(),
            upgrading: Upgrading::new(&options.mode),
            stopping: false,
            leaving: false,
            leaves_mount: false,
            child_started: now,
            failures: 0,
            next_start: now,
            last_death: None,
            stand_in: StandIn::new(owner),
            stall: None,
            unserved: None,
            hand_over: false,
            next_expiry: now,
            last_loop: now,
            options,
        };
        Ok((keeper, kept))
    }

    fn log(&self, level: Level, text: &str) {
        (self.options.log)(level, text);
    }

    fn mount(&mut self, lost: bool) -> Result<(), KeeperError> {
        let place = target::prepare(&self.path, lost)?;
        self.made_directory |= place == Place::Made;
        if self.options.immutable
            && place != Place::Layer
            && let Err(error) = target::set_immutable(&self.path, true)
        {
            let text = format!(
                "{} can be written to while the mount is away: cannot make it immutable: {error}",
                self.path.display()
            );
            self.log(Level::Info, &text);
        }
        let connection = Connection::mount(
            &self.path,
            self.options.thread_count(),
            self.options.allow_other,
        )?;
        self.connection_number += 1;
        self.leases = 0;
        self.stall = None;
        if self.recovery == Recovery::Resend && !connection::can_resend(&connection.init) {
            self.recovery = Recovery::Journal;
            self.log(
                Level::Warn,
                "this kernel cannot resend requests: using the journal",
            );
        }
        let text = format!("mounted at {}", self.path.display());
        self.log(Level::Info, &text);
        let kilobytes = self.options.read_ahead_kb;
        if kilobytes > 0
            && let Err(error) = connection.set_read_ahead(kilobytes)
        {
            self.log(
                Level::Info,
                &format!("read_ahead_kb stays at the system's value: {error}"),
            );
        }
        self.connection = Some(connection);
        self.give_to_manager();
        Ok(())
    }

    /// Waits for something to do, at most a tick.
    fn wait(&self) {
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.signals.fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.mountinfo.as_fd(), PollFlags::PRI | PollFlags::ERR),
            PollFd::from_borrowed_fd(self.listener.fd(), PollFlags::IN),
        ];
        let waiting = self.waiting.iter().map(|waiting| &waiting.client);
        for client in self.clients.iter().chain(waiting) {
            fds.push(PollFd::from_borrowed_fd(client.socket(), PollFlags::IN));
        }
        for child in self.child.iter().chain(self.upgrading.successor()) {
            fds.push(PollFd::from_borrowed_fd(child.pidfd(), PollFlags::IN));
        }
        if let Some(peer) = &self.peer {
            if !peer.closed {
                fds.push(PollFd::from_borrowed_fd(
                    peer.client.socket(),
                    PollFlags::IN,
                ));
            }
            if let Some(pidfd) = peer.client.pidfd() {
                fds.push(PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN));
            }
        }
        // While an engine serves, every request makes this readable, and it is the engine's.
        if let Some(connection) = self.connection.as_ref().filter(|_| !self.is_served()) {
            fds.push(PollFd::from_borrowed_fd(connection.main(), PollFlags::IN));
        }
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: TICK.as_nanos() as i64,
        };
        let _ = poll(&mut fds, Some(&tick));
    }

    /// Looks after everything once.
    fn turn(&mut self, now: Instant) {
        self.hear_signals(now);
        self.reap(now);
        self.hear(now);
        self.look_after_mount(now);
        self.watch_engine(now);
        self.start_engine(now);
        self.watch_upgrade(now);
        self.admit(now);
        self.stand_in(now);
        self.hand_over();
        let ready = match self.options.mode {
            // Engines may wait for this keeper to be ready.
            Mode::Attached => self.connection.is_some(),
            Mode::Child { .. } => self.is_served(),
        };
        if ready {
            self.manager.ready();
        }
    }

    fn look_after_mount(&mut self, now: Instant) {
        let lost = match &self.connection {
            Some(connection) if connection.queue() == Queue::Lost => "the connection was ended",
            Some(connection) if !connection.is_mounted() => "it was unmounted",
            Some(_) => return,
            None => "",
        };
        if !lost.is_empty() {
            self.log(Level::Warn, &format!("mount lost: {lost}; mounting again"));
            self.retire_engine(now);
            // Before the new mount: who waits in the old one gets an error now, not later.
            self.connection = None;
            self.next_mount = now;
        }
        if now < self.next_mount {
            return;
        }
        match self.mount(true) {
            Ok(()) => self.mount_trouble.clear(),
            Err(error) => {
                self.next_mount = now + MOUNT_RETRY;
                let text = with_causes(&error);
                if text != self.mount_trouble {
                    self.log(Level::Error, &format!("cannot mount again: {text}"));
                    self.mount_trouble = text;
                }
            }
        }
    }

    fn stand_in(&mut self, now: Instant) {
        let engine_lives = self.lease_is_out();
        let served = self.is_served();
        let stalled = served && self.is_stalled(now);
        let Some(connection) = &self.connection else {
            return;
        };
        if !served || stalled {
            let taken = self.stand_in.take(connection, engine_lives);
            self.hand_over |= taken.stored > 0;
        }
        let limit = if engine_lives { STALL } else { Duration::ZERO };
        self.stand_in
            .look_at_slots(connection, engine_lives, limit, now);
        let unserved = if served && !stalled {
            self.unserved = None;
            Duration::ZERO
        } else {
            now - *self.unserved.get_or_insert(now)
        };
        if now >= self.next_expiry {
            self.next_expiry = now + EXPIRY;
            // The kernel lets those who look for one name wait in a row: each would begin a wait of its own when
            // the one before it has failed.
            let deadline = self.options.limits.deadline;
            let patience = if unserved > deadline {
                Duration::ZERO
            } else {
                deadline
            };
            let expired = stand_in::expire(connection, patience, engine_lives);
            if expired > 0 {
                self.log(
                    Level::Warn,
                    &format!("{expired} requests waited too long: EIO"),
                );
            }
        }
    }

    /// True while requests wait in the queue and the engine takes none of them.
    fn is_stalled(&mut self, now: Instant) -> bool {
        let (Some(connection), Some(peer)) = (&self.connection, &mut self.peer) else {
            return false;
        };
        let taken = connection.journal.taken();
        let heartbeat = connection.journal.heartbeat();
        let waiting = connection.queue() == Queue::Waiting;
        // Once the stand-in empties the queue, only the heartbeat tells that the engine is back.
        let moved =
            |stall: &Stall| stall.taken != taken || (!waiting && stall.heartbeat != heartbeat);
        if self.stall.as_ref().is_some_and(moved) {
            self.stall = None;
        }
        if waiting {
            self.stall.get_or_insert(Stall {
                since: now,
                taken,
                heartbeat,
            });
        }
        let stalled = self.stall.is_some_and(|stall| now - stall.since >= STALL);
        peer.state = if stalled {
            EngineState::Stalled
        } else {
            EngineState::Serving
        };
        stalled
    }

    fn hand_over(&mut self) {
        if self.hand_over
            && self.is_served()
            && let Some(peer) = &self.peer
        {
            // A stopped engine's socket fills up: tried again at the next tick.
            self.hand_over = peer.client.send(&FromKeeper::TakeStandIn, &[]).is_err();
        }
    }

    fn status(&self) -> KeeperStatus {
        let peer = self.peer.as_ref().filter(|peer| !peer.stale);
        KeeperStatus {
            keeper_pid: std::process::id(),
            engine_pid: peer
                .map(|peer| peer.client.pid)
                .or_else(|| self.child.as_ref().map(Child::pid)),
            engine_state: peer.map_or(EngineState::Absent, |peer| peer.state),
            engine_version: peer.map(|peer| peer.version.clone()),
            mount: self.path.clone(),
            mounted: self.connection.is_some(),
            mounted_at: self
                .connection
                .as_ref()
                .map_or(0, |connection| connection.mounted_at),
            restarts: self.generation.saturating_sub(1),
            remounts: self.connection_number.saturating_sub(1),
            last_death: self.last_death.clone(),
            upgrade: self.upgrading.outcome().clone(),
        }
    }

    fn hear_signals(&mut self, now: Instant) {
        while let Some(signal) = self.signals.next() {
            if signal == libc::SIGHUP {
                if let Err(reason) = self.begin_upgrade(now) {
                    self.log(Level::Warn, &format!("no upgrade: {reason}"));
                }
            } else {
                self.stopping = true;
                self.leaving = signal == libc::SIGUSR2;
            }
        }
    }

    /// Told to stop. Who replaces this keeper lets the engine live; who ends everything tells the engine as well, which ends soon.
    /// Told twice, it waits no longer.
    fn linger(&mut self) {
        let attached = matches!(self.options.mode, Mode::Attached);
        if self.leaving {
            let stored = self.connection.is_some() && self.manager.holds(self.connection_number);
            self.leaves_mount = stored || (attached && self.lease_is_out());
            return;
        }
        let limit = self.options.limits.linger;
        if limit.is_zero() || !attached {
            return;
        }
        let end = Instant::now() + limit;
        self.stopping = false;
        while self.is_served() && !self.stopping {
            if Instant::now() >= end {
                self.leaves_mount = true;
                return;
            }
            self.wait();
            self.turn(Instant::now());
        }
    }

    fn stop_engine(&mut self) {
        let limit = self.options.limits.stop;
        self.upgrading.abandon();
        if let Some(peer) = &self.peer {
            let _ = peer.client.send(&FromKeeper::Stop, &[]);
        }
        if let Some(child) = self.child.take() {
            child.signal(Signal::TERM);
            if !child.ended_within(limit) {
                child.signal(Signal::KILL);
                child.ended_within(limit);
            }
            child::reap();
        } else if let Some(peer) = self.peer.take() {
            // It needs not end: one that waits for the next keeper in the same process closes the socket.
            peer.client.leaves_within(limit);
        }
    }
}

impl Drop for Keeper {
    /// Also when the loop panicked: no mount, no process and no socket is left, unless the mount is kept for the next keeper.
    fn drop(&mut self) {
        self.manager.stopping();
        if self.leaves_mount {
            // An engine that others started serves on.
            if matches!(self.options.mode, Mode::Child { .. }) {
                self.stop_engine();
            }
            let text = "stopped; who keeps the mount gives it to the next keeper";
            self.log(Level::Info, text);
            return;
        }
        self.stop_engine();
        // A keeper that never mounted has nothing there: it may be another's mount.
        if self.connection_number > 0
            && let Err(error) = target::clear(&self.path)
        {
            self.log(Level::Error, &with_causes(&error));
        }
        self.connection = None;
        self.manager.forget();
        // Made by this one, or by one before it that was killed or replaced.
        let earlier = || {
            let mounted = self.connection_number > 0 && self.options.immutable;
            mounted && target::made_by_keeper(&self.path)
        };
        if self.made_directory || earlier() {
            if self.options.immutable {
                let _ = target::set_immutable(&self.path, false);
            }
            let _ = std::fs::remove_dir(&self.path);
        }
        self.log(Level::Info, "stopped");
    }
}
