//! `debridfs own-directories`, the helper that makes the directories that an engine writes to, and makes them its own before it starts.

mod hand_over;

use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Args;
use debridfs_base::parent;
use debridfs_base::walk::{Links, walk};
use debridfs_keeper::Owner;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open};

use crate::config::Config;
use crate::failure::{Doing, Failure};

/// Arguments of `own-directories`.
#[derive(Debug, Args)]
pub struct OwnDirectoriesArgs {
    /// The directories.
    pub paths: Vec<PathBuf>,
    /// They are for others, too: made, and given to the owner only while they are empty.
    #[arg(long)]
    pub shared: bool,
    /// Numbers of user and group.
    #[arg(long, value_name = "UID:GID")]
    pub owner: Option<String>,
    /// Process that it ends with.
    #[arg(long, value_name = "PID")]
    pub parent: i32,
}

/// A disk that has to spin up takes longer, and is waited for by nobody but the engine.
const LIMIT: Duration = Duration::from_secs(2);

/// Makes the directories that an engine writes to, and makes them its own. The downloads folder lies where only root may make one
/// (`/mnt`), and belongs to arrs as well.
///
/// All but the first may lie on a volume that does not answer. That is tried by processes of their own, which are left
/// behind then: a keeper that waits in the kernel could hold no mount.
pub fn prepare(config: &Config, owner: Option<Owner>) -> Result<(), Failure> {
    let runtime = &config.runtime_dir;
    own(runtime, owner).doing(|| runtime.display().to_string())?;
    let state = &config.state_dir;
    let state_helper = Helper::start(state, owner, false);
    let downloads = config
        .acquire
        .downloads
        .as_ref()
        .filter(|_| owner.is_some());
    let downloads = downloads.map(|dir| (dir, Helper::start(dir, owner, true)));
    if config.content.cache.enabled {
        let cache = &config.cache_dir;
        // Nothing is the worse without it but speed.
        if let Err(error) = Helper::start(cache, owner, false).and_then(Helper::end) {
            tracing::warn!(dir = %cache.display(), %error, "no cache directory");
        }
    }
    if let Some((dir, helper)) = downloads
        && let Err(error) = helper.and_then(Helper::end)
    {
        tracing::warn!(dir = %dir.display(), %error, "the downloads folder could not be made");
    }
    match state_helper.and_then(Helper::end) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            tracing::warn!(dir = %state.display(), %error, "the engine has to wait for it");
            Ok(())
        }
        ended => ended.doing(|| state.display().to_string()),
    }
}

/// A process that may hang.
struct Helper(Child);

impl Helper {
    fn start(dir: &Path, owner: Option<Owner>, shared: bool) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("own-directories").arg(dir);
        if shared {
            command.arg("--shared");
        }
        command.arg(format!("--parent={}", getpid()));
        if let Some(Owner { uid, gid }) = owner {
            command.arg(format!("--owner={uid}:{gid}"));
        }
        // It is told everything by its arguments, and the environment may hold tokens.
        command.env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().map(Self)
    }

    /// Waits for its end, within the limit.
    fn end(mut self) -> io::Result<()> {
        let pid = Pid::from_child(&self.0);
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let limit = Timespec {
            tv_sec: LIMIT.as_secs().cast_signed(),
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&process, PollFlags::IN)];
        if poll(&mut fds, Some(&limit))? == 0 {
            let text = format!("no answer within {} s", LIMIT.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        let status = self.0.wait()?;
        let mut said = String::new();
        if let Some(mut stdout) = self.0.stdout.take() {
            stdout.read_to_string(&mut said)?;
        }
        match (status.success(), said.is_empty()) {
            (true, _) => Ok(()),
            (false, false) => Err(io::Error::other(said)),
            (false, true) => Err(io::Error::other(status.to_string())),
        }
    }
}

/// What such a process does: says on stdout what is wrong, and ends with 1; or ends with 0. Without its parent it does nothing: whoever ended that may be
/// about to remove the directories.
#[expect(
    clippy::print_stdout,
    reason = "a pipe to the process that started this one"
)]
pub fn run(args: &OwnDirectoriesArgs) -> ExitCode {
    if parent::end_with(args.parent, Signal::KILL).is_err() {
        return ExitCode::FAILURE;
    }
    let owner = args.owner.as_deref().and_then(|ids| {
        let (uid, gid) = ids.split_once(':')?;
        Some(Owner {
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
        })
    });
    let own = match args.shared {
        true => share,
        false => own,
    };
    match args.paths.iter().try_for_each(|dir| own(dir, owner)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The mode of a directory of the engine's: for its owner alone.
const OWN_MODE: u32 = 0o700;

/// Makes `dir`, for its owner alone, if it is missing. Without an owner the process is that user already, who may do as he likes.
fn own(dir: &Path, owner: Option<Owner>) -> io::Result<()> {
    if let Some(owner) = owner {
        let dir = std::path::absolute(dir)?;
        return hand_over::hand_over(&walk(&dir, Links::Trusted, OWN_MODE)?, owner);
    }
    if let Some(parent) = dir.parent() {
        // Others have to come through these.
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().recursive(true).mode(OWN_MODE).create(dir)
}

/// The mode of a directory that others use as well.
const SHARED_MODE: u32 = 0o755;

/// Makes `dir` if it is missing, and gives it to `owner` if nobody has used it. Whatever else is there is somebody's, a link among it.
fn share(dir: &Path, owner: Option<Owner>) -> io::Result<()> {
    let Some(owner) = owner else {
        return Ok(());
    };
    let dir = std::path::absolute(dir)?;
    let found = fs::symlink_metadata(&dir);
    if found.is_ok_and(|found| !found.is_dir() || found.uid() != 0) {
        return Ok(());
    }
    hand_over::hand_over_unused(&walk(&dir, Links::Trusted, SHARED_MODE)?, owner)
}
