//! Which core a process runs on.

use std::process::Command;

/// The core of the simulator and of nothing else.
pub(crate) const SERVER: &str = "0";
/// The core of everything on the reader's side.
pub(crate) const CLIENT: &str = "1";
/// Any.
pub(crate) const ANY: &str = "";

/// A command that runs `program` on `cores` (a list as taskset(1) takes it).
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>, cores: &str) -> Command {
    if cores.is_empty() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program);
    command
}
