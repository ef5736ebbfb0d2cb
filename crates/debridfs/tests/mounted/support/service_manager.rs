//! A service manager, as far as systemd is one for the keeper: it hears what a service says, keeps the descriptors it is given, and hands
//! them to the next process of that service (sd_notify(3), sd_listen_fds(3)).

use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use parking_lot::{Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tempfile::TempDir;

/// `SD_LISTEN_FDS_START`.
const FIRST_FD: i32 = 3;

/// A name, and the descriptor of that name.
type Stored = (String, OwnedFd);

#[derive(Default)]
struct Heard {
    store: Mutex<Vec<Stored>>,
    ready: AtomicU32,
    ended: AtomicBool,
}

/// A running service manager.
pub struct ServiceManager {
    dir: TempDir,
    heard: Arc<Heard>,
    thread: Option<JoinHandle<()>>,
}

impl ServiceManager {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("socket");
        let limit = Some(Duration::from_millis(50));
        socket.set_read_timeout(limit).expect("a limit");
        let heard = Arc::new(Heard::default());
        let listening = heard.clone();
        let thread = std::thread::spawn(move || {
            while !listening.ended.load(Ordering::Relaxed) {
                if let Some((words, fds)) = receive(&socket) {
                    listening.hear(&words, fds);
                }
            }
        });
        Self {
            dir,
            heard,
            thread: Some(thread),
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("notify")
    }

    /// How often a service said that it is ready.
    pub fn ready(&self) -> u32 {
        self.heard.ready.load(Ordering::Relaxed)
    }

    /// What is in the store, sorted.
    pub fn names(&self) -> Vec<String> {
        let store = self.heard.store();
        let mut names: Vec<String> = store.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// What a service is started by: with `command` it becomes the program of the service.
    pub fn command(&self, program: &std::path::Path) -> Command {
        let mut store = self.heard.store();
        // Of a connection that has ended nothing is kept (`FDPOLL`).
        store.retain(|(_, fd)| !has_ended(fd));
        let mut command = Command::new("sh");
        // Whom the descriptors are for is known only by then.
        command
            .args(["-c", "export LISTEN_PID=$$; exec \"$@\"", "sh"])
            .arg(program)
            .env("NOTIFY_SOCKET", self.socket())
            .env("LISTEN_FDS", store.len().to_string());
        let names: Vec<&str> = store.iter().map(|(name, _)| name.as_str()).collect();
        command.env("LISTEN_FDNAMES", names.join(":"));
        let mapping = |((_, fd), number): (&Stored, i32)| FdMapping {
            parent_fd: fd.try_clone().expect("a descriptor"),
            child_fd: number,
        };
        let mappings = store.iter().zip(FIRST_FD..).map(mapping).collect();
        command.fd_mappings(mappings).expect("no number twice");
        command
    }
}

impl Drop for ServiceManager {
    fn drop(&mut self) {
        self.heard.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Heard {
    fn store(&self) -> MutexGuard<'_, Vec<Stored>> {
        self.store.lock()
    }

    fn hear(&self, words: &str, fds: Vec<OwnedFd>) {
        let name = words.lines().find_map(|line| line.strip_prefix("FDNAME="));
        let name = name.unwrap_or("stored");
        for word in words.lines() {
            match word {
                "READY=1" => {
                    self.ready.fetch_add(1, Ordering::Relaxed);
                }
                "FDSTOREREMOVE=1" => self.store().retain(|(known, _)| known != name),
                _ => {}
            }
        }
        if words.lines().any(|line| line == "FDSTORE=1") {
            let named = fds.into_iter().map(|fd| (name.to_owned(), fd));
            self.store().extend(named);
        }
    }
}

fn receive(socket: &UnixDatagram) -> Option<(String, Vec<OwnedFd>)> {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg(
        socket.as_fd(),
        &mut parts,
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    );
    let length = message.ok()?.bytes;
    let mut fds = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    let mut words = String::new();
    (&bytes[..length]).read_to_string(&mut words).ok()?;
    Some((words, fds))
}

fn has_ended(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)).is_ok()
        && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}
