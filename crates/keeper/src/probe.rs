//! Looks at a mount without being caught in it.
//!
//! A thread that waits for its own FUSE file system can't be ended, not even by SIGKILL, and keeps
//! its process from ending. So a small process looks, and is left behind when it is stuck.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};

use crate::wait::wait_readable;

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
    if !ends_within(pid, limit).unwrap_or(false) {
        let _ = kill_process(pid, Signal::KILL);
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        return State::Hung;
    }
    match waitpid(Some(pid), WaitOptions::empty()) {
        Ok(Some((_, status))) if status.exit_status() == Some(EXIT_DEAD) => State::Dead,
        _ => State::Answers,
    }
}

fn ends_within(pid: Pid, limit: Duration) -> io::Result<bool> {
    wait_readable(&pidfd_open(pid, PidfdFlags::empty())?, limit)
}
