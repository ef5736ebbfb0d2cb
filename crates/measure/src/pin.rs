//! Which core a process runs on.

use std::process::Command;

use rustix::thread::CpuSet;

use crate::error::{Error, Result};

/// The core of the simulator and of nothing else.
pub const SERVER: &str = "0";
/// The core of everything on the reader's side.
pub const CLIENT: &str = "1";
/// Any.
pub const ANY: &str = "";

/// A command that runs `program` on `cores` (a list as taskset(1) takes it).
pub fn command(program: impl AsRef<std::ffi::OsStr>, cores: &str) -> Command {
    if cores.is_empty() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program);
    command
}

/// Lets this thread, and those that it starts, run on this core alone, or on [`ANY`].
///
/// # Errors
/// When this machine has no such core.
pub fn pin_this(core: &str) -> Result<()> {
    let mut set = CpuSet::new();
    match core {
        ANY => (0..CpuSet::MAX_CPU).for_each(|cpu| set.set(cpu)),
        core => set.set(
            core.parse()
                .map_err(|_| Error::Refused(format!("no core {core}")))?,
        ),
    }
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}
