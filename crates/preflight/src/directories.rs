//! `debridfs own-directories`, the helper that makes the directories that an engine writes to, and makes them its own before it starts.

pub mod hand_over;

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use debridfs_base::walk::{Links, walk};
use debridfs_base::{parent, require_parent};
use debridfs_keeper::Owner;
use rustix::fs::Mode;
use rustix::process::Signal;

use crate::helper::{Helper, owner_of};
use debridfs_config::{Config, Umask};

/// Arguments of `own-directories`.
#[derive(Debug, Args)]
pub struct OwnDirectoriesArgs {
    /// The directories.
    pub paths: Vec<PathBuf>,
    /// They are for others, too: made with this mode (octal), and given to the owner only while they are empty.
    #[arg(long, value_name = "MODE", value_parser = octal)]
    pub shared: Option<u32>,
    /// Numbers of user and group.
    #[arg(long, value_name = "UID:GID", value_parser = owner_of)]
    pub owner: Option<Owner>,
    /// Process that it ends with.
    #[arg(long, value_name = "PID")]
    pub parent: i32,
}

/// A directory without which there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("`{key}`: {}: {source}", dir.display())]
pub struct NotPrepared {
    /// The setting that names it.
    key: &'static str,
    dir: PathBuf,
    source: io::Error,
}

impl NotPrepared {
    /// What to do.
    pub fn help(&self) -> String {
        let Self { key, dir, source } = self;
        let dir = dir.display();
        // Whoever made a directory's error had root's view of it; a helper tells words alone.
        let read_only = source.kind() == io::ErrorKind::ReadOnlyFilesystem
            || source.to_string().contains("Read-only file system");
        match read_only {
            true => format!("mount its file system writable, or set another `{key}`"),
            false => format!("mend it (`ls -ld {dir}`), or set another `{key}`"),
        }
    }
}

/// Makes the directories that an engine writes to, and makes them its own. The downloads folder lies where only root may make one
/// (`/mnt`), and belongs to arrs as well.
///
/// All but the first may lie on a volume that does not answer. That is tried by processes of their own, which are left
/// behind then: a keeper that waits in the kernel could hold no mount.
///
/// # Errors
/// The runtime or the state directory cannot be made, or stays another user's.
pub fn prepare(config: &Config, owner: Option<Owner>) -> Result<(), NotPrepared> {
    let failed = |key, dir: &Path, source| NotPrepared {
        key,
        dir: dir.into(),
        source,
    };
    let runtime = &config.runtime_dir;
    own(runtime, owner).map_err(|error| failed("runtime_dir", runtime, error))?;
    let state = &config.state_dir;
    let state_helper = start(state, owner, None);
    // Without root the engine makes it, as the user that both are.
    let downloads = config
        .acquire
        .downloads
        .as_ref()
        .filter(|_| owner.is_some());
    let umask = config.mount.umask;
    let downloads = downloads.map(|dir| (dir, start(dir, owner, Some(umask))));
    if config.content.cache.enabled {
        let cache = &config.cache_dir;
        // Nothing is the worse without it but speed.
        if let Err(error) = start(cache, owner, None).and_then(end) {
            tracing::warn!(dir = %cache.display(), %error, "no cache directory");
        }
    }
    if let Some((dir, helper)) = downloads
        && let Err(error) = helper.and_then(end)
    {
        tracing::warn!(dir = %dir.display(), %error, "the downloads folder could not be made");
    }
    let ended = unless_silent(state, state_helper.and_then(end));
    ended.map_err(|error| failed("state_dir", state, error))
}

/// A volume that does not answer is waited for by the engine.
fn unless_silent(dir: &Path, ended: io::Result<()>) -> io::Result<()> {
    match ended {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            tracing::warn!(dir = %dir.display(), %error, "the engine has to wait for it");
            Ok(())
        }
        ended => ended,
    }
}

fn start(dir: &Path, owner: Option<Owner>, shared: Option<Umask>) -> io::Result<Helper> {
    let mut arguments: Vec<OsString> = vec!["own-directories".into(), dir.into()];
    if let Some(umask) = shared {
        let mode = SHARED_MODE & !umask.of_files().bits();
        arguments.push(format!("--shared={mode:o}").into());
    }
    Helper::start(arguments, owner)
}

fn end(helper: Helper) -> io::Result<()> {
    let (status, said) = helper.end()?;
    match (status.success(), said.is_empty()) {
        (true, _) => Ok(()),
        (false, false) => Err(io::Error::other(said)),
        (false, true) => Err(io::Error::other(status.to_string())),
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
    let own = |dir: &PathBuf| match args.shared {
        Some(mode) => share(dir, args.owner, mode),
        None => own(dir, args.owner),
    };
    match args.paths.iter().try_for_each(own) {
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

/// The mode of a directory that others use as well, before the umask takes its share.
const SHARED_MODE: u32 = 0o777;

/// Makes `dir` if it is missing, and gives it to `owner` if nobody has used it. Whatever else is there is somebody's, a link among it.
fn share(dir: &Path, owner: Option<Owner>, mode: u32) -> io::Result<()> {
    let Some(owner) = owner else {
        return Ok(());
    };
    let dir = std::path::absolute(dir)?;
    match fs::symlink_metadata(&dir) {
        Ok(found) if !found.is_dir() || found.uid() != 0 => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => require_parent(&dir)?,
        _ => {}
    }
    // The engine's alone counts.
    rustix::process::umask(Mode::empty());
    hand_over::hand_over_unused(&walk(&dir, Links::Trusted, mode)?, owner)
}

fn octal(text: &str) -> Result<u32, std::num::ParseIntError> {
    u32::from_str_radix(text, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_made_is_named_and_a_silent_one_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let config = Config {
            runtime_dir: file.join("run"),
            ..Config::default()
        };
        let refused = prepare(&config, None).unwrap_err();
        assert!(
            refused.to_string().starts_with("`runtime_dir`: "),
            "{refused}"
        );
        assert!(refused.help().contains("or set another `runtime_dir`"));
        let read_only = NotPrepared {
            key: "state_dir",
            dir: file.clone(),
            source: io::ErrorKind::ReadOnlyFilesystem.into(),
        };
        assert!(
            read_only
                .help()
                .starts_with("mount its file system writable")
        );
        unless_silent(&file, Ok(())).unwrap();
        unless_silent(&file, Err(io::ErrorKind::TimedOut.into())).unwrap();
        unless_silent(&file, Err(io::Error::other("x"))).unwrap_err();
    }
}
