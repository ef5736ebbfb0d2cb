//! `debridfs mount-probe`, the helper behind `/readyz`: one look through the mount. It may hang; the engine must not.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use debridfs_base::{mountinfo, parent};
use rustix::fs::{AtFlags, CWD, OFlags, StatxFlags, statx};
use rustix::process::Signal;

/// Arguments of `mount-probe`.
#[derive(Debug, Args)]
pub struct MountProbeArgs {
    /// The process that started this one, without which the look is of no use.
    #[arg(long)]
    pub parent: Option<i32>,
    /// The mount point.
    pub path: PathBuf,
}

/// Says on stdout what is wrong, and ends with 1; or ends with 0.
#[expect(clippy::print_stdout, reason = "a pipe to the engine")]
pub fn run(args: &MountProbeArgs) -> ExitCode {
    let bound = args
        .parent
        .map_or(Ok(()), |pid| parent::end_with(pid, Signal::KILL));
    let looked = bound
        .map_err(|error| error.to_string())
        .and_then(|()| look(&args.path));
    match looked {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn look(path: &Path) -> Result<(), String> {
    match mountinfo::at(path) {
        Ok(Some(mount)) if mount.is_closed() => {
            return Err("the library is not mounted: its keeper was stopped".into());
        }
        Ok(Some(mount)) if mount.is_ours() => {}
        Ok(Some(mount)) => {
            let kind = mount.fstype.display();
            return Err(format!("{kind} is mounted over the library"));
        }
        Ok(None) => return Err("the library is not mounted".into()),
        Err(error) => return Err(format!("/proc/self/mountinfo: {error}")),
    }
    // The kernel must ask, not remember: attributes are valid for a day, and pages may be cached.
    let root = statx(
        CWD,
        path,
        AtFlags::STATX_FORCE_SYNC | AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::BASIC_STATS,
    )
    .map_err(|error| format!("stat of the root: {error}"))?;
    if root.stx_nlink < 2 {
        return Err(format!("the root has {} links", root.stx_nlink));
    }
    let mut said = Vec::new();
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::DIRECT.bits().cast_signed())
        .open(path.join("version.txt"))
        .and_then(|file| file.take(4096).read_to_end(&mut said))
        .map_err(|error| format!("reading version.txt: {error}"))?;
    if said.is_empty() {
        return Err("version.txt is empty".into());
    }
    Ok(())
}
