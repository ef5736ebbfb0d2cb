//! Debian's Samba, as it is, on a port of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::{free_address, until};

/// The settings of `docs/sharing.md`.
const SETTINGS: &str = include_str!("smb.conf");

/// A running `smbd` that shares one directory; ended when dropped.
pub struct Samba {
    child: Child,
    pub address: SocketAddr,
    dir: TempDir,
}

impl Samba {
    /// Shares `path` as `library`.
    pub fn start(path: &Path) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("debridfs-samba-")
            .tempdir()
            .expect("directory");
        let address = free_address();
        let below = |name: &str| dir.path().join(name).display().to_string();
        // Where it keeps what it keeps, so that it is beside no other Samba of this machine.
        let mut places = String::new();
        for option in [
            "lock directory",
            "state directory",
            "cache directory",
            "pid directory",
            "private dir",
            "ncalrpc dir",
        ] {
            let place = below(&option.replace(' ', "-"));
            fs::create_dir(&place).expect("directory");
            places += &format!("  {option} = {place}\n");
        }
        let settings = SETTINGS
            .replace("[global]\n", &format!("[global]\n{places}  interfaces = lo\n  bind interfaces only = yes\n  smb ports = {}\n", address.port()))
            .replace("/mnt/dfs", path.to_str().expect("text"));
        fs::write(dir.path().join("smb.conf"), settings).expect("written");
        let log = fs::File::create(dir.path().join("log")).expect("log");
        let child = Command::new("smbd")
            .args(["--foreground", "--debug-stdout", "--configfile"])
            .arg(dir.path().join("smb.conf"))
            // It ends when this end of the pipe is closed, also by the death of the test.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .spawn()
            .expect("smbd starts");
        let samba = Self {
            child,
            address,
            dir,
        };
        until("smbd listens", Duration::from_secs(60), || {
            std::net::TcpStream::connect(address).is_ok()
        });
        samba
    }

    /// Runs commands of `smbclient`, one a line, as a guest. They come by standard input, where `;` is a sign like any other.
    pub fn client(&self, commands: &str) -> Output {
        let input = self
            .dir
            .path()
            .join(format!("commands-{:?}", std::thread::current().id()));
        fs::write(&input, commands).expect("written");
        Command::new("smbclient")
            .args([
                "//127.0.0.1/library",
                "--no-pass",
                // As long as a read may wait for an engine.
                "--timeout=60",
                "--configfile=/dev/null",
                "--port",
            ])
            .arg(self.address.port().to_string())
            .stdin(fs::File::open(&input).expect("just written"))
            .output()
            .expect("smbclient runs")
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("--- log of smbd\n{log}");
        }
        // Its children for connections end with it.
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
