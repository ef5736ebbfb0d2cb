//! What serves the same files over HTTP: this project's program, nginx and rclone.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use debridfs_measure::{Running, Usage, forget_peaks, pin};
use tempfile::TempDir;

use crate::Result;
use crate::bed::{RELEASE, rclone};
use crate::library::{Library, temporary_dir};
use crate::listening::{free, listening};
use crate::simulator::Simulator;

/// Debian's nginx, which `make bench` unpacks.
const PACKAGES: &str = "target/tools/nginx";
/// Users of ours; each may have 64 transfers.
pub(crate) const USERS: usize = 10;
const PASSWORD: &str = "bench";

/// A server of files.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Of the directory with the files, with a slash at its end.
    pub(crate) path: String,
    /// Name and password, as curl takes them; empty where nobody has to log in.
    pub(crate) login: String,
    pid: u32,
    _guard: Guard,
}

enum Guard {
    Library { _library: Library, _dir: TempDir },
    Process { _process: Running, _dir: TempDir },
}

impl Server {
    pub(crate) fn url(&self, file: &str) -> String {
        format!("http://{}{}{file}", self.address, self.path)
    }

    pub(crate) fn forget_peaks(&self) {
        forget_peaks(self.pid);
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.pid)
    }

    /// What curl is told before the address.
    pub(crate) fn curl(&self, more: &[&str]) -> Command {
        let mut command = pin::command("curl", pin::CLIENT);
        command.args([
            "--silent",
            "--show-error",
            "--fail",
            "--output",
            "/dev/null",
        ]);
        if !self.login.is_empty() {
            command.args(["--user", &self.login]);
        }
        command.args(more);
        command
    }

    /// This project's, of the account's only release.
    pub(crate) fn ours(program: &Path, simulator: &Simulator) -> Result<Self> {
        let (address, dir) = (free()?, temporary_dir()?);
        let password = dir.path().join("password");
        std::fs::write(&password, PASSWORD)?;
        let users: String = (0..USERS)
            .map(|number| {
                let file = password.display();
                format!("[user.{}]\npassword_file = \"{file}\"\n", user(number))
            })
            .collect();
        let more = format!("[http]\nlisten = \"{address}\"\n{users}");
        let library = Library::start_with(program, simulator, pin::SERVER, None, true, &more)?;
        library.wait_synced()?;
        listening("debridfs", address)?;
        Ok(Self {
            name: "debridfs",
            address,
            path: format!("/dav/__all__/{RELEASE}/"),
            login: format!("{}:{PASSWORD}", user(0)),
            pid: library.pid().ok_or("not running")?,
            _guard: Guard::Library {
                _library: library,
                _dir: dir,
            },
        })
    }

    /// nginx with one process, of a directory, as Debian sets it.
    pub(crate) fn nginx(files: &Path) -> Result<Self> {
        let packages = std::fs::canonicalize(PACKAGES)
            .map_err(|_| "no nginx: make setup-bench unpacks Debian's")?;
        let (address, dir) = (free()?, temporary_dir()?);
        let at = dir.path().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|name| format!("{name}_temp_path {at}/{name};"));
        let config = dir.path().join("nginx.conf");
        std::fs::write(
            &config,
            format!(
                "daemon off; worker_processes 1; user root; pid {at}/pid; error_log {at}/log;\n\
                 events {{ worker_connections 768; }}\n\
                 http {{ sendfile on; tcp_nopush on; access_log off; {}\n\
                 server {{ listen {address}; root {}; }} }}\n",
                temporary.join(" "),
                files.display()
            ),
        )?;
        let mut command = pin::command(packages.join("usr/sbin/nginx"), pin::SERVER);
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
        let libraries = libraries.map(|dir| packages.join(dir).display().to_string());
        command
            .env("LD_LIBRARY_PATH", libraries.join(":"))
            .arg("-e")
            .arg(dir.path().join("log"))
            .arg("-c")
            .arg(&config);
        Self::peer("nginx", command, address, dir)
    }

    /// `rclone serve webdav` of a directory.
    pub(crate) fn rclone(files: &Path) -> Result<Self> {
        let (address, dir) = (free()?, temporary_dir()?);
        let program = rclone().ok_or("no rclone on this machine")?;
        let mut command = pin::command(program, pin::SERVER);
        command
            .args(["serve", "webdav", "--read-only", "--config", "/dev/null"])
            .args(["--addr", &address.to_string()])
            .arg(files)
            .stderr(Stdio::null());
        Self::peer("rclone serve webdav", command, address, dir)
    }

    fn peer(
        name: &'static str,
        command: Command,
        address: SocketAddr,
        dir: TempDir,
    ) -> Result<Self> {
        let process = Running::start(command, None)?;
        listening(name, address)?;
        Ok(Self {
            name,
            address,
            path: "/".into(),
            login: String::new(),
            pid: process.pid(),
            _guard: Guard::Process {
                _process: process,
                _dir: dir,
            },
        })
    }
}

fn user(number: usize) -> String {
    format!("reader{number}")
}

/// The value of `Authorization` of one of our users.
pub(crate) fn authorization(number: usize) -> String {
    let login = format!("{}:{PASSWORD}", user(number));
    format!("Basic {}", data_encoding::BASE64.encode(login.as_bytes()))
}
