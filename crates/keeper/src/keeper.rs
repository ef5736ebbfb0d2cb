//! The loop of a keeper: one thread that never waits for anybody. What may take its time (writing
//! the log, closing what others brought) is done by others.

mod callers;
mod child;
mod clients;
mod engine;
#[cfg(test)]
mod hostile;
mod lent;
mod lost;
mod mount_point;
mod mounts;
mod offspring;
mod processes;
mod queue_watch;
mod restarts;
mod service_manager;
mod signals;
mod socket_place;
mod stand_in;
mod take_back;
mod undying;
mod upgrade;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use debridfs_base::with_causes;
use debridfs_handover::{EngineState, FromKeeper, KeeperStatus, Recovery};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::KeeperError;
use crate::connection::{self, Connection, Queue, is_root};
use crate::log::Log;
use crate::options::{KeeperOptions, Level, Mode, Owner};

use callers::Callers;
use child::Child;
use clients::Listener;
use lent::Lent;
use mount_point::{MountPoint, Place};
pub use mount_point::{occupied, remove_mount_point};
use mounts::Mounts;
use offspring::Offspring;
use processes::Processes;
use queue_watch::{QueueWatch, STALL};
use restarts::Restarts;
use service_manager::{Kept, ServiceManager};
use signals::Signals;
use stand_in::StandIn;
use undying::Undying;
use upgrade::Upgrading;

/// Length of a tick: how soon a stopped engine is noticed, at the price of 50 wake-ups a second.
const TICK: Duration = Duration::from_millis(20);

/// What the keeper was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// To keep the mount.
    Keep,
    /// To end everything.
    Stop,
    /// To end so that another keeper can go on.
    MakeWay,
    /// To end, as another instance is at work there.
    GiveUp,
}

struct Keeper {
    options: KeeperOptions,
    log: Log,
    signals: Signals,
    order: Order,
    /// The mount is left to the engine or the service manager.
    leaves_mount: bool,
    manager: ServiceManager,
    callers: Callers,

    mount_point: MountPoint,
    mounts: Mounts,
    connection: Option<Connection>,
    lent: Lent,
    watch: QueueWatch,
    stand_in: StandIn,

    processes: Processes,
    restarts: Restarts,
    /// An engine ended, and may have lost requests.
    recount: bool,
    last_loop: Instant,
}

/// Mounts, and keeps the mount until SIGTERM or SIGINT; then ends the engine, unmounts and returns.
/// SIGHUP replaces the engine by one of the program as it is installed by then. After SIGUSR2 the
/// mount stays for the next keeper, if an attached engine or a service manager
/// ([`KeeperOptions::service_manager`]) has it; otherwise it is as SIGTERM.
///
/// These signals are taken by the calling thread: call it from the main thread of a process that
/// has no other, and let nothing else in that process wait for children.
///
/// # Errors
/// When the mount point is of no use or another's, when nothing can be mounted although that is
/// required ([`KeeperOptions::mount_required`]), or the first engine is refused by another instance
/// ([`KeeperOptions::refused`]). Otherwise the keeper tries to mount for as long as it runs, also
/// once a mount was lost.
pub fn run(options: KeeperOptions) -> Result<(), KeeperError> {
    let (mut keeper, kept) = Keeper::prepare(options)?;
    keeper.resume(kept);
    if keeper.connection.is_none() {
        keeper.wait_for_return();
    }
    if keeper.connection.is_none() {
        keeper.first_mount()?;
    }
    while keeper.order == Order::Keep {
        keeper.wait();
        keeper.turn(Instant::now());
    }
    if keeper.order == Order::GiveUp {
        return Err(KeeperError::Refused);
    }
    keeper.leaves_mount = keeper.linger();
    Ok(())
}

