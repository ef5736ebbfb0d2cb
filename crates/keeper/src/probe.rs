//! Looks through a mount without being caught in it.
//!
//! A thread that waits for its own FUSE file system can't be ended, not even by SIGKILL, and
//! keeps its process from ending. So whoever wants to know whether the mount answers starts a
//! small process, waits with a limit, and leaves it behind when it is stuck.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};

use debridfs_base::mountinfo;

/// Why a mount can't be looked through.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The mount didn't answer in time.
    #[error("the mount did not answer within {0:?}")]
    Timeout(Duration),
    /// An earlier check still hangs; none is added to it.
    #[error("an earlier check of the mount still hangs")]
    Stuck,
    /// The mount answered with an error, or isn't there.
    #[error("the mount can't be read: {0}")]
    Failed(String),
    /// The helper process can't be started.
    #[error("cannot start the check")]
    Start(#[source] io::Error),
}

/// Checks a mount by a helper process, one at a time.
#[derive(Debug)]
pub struct Prober {
    command: Vec<OsString>,
    running: Mutex<Option<Child>>,
}

impl Prober {
    /// `command` is the program and its arguments, to which the mount path is added:
    /// `/proc/self/exe mount-probe`. That program calls [`look`].
    pub fn new(command: Vec<OsString>) -> Prober {
        Prober {
            command,
            running: Mutex::new(None),
        }
    }

    /// Blocks for at most `limit`; returns how long the mount took.
    ///
    /// # Errors
    /// See [`ProbeError`].
    pub fn check(&self, mount: &Path, limit: Duration) -> Result<Duration, ProbeError> {
        let Some(mut running) = self.running.try_lock() else {
            return Err(ProbeError::Stuck);
        };
        if let Some(child) = running.as_mut() {
            match child.try_wait() {
                Ok(None) => return Err(ProbeError::Stuck),
                Ok(Some(_)) | Err(_) => *running = None,
            }
        }
        let started = Instant::now();
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| ProbeError::Start(io::Error::from(io::ErrorKind::InvalidInput)))?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(mount)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(ProbeError::Start)?;
        if !ends_within(pid_of(&child), limit).map_err(ProbeError::Start)? {
            let _ = child.kill();
            *running = Some(child);
            return Err(ProbeError::Timeout(limit));
        }
        let output = child.wait_with_output().map_err(ProbeError::Start)?;
        if output.status.success() {
            return Ok(started.elapsed());
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().next().unwrap_or_default();
        Err(ProbeError::Failed(format!("{} ({})", line, output.status)))
    }

    /// True while a check hangs that was given up.
    pub fn is_stuck(&self) -> bool {
        let mut running = self.running.lock();
        matches!(running.as_mut().map(Child::try_wait), Some(Ok(None)))
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// The helper process's work: asks the file system itself (not the kernel's caches) for the
/// attributes of the mount's root, and reads that directory.
///
/// # Errors
/// A line that says what failed; print it on stdout and end with a failure.
pub fn look(mount: &Path) -> Result<(), String> {
    if !mountinfo::is_mounted(mount) {
        return Err(format!("no debridfs is mounted at {}", mount.display()));
    }
    let flags = AtFlags::STATX_FORCE_SYNC;
    let root = statx(CWD, mount, flags, StatxFlags::BASIC_STATS)
        .map_err(|errno| format!("stat: {errno}"))?;
    if root.stx_mode & 0o170_000 != 0o040_000 {
        return Err("its root is no directory".into());
    }
    let entries = std::fs::read_dir(mount).map_err(|error| format!("open: {error}"))?;
    for entry in entries {
        entry.map_err(|error| format!("readdir: {error}"))?;
    }
    Ok(())
}

/// What a mount does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It gives an answer, whatever it is.
    Answers,
    /// Nobody serves it.
    Dead,
    /// Nothing comes.
    Hung,
}

const EXIT_ANSWERS: i32 = 0;
const EXIT_DEAD: i32 = 1;

/// Asks for the attributes of the path in a forked process that is left behind if it hangs. Blocks
/// for at most `limit`.
pub fn state(path: &Path, limit: Duration) -> State {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else {
        return State::Answers;
    };
    // SAFETY: the child only makes the system calls below, allocates nothing, and never returns.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: plain system calls with valid arguments; `statx` writes to a buffer of its type.
        unsafe {
            // The child must not keep any connection alive.
            libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32);
            let mut buffer = std::mem::MaybeUninit::<libc::statx>::uninit();
            let result = libc::statx(
                libc::AT_FDCWD,
                path.as_ptr(),
                libc::AT_STATX_FORCE_SYNC,
                libc::STATX_BASIC_STATS,
                buffer.as_mut_ptr(),
            );
            let errno = *libc::__errno_location();
            let dead = result < 0 && (errno == libc::ENOTCONN || errno == libc::ECONNABORTED);
            libc::_exit(if dead { EXIT_DEAD } else { EXIT_ANSWERS });
        }
    }
    let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 0) else {
        return State::Hung;
    };
    if !ends_within(Some(pid), limit).unwrap_or(false) {
        let _ = kill_process(pid, Signal::KILL);
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        return State::Hung;
    }
    match waitpid(Some(pid), WaitOptions::empty()) {
        Ok(Some((_, status))) if status.exit_status() == Some(EXIT_DEAD) => State::Dead,
        _ => State::Answers,
    }
}

fn ends_within(pid: Option<Pid>, limit: Duration) -> io::Result<bool> {
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let fd = pidfd_open(pid, PidfdFlags::empty())?;
    wait_readable(&fd, limit)
}

/// Waits until the descriptor is readable (a pidfd: until its process ended).
pub(crate) fn wait_readable(fd: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let timeout = Timespec {
            tv_sec: seconds,
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}
