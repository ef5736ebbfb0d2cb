//! A keeper as small as can be: mounts, answers INIT, lends the connection, and does after an engine's death what the real one does. No stand-in.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::engine;
use debridfs_handover::journal::{Aftermath, End, Journal, Layout};
use debridfs_handover::{FromKeeper, InitResult, LeaseTerms, Recovery, ToKeeper};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::mount::UnmountFlags;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};

/// `FUSE_DEV_IOC_CLONE`: `_IOR(229, 0, uint32_t)`
const IOC_CLONE: libc::c_ulong = 0x8004_e500;

/// INIT flags: ASYNC_READ, EXPORT_SUPPORT, DO_READDIRPLUS, PARALLEL_DIROPS, MAX_PAGES, CACHE_SYMLINKS, NO_OPENDIR_SUPPORT,
/// EXPLICIT_INVAL_DATA, INIT_EXT. Not ASYNC_DIO: with it a reader with `O_DIRECT` waits uninterruptibly, and no INTERRUPT is sent for it.
const FLAGS: u32 = 1 | 1 << 4 | 1 << 13 | 1 << 18 | 1 << 22 | 1 << 23 | 1 << 24 | 1 << 25 | 1 << 30;

/// How a test wants its mount.
#[derive(Clone)]
pub struct Shape {
    pub read_only: bool,
    pub layout: Layout,
    pub deadline: Duration,
    /// Environment of the engine.
    pub env: Vec<(&'static str, String)>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            read_only: true,
            layout: Layout::for_slots(3),
            deadline: Duration::from_secs(30),
            env: Vec::new(),
        }
    }
}

pub struct SmallKeeper {
    dir: tempfile::TempDir,
    shape: Shape,
    /// Main fd, then the clones.
    fds: Vec<OwnedFd>,
    pub journal: Journal,
    memory: OwnedFd,
    listener: OwnedFd,
    pub init: Vec<u8>,
    minor: u32,
    generation: u64,
    engine: Option<Engine>,
}

pub struct Engine {
    child: Child,
    commands: ChildStdin,
    answers: ChildStdout,
    /// The keeper's end of its socket.
    socket: OwnedFd,
}