impl Keeper {
    /// Everything but the mount, and what the service manager kept of former ones.
    fn prepare(mut options: KeeperOptions) -> Result<(Keeper, Vec<Kept>), KeeperError> {
        let (manager, kept) = if options.service_manager {
            ServiceManager::meet()
        } else {
            Default::default()
        };
        let signals = Signals::take().map_err(KeeperError::os("cannot take signals"))?;
        let sink = std::mem::replace(&mut options.log, Box::new(|_, _| {}));
        let log = Log::start(sink).map_err(KeeperError::os("cannot start a thread"))?;
        let mount_point = MountPoint::find(&options.mount)?;
        // Before anything is mounted, so that a second keeper for the same place ends here.
        let listener = Listener::bind(&options.socket, options.owner)?;
        let owner = options.owner.unwrap_or_else(|| Owner {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        });
        let keeper = Keeper {
            log,
            signals,
            order: Order::Keep,
            leaves_mount: false,
            manager,
            callers: Callers::new(listener),
            mount_point,
            mounts: Mounts::default(),
            connection: None,
            lent: Lent::default(),
            watch: QueueWatch::default(),
            stand_in: StandIn::new(owner),
            processes: Processes {
                engine: None,
                upgrading: Upgrading::new(&options.mode),
                undying: Undying::default(),
                offspring: match options.mode {
                    Mode::Child { .. } => Offspring::of(options.owner),
                    Mode::Attached => Offspring::of(None),
                },
            },
            restarts: Restarts::default(),
            recount: false,
            last_loop: Instant::now(),
            options,
        };
        Ok((keeper, kept))
    }

    fn log(&self, level: Level, text: &str) {
        self.log.line(level, text);
    }

