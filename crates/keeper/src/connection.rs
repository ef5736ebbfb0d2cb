//! One FUSE connection: its mount, all its descriptors, and the journal of its requests.

mod fusectl;
mod fusermount;
mod init;
mod returned;
mod root;
mod sync_init;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

pub(crate) use init::can_resend;

use crate::{KeeperError, wire};
use debridfs_base::mountinfo;
use debridfs_base::mountinfo::Mount;
use debridfs_handover::journal::{Journal, Layout, SLOT_SIZE};
use debridfs_handover::{Descriptors, InitResult};

/// `FUSE_DEV_IOC_CLONE`: `_IOR(229, 0, uint32_t)`, although the number is read by the kernel.
const FUSE_DEV_IOC_CLONE: Opcode = opcode::read::<u32>(229, 0);

/// How long the kernel may take to send INIT after the mount: it is queued by the mount itself.
const INIT_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Connection {
    pub journal: Journal,
    pub init: InitResult,
    /// Unix time in milliseconds.
    pub mounted_at: u64,
    /// Mount id and device, to know it again.
    mount: Option<(u64, (u32, u32))>,
    fds: Descriptors,
}

/// The time of day, as the handover tells it.
pub(crate) fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(0)
}

/// True when mounts are made by system call.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where a mount is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub path: &'a Path,
    /// The directory it lies in, held open: root acts from there.
    pub parent: BorrowedFd<'a>,
    pub name: &'a OsStr,
}

/// Takes the topmost mount there away.
pub(crate) fn unmount_at(site: &Site<'_>, force: bool) -> Result<(), KeeperError> {
    if is_root() {
        root::unmount_at(site, force)
    } else {
        fusermount::unmount_at(site.path)
    }
}

/// Mounts what refuses everybody, root as well, until something else is mounted on it. Root alone can.
pub(crate) fn mount_closed(site: &Site<'_>) -> Result<(), KeeperError> {
    root::mount_closed(site)
}

/// Ends the connection of a mount, which stays where it is, dead.
pub(crate) fn abort(mount: &Mount) -> io::Result<()> {
    Ok(fusectl::abort(mount.device.1)?)
}

impl Connection {
    /// Mounts, answers INIT, makes the clones.
    pub fn mount(
        site: &Site<'_>,
        threads: u32,
        allow_other: bool,
    ) -> Result<Connection, KeeperError> {
        Self::mount_asking(site, threads, allow_other, sync_init::ask)
    }

    fn mount_asking(
        site: &Site<'_>,
        threads: u32,
        allow_other: bool,
        ask: fn(&OwnedFd) -> bool,
    ) -> Result<Connection, KeeperError> {
        if is_root() {
            // A device that is missing is looked for again and again: at little cost.
            drop(open_device(true)?);
        }
        // Memory first: nothing may be missing once requests come.
        let (journal, journal_fd) = Journal::create(Layout::for_slots(threads))?;
        let (main, init) = if is_root() {
            root::mount_at(site, allow_other, ask)?
        } else {
            (fusermount::mount_at(site.path, allow_other)?, None)
        };
        let made = Connection::complete(site.path, threads, journal, journal_fd, main, init);
        if made.is_err() {
            let _ = unmount_at(site, false);
        }
        made
    }

    fn complete(
        path: &Path,
        threads: u32,
        journal: Journal,
        journal_fd: OwnedFd,
        main: OwnedFd,
        init: Option<InitResult>,
    ) -> Result<Connection, KeeperError> {
        fcntl_setfl(&main, OFlags::NONBLOCK).map_err(KeeperError::os("cannot set fd flags"))?;
        let init = match init {
            Some(init) => init,
            None => answer_init(&main, init::answer)?,
        };
        let clones = (0..threads)
            .map(|_| clone_of(&main))
            .collect::<Result<_, _>>()?;
        let mounted = mounted_at(path)?;
        Ok(Connection {
            journal,
            init,
            mounted_at: unix_millis(),
            mount: mounted.map(|mount| (mount.id, mount.device)),
            fds: Descriptors {
                main,
                journal: journal_fd,
                clones,
            },
        })
    }

