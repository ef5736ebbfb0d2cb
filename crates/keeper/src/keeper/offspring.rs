//! Processes that a dead engine left behind: helpers, hooks, or, if it was taken over, an heir.
//! Each may hold the connection and take requests that the next engine should get, and as that
//! one's user stop it before it is a program of its own. So they are ended first.
//!
//! The keeper is the reaper of whatever its engine leaves (`PR_SET_CHILD_SUBREAPER`, prctl(2)), so
//! they are found among its descendants, whatever session or process group they went into.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal, set_child_subreaper,
};

use crate::connection::is_root;
use crate::options::Owner;

/// Ending takes milliseconds. What is still there after this hangs in a system call, and runs no
/// instruction of its own any more.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Offspring {
    /// Whose processes are ended; `None` where keeper and engine are of one user.
    owner: Option<Owner>,
    /// Until when there may be some.
    until: Option<Instant>,
}

impl Offspring {
    /// Of engines that the keeper starts as this user.
    pub fn of(owner: Option<Owner>) -> Offspring {
        let owner = owner.filter(|owner| is_root() && owner.uid != 0);
        if owner.is_some() {
            // Refused by no kernel that has pidfds.
            let _ = set_child_subreaper(Some(getpid()));
        }
        Offspring { owner, until: None }
    }

    /// An engine ended.
    pub fn expect(&mut self, now: Instant) {
        self.until = self.owner.map(|_| now + PATIENCE);
    }

    /// Whether there may still be some.
    pub fn is_expected(&self) -> bool {
        self.until.is_some()
    }

    /// Ends what there is, but for the engines that are known and what they have started.
    pub fn end(&mut self, known: &[Pid], now: Instant) {
        let (Some(until), Some(owner)) = (self.until, self.owner) else {
            return;
        };
        let family = Family::look();
        let mut found = family.children(getpid());
        let mut left = false;
        while let Some(pid) = found.pop() {
            if known.contains(&pid) {
                continue;
            }
            found.extend(family.children(pid));
            left |= end(pid, owner.uid);
        }
        if !left || now > until {
            self.until = None;
        }
    }
}

/// Every process and its parent, as pairs.
struct Family(Vec<(Pid, Pid)>);

impl Family {
    fn look() -> Family {
        let processes = fs::read_dir("/proc").into_iter().flatten();
        let pairs = processes.filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let pid = Pid::from_raw(name.to_str()?.parse().ok()?)?;
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
            // The name before them may hold anything. State and parent (proc_pid_stat(5)).
            let (_, fields) = stat.rsplit_once(") ")?;
            let parent = fields.split(' ').nth(1)?.parse().ok()?;
            Some((pid, Pid::from_raw(parent)?))
        });
        Family(pairs.collect())
    }

    fn children(&self, of: Pid) -> Vec<Pid> {
        let pairs = self.0.iter().filter(|(_, parent)| *parent == of);
        pairs.map(|(pid, _)| *pid).collect()
    }
}

/// Ends the process if it is this user's; false if it is not, or is nothing but a status that
/// nobody has asked for.
fn end(pid: Pid, user: u32) -> bool {
    // Whatever has the number from here on is this process, or there is none.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = fs::read_to_string(path).unwrap_or_default();
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.split_whitespace().next())
    };
    let is_users = field("Uid:").is_some_and(|uid| uid.parse() == Ok(user));
    let is_over = field("State:").is_none_or(|state| state.starts_with(['Z', 'X']));
    is_users && !is_over && pidfd_send_signal(&process, Signal::KILL).is_ok()
}
