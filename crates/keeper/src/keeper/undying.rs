//! Engines that were killed and do not end, because one of their threads is in a system call that
//! does not return: on a network disk that is away, or in a frozen cgroup. The next engine need not
//! wait for that.
//!
//! None of their threads runs an instruction of its own any more: SIGKILL is pending for each from
//! the moment it was sent (signal(7)), and a task ends on its way out of the kernel. What they have
//! taken and not answered is in the journal, like after any other death.

use std::time::Duration;

use rustix::process::Pid;

/// An engine that was killed this long ago and lives is one of them; dying takes milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// So many are left behind. If there are more, new engines are of no use: they hang in the same
/// place.
const MOST: usize = 4;

/// Those that were children of the keeper and have not ended yet.
#[derive(Debug, Default)]
pub(super) struct Undying(Vec<Pid>);

impl Undying {
    /// Whether one more may be left behind.
    pub fn has_room(&self) -> bool {
        self.0.len() < MOST
    }

    pub fn add(&mut self, pid: Pid) {
        self.0.push(pid);
    }

    /// A process ended. Returns whether it was one of them.
    pub fn ended(&mut self, pid: Pid) -> bool {
        let before = self.0.len();
        self.0.retain(|known| *known != pid);
        self.0.len() < before
    }
}

/// Whether the first thread of `pid`, a child that was not reaped yet, has ended although others
/// have not (`Z`, proc_pid_stat(5)).
pub(super) fn is_half_dead(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    // The name before it may hold anything.
    stat.is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    })
}
