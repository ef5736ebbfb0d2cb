//! One engine replaced by another: the new one loads everything beside the old one, and only when
//! it asks for its lease the old one is told to end. Whatever goes wrong before, the old one serves
//! on; what goes wrong soon after leads back to its program.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{Mode as FileMode, OFlags, open};
use rustix::process::{Pid, Signal};

use super::Keeper;
use super::child::Child;
use crate::options::{Level, Mode};
use debridfs_handover::journal::End;
use debridfs_handover::{FromKeeper, Upgrade};

/// A new engine that served for this long is not taken back for a crash.
const PROVEN: Duration = Duration::from_secs(10);

/// A program that was opened once, so that a file written over it changes nothing.
#[derive(Debug)]
struct Image {
    file: OwnedFd,
}

/// The engine's program, and the one that is to come after it. Without a program (attached mode)
/// engines are started by other means.
#[derive(Debug)]
pub(super) struct Upgrading {
    own: Option<OwnProgram>,
    outcome: Upgrade,
}

#[derive(Debug)]
struct OwnProgram {
    command: Vec<OsString>,
    installed: PathBuf,
    /// The program in use; `None` is that of the command.
    image: Option<Image>,
    next: Option<Successor>,
    /// What is gone back to should the new engine crash.
    former: Option<Former>,
}

#[derive(Debug)]
struct Successor {
    child: Child,
    image: Image,
}

#[derive(Debug)]
struct Former {
    image: Option<Image>,
    /// When the new engine began to serve.
    served: Option<Instant>,
}

impl Image {
    fn open(path: &PathBuf) -> std::io::Result<Image> {
        let file = open(path, OFlags::PATH | OFlags::CLOEXEC, FileMode::empty())?;
        Ok(Image { file })
    }
}

fn command_of(command: &[OsString], image: Option<&Image>) -> Vec<OsString> {
    let mut command = command.to_vec();
    if let (Some(image), Some(program)) = (image, command.first_mut()) {
        // Found by the child before it closes its descriptors.
        *program = format!("/proc/self/fd/{}", image.file.as_raw_fd()).into();
    }
    command
}

impl Upgrading {
    pub fn new(mode: &Mode) -> Upgrading {
        let own = match mode {
            Mode::Attached => None,
            Mode::Child { command, installed } => Some(OwnProgram {
                command: command.clone(),
                installed: installed.clone(),
                image: None,
                next: None,
                former: None,
            }),
        };
        Upgrading {
            own,
            outcome: Upgrade::None,
        }
    }

    /// What starts the engine; `None` where others do.
    pub fn command(&self) -> Option<Vec<OsString>> {
        let own = self.own.as_ref()?;
        Some(command_of(&own.command, own.image.as_ref()))
    }

    /// How the last upgrade went.
    pub fn outcome(&self) -> &Upgrade {
        &self.outcome
    }

    /// The engine that loads beside the one that serves.
    pub fn successor(&self) -> Option<&Child> {
        Some(&self.own.as_ref()?.next.as_ref()?.child)
    }

    pub fn is_successor(&self, pid: Pid) -> bool {
        self.successor().is_some_and(|child| child.pid == pid)
    }

    /// Ends an engine that has not taken over.
    pub fn abandon(&mut self) {
        if let Some(next) = self.own.as_mut().and_then(|own| own.next.take()) {
            next.child.signal(Signal::KILL);
        }
    }
}

impl Keeper {
    /// Starts an engine of the program as it is installed now.
    pub(super) fn begin_upgrade(&mut self) -> Result<(), String> {
        let owner = self.options.owner;
        let Some(own) = self.processes.upgrading.own.as_mut() else {
            return Err(
                "this keeper does not start its engine: start the new one with `debridfs engine \
                 --replace`"
                    .into(),
            );
        };
        if own.next.is_some() {
            return Err("an upgrade is under way already".into());
        }
        let failed = |error: std::io::Error| format!("{}: {error}", own.installed.display());
        let image = Image::open(&own.installed).map_err(failed)?;
        let command = command_of(&own.command, Some(&image));
        let child = Child::start(&command, owner).map_err(failed)?;
        let text = format!(
            "upgrade: engine {} of {} loads",
            child.pid(),
            own.installed.display()
        );
        own.next = Some(Successor { child, image });
        self.processes.upgrading.outcome = Upgrade::Running;
        self.log(Level::Info, &text);
        Ok(())
    }

    /// Ends the old engine once the new one is ready, and a new one that never gets ready.
    pub(super) fn watch_upgrade(&mut self, now: Instant) {
        let ready = self.callers.replacement_waits();
        if ready
            && let Some(peer) = self.lent.peer.as_mut()
            && peer.end_by.is_none()
        {
            // It serves on until its process ends; what it has not answered by then is replayed.
            let _ = peer.client.send(&FromKeeper::Replaced, &[]);
            peer.end_by = Some(now + self.options.limits.stop);
        }
        if ready && self.lent.peer.is_none() && self.processes.engine.is_none() {
            // There was no engine to end.
            self.promote();
        }
        let limit = self.options.limits.start;
        let Some(own) = self.processes.upgrading.own.as_mut() else {
            return;
        };
        if !ready
            && let Some(next) = &own.next
            && now - next.child.started > limit
        {
            next.child.signal(Signal::KILL);
            self.upgrade_failed(&format!("the new engine was not ready within {limit:?}"));
            return;
        }
        own.former
            .take_if(|former| former.served.is_some_and(|since| now - since > PROVEN));
    }

    /// The old engine ended: for its successor, or the successor itself did.
    pub(super) fn after_engine(&mut self, reason: &str, end: End) {
        let ready = self.callers.replacement_waits();
        if ready {
            self.promote();
            return;
        }
        let Some(own) = self.processes.upgrading.own.as_mut() else {
            return;
        };
        let Some(former) = own
            .former
            .take_if(|former| former.served.is_none() || end == End::Crashed)
        else {
            return;
        };
        own.image = former.image;
        self.restarts.forgive();
        self.upgrade_failed(&format!(
            "the new engine {reason} soon after it took over; back to the former program"
        ));
    }

    fn promote(&mut self) {
        let Some(own) = self.processes.upgrading.own.as_mut() else {
            return;
        };
        if let Some(next) = own.next.take() {
            own.former = Some(Former {
                image: own.image.replace(next.image),
                served: None,
            });
            self.processes.engine = Some(next.child);
            self.restarts.forgive();
        }
    }

    /// An engine serves: the new one, if there is an upgrade.
    pub(super) fn upgrade_serves(&mut self, version: String) {
        if let Some(own) = self.processes.upgrading.own.as_mut()
            && let Some(former) = own.former.as_mut()
            && former.served.is_none()
        {
            former.served = Some(Instant::now());
            self.processes.upgrading.outcome = Upgrade::Done { version };
        }
    }

    pub(super) fn upgrade_failed(&mut self, reason: &str) {
        if let Some(own) = self.processes.upgrading.own.as_mut() {
            own.next = None;
        }
        self.log(Level::Error, &format!("upgrade failed: {reason}"));
        self.processes.upgrading.outcome = Upgrade::Failed {
            reason: reason.into(),
        };
    }
}