impl SmallKeeper {
    pub fn mount(shape: Shape) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("fuse-mount-")
            .tempdir()
            .unwrap();
        let point = dir.path().join("mnt");
        std::fs::create_dir(&point).unwrap();
        let device = File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .unwrap();
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other",
            device.as_raw_fd()
        );
        let mut flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
        if shape.read_only {
            flags |= rustix::mount::MountFlags::RDONLY;
        }
        let options = std::ffi::CString::new(options).unwrap();
        rustix::mount::mount("debridfs", &point, "fuse.debridfs", flags, &*options).unwrap();
        MOUNTS.lock().unwrap().push(point);
        let (init, minor) = answer_init(&device);
        let main = OwnedFd::from(device);
        let mut fds = vec![main];
        for _ in 0..shape.layout.slots {
            fds.push(clone_device(&fds[0]));
        }
        let (journal, memory) = Journal::create(shape.layout).unwrap();
        let listener = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let address = SocketAddrUnix::new(dir.path().join("socket")).unwrap();
        rustix::net::bind(&listener, &address).unwrap();
        rustix::net::listen(&listener, 8).unwrap();
        Self {
            dir,
            shape,
            fds,
            journal,
            memory,
            listener,
            init,
            minor,
            generation: 0,
            engine: None,
        }
    }

    /// Mounts and starts an engine.
    pub fn serve(shape: Shape) -> Self {
        let mut keeper = Self::mount(shape);
        keeper.start_engine();
        keeper
    }

    pub fn point(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    pub fn set_env(&mut self, env: Vec<(&'static str, String)>) {
        self.shape.env = env;
    }

    /// Starts an engine, lends it the connection and waits until it serves.
    pub fn start_engine(&mut self) {
        self.spawn_engine();
        assert!(self.wait_serving(), "the engine ended before it served");
    }

    /// Starts an engine and lends it the connection.
    pub fn spawn_engine(&mut self) {
        let second = engine::WITH_FBRS.load(Ordering::Relaxed);
        let second = second.then_some((engine::SECOND_BACKEND, "1"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .envs(second)
            .arg("role:engine")
            .arg(self.dir.path().join("socket"))
            .envs(self.shape.env.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        wait_readable(self.listener.as_fd());
        let socket = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC).unwrap();
        let hello = receive(socket.as_fd());
        assert!(matches!(hello, Some(ToKeeper::Hello { .. })), "{hello:?}");
        self.generation += 1;
        let lease = FromKeeper::Lease(LeaseTerms {
            generation: self.generation,
            connection: 1,
            layout: self.shape.layout,
            init: InitResult {
                major: 7,
                minor: self.minor,
                flags: u64::from(FLAGS),
                max_readahead: 0,
                max_write: 4096,
                max_pages: 256,
            },
            recovery: Recovery::Journal,
            mount: self.point(),
            mounted_at: 0,
            deadline: self.shape.deadline.as_millis() as u64,
        });
        let mut fds = vec![self.fds[0].as_fd(), self.memory.as_fd()];
        fds.extend(self.fds[1..].iter().map(AsFd::as_fd));
        send(socket.as_fd(), &lease, &fds);
        self.engine = Some(Engine {
            commands: child.stdin.take().unwrap(),
            answers: child.stdout.take().unwrap(),
            child,
            socket,
        });
    }

    /// Waits until the engine serves (`true`) or ended.
    pub fn wait_serving(&mut self) -> bool {
        let socket = self.engine().socket.as_fd();
        wait_readable(socket);
        matches!(receive(socket), Some(ToKeeper::Serving))
    }

    pub fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("no engine runs")
    }

    /// Ends the engine with SIGKILL and settles what it left.
    pub fn kill_engine(&mut self) -> Aftermath {
        self.engine().child.kill().unwrap();
        self.bury_engine().1
    }

    /// Waits for the engine's end, settles what it left and answers what two engines died of. Gives the signal that ended it.
    pub fn bury_engine(&mut self) -> (Option<i32>, Aftermath) {
        let mut engine = self.engine.take().unwrap();
        let status = engine.child.wait().unwrap();
        let end = match status.signal() {
            Some(libc::SIGKILL) => End::Killed,
            _ => End::Crashed,
        };
        let aftermath = self.journal.after_death(end);
        for held in &aftermath.condemned {
            let answer = debridfs_fuse::wire::out_header(16, libc::EIO, held.unique());
            rustix::io::write(&self.fds[held.origin.fd as usize], &answer).unwrap();
            self.journal.settle(held, false);
        }
        (status.signal(), aftermath)
    }

    /// Tells the engine that the stand-in took requests.
    pub fn tell(&mut self, message: &FromKeeper) {
        send(self.engine().socket.as_fd(), message, &[]);
    }

    /// Reads what waits in the kernel into the stand-in's entries, as the real keeper does for an engine that does not.
    pub fn stand_in(&self) -> usize {
        let mut buffer = [0; 8192];
        let mut count = 0;
        rustix::io::ioctl_fionbio(&self.fds[0], true).unwrap();
        while let Ok(length) = rustix::io::read(&self.fds[0], &mut buffer) {
            let origin = debridfs_handover::journal::Origin {
                fd: 0,
                arrival: debridfs_handover::awake_ns(),
                suspicion: 0,
            };
            self.journal
                .store_stand_in(&buffer[..length], origin, true)
                .unwrap();
            count += 1;
        }
        count
    }

    /// Ends the connection, so that nobody waits for it any more.
    pub fn abort(&self) {
        abort(&self.point());
    }
}

impl Drop for SmallKeeper {
    fn drop(&mut self) {
        self.abort();
        if let Some(mut engine) = self.engine.take() {
            let _ = engine.child.kill();
            let _ = engine.child.wait();
        }
    }
}

impl Engine {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has the engine do something; see `engine.rs`. Gives its answer.
    pub fn ask(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        let mut answer = String::new();
        let mut byte = [0];
        loop {
            self.answers.read_exact(&mut byte).unwrap();
            if byte[0] == b'\n' {
                return answer;
            }
            answer.push(byte[0] as char);
        }
    }

    /// A counter of the engine.
    pub fn count(&mut self, what: &str) -> u64 {
        self.ask(&format!("count {what}")).parse().unwrap()
    }

    /// Whether the engine ended by itself.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

fn abort(point: &Path) {
    for how in [UnmountFlags::FORCE, UnmountFlags::DETACH] {
        // The second finds nothing when the first sufficed.
        let _ = rustix::mount::unmount(point, how);
    }
}

/// Aborts every connection of this process.
pub fn abort_all() {
    MOUNTS.lock().unwrap().iter().for_each(|point| abort(point));
}

/// Mount points made by this process.
static MOUNTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn answer_init(device: &File) -> (Vec<u8>, u32) {
    let mut buffer = [0; 8192];
    let length = (&mut &*device).read(&mut buffer).unwrap();
    let request = debridfs_fuse::wire::Request::decode(&buffer[..length]).unwrap();
    let debridfs_fuse::wire::Operation::Init {
        minor,
        max_readahead,
        ..
    } = request.operation
    else {
        panic!("{request:?} instead of INIT")
    };
    let minor = minor.min(45);
    // struct fuse_init_out
    let mut answer = debridfs_fuse::wire::out_header(16 + 64, 0, request.header.unique).to_vec();
    for word in [7, minor, max_readahead, FLAGS] {
        answer.extend_from_slice(&word.to_ne_bytes());
    }
    for half in [1024u16, 768] {
        answer.extend_from_slice(&half.to_ne_bytes());
    }
    for word in [4096u32, 1] {
        answer.extend_from_slice(&word.to_ne_bytes());
    }
    answer.extend_from_slice(&256u16.to_ne_bytes());
    answer.resize(16 + 64, 0);
    (&mut &*device).write_all(&answer).unwrap();
    (buffer[..length].to_vec(), minor)
}

fn clone_device(main: &OwnedFd) -> OwnedFd {
    let clone = OwnedFd::from(
        File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .unwrap(),
    );
    let fd = main.as_raw_fd() as u32;
    // SAFETY: the ioctl reads one u32 from the pointer, which is good for it during the call.
    let result = unsafe { libc::ioctl(clone.as_raw_fd(), IOC_CLONE, &raw const fd) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    clone
}

fn wait_readable(fd: BorrowedFd<'_>) {
    let limit = rustix::event::Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    let ready = poll(
        &mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)],
        Some(&limit),
    )
    .unwrap();
    assert_eq!(ready, 1, "the engine says nothing");
}

fn receive(socket: BorrowedFd<'_>) -> Option<ToKeeper> {
    let mut bytes = [0; 4096];
    let (length, _) = rustix::net::recv(socket, &mut bytes, RecvFlags::empty()).ok()?;
    serde_json::from_slice(&bytes[..length]).ok()
}

fn send(socket: BorrowedFd<'_>, message: &FromKeeper, fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(66))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    let bytes = serde_json::to_vec(message).unwrap();
    let parts = [IoSlice::new(&bytes)];
    rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL).unwrap();
}

/// A fd that the kernel gave.
pub fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call just gave it, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub fn write_file(path: impl AsRef<Path>, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}
