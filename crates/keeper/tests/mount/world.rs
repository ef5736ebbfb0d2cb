//! A keeper on a temporary mount point, and everything that must be gone afterwards.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use debridfs_base::mountinfo;
use debridfs_handover::{EngineState, KeeperStatus};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Goes into a mount namespace of its own; false when that isn't allowed.
pub fn enter() -> bool {
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
        return false;
    }
    // SAFETY: the process has one thread, and holds no directory of a file system it leaves.
    let unshared = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) };
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    unshared.is_ok() && mount_change("/", flags).is_ok()
}

/// Lets every user open `/dev/fuse` in this namespace, as on usual systems.
pub fn open_device_for_users(dir: &Path) {
    rustix::mount::mount_bind(device_node(dir), "/dev/fuse").unwrap();
}

/// A node of the FUSE device, open to everybody.
pub fn device_node(dir: &Path) -> PathBuf {
    use rustix::fs::{FileType, Mode, makedev, mknodat};
    let node = dir.join("fuse");
    let mode = Mode::from_raw_mode(0o666);
    mknodat(
        rustix::fs::CWD,
        &node,
        FileType::CharacterDevice,
        mode,
        makedev(10, 229),
    )
    .unwrap();
    rustix::fs::chmod(&node, mode).unwrap();
    node
}

pub struct World {
    // Dropped in this order.
    keeper: Option<Child>,
    others: Vec<Child>,
    dir: TempDir,
    shared: bool,
}

pub fn program() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.stdin(Stdio::null());
    command
}

impl World {
    /// A place without a keeper.
    pub fn empty() -> World {
        let dir = tempfile::Builder::new()
            .prefix("keeper-test-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(dir.path().join("control")).unwrap();
        World {
            keeper: None,
            others: Vec::new(),
            dir,
            shared: false,
        }
    }

    /// A keeper with these words, its mount made; with an engine that serves unless attached.
    pub fn start(words: &[&str]) -> World {
        let mut world = World::empty();
        world.keep(words);
        if words.contains(&"attached") {
            world.until("mounted", |world| mountinfo::is_mounted(&world.mount()));
        } else {
            world.until_served();
        }
        world
    }

    /// A place below a mount that propagates, as containers have it.
    pub fn shared() -> World {
        let mut world = World::empty();
        rustix::mount::mount_bind(world.root(), world.root()).unwrap();
        mount_change(world.root(), MountPropagationFlags::SHARED).unwrap();
        world.shared = true;
        world
    }

    pub fn keep(&mut self, words: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        let paths = [self.mount(), self.socket(), self.control()];
        let mut command = program();
        command
            .arg("as-keeper")
            .args(paths)
            .args(words)
            .stderr(log)
            .stdout(Stdio::null());
        self.keeper = Some(command.spawn().unwrap());
    }

    pub fn mount(&self) -> PathBuf {
        self.dir.path().join("mount")
    }

    pub fn file(&self, name: &str) -> String {
        self.mount().join(name).to_str().unwrap().to_owned()
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    pub fn control(&self) -> PathBuf {
        self.dir.path().join("control")
    }

    /// Where an engine that was taken over makes its mess.
    pub fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    pub fn set(&self, word: &str) {
        std::fs::write(self.control().join(word), "").unwrap();
    }

    pub fn unset(&self, word: &str) {
        std::fs::remove_file(self.control().join(word)).unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn status(&self) -> Option<KeeperStatus> {
        debridfs_handover::status(&self.socket(), Duration::from_secs(10)).ok()
    }

    pub fn engine(&self) -> u32 {
        self.status().unwrap().engine_pid.unwrap()
    }

    /// Waits for a state of the world; what is waited for is the name.
    #[track_caller]
    pub fn until(&self, what: &str, mut state: impl FnMut(&World) -> bool) {
        let started = Instant::now();
        while !state(self) {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "not {what}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    pub fn until_served(&self) {
        let served = |status: KeeperStatus| status.engine_state == EngineState::Serving;
        self.until("served", |world| world.status().is_some_and(served));
    }

    /// Another engine than this one serves.
    #[track_caller]
    pub fn until_served_by_another(&self, than: u32) {
        self.until("served by another", |world| {
            world.status().is_some_and(|status| {
                status.engine_state == EngineState::Serving && status.engine_pid != Some(than)
            })
        });
    }

    /// Starts a reader; see `reader.rs`.
    pub fn reader(&self, words: &[&str]) -> Child {
        let mut command = program();
        command.arg("as-reader").args(words);
        // Caught for good, it must not keep open what the test writes to.
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Starts an engine by hand, for a keeper that is attached to.
    pub fn attach(&mut self) -> u32 {
        self.attach_as(0)
    }

    pub fn attach_as(&mut self, user: u32) -> u32 {
        let mut command = program();
        command.uid(user).gid(user);
        // It may change whatever it has in common with the test.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
            .arg("as-engine")
            .arg(self.socket())
            .arg(self.control())
            .process_group(0);
        self.others.push(command.spawn().unwrap());
        self.others.last().unwrap().id()
    }

    /// Collects engines started by hand that have ended.
    pub fn reap(&mut self) {
        self.others
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Ends the keeper by a signal and returns whether it ended well, and in time.
    pub fn end_keeper(&mut self, sign: Signal) -> bool {
        let mut keeper = self.keeper.take().unwrap();
        signal(keeper.id(), sign);
        let ended = ends_within(&mut keeper, Duration::from_secs(60));
        ended.is_some_and(|text| text.is_ok())
    }

    /// Whether the keeper ends by itself within a minute; false if it ends well.
    pub fn keeper_gives_up(&mut self) -> bool {
        let mut keeper = self.keeper.take().unwrap();
        let ended = ends_within(&mut keeper, Duration::from_secs(60));
        if ended.is_none() {
            self.keeper = Some(keeper);
        }
        ended.is_some_and(|text| text.is_err())
    }

    /// Requests that wait in the journal or are worked on, told by the kernel's counter.
    pub fn in_flight(&self) -> u32 {
        let minor = mountinfo::find(&self.mount()).unwrap().unwrap().device.1;
        let path = fusectl().join(minor.to_string()).join("waiting");
        std::fs::read_to_string(path)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }
}

/// `/sys/fs/fuse/connections`, mounted in this namespace if it isn't.
pub fn fusectl() -> PathBuf {
    let path = PathBuf::from("/sys/fs/fuse/connections");
    if mountinfo::find(&path).unwrap().is_none() {
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("none", &path, "fusectl", flags, None).unwrap();
    }
    path
}

pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = kill_process(pid, signal);
}

/// What the process printed when it ended; the error is for a failure. `None`: still running.
pub fn ends_within(child: &mut Child, limit: Duration) -> Option<Result<String, String>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let mut text = String::new();
            if let Some(mut stdout) = child.stdout.take() {
                std::io::Read::read_to_string(&mut stdout, &mut text).unwrap();
            }
            let text = format!("{text}{status}");
            return Some(if status.success() {
                Ok(text)
            } else {
                Err(text)
            });
        }
        if started.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            signal(keeper.id(), Signal::TERM);
            if ends_within(&mut keeper, Duration::from_secs(10)).is_none() {
                let _ = keeper.kill();
                let _ = keeper.wait();
            }
        }
        for other in &mut self.others {
            let _ = other.kill();
            let _ = other.wait();
        }
        while mountinfo::is_mounted(&self.mount()) {
            if unmount(self.mount(), UnmountFlags::DETACH | UnmountFlags::FORCE).is_err() {
                break;
            }
        }
        if self.shared {
            let _ = unmount(self.root(), UnmountFlags::DETACH);
        }
    }
}
