//! The engine as a child process: starting it without privileges, and ending it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process, pidfd_open, wait,
};

use crate::connection::is_root;
use crate::options::Owner;
use crate::wait::wait_readable;
use debridfs_handover::journal::End;

#[derive(Debug)]
pub(super) struct Child {
    pub pid: Pid,
    /// Or was killed for being silent since.
    pub started: Instant,
    pidfd: OwnedFd,
}

impl Child {
    /// Starts the engine as its owner. It ends with this thread, leaves no core dump, gains no
    /// privileges, and is not reached by a Ctrl-C that is meant for the keeper.
    pub fn start(command: &[OsString], owner: Option<Owner>) -> io::Result<Child> {
        let empty = || io::Error::new(io::ErrorKind::InvalidInput, "no engine command");
        let (program, arguments) = command.split_first().ok_or_else(empty)?;
        let owner = owner.filter(|_| is_root());
        let keeper = rustix::process::getpid().as_raw_nonzero().get();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .process_group(0);
        // What the service manager said was said to the keeper.
        for name in [
            "NOTIFY_SOCKET",
            "LISTEN_PID",
            "LISTEN_FDS",
            "LISTEN_FDNAMES",
        ] {
            command.env_remove(name);
        }
        // SAFETY: only system calls that are safe between fork and exec, nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                if let Some(owner) = owner {
                    succeeded(libc::setgroups(0, std::ptr::null()))?;
                    succeeded(libc::setgid(owner.gid))?;
                    succeeded(libc::setuid(owner.uid))?;
                }
                let none = libc::rlimit {
                    rlim_cur: 0,
                    rlim_max: 0,
                };
                succeeded(libc::setrlimit(libc::RLIMIT_CORE, &raw const none))?;
                // Whatever program is installed as the engine gets no more than this by what it
                // starts.
                succeeded(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
                // After setuid, which clears it.
                succeeded(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                if libc::getppid() != keeper {
                    // The keeper died before that was set.
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        let raw = i32::try_from(child.id()).map_err(io::Error::other)?;
        let pid = Pid::from_raw(raw).ok_or_else(|| io::Error::other("pid 0"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).inspect_err(|_| {
            let _ = kill_process(pid, Signal::KILL);
        })?;
        Ok(Child {
            pid,
            started: Instant::now(),
            pidfd,
        })
    }

    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
    }

    /// True once it ended.
    pub fn ended_within(&self, limit: Duration) -> bool {
        wait_readable(&self.pidfd, limit).unwrap_or(false)
    }
}

fn succeeded(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Collects every process that ended: the engine, helpers, and, when the keeper is process 1 of a
/// container, whatever was left behind in it.
pub(super) fn reap() -> Vec<(Pid, WaitStatus)> {
    let mut ended = Vec::new();
    // Not `waitpid(None, ..)`: the engine is in a process group of its own.
    while let Ok(Some(one)) = wait(WaitOptions::NOHANG) {
        ended.push(one);
    }
    ended
}

/// How a process ended, for people and for the question of blame.
pub(super) fn describe(status: WaitStatus) -> (String, End) {
    if let Some(signal) = status.terminating_signal() {
        let end = match signal {
            libc::SIGSEGV
            | libc::SIGABRT
            | libc::SIGBUS
            | libc::SIGILL
            | libc::SIGFPE
            | libc::SIGSYS
            | libc::SIGTRAP => End::Crashed,
            _ => End::Killed,
        };
        return (format!("killed by signal {signal}"), end);
    }
    let code = status.exit_status().unwrap_or(-1);
    let end = if code == 0 { End::AsTold } else { End::Crashed };
    (format!("ended with status {code}"), end)
}
