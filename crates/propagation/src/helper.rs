//! The processes of a test: each does one thing, as somebody, in some container, and ends.
//!
//! The test itself never touches a path that may lie on its own mount. It starts this program
//! again with the description of a helper, and waits with a limit.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use debridfs_base::parent;
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{AtFlags, CWD, OFlags, StatxFlags, statx};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::Signal;
use rustix::thread::LinkNameSpaceType;
use serde::Serialize;

use crate::classify::{self, Surroundings};
use crate::code::Code;
use crate::container;
use crate::host;
use crate::level::Level;
use crate::marker::{MARKER_NAME, Marker};
use crate::run::runtime;
use crate::server;
use crate::task::{Attempt, Helper, Sight, Where, Written};

/// What a helper process does; its answer is a line of JSON on standard output.
///
/// Call it first thing in a process with one thread: it changes namespaces and identity. `parent` is the id of the process that
/// started this one; a helper that would outlive it ends. A container's first process has none.
pub fn helper_main(parent: Option<i32>, description: &str) -> ExitCode {
    let done = serde_json::from_str(description)
        .map_err(io::Error::other)
        .and_then(|helper| run(parent, helper));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(parent: Option<i32>, helper: Helper) -> io::Result<()> {
    let end_with_parent = |signal| parent.map_or(Ok(()), |pid| parent::end_with(pid, signal));
    let become_level = |place, level: Level| {
        enter(place)?;
        level.enter()?;
        // After the change of user, which takes it back.
        end_with_parent(Signal::KILL)
    };
    match helper {
        Helper::Contain(container) => {
            end_with_parent(Signal::KILL)?;
            container::make(&container)?;
            say(&"ready")?;
            // Ends when the test ends, however it does.
            io::copy(&mut io::stdin().lock(), &mut io::sink())?;
            Ok(())
        }
        Helper::Sweep { base, directories } => {
            say(&"ready")?;
            io::copy(&mut io::stdin().lock(), &mut io::sink())?;
            let left = host::remove_soon(&base, &directories);
            if left.is_empty() {
                Ok(())
            } else {
                Err(io::Error::other(left.join("; ")))
            }
        }
        Helper::Forget(left) => {
            say(&"ready")?;
            io::copy(&mut io::stdin().lock(), &mut io::sink())?;
            runtime::forget(&left).map_err(io::Error::other)
        }
        Helper::Stay => loop {
            std::thread::park();
        },
        Helper::Keep(keep, place) => {
            enter(place)?;
            // In order, so that no mount is left.
            end_with_parent(Signal::TERM)?;
            server::keep(keep, || {
                // The test is gone, and its signal is on its way.
                let _ = say(&"ready");
            })
        }
        Helper::Serve {
            place,
            level,
            socket,
            marker,
        } => {
            become_level(place, level)?;
            server::serve(&socket, marker)
        }
        Helper::Look {
            place,
            level,
            mount,
        } => {
            become_level(place, level)?;
            say(&look(&mount))
        }
        Helper::Write { place, level, dir } => {
            become_level(place, level)?;
            say(&write(&dir))
        }
        Helper::TryMount { place, level, dir } => {
            become_level(place, level)?;
            say(&try_mount(&dir))
        }
    }
}

fn say(what: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn enter(place: Where) -> io::Result<()> {
    place.map_or(Ok(()), enter_mounts_of)
}

/// Goes into the mount namespace of another process. The process may have one thread only.
///
/// # Errors
/// When there is no such process, or this one is not privileged.
pub fn enter_mounts_of(pid: u32) -> io::Result<()> {
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/mnt"))?;
    let kind = Some(LinkNameSpaceType::Mount);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)?;
    std::env::set_current_dir("/")
}

fn look(mount: &Path) -> Sight {
    // The file system is asked, not the kernel's memory of it.
    let stat = statx(
        CWD,
        mount,
        AtFlags::STATX_FORCE_SYNC,
        StatxFlags::BASIC_STATS,
    );
    if let Err(errno) = stat {
        return unseen(errno);
    }
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::DIRECT.bits().cast_signed())
        .open(mount.join(MARKER_NAME));
    let mut bytes = Vec::new();
    match opened.and_then(|file| file.take(4096).read_to_end(&mut bytes)) {
        Ok(_) => Marker::parse(&bytes).map_or_else(
            || Sight::Failed("the file is not a marker".into()),
            Sight::Marker,
        ),
        Err(error) => unseen(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

fn unseen(errno: Errno) -> Sight {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Sight::Missing,
        Errno::NOTCONN | Errno::CONNABORTED => Sight::Dead,
        Errno::ACCESS | Errno::PERM => Sight::Denied(
            errno.to_string(),
            classify::of_denied_read(true, Surroundings::here()),
        ),
        other => Sight::Failed(other.to_string()),
    }
}

fn write(dir: &Path) -> Written {
    let file = dir.join(format!(".debridfs-write-test-{}", std::process::id()));
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&file);
    match made {
        Ok(_) => {
            // Whoever looks afterwards names it as left behind if this fails.
            let _ = std::fs::remove_file(&file);
            Written::Made
        }
        Err(error) => Written::Refused(error.to_string()),
    }
}

/// Opens the device and mounts, in a namespace of its own so that nobody sees it; nothing serves
/// that mount, and it is gone with the process.
fn try_mount(dir: &Path) -> Attempt {
    let around = Surroundings::here();
    let refused =
        |code, what: &str, errno: Errno| Attempt::Refused(code, format!("{what}: {errno}"));
    let device = match std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(container::DEVICE)
    {
        Ok(device) => device,
        Err(error) => {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            return refused(
                classify::of_device(errno, around),
                "opening /dev/fuse",
                errno,
            );
        }
    };
    // Without the right to a namespace the mount is refused as well, and that is to be seen.
    let alone = unshare(CloneFlags::CLONE_NEWNS).is_ok();
    if alone {
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        if let Err(errno) = rustix::mount::mount_change("/", slave) {
            return refused(classify::of_mount(errno, around), "mount", errno);
        }
    }
    let options = format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        std::os::fd::AsRawFd::as_raw_fd(&device),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    let Ok(options) = std::ffi::CString::new(options) else {
        return refused(Code::ProducerFailed, "options", Errno::INVAL);
    };
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
    let kind = debridfs_base::mountinfo::FSTYPE;
    match rustix::mount::mount("debridfs-test", dir, kind, flags, options.as_c_str()) {
        Ok(()) => {
            if !alone {
                let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
                let _ = rustix::mount::unmount(dir, flags);
            }
            Attempt::Mounted
        }
        Err(errno) => refused(classify::of_mount(errno, around), "mount", errno),
    }
}
