//! One running `debridfs serve` with directories and a mount point of its own.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use super::{ServiceManager, Simulator, run, until};

/// Whom an engine runs as when root starts it and says nothing else.
pub const ENGINE_USER: &str = "65534:65534";

/// What differs from the tests' defaults.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// More TOML: whole tables that the harness does not write itself.
    pub toml: String,
    /// More lines of `[keeper]`.
    pub keeper: String,
    /// More lines of `[library]`.
    pub library: String,
    /// More lines of `[provider.rd]`.
    pub provider: String,
    /// More lines of `[mount]`.
    pub mount: String,
    /// Whether it keeps bytes on disk; most tests are about the network.
    pub cache: bool,
    /// More environment.
    pub env: Vec<(String, String)>,
    /// The program that `launch` starts `serve` by, as `launch_by` has it.
    pub launcher: String,
}

/// A running instance; stopped, unmounted and removed when dropped.
pub struct Instance {
    keeper: Option<Child>,
    dir: TempDir,
    settings: Settings,
}

impl Instance {
    /// Starts one and waits until the library can be browsed.
    pub fn start(simulator: &Simulator, settings: Settings) -> Self {
        let instance = Self::start_unready(simulator, settings);
        instance.wait_listed();
        instance
    }

    /// Starts one and waits for nothing.
    pub fn start_unready(simulator: &Simulator, settings: Settings) -> Self {
        let mut instance = Self::prepare(simulator, settings);
        instance.launch();
        instance
    }

