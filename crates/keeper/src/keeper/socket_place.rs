//! Where the keeper's socket is. Its directory may be the engine's, who could put anything there:
//! so nothing is reached through a symbolic link, and nothing is done by a path that was looked at
//! before.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use debridfs_base::parent::DeathSignal;
use debridfs_base::walk::{Links, Walked, address_of, walk};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, unlinkat};
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, connect};
use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::options::Owner;

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A name in a directory that is held open.
#[derive(Debug)]
pub(super) struct SocketPlace {
    dir: OwnedFd,
    name: OsString,
}

impl SocketPlace {
    /// Walks to the directory, which is made when it is missing. It must be that of root, this user
    /// or the engine's.
    pub fn find(path: &Path, owner: Option<Owner>) -> io::Result<SocketPlace> {
        let path = std::path::absolute(path)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::other("it has no name"));
        };
        let Walked { dir, .. } = walk(parent, Links::Refused, 0o755)?;
        check(&fstat(&dir)?, parent, owner)?;
        Ok(SocketPlace {
            dir,
            name: name.into(),
        })
    }

    /// A name for it that leads through no directory but this one, and is short.
    pub fn address(&self) -> io::Result<SocketAddrUnix> {
        Ok(SocketAddrUnix::new(address_of(&self.dir).join(&self.name))?)
    }

    /// Whether a process listens there; `socket` is connected then.
    pub fn answers(&self, socket: &OwnedFd) -> io::Result<bool> {
        let Some(there) = self.look()? else {
            return Ok(false);
        };
        let address = SocketAddrUnix::new(address_of(&there))?;
        let is_socket = FileType::from_raw_mode(fstat(&there)?.st_mode) == FileType::Socket;
        Ok(is_socket && connect(socket, &address).is_ok())
    }

    /// Takes a socket or a link away that has this name.
    pub fn clear(&self) -> io::Result<()> {
        let Some(there) = self.look()? else {
            return Ok(());
        };
        match FileType::from_raw_mode(fstat(&there)?.st_mode) {
            FileType::Socket | FileType::Symlink => {}
            _ => {
                return Err(io::Error::other(
                    "something of this name is there and is no socket",
                ));
            }
        }
        match unlinkat(&self.dir, &self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn look(&self) -> io::Result<Option<OwnedFd>> {
        match openat(&self.dir, &self.name, LOOK, Mode::empty()) {
            Ok(there) => Ok(Some(there)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn check(dir: &Stat, path: &Path, owner: Option<Owner>) -> io::Result<()> {
    let trusted = dir.st_uid == 0
        || dir.st_uid == geteuid().as_raw()
        || owner.is_some_and(|owner| owner.uid == dir.st_uid);
    let path = path.display();
    if !trusted {
        let uid = dir.st_uid;
        return Err(io::Error::other(format!("{path} belongs to user {uid}")));
    }
    let mode = Mode::from_raw_mode(dir.st_mode);
    if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
        return Err(io::Error::other(format!("everybody may write to {path}")));
    }
    Ok(())
}

/// While it lives, files that this thread makes are the owner's. They may be made in directories of
/// root as well.
#[derive(Debug)]
pub(super) struct FileOwner {
    /// The kernel forgets it with each change of the owner; nothing where it does not tell.
    death: Option<DeathSignal>,
}

impl FileOwner {
    pub fn take_on(owner: Owner) -> FileOwner {
        let death = DeathSignal::of_thread().ok();
        set(owner);
        // The kernel took this one away with the change, and gives it back with the next.
        if let Ok(mut sets) = capabilities(None) {
            sets.effective |= sets.permitted & CapabilitySet::DAC_OVERRIDE;
            // Without it a directory of the owner's will do.
            let _ = set_capabilities(None, sets);
        }
        FileOwner { death }
    }
}

impl Drop for FileOwner {
    fn drop(&mut self) {
        set(Owner {
            uid: geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        });
        if let Some(death) = &self.death {
            death.renew();
        }
    }
}

fn set(owner: Owner) {
    // SAFETY: both calls change the calling thread's ids for the file system and touch no memory.
    unsafe {
        libc::setfsgid(owner.gid);
        libc::setfsuid(owner.uid);
    }
}
