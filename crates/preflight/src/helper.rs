//! A process of this program that does one thing which may hang, on a volume that does not answer.

use std::ffi::OsString;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use debridfs_keeper::Owner;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};

/// How long one is waited for. A disk that has to spin up takes longer, and is waited for by nobody but the engine.
pub const LIMIT: Duration = Duration::from_secs(2);

/// Such a process. One that hangs is left behind.
pub struct Helper {
    child: Child,
    until: Instant,
}

impl Helper {
    /// Starts it with `arguments`, and with its parent and the `owner` that it is to act for, if there is one.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        arguments: impl IntoIterator<Item = OsString>,
        owner: Option<Owner>,
    ) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(arguments)
            .arg(format!("--parent={}", getpid()));
        if let Some(Owner { uid, gid }) = owner {
            command.arg(format!("--owner={uid}:{gid}"));
        }
        // It is told everything by its arguments, and the environment may hold tokens.
        command.env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn()?;
        let until = Instant::now() + LIMIT;
        Ok(Self { child, until })
    }

    /// Waits for its end, within the limit; how it ended, and what it said.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`].
    pub fn end(mut self) -> io::Result<(ExitStatus, String)> {
        let pid = Pid::from_child(&self.child);
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let left = self.until.saturating_duration_since(Instant::now());
        let limit = Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&process, PollFlags::IN)];
        if poll(&mut fds, Some(&limit))? == 0 {
            let text = format!("no answer within {} s", LIMIT.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        let status = self.child.wait()?;
        let mut said = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut said)?;
        }
        Ok((status, said))
    }
}

/// The owner as [`Helper::start`] tells it.
///
/// # Errors
/// In words.
pub fn owner_of(ids: &str) -> Result<Owner, String> {
    let numbers = ids.split_once(':').and_then(|(uid, gid)| {
        Some(Owner {
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
        })
    });
    numbers.ok_or_else(|| format!("not UID:GID: {ids}"))
}