    /// Makes directories and configuration and starts nothing.
    pub fn prepare(simulator: &Simulator, settings: Settings) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("debridfs-mounted-")
            .tempdir()
            .expect("directory");
        for name in ["mnt", "state", "run"] {
            fs::create_dir(dir.path().join(name)).expect("directory");
        }
        let instance = Self {
            keeper: None,
            dir,
            settings,
        };
        instance.configure(simulator);
        instance
    }

    /// Other settings, for what is configured next.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Writes the configuration for `simulator`.
    pub fn configure(&self, simulator: &Simulator) {
        let root = self.dir.path().display();
        let Settings {
            toml,
            keeper,
            library,
            provider,
            mount,
            cache,
            ..
        } = &self.settings;
        let refresh = if library.contains("refresh_interval") {
            ""
        } else {
            "refresh_interval = \"500ms\""
        };
        let text = format!(
            "state_dir = \"{root}/state\"\ncache_dir = \"{root}/cache\"\nruntime_dir = \"{root}/run\"\n\
             [content.cache]\nenabled = {cache}\n\
             [mount]\npath = \"{root}/mnt\"\n{mount}\n\
             [keeper]\n{keeper}\n\
             [library]\n{refresh}\n{library}\n\
             [server]\nlisten = \"127.0.0.1:0\"\n\
             [provider.rd]\nkind = \"{}\"\ntoken = \"{}\"\napi_url = \"{}\"\nadd_interval = \"0s\"\n{provider}\n{toml}\n",
            simulator.kind(),
            simulator.token(),
            simulator.api_url(),
        );
        fs::write(self.config(), text).expect("configuration");
        // The engine's, which is not root, whoever made what is there.
        run(
            "chown",
            &["-R", ENGINE_USER, self.dir.path().to_str().expect("text")],
        );
    }

    /// Starts `serve`.
    pub fn launch(&mut self) {
        match self.settings.launcher.clone() {
            by if by.is_empty() => self.launch_program(Path::new(env!("CARGO_BIN_EXE_debridfs"))),
            by => self.launch_by(&by),
        }
    }

    /// Starts `serve` by a program that is told what to start; it has to become that.
    pub fn launch_by(&mut self, command: &str) {
        let wrapper = self.dir.path().join("wrapper");
        let program = env!("CARGO_BIN_EXE_debridfs");
        let text = format!("#!/bin/sh\nexec {command} {program} \"$@\"\n");
        fs::write(&wrapper, text).expect("written");
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("mode");
        self.launch_program(&wrapper);
    }

    /// Starts `serve` of another file.
    pub fn launch_program(&mut self, program: &Path) {
        self.launch_command(Command::new(program));
    }

    /// Starts `serve` as a service, with what the manager has of it.
    pub fn launch_under(&mut self, manager: &ServiceManager) {
        self.launch_command(manager.command(Path::new(env!("CARGO_BIN_EXE_debridfs"))));
    }

    fn launch_command(&mut self, mut command: Command) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .expect("log");
        let keeper = command
            .args(["serve", "--config"])
            .arg(self.config())
            .envs(self.settings.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .spawn()
            .expect("debridfs starts");
        self.keeper = Some(keeper);
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("debridfs.toml")
    }

    pub fn mount(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn runtime(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// All that was logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// `debridfs status --json`, or nothing when nobody answers.
    pub fn try_status(&self) -> Option<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_debridfs"))
            .args(["status", "--json", "--socket"])
            .arg(self.runtime().join("control.sock"))
            .output()
            .expect("debridfs status runs");
        serde_json::from_slice(&output.stdout).ok()
    }

    /// As `try_status`.
    ///
    /// # Panics
    /// When nobody answers within two minutes.
    pub fn status(&self) -> Value {
        let mut status = None;
        until("status answers", Duration::from_secs(120), || {
            status = self.try_status();
            status.is_some()
        });
        status.expect("just seen")
    }

    /// Waits until the views can be listed.
    pub fn wait_listed(&self) {
        let started = Instant::now();
        while !self
            .try_status()
            .is_some_and(|status| status["library"]["listed"] == true)
        {
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "not listed within 120 s; log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until all files are known.
    pub fn wait_synced(&self) {
        let started = Instant::now();
        while !self.try_status().is_some_and(|status| {
            status["library"]["listed"] == true && status["library"]["unknown"] == 0
        }) {
            assert!(
                started.elapsed() < Duration::from_secs(600),
                "not synced within 600 s: {:?}; log:\n{}",
                self.try_status(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The keeper's process id.
    pub fn keeper_pid(&self) -> Pid {
        Pid::from_child(self.keeper.as_ref().expect("running"))
    }

    /// The engine's process id, as `status` tells it: of an engine that serves.
    pub fn engine_pid(&self) -> Pid {
        let mut pid = None;
        until("an engine serves", Duration::from_secs(120), || {
            pid = self
                .try_status()
                .and_then(|status| status["engine"]["pid"].as_i64())
                .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            pid.is_some()
        });
        pid.expect("just seen")
    }

    /// The engine's process id from the process table: works also while it starts or is stopped.
    pub fn engine_child(&self) -> Option<Pid> {
        let keeper = self.keeper_pid().as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).ok()?;
        children
            .split_whitespace()
            .filter(|pid| {
                fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"engine"))
            })
            .find_map(|pid| Pid::from_raw(pid.parse().ok()?))
    }

    /// Sends the engine a signal; false when there is none at the moment.
    pub fn signal_engine(&self, signal: Signal) -> bool {
        self.engine_child()
            .is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
    }

    /// Stops the program as a service manager would.
    ///
    /// # Panics
    /// If it takes longer than a minute or leaves its mount.
    pub fn stop(&mut self) {
        if self.keeper.is_none() {
            return;
        }
        self.end(Signal::TERM);
        assert!(
            connection(&self.mount()).is_none(),
            "the mount is left; log:\n{}",
            self.log()
        );
    }

    /// Ends the program by a signal; with what status.
    ///
    /// # Panics
    /// If it takes longer than a minute.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        let mut keeper = self.keeper.take().expect("running");
        let _ = rustix::process::kill_process(Pid::from_child(&keeper), signal);
        let started = Instant::now();
        loop {
            if let Some(status) = keeper.try_wait().expect("a child of ours") {
                return status;
            }
            if started.elapsed() > Duration::from_secs(60) {
                let _ = keeper.kill();
                let _ = keeper.wait();
                panic!("no clean stop within a minute; log:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How the keeper ended by itself, if it did.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let status = self.keeper.as_mut()?.try_wait().expect("a child of ours")?;
        self.keeper = None;
        Some(status)
    }

    /// Kills the keeper.
    pub fn kill_keeper(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            keeper.kill().expect("a child of ours");
            keeper.wait().expect("a child of ours");
        }
    }

    /// Kills keeper and engine, as a power cut of the container would.
    pub fn kill_all(&mut self) {
        let engine = self.engine_child();
        self.kill_keeper();
        if let Some(engine) = engine {
            // It may have ended with its keeper already.
            let _ = rustix::process::kill_process(engine, Signal::KILL);
        }
    }

    /// Aborts the FUSE connection, so that nobody waits on it any more.
    pub fn abort(&self) {
        if let Some(minor) = connection(&self.mount()) {
            let _ = fs::write(format!("/sys/fs/fuse/connections/{minor}/abort"), "1");
        }
    }
}

/// The number of the FUSE connection mounted at `path` (the minor of its device), if there is one.
pub fn connection(path: &Path) -> Option<u32> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    table.lines().rev().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let minor = fields.get(2)?.split_once(':')?.1.parse().ok()?;
        (fields.get(4) == path.to_str().as_ref()).then_some(minor)
    })
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.dir.path().display(), self.log());
        }
        let engine = self.keeper.as_ref().and_then(|_| self.engine_child());
        // A descriptor of the process is immune to its number being used again.
        let engine: Option<OwnedFd> = engine.and_then(|pid| {
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
        });
        if let Some(mut keeper) = self.keeper.take() {
            let _ = rustix::process::kill_process(Pid::from_child(&keeper), Signal::CONT);
            let _ = rustix::process::kill_process(Pid::from_child(&keeper), Signal::TERM);
            let started = Instant::now();
            while matches!(keeper.try_wait(), Ok(None))
                && started.elapsed() < Duration::from_secs(30)
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
        if let Some(engine) = engine {
            let _ = rustix::process::pidfd_send_signal(&engine, Signal::KILL);
        }
        while connection(&self.mount()).is_some() {
            self.abort();
            if rustix::mount::unmount(self.mount(), rustix::mount::UnmountFlags::DETACH).is_err() {
                break;
            }
        }
        // The keeper makes the empty mount point immutable; undo it so that the directory can be removed.
        let _ = Command::new("chattr")
            .args(["-i"])
            .arg(self.mount())
            .stderr(Stdio::null())
            .status();
    }
}
