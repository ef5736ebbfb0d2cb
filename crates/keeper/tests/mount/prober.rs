//! Looks through the mount from a process that is left behind when it is stuck.

use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use debridfs_base::mountinfo;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::world::{ends_within, program};

#[derive(Debug)]
pub enum ProbeError {
    /// The mount didn't answer in time.
    Timeout,
    /// An earlier look still hangs.
    Stuck,
    /// The mount answered with an error, or isn't there.
    Failed(#[expect(dead_code, reason = "shown by a failed assertion")] String),
}

/// One look at a time.
#[derive(Default)]
pub struct Prober(Option<Child>);

impl Prober {
    /// Blocks for at most `limit`.
    pub fn check(&mut self, mount: &Path, limit: Duration) -> Result<(), ProbeError> {
        if self.is_stuck() {
            return Err(ProbeError::Stuck);
        }
        let mut look = program();
        look.arg("as-probe").arg(mount).stdout(Stdio::piped());
        let mut look = look.spawn().unwrap();
        match ends_within(&mut look, limit) {
            Some(Ok(_)) => Ok(()),
            Some(Err(said)) => Err(ProbeError::Failed(said)),
            None => {
                let _ = look.kill();
                self.0 = Some(look);
                Err(ProbeError::Timeout)
            }
        }
    }

    /// True while a look hangs that was given up.
    pub fn is_stuck(&mut self) -> bool {
        let running = self.0.as_mut().map(Child::try_wait);
        matches!(running, Some(Ok(None)))
    }
}

/// `PATH`
pub fn main(arguments: &[String]) -> ExitCode {
    match look(Path::new(&arguments[0])) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            println!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// Asks the file system itself, not the kernel's caches.
fn look(mount: &Path) -> Result<(), String> {
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
