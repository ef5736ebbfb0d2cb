//! The processes that are measured; each ends, and its mount with it, when its guard is dropped.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Result, pin, stop};

/// A process that ends with this value.
pub(crate) struct Running {
    child: Child,
    mount: Option<PathBuf>,
}

impl Running {
    pub(crate) fn start(mut command: Command, mount: Option<&Path>) -> Result<Self> {
        // A group of its own: Ctrl-C is for this program, which then drops its guards.
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        Ok(Self {
            child,
            mount: mount.map(Path::to_owned),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None))
            && started.elapsed() < Duration::from_secs(8)
        {
            wait(10);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mount) = &self.mount {
            let _ = rustix::mount::unmount(mount, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// Lets `milliseconds` pass.
pub(crate) fn wait(milliseconds: u64) {
    // A poll without descriptors: this program has nothing else to wait for.
    let time = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000 * milliseconds.min(900) as i64,
    };
    let _ = rustix::event::poll(&mut [], Some(&time));
}

/// Waits until `done` holds.
pub(crate) fn until(what: &str, seconds: u64, done: impl FnMut() -> bool) -> Result<Duration> {
    until_every(5, what, seconds, done)
}

/// As [`until`], but asks only so often: for questions that cost time of the measured cores.
fn until_every(
    milliseconds: u64,
    what: &str,
    seconds: u64,
    mut done: impl FnMut() -> bool,
) -> Result<Duration> {
    let started = Instant::now();
    while !done() {
        stop::check()?;
        if started.elapsed() > Duration::from_secs(seconds) {
            return Err(format!("{what}: not within {seconds} s").into());
        }
        wait(milliseconds);
    }
    Ok(started.elapsed())
}

/// A simulated account.
pub(crate) struct Simulator {
    _running: Running,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Simulator {
    /// Starts `debridfs sim` with `library`, without the vendor's limit of calls.
    pub(crate) fn start(program: &Path, library: &str) -> Result<Self> {
        let mut command = pin::command(program, pin::SERVER);
        command
            .args(["sim", "--unlimited", "--die-with-parent"])
            .args(["--listen", "127.0.0.1:0", "--library", library]);
        command.stdout(Stdio::piped());
        let mut running = Running::start(command, None)?;
        let output = running
            .child
            .stdout
            .take()
            .ok_or("no output of the simulator")?;
        let (mut url, mut token) = (None, None);
        let mut output = BufReader::new(output);
        while url.is_none() || token.is_none() {
            let mut line = String::new();
            if output.read_line(&mut line)? == 0 {
                return Err("the simulator ended".into());
            }
            let value = |line: &str| line.split_whitespace().last().map(str::to_owned);
            if line.contains("http") && url.is_none() {
                url = value(&line);
            } else if line.contains("token") {
                token = value(&line);
            }
        }
        // Whatever it prints from now on is taken from the pipe, so that it never waits.
        std::thread::spawn(move || {
            let _ = output.read_to_end(&mut Vec::new());
        });
        let (Some(url), Some(token)) = (url, token) else {
            return Err("no start lines".into());
        };
        Ok(Self {
            _running: running,
            url,
            token,
        })
    }
}

/// A mounted library.
pub(crate) struct Library {
    pub(crate) serve: Option<Running>,
    pub(crate) dir: TempDir,
    program: PathBuf,
    cores: &'static str,
}

impl Library {
    /// Mounts the simulated account. `threads` of transport are the program's default when absent.
    pub(crate) fn start(
        program: &Path,
        simulator: &Simulator,
        cores: &'static str,
        threads: Option<u32>,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("debridfs-bench-")
            .tempdir()?;
        let root = dir.path().display();
        let threads = threads.map_or(String::new(), |threads| format!("threads = {threads}"));
        std::fs::create_dir(dir.path().join("mnt"))?;
        std::fs::write(
            dir.path().join("debridfs.toml"),
            format!(
                "state_dir = \"{root}/state\"\nruntime_dir = \"{root}/run\"\n[mount]\npath = \"{root}/mnt\"\n\
                 [server]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"warn\"\n[library]\nrefresh_interval = \"1h\"\n[keeper]\n{threads}\n\
                 [provider.rd]\ntoken = \"{}\"\napi_url = \"{}\"\ncalls_per_minute = 100000\n",
                simulator.token, simulator.url
            ),
        )?;
        let mut library = Self {
            serve: None,
            dir,
            program: program.to_owned(),
            cores,
        };
        library.serve()?;
        Ok(library)
    }

    /// Starts `serve`; again after [`Library::stop`].
    pub(crate) fn serve(&mut self) -> Result<()> {
        let mut command = pin::command(&self.program, self.cores);
        command
            .args(["serve", "--config"])
            .arg(self.dir.path().join("debridfs.toml"));
        self.serve = Some(Running::start(command, Some(&self.mount()))?);
        Ok(())
    }

    /// Stops it; the store stays.
    pub(crate) fn stop(&mut self) {
        self.serve = None;
    }

    pub(crate) fn mount(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    /// `debridfs status --json`.
    pub(crate) fn status(&self) -> Option<serde_json::Value> {
        let output = Command::new(&self.program)
            .args(["status", "--json", "--socket"])
            .arg(self.dir.path().join("run/control.sock"))
            .output()
            .ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Waits until all files are known.
    pub(crate) fn wait_synced(&self) -> Result<Duration> {
        until_every(100, "the first sync", 900, || {
            self.status().is_some_and(|status| {
                status["library"]["listed"] == true && status["library"]["unknown"] == 0
            })
        })
    }

    /// Resident memory of all its processes, MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.serve
            .as_ref()
            .map_or(f64::NAN, |serve| resident(serve.pid()))
    }
}

/// Resident memory of a process and all its descendants, MiB; what they share counts for each.
pub(crate) fn resident(pid: u32) -> f64 {
    let own = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        })
        .map_or(f64::NAN, |kibibytes| kibibytes / 1024.0);
    own + children(pid).into_iter().map(resident).sum::<f64>()
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
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
        .args(flags);
    command.stderr(Stdio::null());
    let running = Running::start(command, Some(mount))?;
    until("rclone mounts", 30, || {
        std::fs::read_dir(mount).is_ok_and(|mut entries| entries.next().is_some())
    })?;
    Ok(running)
}

/// Drops the kernel's caches of pages, dentries and inodes.
pub(crate) fn drop_caches() -> Result<()> {
    rustix::fs::sync();
    Ok(std::fs::write("/proc/sys/vm/drop_caches", "3")?)
}
