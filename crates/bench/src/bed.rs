//! What readers are measured on: a simulated account with a few files, mounted by debridfs and by others.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use debridfs_measure::{Running, Usage, forget_peaks, pin, until};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::index::Links;
use crate::library::{Library, temporary_dir};
use crate::simulator::{PLAIN, Shape, Simulator};
use crate::{Result, index};

/// Name of the only release.
pub(crate) const RELEASE: &str = "Bench";

/// A simulated account with one release.
pub(crate) struct Bed {
    pub(crate) simulator: Simulator,
    program: PathBuf,
    /// The direct link of each file.
    links: Links,
    _dir: TempDir,
}

/// A file of a [`Bed`].
pub(crate) struct Spec(Value);

impl Spec {
    /// `size` bytes that cannot be compressed.
    pub(crate) fn generated(name: &str, size: u64) -> Self {
        Self(json!({"path": format!("/{name}"), "bytes": size}))
    }

    /// A file of this machine.
    pub(crate) fn local(name: &str, path: &Path) -> Self {
        Self(json!({"path": format!("/{name}"), "local": path}))
    }

    /// `count` files `STEM-0.mkv`, `STEM-1.mkv`, … of `size` bytes.
    pub(crate) fn several(stem: &str, count: u64, size: u64) -> impl Iterator<Item = Self> {
        (0..count).map(move |n| Self::generated(&numbered(stem, n), size))
    }
}

/// The name of one of [`Spec::several`].
pub(crate) fn numbered(stem: &str, n: u64) -> String {
    format!("{stem}-{n}.mkv")
}

impl Bed {
    /// Starts the simulator with `files`, without shaping.
    pub(crate) fn start(program: &Path, files: impl IntoIterator<Item = Spec>) -> Result<Self> {
        let files: Vec<Value> = files.into_iter().map(|Spec(file)| file).collect();
        let dir = temporary_dir()?;
        let description = dir.path().join("library.json");
        let release = json!({"releases": [{"name": RELEASE, "files": files}]});
        std::fs::write(&description, serde_json::to_vec(&release)?)?;
        let simulator = Simulator::start(program, description.to_str().ok_or("path")?)?;
        let links = Arc::new(Mutex::new(simulator.direct_links()?));
        Ok(Self {
            simulator,
            program: program.to_owned(),
            links,
            _dir: dir,
        })
    }

    /// The direct link of a file.
    pub(crate) fn link(&self, name: &str) -> Result<String> {
        let links = self.links.lock();
        let link = links.get(name).cloned();
        Ok(link.ok_or_else(|| format!("no file {name}"))?)
    }

    /// Asks for new direct links, and gives them to peers that cannot ask for them themselves.
    pub(crate) fn renew_links(&self) -> Result<()> {
        let new = self.simulator.direct_links()?;
        *self.links.lock() = new;
        Ok(())
    }

    /// Milliseconds to the first byte of `name` at offset 0 by a curl on the reader's core: the middle one of nine.
    pub(crate) fn first_byte_ms(&self, name: &str) -> Result<f64> {
        let times = (0..9)
            .map(|_| self.curl(name, "0-131071", "%{time_starttransfer}"))
            .collect::<Result<Vec<_>>>()?;
        Ok(1e3 * crate::report::median(times))
    }

    /// Fetches a range by curl on the reader's core and gives what `-w` says.
    pub(crate) fn curl(&self, name: &str, range: &str, write_out: &str) -> Result<f64> {
        let output = pin::command("curl", pin::CLIENT)
            .args(["-fsS", "-o", "/dev/null", "-r", range, "-w", write_out])
            .arg(self.link(name)?)
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("curl failed".into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }

    /// Mounts the account by this project's program with `more` in its configuration, and waits until all is known. The directory of the
    /// release comes with it.
    pub(crate) fn library(&self, disk: bool, more: &str) -> Result<(Library, PathBuf)> {
        let (program, simulator) = (&self.program, &self.simulator);
        let library = Library::start_with(program, simulator, pin::CLIENT, None, disk, more)?;
        library.wait_synced()?;
        let root = library.mount().join("__all__").join(RELEASE);
        Ok((library, root))
    }

    /// Mounts the account by `subject` and waits until all is known and quiet. The server is near meanwhile, and at `shape` afterwards.
    pub(crate) fn mount(&self, subject: Subject, shape: Shape) -> Result<Mounted> {
        self.simulator.shape(PLAIN)?;
        let mounted = match subject {
            Subject::Debridfs { disk } => {
                let (library, root) = self.library(disk, "")?;
                Mounted {
                    root,
                    pid: library.pid().ok_or("not running")?,
                    _guard: Guard::Library { _library: library },
                }
            }
            Subject::Rclone { flags, .. } => {
                let program = rclone().ok_or("no rclone on this machine")?;
                let address = index::serve(self.links.clone())?;
                let (mount, cache) = (temporary_dir()?, temporary_dir()?);
                let remote = format!(":http,url='http://{address}/':");
                let cache_dir = cache.path().to_str().ok_or("path")?;
                let all = [&["--cache-dir", cache_dir][..], flags].concat();
                let running = rclone_mount(&program, &remote, mount.path(), &all)?;
                Mounted {
                    root: mount.path().to_owned(),
                    pid: running.pid(),
                    _guard: Guard::Rclone {
                        _running: running,
                        _dirs: [mount, cache],
                    },
                }
            }
        };
        self.simulator.settled()?;
        self.simulator.shape(shape)?;
        Ok(mounted)
    }
}

/// Who mounts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Subject {
    /// This project's program, as it is installed or without its cache on disk.
    Debridfs { disk: bool },
    /// rclone's `http` remote with these flags of its VFS.
    Rclone {
        name: &'static str,
        flags: &'static [&'static str],
    },
}