    fn first_mount(&mut self) -> Result<(), KeeperError> {
        match self.mount(false) {
            Err(error) if self.options.mount_required || !error.is_of_mounting() => Err(error),
            Err(error) => {
                self.cannot_mount(&error, Instant::now());
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn cannot_mount(&mut self, error: &KeeperError, now: Instant) {
        if let Some(words) = self.mounts.failed(error, now) {
            let text = format!("cannot mount, trying again: {words}");
            self.log(Level::Error, &text);
        }
    }

    fn mount(&mut self, lost: bool) -> Result<(), KeeperError> {
        let place = self.mount_point.prepare(lost)?;
        // Said once, however often it is tried.
        let first_try = self.mounts.trouble().is_none();
        // Who wrote there while no keeper was there to close it must not keep the library away.
        if place == Place::Occupied && first_try {
            self.log(Level::Warn, &occupied(&self.mount_point.path));
        }
        if self.options.immutable
            && matches!(place, Place::Made | Place::Found)
            && let Err(error) = self.mount_point.close()
            && first_try
        {
            let text = format!(
                "root, and possibly others, can write to {} while the mount is away: cannot make it immutable: {error}",
                self.mount_point.path.display()
            );
            self.log(Level::Info, &text);
        }
        let connection = Connection::mount(
            &self.mount_point.site(),
            self.options.thread_count(),
            self.options.allow_other,
        )?;
        // An engine that brought a connection has told the number before.
        self.mounts.number = self.mounts.number.saturating_add(1);
        self.lent.of_this_connection = 0;
        self.watch.start_again();
        if self.options.recovery == Recovery::Resend && !connection::can_resend(&connection.init) {
            self.options.recovery = Recovery::Journal;
            self.log(
                Level::Warn,
                "this kernel cannot resend requests: using the journal",
            );
        }
        let text = format!("mounted at {}", self.mount_point.path.display());
        self.log(Level::Info, &text);
        let kilobytes = self.options.read_ahead_kb;
        if kilobytes > 0
            && let Err(error) = connection.set_read_ahead(kilobytes)
        {
            let text = format!(
                "the kernel reads ahead by this system's own value, as read_ahead_kb cannot be set to {kilobytes}: {error}; \
                 reads are right, and more may be fetched than is read"
            );
            self.log(Level::Info, &text);
        }
        self.connection = Some(connection);
        self.give_to_manager();
        Ok(())
    }

    /// Waits for something to do, at most a tick.
    fn wait(&self) {
        let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mounts = PollFlags::PRI | PollFlags::ERR;
        let mut fds = vec![
            readable(self.signals.fd()),
            PollFd::from_borrowed_fd(self.mount_point.mountinfo.as_fd(), mounts),
        ];
        fds.extend(self.callers.fds().map(readable));
        fds.extend(self.processes.engines().map(Child::pidfd).map(readable));
        if let Some(peer) = &self.lent.peer {
            if !peer.closed {
                fds.push(readable(peer.client.socket()));
            }
            fds.extend(peer.client.pidfd().map(|pidfd| readable(pidfd.as_fd())));
        }
        // While an engine serves, every request makes this readable, and it is the engine's.
        if let Some(connection) = self.connection.as_ref().filter(|_| !self.lent.is_served()) {
            fds.push(readable(connection.main()));
        }
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: TICK.as_nanos() as i64,
        };
        let _ = poll(&mut fds, Some(&tick));
    }

    /// Looks after everything once.
    fn turn(&mut self, now: Instant) {
        self.hear_signals();
        self.reap(now);
        self.hear(now);
        self.look_after_mount(now);
        self.watch_engine(now);
        self.settle(now);
        self.start_engine(now);
        self.watch_upgrade(now);
        self.admit(now);
        self.stand_in(now);
        self.hand_over();
        let ready = match self.options.mode {
            // Engines may wait for this keeper to be ready.
            Mode::Attached => self.connection.is_some() || self.mounts.trouble().is_some(),
            Mode::Child { .. } => self.lent.is_at_work(),
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
            self.mounts.next_attempt = None;
        }
        if self.mounts.next_attempt.is_some_and(|at| now < at) {
            return;
        }
        // Before the first, nothing of this keeper's can be there.
        match self.mount(self.mounts.number > 0) {
            Ok(()) => self.mounts.succeeded(),
            Err(error) => self.cannot_mount(&error, now),
        }
    }

    fn stand_in(&mut self, now: Instant) {
        let engine_lives = self.lent.is_out();
        let served = self.lent.is_served() && !self.is_stalled(now);
        let Some(connection) = &self.connection else {
            return;
        };
        if !served {
            self.lent.hand_over |= self.stand_in.take(connection, engine_lives);
        }
        let limit = if engine_lives { STALL } else { Duration::ZERO };
        self.stand_in
            .look_at_slots(connection, engine_lives, limit, now);
        let deadline = self.options.limits.deadline;
        // Then everybody is refused on arrival. The kernel lets those who look for one name wait in
        // a row: each would begin a wait of its own when the one before it has failed.
        let overdue = self.watch.unserved_for(served, now) > deadline;
        if overdue || self.watch.expiry_is_due(now) {
            let patience = if overdue { Duration::ZERO } else { deadline };
            let refused = stand_in::expire(connection, patience, engine_lives);
            if let Some(refused) = self.watch.refused(refused, now) {
                let text = format!("{refused} requests waited too long: EIO");
                self.log(Level::Warn, &text);
            }
        }
    }

    fn is_stalled(&mut self, now: Instant) -> bool {
        let (Some(connection), Some(peer)) = (&self.connection, &mut self.lent.peer) else {
            return false;
        };
        let stalled = self.watch.is_stalled(connection, now);
        peer.state = if stalled {
            EngineState::Stalled
        } else {
            EngineState::Serving
        };
        stalled
    }

    fn hand_over(&mut self) {
        if self.lent.hand_over
            && self.lent.is_served()
            && let Some(peer) = &self.lent.peer
        {
            // A stopped engine's socket fills up: tried again at the next tick.
            self.lent.hand_over = peer.client.send(&FromKeeper::TakeStandIn, &[]).is_err();
        }
    }

    fn status(&self) -> KeeperStatus {
        let peer = self.lent.current();
        KeeperStatus {
            keeper_pid: std::process::id(),
            engine_pid: peer
                .map(|peer| peer.client.pid)
                .or_else(|| self.processes.engine.as_ref().map(Child::pid)),
            engine_state: peer.map_or(EngineState::Absent, |peer| peer.state),
            engine_version: peer.map(|peer| peer.version.clone()),
            mount: self.mount_point.path.clone(),
            mounted: self.connection.is_some(),
            mount_trouble: self.mounts.trouble().cloned(),
            mounted_at: self
                .connection
                .as_ref()
                .map_or(0, |connection| connection.mounted_at),
            restarts: self.lent.generation.saturating_sub(1),
            remounts: self.mounts.number.saturating_sub(1),
            last_death: self.restarts.last_death.clone(),
            upgrade: self.processes.upgrading.outcome().clone(),
        }
    }

    fn hear_signals(&mut self) {
        while let Some(signal) = self.signals.next() {
            if signal == libc::SIGHUP {
                if let Err(reason) = self.begin_upgrade() {
                    self.log(Level::Warn, &format!("no upgrade: {reason}"));
                }
            } else {
                self.order = match signal {
                    libc::SIGUSR2 => Order::MakeWay,
                    _ => Order::Stop,
                };
            }
        }
    }

    /// Told to stop. Who replaces this keeper lets the engine live, or brings another one: a rollout
    /// of both. Who ends everything brings none. Told twice, it waits no longer. Returns whether
    /// the mount is left to others.
    fn linger(&mut self) -> bool {
        let attached = matches!(self.options.mode, Mode::Attached);
        if self.order == Order::MakeWay {
            let stored = self.connection.is_some() && self.manager.holds(self.mounts.number);
            return stored || (attached && self.lent.is_out());
        }
        let limit = self.options.limits.linger;
        if limit.is_zero() || !attached || self.connection.is_none() {
            return false;
        }
        let told = Instant::now();
        let mut end = told + limit;
        let mut was_served = self.lent.is_served();
        self.order = Order::Keep;
        loop {
            self.turn(Instant::now());
            if self.order != Order::Keep {
                return false;
            }
            let served = self.lent.is_served();
            if was_served && !served {
                // The next engine has as long as this keeper had when it was told.
                end = (Instant::now() + limit).min(told + 2 * limit);
            }
            was_served = served;
            if Instant::now() >= end {
                return served;
            }
            self.wait();
        }
    }

    /// A keeper that lingers or is a service is one that others start again: whoever looks for the
    /// library until then is refused, and never shown an empty directory. False when the mount is
    /// to go: nobody but a person stops such a keeper.
    fn closes_mount(&mut self) -> bool {
        let attached = matches!(self.options.mode, Mode::Attached);
        let lingers = attached && !self.options.limits.linger.is_zero();
        let stopped = self.order != Order::GiveUp;
        if !stopped || !(lingers || self.manager.is_present()) || !is_root() {
            return false;
        }
        let closed = self.mount_point.close_mount();
        if let Err(error) = &closed {
            self.log(Level::Error, &with_causes(error));
        }
        closed.is_ok()
    }

    fn stop_engine(&mut self) {
        let limit = self.options.limits.stop;
        self.processes.upgrading.abandon();
        if self.processes.engine.is_none() && self.lent.is_without_mount() {
            // It serves on, and waits for the next keeper.
            return;
        }
        if let Some(peer) = &self.lent.peer {
            let _ = peer.client.send(&FromKeeper::Stop, &[]);
        }
        if let Some(child) = self.processes.engine.take() {
            child.signal(Signal::TERM);
            if !child.ended_within(limit) {
                child.signal(Signal::KILL);
                child.ended_within(limit);
            }
            child::reap();
        } else if let Some(peer) = self.lent.peer.take() {
            // It needs not end: one that waits for the next keeper in the same process closes the
            // socket.
            peer.client.leaves_within(limit);
        }
    }
}

impl Drop for Keeper {
    /// Also when the loop panicked: no mount, no process and no socket is left, unless the mount is
    /// kept for the next keeper.
    fn drop(&mut self) {
        self.manager.stopping();
        if self.leaves_mount {
            // An engine that others started serves on.
            if matches!(self.options.mode, Mode::Child { .. }) {
                self.stop_engine();
            }
            let text = "stopped; the mount stays for the next keeper";
            self.log(Level::Info, text);
            return;
        }
        self.stop_engine();
        // A keeper that never mounted has nothing there: it may be another's mount.
        let mounted = self.mounts.number > 0;
        if mounted && self.closes_mount() {
            self.connection = None;
            self.manager.forget();
            self.log(Level::Info, "stopped; the mount point is closed to everybody until the next keeper, or `debridfs uninstall`");
            return;
        }
        if mounted && let Err(error) = self.mount_point.clear() {
            self.log(Level::Error, &with_causes(&error));
        }
        self.connection = None;
        self.manager.forget();
        self.mount_point.leave(self.options.immutable && is_root());
        self.log(Level::Info, "stopped");
    }
}
