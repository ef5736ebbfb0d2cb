//! A directory that one instance has to itself, whichever of its engines is at work there.
//!
//! Engines of one keeper have their directories open together while one takes over from another, so
//! they share the lock. Two instances never do. An instance is known by the place of its keeper's
//! socket: that is the same for all engines of a keeper, in whatever container they are.
//!
//! The lock is flock(2) on a small file: the kernel lets go of it when its process dies. Whoever gets
//! it exclusively is alone and writes down whose instance it is, then shares it. Nobody else can
//! write that while the lock is shared.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// The file in a directory of the engine's own.
pub const IN_OWN: &str = "instance.lock";
/// The file in a folder that others list as well.
pub const IN_SHARED: &str = ".debridfs-instance.lock";

/// How often, and after what pause, a lock is tried that another instance seems to have: whoever
/// looks at it, or has just got it, has it exclusively for a moment.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);
/// More than what is written down.
const MOST: u64 = 16 << 10;

/// An instance, as its engines write it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its keeper's socket, as the engine sees it.
    keeper: String,
    /// The directory of that socket, which other containers may see at another path.
    device: u64,
    inode: u64,
    /// Where its library is mounted, as the engine sees it.
    pub mount: PathBuf,
    /// The engine that wrote it down last, as it knows itself.
    pub pid: u32,
}

/// What came of a try.
#[derive(Debug)]
pub enum Claim {
    /// This instance has the directory, for as long as that lives.
    Ours(InstanceLock),
    /// Another one has it.
    Theirs(Instance),
}

/// Keeps other instances out of a directory until it is dropped.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

impl Instance {
    /// That of the keeper which listens at `keeper`, or will, and mounts at `mount`.
    ///
    /// # Errors
    /// The directory of the socket cannot be looked at.
    pub fn of(keeper: &Path, mount: &Path) -> io::Result<Self> {
        let found = stat(keeper.parent().unwrap_or(Path::new("/")))?;
        Ok(Self {
            keeper: keeper.to_string_lossy().into_owned(),
            device: found.st_dev,
            inode: found.st_ino,
            // What is not Unicode would be no JSON.
            mount: mount.to_string_lossy().into_owned().into(),
            pid: std::process::id(),
        })
    }

    /// The keeper's socket, if this process sees it at the path at which the engine does.
    pub fn keeper(&self) -> Option<&Path> {
        let path = Path::new(&self.keeper);
        let same = Self::of(path, &self.mount).is_ok_and(|seen| seen.is(self));
        same.then_some(path)
    }

    fn is(&self, other: &Self) -> bool {
        let name = |one: &Self| Path::new(&one.keeper).file_name().map(ToOwned::to_owned);
        (self.device, self.inode) == (other.device, other.inode) && name(self) == name(other)
    }
}

/// Takes the lock `name` in `dir`, which is there, for the instance `own`. May wait for a fifth of a second.
///
/// # Errors
/// The file cannot be made, or its file system knows no locks: nobody can be kept out.
pub fn claim(dir: &Path, name: &str, own: &Instance) -> io::Result<Claim> {
    let flags = OFlags::RDWR | OFlags::CREATE;
    let file = open(CWD, &dir.join(name), flags, Mode::RUSR | Mode::WUSR)?;
    let mut theirs = None;
    for _ in 0..TRIES {
        match attempt(&file, own)? {
            Attempt::Ours => return Ok(Claim::Ours(InstanceLock { _file: file })),
            Attempt::Theirs(found) => theirs = Some(found),
            Attempt::Busy => {}
        }
        pause();
    }
    match theirs {
        Some(theirs) => Ok(Claim::Theirs(theirs)),
        // Nothing could be written down on a full disk. A library is not refused for a guess.
        None => Err(io::Error::other(
            "whoever has its lock has not said who it is",
        )),
    }
}