/// How rclone is commonly run. The sets that say most come first, as sections that take long have not all of them.
const RCLONE: [Subject; 5] = [
    Subject::Rclone {
        name: "rclone off",
        flags: &["--vfs-cache-mode", "off"],
    },
    Subject::Rclone {
        name: "rclone off, 4 streams",
        flags: &[
            "--vfs-cache-mode",
            "off",
            "--vfs-read-chunk-streams",
            "4",
            "--vfs-read-chunk-size",
            "4M",
        ],
    },
    Subject::Rclone {
        name: "rclone full",
        flags: &["--vfs-cache-mode", "full"],
    },
    Subject::Rclone {
        name: "rclone off, 1M chunks",
        flags: &[
            "--vfs-cache-mode",
            "off",
            "--buffer-size",
            "0",
            "--vfs-read-chunk-size",
            "1M",
        ],
    },
    Subject::Rclone {
        name: "rclone full, 4 streams",
        flags: &[
            "--vfs-cache-mode",
            "full",
            "--vfs-read-chunk-streams",
            "4",
            "--vfs-read-chunk-size",
            "4M",
        ],
    },
];

impl Subject {
    /// If there is an rclone, `most` of its sets of flags.
    pub(crate) fn peers(most: usize) -> impl Iterator<Item = Self> {
        let most = if rclone().is_some() { most } else { 0 };
        RCLONE.into_iter().take(most)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Debridfs { disk: true } => "debridfs",
            Self::Debridfs { disk: false } => "debridfs, no disk cache",
            Self::Rclone { name, .. } => name,
        }
    }

    /// Goals are for us.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Debridfs { .. })
    }

    /// Whether it is ours and keeps nothing on disk: what the network and the mount can do is not mixed with what a disk can.
    pub(crate) fn is_ours_without_disk(self) -> bool {
        self == Self::Debridfs { disk: false }
    }
}

/// A mounted account. Unmounted when dropped.
pub(crate) struct Mounted {
    root: PathBuf,
    pid: u32,
    _guard: Guard,
}

enum Guard {
    Library {
        _library: Library,
    },
    Rclone {
        _running: Running,
        _dirs: [TempDir; 2],
    },
}

impl Mounted {
    /// The directory of the release.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The process all others of it descend from.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A file's path.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// What its processes used so far.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.pid)
    }

    /// From now on the peak of memory counts anew.
    pub(crate) fn forget_peaks(&self) {
        forget_peaks(self.pid);
    }

    /// Drops the kernel's pages of a file, as if it were read for the first time.
    pub(crate) fn forget_pages(&self, name: &str) -> Result<()> {
        let file = std::fs::File::open(self.file(name))?;
        Ok(rustix::fs::fadvise(
            &file,
            0,
            None,
            rustix::fs::Advice::DontNeed,
        )?)
    }
}

/// The rclone to compare with: the one built by `make bench`, else the system's.
pub(crate) fn rclone() -> Option<PathBuf> {
    let built = PathBuf::from("target/tools/bin/rclone");
    if built.is_file() {
        return Some(built);
    }
    Command::new("rclone")
        .arg("version")
        .output()
        .ok()
        .map(|_| "rclone".into())
}

/// Mounts `remote` with rclone and waits until it can be listed.
pub(crate) fn rclone_mount(
    rclone: &Path,
    remote: &str,
    mount: &Path,
    flags: &[&str],
) -> Result<Running> {
    let mut command = pin::command(rclone, pin::CLIENT);
    command
        .args(["mount", remote])
        .arg(mount)
        .args(["--read-only", "--config", "/dev/null"])
        .args(["--dir-cache-time", "24h", "--attr-timeout", "24h"])
        .args(flags);
    command.stderr(Stdio::null());
    let running = Running::start(command, Some(mount))?;
    until("rclone mounts", 60, || {
        std::fs::read_dir(mount).is_ok_and(|mut entries| entries.next().is_some())
    })?;
    Ok(running)
}
