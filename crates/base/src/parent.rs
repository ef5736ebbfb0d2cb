//! A process that is of no use without the one that started it.

use std::io;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Has the kernel send `signal` to this process when the thread of `parent` that started it ends: `parent` is the id of the process that called
/// `spawn`, as that process said it.
///
/// To be called after every change of user or group, which takes the request back (prctl(2), `PR_SET_PDEATHSIG`).
///
/// # Errors
/// `ESRCH` when `parent` has ended before, so that no signal would ever come; this process should end.
pub fn end_with(parent: i32, signal: Signal) -> io::Result<()> {
    set_parent_process_death_signal(Some(signal))?;
    if getppid().map(Pid::as_raw_pid) == Some(parent) {
        Ok(())
    } else {
        Err(rustix::io::Errno::SRCH.into())
    }
}
