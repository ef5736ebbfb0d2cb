use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use debridfs_handover::Recovery;

/// What a keeper is told; see [`crate::run`].
pub struct KeeperOptions {
    /// Where to mount. Made when missing; its parent should be stable, as consumers bind that.
    pub mount: PathBuf,
    /// The unix socket on which engines and `debridfs status` come. Its directory is made when
    /// missing.
    pub socket: PathBuf,
    /// Who runs the engine.
    pub mode: Mode,
    /// Owner of the files and of the engine (PUID and PGID): as root the engine is started with
    /// these ids and no others. `None`: as the keeper itself.
    pub owner: Option<Owner>,
    /// Whether other users may look into the mount. Without root it takes `user_allow_other` in
    /// `/etc/fuse.conf`, too.
    pub allow_other: bool,
    /// Transport threads of an engine; 1 to [`debridfs_handover::journal::MAX_SLOTS`]. `None`: one
    /// a processor, 2 to 8.
    pub threads: Option<u32>,
    /// Whether [`crate::run`] fails where nothing can be mounted. Otherwise engines that can serve
    /// something else are admitted without a mount, and get it once it can be made.
    pub mount_required: bool,
    /// Whether the mount point, an empty directory, is made immutable (`chattr +i`), so that nobody
    /// writes below the mount while it is away. It stays so when the keeper ends, unless the keeper
    /// had made the directory. Needs root and a file system that knows the flag.
    pub immutable: bool,
    /// How requests of a dead engine reach the next one.
    pub recovery: Recovery,
    /// `read_ahead_kb` of the mount; 0 leaves the system's value. Needs root. The engine reads
    /// ahead of a reader that proved to need it; what the kernel does before that is fetched in
    /// vain by every look at a file.
    pub read_ahead_kb: u32,
    /// Whether descriptors are kept by, and taken from, the service manager that started this
    /// process (`NOTIFY_SOCKET`, `LISTEN_FDS`; `FileDescriptorStoreMax=` of systemd at least the
    /// threads and four), and whether that is told when the mount can be used. Without such a
    /// manager it changes nothing. The loop waits while the manager's socket is full, which it is
    /// only when the whole machine stands.
    pub service_manager: bool,
    /// The exit status by which an engine says that another instance has what this one would work
    /// on. A keeper of which no engine has served yet ends then, and starts none again.
    pub refused: Option<i32>,
    /// Times.
    pub limits: Limits,
    /// Called for each line worth logging, from a thread of its own: it may block, and then lines
    /// are left out.
    pub log: LogSink,
    /// Called once, when the mount exists and the first engine serves it.
    pub ready: Option<Box<dyn FnOnce()>>,
}

/// Takes log lines.
pub type LogSink = Box<dyn Fn(Level, &str) + Send>;

/// How serious a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something the keeper can't mend.
    Error,
    /// Something that should not happen and was mended.
    Warn,
    /// Life of mount and engine.
    Info,
}

/// Who runs the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The keeper starts this program with these arguments, and again whenever it ends.
    Child {
        /// Program and arguments.
        command: Vec<OsString>,
        /// Where the program is installed: an upgrade starts what is there by then, with the same
        /// arguments.
        installed: PathBuf,
    },
    /// Engines are started by other means and come to the socket.
    Attached,
}

/// User and group ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// PUID.
    pub uid: u32,
    /// PGID.
    pub gid: u32,
}

/// Times of a keeper; the defaults are those of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Age from which a request that no engine answered gets EIO. Once no engine has taken requests
    /// for this long, every request gets EIO soon after it came.
    pub deadline: Duration,
    /// An engine whose heartbeat stands still for this long is killed.
    pub heartbeat: Duration,
    /// An engine that is not heard of within this time after its start is killed.
    pub start: Duration,
    /// Time an engine has to end when asked to.
    pub stop: Duration,
    /// Attached, and told to stop: an engine that serves after this time keeps the mount for the
    /// next keeper. If one ends meanwhile, the next has as long again to come, so a keeper ends
    /// after twice this time at the latest. Zero: the mount goes with this one.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            deadline: Duration::from_secs(30),
            heartbeat: Duration::from_secs(10),
            start: Duration::from_secs(60),
            stop: Duration::from_secs(5),
            linger: Duration::ZERO,
        }
    }
}

impl KeeperOptions {
    /// Defaults for everything but the places; log lines go nowhere.
    pub fn new(mount: PathBuf, socket: PathBuf, mode: Mode) -> KeeperOptions {
        KeeperOptions {
            mount,
            socket,
            mode,
            owner: None,
            allow_other: true,
            threads: None,
            mount_required: true,
            immutable: false,
            recovery: Recovery::Journal,
            read_ahead_kb: 128,
            service_manager: false,
            refused: None,
            limits: Limits::default(),
            log: Box::new(|_, _| {}),
            ready: None,
        }
    }

    pub(crate) fn thread_count(&self) -> u32 {
        self.threads.unwrap_or_else(|| {
            let processors = std::thread::available_parallelism().map_or(2, usize::from);
            u32::try_from(processors).unwrap_or(8).clamp(2, 8)
        })
    }
}

impl fmt::Debug for KeeperOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeeperOptions")
            .field("mount", &self.mount)
            .field("socket", &self.socket)
            .field("mode", &self.mode)
            .field("owner", &self.owner)
            .field("threads", &self.threads)
            .field("recovery", &self.recovery)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