    /// The fd that the stand-in reads; non-blocking, unless an engine has changed that.
    pub fn main(&self) -> BorrowedFd<'_> {
        self.fds.main.as_fd()
    }

    /// Reads of the main fd are not to block. Its flags are every holder's to change, so this holds
    /// for the moment only: see [`crate::alarm`].
    pub fn set_nonblocking(&self) {
        // Refused by the kernel for none of these descriptors.
        let _ = fcntl_setfl(&self.fds.main, OFlags::NONBLOCK);
    }

    /// What is lent with a lease, in the order of the message.
    pub fn lent(&self) -> Vec<BorrowedFd<'_>> {
        self.fds.in_order()
    }

    /// Answers a request on the fd it was read from. An unknown fd index answers nothing: it can
    /// only be the work of a broken engine. ENOENT, the request was answered already, is no error.
    pub fn reply(&self, fd: u32, unique: u64, error: i32, body: &[u8]) -> io::Result<()> {
        let Some(fd) = self.fds.get(fd) else {
            return Ok(());
        };
        match rustix::io::write(fd, &wire::reply(unique, error, body)) {
            Ok(_) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Ends a request with an error, whichever fd it was read from: `fd` is what was noted, and a
    /// broken engine may have noted another. False when nobody waits for it any more.
    pub fn end(&self, fd: u32, unique: u64, error: i32) -> bool {
        let reply = wire::reply(unique, error, &[]);
        let noted = self.fds.get(fd).into_iter();
        noted
            .chain(self.fds.of_connection())
            .any(|fd| rustix::io::write(fd, &reply).is_ok())
    }

    /// How many requests the kernel counts that are not answered; `None` where it can't be asked:
    /// that takes `CAP_SYS_ADMIN`.
    pub fn unanswered(&self) -> Option<usize> {
        fusectl::waiting(self.mount?.1.1).ok()
    }

    /// Asks the kernel to queue every unanswered request again.
    pub fn resend(&self) -> io::Result<()> {
        rustix::io::write(&self.fds.main, &wire::notification(wire::NOTIFY_RESEND))?;
        Ok(())
    }

    /// State of the queue right now.
    pub fn queue(&self) -> Queue {
        queue_of(self.main())
    }

    /// True while the mount that was made for this connection is where it was made. One that
    /// couldn't be found then is believed to be there.
    pub fn is_mounted(&self) -> bool {
        let Some((id, device)) = self.mount else {
            return true;
        };
        mountinfo::read().map_or(true, |mounts| {
            mounts
                .iter()
                .any(|mount| mount.id == id && mount.device == device)
        })
    }

    /// How far the kernel reads ahead in this mount.
    pub fn set_read_ahead(&self, kilobytes: u32) -> io::Result<()> {
        let Some((_, (major, minor))) = self.mount else {
            return Ok(());
        };
        // `major:minor` of the mount, as `/sys/class/bdi` names it.
        let path = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
        set_number(Path::new(&path), kilobytes)
    }
}

/// Writes a number that is another: most mounts have Linux's default, which is also ours, and the
/// file cannot be written in many containers.
fn set_number(path: &Path, number: u32) -> io::Result<()> {
    let there = std::fs::read_to_string(path)?;
    if there.trim().parse() == Ok(number) {
        return Ok(());
    }
    std::fs::write(path, number.to_string())
}

/// State of the kernel's queue of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Nothing to be read.
    Empty,
    /// At least one request wasn't read.
    Waiting,
    /// The connection ended: unmounted, or aborted.
    Lost,
}

fn queue_of(fd: BorrowedFd<'_>) -> Queue {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let none = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut fds, Some(&none)) {
        Ok(_) if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => Queue::Lost,
        Ok(_) if fds[0].revents().contains(PollFlags::IN) => Queue::Waiting,
        _ => Queue::Empty,
    }
}

/// The mount of ours that is on top at the path.
fn mounted_at(path: &Path) -> Result<Option<mountinfo::Mount>, KeeperError> {
    Ok(mountinfo::find(path)
        .map_err(KeeperError::os("cannot read /proc/self/mountinfo"))?
        .filter(mountinfo::Mount::is_ours))
}

fn open_device(nonblocking: bool) -> Result<OwnedFd, KeeperError> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let flags = if nonblocking {
        flags | OFlags::NONBLOCK
    } else {
        flags
    };
    open("/dev/fuse", flags, Mode::empty()).map_err(|errno| KeeperError::NoDevice(errno.into()))
}

fn clone_of(main: &OwnedFd) -> Result<OwnedFd, KeeperError> {
    let clone = open_device(false)?;
    // SAFETY: the kernel reads one u32, the number of a descriptor, and writes nothing.
    let source =
        unsafe { Setter::<FUSE_DEV_IOC_CLONE, u32>::new(main.as_raw_fd().cast_unsigned()) };
    // SAFETY: as above; the descriptor is of /dev/fuse, which knows this ioctl.
    unsafe { ioctl(&clone, source) }
        .map_err(KeeperError::os("cannot clone the connection's fd"))?;
    Ok(clone)
}

/// Decides on an INIT request: what is agreed on, and the reply.
type Answer = fn(&[u8]) -> Result<(InitResult, Vec<u8>), KeeperError>;

fn answer_init(main: &OwnedFd, answer: Answer) -> Result<InitResult, KeeperError> {
    let end = Instant::now() + INIT_LIMIT;
    let mut buffer = vec![0; SLOT_SIZE];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(main, PollFlags::IN)];
        let _ = poll(&mut fds, Some(&timeout));
        match rustix::io::read(main, &mut buffer) {
            Ok(length) => {
                let request = &buffer[..length];
                let (result, reply) = answer(request).inspect_err(|_| refuse(main, request))?;
                rustix::io::write(main, &reply).map_err(KeeperError::os("cannot answer INIT"))?;
                return Ok(result);
            }
            Err(rustix::io::Errno::NODEV) => return Err(KeeperError::Init("unmounted at once")),
            Err(_) if left.is_zero() => return Err(KeeperError::Init("none within 5 s")),
            Err(_) => {}
        }
    }
}

/// Nobody waits any longer for an answer to this INIT, mount(2) least of all.
fn refuse(main: &OwnedFd, request: &[u8]) {
    if let Some(header) = wire::header(request) {
        let error = rustix::io::Errno::PROTO.raw_os_error();
        // The connection is given up either way.
        let _ = rustix::io::write(main, &wire::reply(header.unique, error, &[]));
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    use super::*;

    #[test]
    fn what_is_right_already_need_not_be_writable() {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("read_ahead_kb", flags).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let path = Path::new(&path);
        std::fs::write(path, "8192\n").unwrap();
        set_number(path, 128).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "128");
        fcntl_add_seals(&file, SealFlags::WRITE).unwrap();
        set_number(path, 128).unwrap();
        set_number(path, 1024).unwrap_err();
    }
}
