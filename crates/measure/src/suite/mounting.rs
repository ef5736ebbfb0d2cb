//! Mounting and unmounting by commands that the user gives.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use debridfs_base::mountinfo;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process_group};

use super::operation::Operation;
use super::record::{Measured, OperationRecord, Outcome};
use super::work::Limits;
use crate::error::{Error, Result};
use crate::{Running, Usage, stop, wait};

/// How long a mount or unmount may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Milliseconds between a mount and its unmount, which are not timed.
const READY: u64 = 200;

/// Commands for one directory.
pub(super) struct Commands<'a> {
    pub(super) dir: &'a Path,
    pub(super) mount: &'a str,
    pub(super) unmount: Option<&'a str>,
}

/// What was mounted by a command. Unmounted when dropped.
pub(super) struct MountedBy<'a> {
    commands: &'a Commands<'a>,
    running: Running,
    unmounted: bool,
}

impl<'a> Commands<'a> {
    /// Mounts.
    pub(super) fn mount(&'a self) -> Result<MountedBy<'a>> {
        let (dir, started) = (self.dir, Instant::now());
        let mut running = Running::start(shell(self.mount), None)?;
        while !is_mounted(dir)? {
            stop::check()?;
            let failed = running.child.try_wait()?.is_some_and(|end| !end.success());
            if failed || started.elapsed() > PATIENCE {
                return Err(Error::Child(format!(
                    "`{}` {} {}",
                    self.mount,
                    if failed {
                        "failed and did not mount"
                    } else {
                        "has not mounted within 60 s"
                    },
                    dir.display()
                )));
            }
            wait(1);
        }
        Ok(MountedBy {
            commands: self,
            running,
            unmounted: false,
        })
    }

    /// Mounts and unmounts as often as `limits` has it, and gives both records.
    pub(super) fn measure(&self, limits: Limits) -> Result<[OperationRecord; 2]> {
        if is_mounted(self.dir)? {
            return Err(Error::Refused(format!(
                "{} is mounted already: unmount it before its --mount is measured",
                self.dir.display()
            )));
        }
        let (mut mounts, mut unmounts) = (Vec::new(), Vec::new());
        let (mut warm_ups, mut cpu, mut memory) = (0, 0.0, 0.0f64);
        let started = Instant::now();
        let whole = Duration::from_secs(limits.seconds.into());
        // Once at least, however long it takes.
        while mounts.is_empty()
            || mounts.len() < limits.iterations as usize && started.elapsed() < whole
        {
            let began = Instant::now();
            let mut mounted = self.mount()?;
            let mount = began.elapsed().as_nanos() as u64;
            // Some programs mount before they are ready for a signal, and would leave a dead mount.
            wait(READY);
            let usage = Usage::of(mounted.running.pid());
            let began = Instant::now();
            mounted.unmount()?;
            let unmount = began.elapsed().as_nanos() as u64;
            if warm_ups < limits.warm_up && started.elapsed() < whole / 10 {
                warm_ups += 1;
                continue;
            }
            mounts.push(mount);
            unmounts.push(unmount);
            cpu += usage.cpu;
            memory = memory.max(usage.peak);
        }
        let record =
            |operation, nanoseconds: Vec<u64>, usage: Option<(f64, f64)>| OperationRecord {
                operation,
                outcome: Outcome::Measured(Measured {
                    warm_ups,
                    seconds: nanoseconds.iter().sum::<u64>() as f64 / 1e9,
                    server_cpu: usage.map(|(cpu, _)| cpu),
                    server_memory: usage.map(|(_, memory)| memory),
                    nanoseconds,
                    ..Measured::default()
                }),
            };
        Ok([
            record(Operation::Mount, mounts, Some((cpu, memory))),
            record(Operation::Unmount, unmounts, None),
        ])
    }
}

impl MountedBy<'_> {
    /// Processes of the command.
    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    fn unmount(&mut self) -> Result<()> {
        self.unmounted = true;
        let (dir, started) = (self.commands.dir, Instant::now());
        if let Some(command) = self.commands.unmount {
            if !shell(command).status()?.success() {
                return Err(Error::Child(format!("`{command}` failed")));
            }
        } else if self.running.child.try_wait()?.is_none() {
            // The shell and what it started.
            kill_process_group(Pid::from_child(&self.running.child), Signal::TERM)?;
        } else {
            unmount(dir, UnmountFlags::NOFOLLOW)?;
        }
        loop {
            let runs = self.running.child.try_wait()?.is_none();
            match (runs, is_mounted(dir)?) {
                (false, false) => return Ok(()),
                // Its end has left the mount, which is dead then.
                (false, true) => unmount(dir, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)?,
                (true, _) => {}
            }
            if started.elapsed() > PATIENCE {
                let dir = dir.display();
                return Err(Error::Child(format!("{dir} is not unmounted within 60 s")));
            }
            wait(1);
        }
    }
}

impl Drop for MountedBy<'_> {
    fn drop(&mut self) {
        if !self.unmounted {
            // Whoever reads the report has all figures; what stays mounted is shown by the mount table.
            let _ = self.unmount();
        }
    }
}

fn is_mounted(dir: &Path) -> Result<bool> {
    // What an instance of ours leaves in its place is no mount of anything.
    Ok(mountinfo::at(dir)?.is_some_and(|mount| !mount.is_closed()))
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(script: &str, unmount: Option<&str>) -> [OperationRecord; 2] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let mount = script.replace("DIR", dir.to_str().unwrap());
        let unmount = unmount.map(|command| command.replace("DIR", dir.to_str().unwrap()));
        let commands = Commands {
            dir: &dir,
            mount: &mount,
            unmount: unmount.as_deref(),
        };
        let limits = Limits {
            iterations: 2,
            warm_up: 1,
            seconds: 20,
            threads: 1,
        };
        let both = commands.measure(limits).unwrap();
        assert!(!is_mounted(&dir).unwrap());
        both
    }

    #[test]
    fn a_mount_is_unmounted_by_a_signal_by_a_command_or_by_us() {
        for (script, unmount) in [
            ("mount -t tmpfs bench DIR", None),
            ("mount -t tmpfs bench DIR", Some("umount DIR")),
            // Cleans up when it is told to end.
            (
                "mount -t tmpfs bench DIR; trap 'umount DIR; exit' TERM; sleep 60 & wait",
                None,
            ),
            // Dies of the signal and leaves the mount.
            ("mount -t tmpfs bench DIR; exec sleep 60", None),
        ] {
            for record in measured(script, unmount) {
                let Outcome::Measured(measured) = record.outcome else {
                    panic!("{script}: {:?}", record.outcome);
                };
                assert_eq!((measured.warm_ups, measured.count()), (1, 2), "{script}");
            }
        }
    }

    #[test]
    fn a_command_that_does_not_mount_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let commands = Commands {
            dir: dir.path(),
            mount: "exit 3",
            unmount: None,
        };
        let error = commands.mount().err().unwrap().to_string();
        assert!(
            error.starts_with("`exit 3` failed and did not mount"),
            "{error}"
        );
    }
}