/// Which other instance than `own` has the lock `name` in `dir` now. Changes nothing.
///
/// # Errors
/// It cannot be looked at.
pub fn holder(dir: impl AsFd, name: &str, own: Option<&Instance>) -> io::Result<Option<Instance>> {
    let file = match open(dir, Path::new(name), OFlags::RDWR, Mode::empty()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    for _ in 0..TRIES {
        if locked(&file, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(None);
        }
        match read(&file) {
            Some(found) if own.is_some_and(|own| found.is(own)) => return Ok(None),
            Some(found) => return Ok(Some(found)),
            // It is about to be written down.
            None => pause(),
        }
    }
    Ok(None)
}

enum Attempt {
    Ours,
    Theirs(Instance),
    Busy,
}

fn attempt(file: &File, own: &Instance) -> io::Result<Attempt> {
    attempt_and(file, own, || {})
}

/// With what happens meanwhile.
fn attempt_and(file: &File, own: &Instance, meanwhile: impl FnOnce()) -> io::Result<Attempt> {
    let share = || locked(file, FlockOperation::NonBlockingLockShared);
    if locked(file, FlockOperation::NonBlockingLockExclusive)? {
        let written = write(file, own);
        // The kernel lets go of one before it takes the other: somebody may come in between.
        meanwhile();
        let kept = share()?;
        return Ok(match (kept, written, read(file)) {
            (true, Ok(()), Some(found)) if found.is(own) => Attempt::Ours,
            (true, Err(_), None) => Attempt::Ours,
            _ => give_back(file)?,
        });
    }
    if !share()? {
        return Ok(Attempt::Busy);
    }
    match read(file) {
        Some(found) if found.is(own) => {
            // The newest engine is the one to be told of; it does without on a full disk.
            let _ = write(file, own);
            Ok(Attempt::Ours)
        }
        // Of another one that has it, or of the dead: then the next try is alone.
        Some(found) => {
            give_back(file)?;
            Ok(Attempt::Theirs(found))
        }
        None => give_back(file),
    }
}

fn give_back(file: &File) -> io::Result<Attempt> {
    flock(file, FlockOperation::NonBlockingUnlock)?;
    Ok(Attempt::Busy)
}

fn locked(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Follows no link and waits for no other end of a pipe: the directory may be another user's.
fn open(dir: impl AsFd, path: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(dir, path, flags, mode)?;
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file.into()),
        _ => Err(io::Error::other(format!("{} is no file", path.display()))),
    }
}

fn read(mut file: &File) -> Option<Instance> {
    file.seek(SeekFrom::Start(0)).ok()?;
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Empties it when that is all that can be done: what the dead wrote down would be believed.
fn write(mut file: &File, own: &Instance) -> io::Result<()> {
    let text = serde_json::to_vec(own)?;
    let written = (|| {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)
    })();
    if written.is_err() {
        file.set_len(0)?;
    }
    written
}

