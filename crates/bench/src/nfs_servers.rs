//! What serves the same files over NFS: this project's program, NFS-Ganesha and rclone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use debridfs_measure::{Running, Usage, forget_peaks, pin, until};
use rustix::mount::{MountFlags, mount};

use crate::Result;
use crate::bed::rclone;
use crate::library::{Library, temporary_dir};
use crate::listening::{free, listening};
use crate::nfs_clients::Export;
use crate::simulator::Simulator;

/// Packages that `make bench` unpacks: Ganesha and rpcbind, with which it registers.
const PACKAGES: &str = "target/tools/ganesha";
/// Ganesha's ports: those of the benchmark's own network.
const GANESHA: [u16; 2] = [2049, 20048];

/// A server of files.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) export: Export,
    pid: u32,
    _guard: Guard,
}

enum Guard {
    Library {
        _library: Library,
    },
    Processes {
        _processes: Vec<Running>,
        _dir: Option<tempfile::TempDir>,
    },
}

impl Server {
    /// The URL of a file, for libnfs. It would ask for all exports, which rclone does not tell.
    pub(crate) fn url(&self, file: &str) -> String {
        let Export { nfs, mount, path } = &self.export;
        format!(
            "nfs://{}{}/{file}?version=3&auto-traverse-mounts=0&nfsport={}&mountport={}",
            nfs.ip(),
            path,
            nfs.port(),
            mount.port()
        )
    }

    pub(crate) fn forget_peaks(&self) {
        forget_peaks(self.pid);
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.pid)
    }

    /// This project's, of the account's only release.
    pub(crate) fn ours(program: &Path, simulator: &Simulator, release: &str) -> Result<Self> {
        let address = free()?;
        let more = format!(
            "[nfs]\nlisten = \"{address}\"\n[nfs.export.bench]\npath = \"/__all__/{release}\"\nnetworks = [\"127.0.0.0/8\"]\ninsecure = true\n"
        );
        let library = Library::start_with(program, simulator, pin::SERVER, None, true, &more)?;
        library.wait_synced()?;
        listening("debridfs", address)?;
        Ok(Self {
            name: "debridfs",
            export: Export {
                nfs: address,
                mount: address,
                path: "/bench".into(),
            },
            pid: library.pid().ok_or("not running")?,
            _guard: Guard::Library { _library: library },
        })
    }

    /// `rclone serve nfs` of a directory.
    pub(crate) fn rclone(files: &Path) -> Result<Self> {
        let address = free()?;
        let program = rclone().ok_or("no rclone on this machine")?;
        let mut command = pin::command(program, pin::SERVER);
        command
            .args(["serve", "nfs", "--read-only", "--config", "/dev/null"])
            .args(["--addr", &address.to_string()])
            .arg(files)
            .stderr(Stdio::null());
        let running = Running::start(command, None)?;
        listening("rclone serve nfs", address)?;
        Ok(Self {
            name: "rclone serve nfs",
            export: Export {
                nfs: address,
                mount: address,
                path: "/".into(),
            },
            pid: running.pid(),
            _guard: Guard::Processes {
                _processes: vec![running],
                _dir: None,
            },
        })
    }

    /// NFS-Ganesha, of a directory by its VFS.
    pub(crate) fn ganesha(files: &Path) -> Result<Self> {
        let packages = std::fs::canonicalize(PACKAGES)
            .map_err(|_| "no NFS-Ganesha: make setup-bench unpacks Debian's")?;
        let dir = temporary_dir()?;
        own_etc(&packages, dir.path())?;
        let mut rpcbind = packaged(&packages, "sbin/rpcbind");
        rpcbind.args(["-f", "-w"]).stderr(Stdio::null());
        let rpcbind = Running::start(rpcbind, None)?;
        until("rpcbind listens", 10, || {
            Path::new("/run/rpcbind.sock").exists()
        })?;
        let config = dir.path().join("ganesha.conf");
        std::fs::write(&config, configuration(&packages, files, dir.path()))?;
        let log = dir.path().join("log");
        let mut ganesha = packaged(&packages, "usr/bin/ganesha.nfsd");
        ganesha
            .arg("-F")
            .arg("-f")
            .arg(&config)
            .arg("-L")
            .arg(&log)
            .arg("-p")
            .arg(dir.path().join("pid"));
        let ganesha = Running::start(ganesha, None)?;
        let [nfs, mount] = GANESHA.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let is_ready = || {
            std::fs::read_to_string(&log).is_ok_and(|log| log.contains("NFS SERVER INITIALIZED"))
        };
        until("Ganesha serves", 30, is_ready)?;
        Ok(Self {
            name: "NFS-Ganesha",
            export: Export {
                nfs,
                mount,
                path: files.display().to_string(),
            },
            pid: ganesha.pid(),
            _guard: Guard::Processes {
                _processes: vec![ganesha, rpcbind],
                _dir: Some(dir),
            },
        })
    }
}

/// A program of the unpacked packages, on the server's core.
fn packaged(packages: &Path, program: &str) -> Command {
    let libraries = [
        "usr/lib/x86_64-linux-gnu",
        "lib/x86_64-linux-gnu",
        "usr/lib/ganesha",
    ];
    let libraries = libraries.map(|dir| packages.join(dir).display().to_string());
    let mut command = pin::command(packages.join(program), pin::SERVER);
    command.env("LD_LIBRARY_PATH", libraries.join(":"));
    command
}

/// In the benchmark's own mounts: a `/run` that nobody else has, and rpcbind's user and the tables of protocols in `/etc`.
fn own_etc(packages: &Path, dir: &Path) -> Result<()> {
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None)?;
    std::fs::create_dir("/run/rpcbind")?;
    let etc = dir.join("etc");
    std::fs::create_dir(&etc)?;
    let users = "root:x:0:0::/root:/bin/sh\n_rpc:x:65533:65534::/:/bin/false\n";
    std::fs::write(etc.join("passwd"), users)?;
    let lower = format!(
        "lowerdir={}:{}:/etc",
        etc.display(),
        packages.join("etc").display()
    );
    let lower = std::ffi::CString::new(lower)?;
    mount(
        "overlay",
        "/etc",
        "overlay",
        MountFlags::empty(),
        Some(lower.as_c_str()),
    )?;
    Ok(())
}

fn configuration(packages: &Path, files: &Path, dir: &Path) -> String {
    let plugins: PathBuf = packages.join("usr/lib/x86_64-linux-gnu/ganesha");
    let [nfs, mount] = GANESHA;
    format!(
        "NFS_CORE_PARAM {{ Protocols = 3; NFS_Port = {nfs}; MNT_Port = {mount}; Enable_NLM = false; Enable_RQUOTA = false; Plugins_Dir = {}; }}\n\
         NFSv4 {{ RecoveryRoot = {}; Graceless = true; UseGetpwnam = true; }}\n\
         EXPORT {{ Export_Id = 1; Path = {}; Pseudo = /bench; Protocols = 3; Transports = TCP; Access_Type = RO; Squash = None; \
         SecType = sys; PrivilegedPort = false; Filesystem_id = 7.7; FSAL {{ Name = VFS; }} }}\n",
        plugins.display(),
        dir.display(),
        files.display()
    )
}