#[allow(
    clippy::disallowed_methods,
    reason = "callers are on threads that may wait"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};

    use super::*;

    struct World {
        dir: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for name in ["state", "run", "other"] {
                std::fs::create_dir(dir.path().join(name)).unwrap();
            }
            Self { dir }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn instance(&self, run: &str, mount: &str) -> Instance {
            Instance::of(&self.at(run).join("keeper.sock"), Path::new(mount)).unwrap()
        }

        fn claim(&self, own: &Instance) -> Claim {
            claim(&self.at("state"), IN_OWN, own).unwrap()
        }

        fn holder(&self, own: &Instance) -> Option<Instance> {
            let state = File::open(self.at("state")).unwrap();
            holder(&state, IN_OWN, Some(own)).unwrap()
        }
    }

    #[track_caller]
    fn ours(claim: Claim) -> InstanceLock {
        match claim {
            Claim::Ours(lock) => lock,
            Claim::Theirs(other) => panic!("{other:?} has it"),
        }
    }

    #[track_caller]
    fn theirs(claim: Claim) -> Instance {
        match claim {
            Claim::Theirs(other) => other,
            Claim::Ours(_) => panic!("two instances have it"),
        }
    }

    #[test]
    fn engines_of_one_keeper_share_a_directory_and_two_instances_never_do() {
        let world = World::new();
        let (one, two) = (
            world.instance("run", "/one"),
            world.instance("other", "/two"),
        );
        assert_eq!(world.holder(&two), None);
        let old = ours(world.claim(&one));
        let new = ours(world.claim(&one));
        drop(old);
        // Another container sees the same directory by another name.
        symlink(world.at("run"), world.at("elsewhere")).unwrap();
        drop(ours(world.claim(&world.instance("elsewhere", "/one"))));
        let holder = theirs(world.claim(&two));
        assert_eq!(holder.mount, Path::new("/one"));
        assert_eq!(holder.pid, std::process::id());
        assert_eq!(world.holder(&two).unwrap().mount, Path::new("/one"));
        assert_eq!(world.holder(&one), None, "it is its own");
        drop(new);
        assert_eq!(world.holder(&two), None);
        let _two = ours(world.claim(&two));
        assert_eq!(theirs(world.claim(&one)).mount, Path::new("/two"));
    }

    #[test]
    fn of_many_that_begin_at_once_only_one_instance_gets_it() {
        let world = World::new();
        let names: Vec<String> = (0..8).map(|number| format!("run{number}")).collect();
        for name in &names {
            std::fs::create_dir(world.at(name)).unwrap();
        }
        for _ in 0..3 {
            let start = std::sync::Barrier::new(16);
            let got: Vec<(usize, InstanceLock)> = std::thread::scope(|scope| {
                let tasks = Vec::from_iter((0..16).map(|number| {
                    let (world, name, start) = (&world, &names[number % 8], &start);
                    scope.spawn(move || {
                        let own = world.instance(name, "/mnt");
                        start.wait();
                        match claim(&world.at("state"), IN_OWN, &own) {
                            Ok(Claim::Ours(lock)) => Some((number % 8, lock)),
                            _ => None,
                        }
                    })
                }));
                let ended = tasks.into_iter().map(|task| task.join().unwrap());
                ended.flatten().collect()
            });
            let instances: std::collections::BTreeSet<usize> =
                got.iter().map(|(number, _)| *number).collect();
            assert!(instances.len() <= 1, "{instances:?} have it together");
        }
    }

    #[test]
    fn who_comes_in_between_has_it() {
        let world = World::new();
        let (one, two) = (
            world.instance("run", "/one"),
            world.instance("other", "/two"),
        );
        let open = || {
            let path = world.at("state").join(IN_OWN);
            let options = OFlags::RDWR | OFlags::CREATE;
            super::open(CWD, &path, options, Mode::RUSR | Mode::WUSR).unwrap()
        };
        let (file, others) = (open(), open());
        for wrote in [false, true] {
            let attempt = attempt_and(&file, &one, || {
                // As the kernel does before it shares.
                flock(&file, FlockOperation::Unlock).unwrap();
                flock(&others, FlockOperation::LockExclusive).unwrap();
                if wrote {
                    write(&others, &two).unwrap();
                    flock(&others, FlockOperation::LockShared).unwrap();
                }
            });
            assert!(matches!(attempt, Ok(Attempt::Busy)), "{wrote}");
            flock(&others, FlockOperation::Unlock).unwrap();
        }
        assert!(matches!(attempt(&file, &one), Ok(Attempt::Ours)));
    }

    #[test]
    fn a_lock_dies_with_its_process_whatever_that_wrote_down() {
        let world = World::new();
        let (one, two) = (
            world.instance("run", "/one"),
            world.instance("other", "/two"),
        );
        let lock = ours(world.claim(&one));
        // The lock belongs to what is open: the child has it as well.
        let mut other = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(lock._file.try_clone().unwrap()))
            .spawn()
            .unwrap();
        drop(lock);
        assert_eq!(theirs(world.claim(&two)).mount, Path::new("/one"));
        other.kill().unwrap();
        other.wait().unwrap();
        let _two = ours(world.claim(&two));
    }

    #[test]
    fn who_has_not_said_who_it_is_is_no_reason_to_refuse_by_name() {
        let world = World::new();
        let path = world.at("state").join(IN_OWN);
        std::fs::write(&path, "{").unwrap();
        let held = File::open(&path).unwrap();
        flock(&held, FlockOperation::LockShared).unwrap();
        let one = world.instance("run", "/one");
        claim(&world.at("state"), IN_OWN, &one).unwrap_err();
        assert_eq!(world.holder(&one), None);
        drop(held);
        drop(ours(world.claim(&one)));
        // Nor is anything followed or waited for.
        std::fs::remove_file(&path).unwrap();
        let victim = world.at("victim");
        std::fs::write(&victim, "theirs").unwrap();
        symlink(&victim, &path).unwrap();
        claim(&world.at("state"), IN_OWN, &one).unwrap_err();
        assert_eq!(std::fs::read(&victim).unwrap(), b"theirs");
    }
}
