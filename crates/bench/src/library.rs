//! Our side: a mounted library of the simulated account.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use debridfs_measure::{Running, Usage, largest_resident, pin, until_every};
use tempfile::TempDir;

use crate::Result;
use crate::simulator::Simulator;

/// A mounted library.
pub(crate) struct Library {
    serve: Option<Running>,
    dir: TempDir,
    program: PathBuf,
    cores: &'static str,
}

impl Library {
    /// Mounts the simulated account. `threads` of transport are the program's default when absent; `disk`: with the cache on disk, in the state it is installed in.
    pub(crate) fn start(
        program: &Path,
        simulator: &Simulator,
        cores: &'static str,
        threads: Option<u32>,
        disk: bool,
    ) -> Result<Self> {
        Self::start_with(program, simulator, cores, threads, disk, "")
    }

    /// The same with `more` in its configuration.
    pub(crate) fn start_with(
        program: &Path,
        simulator: &Simulator,
        cores: &'static str,
        threads: Option<u32>,
        disk: bool,
        more: &str,
    ) -> Result<Self> {
        let dir = temporary_dir()?;
        let root = dir.path().display();
        let threads = threads.map_or(String::new(), |threads| format!("threads = {threads}"));
        std::fs::create_dir(dir.path().join("mnt"))?;
        std::fs::write(
            dir.path().join("debridfs.toml"),
            format!(
                "state_dir = \"{root}/state\"\ncache_dir = \"{root}/cache\"\nruntime_dir = \"{root}/run\"\n[mount]\npath = \"{root}/mnt\"\nimmutable = false\n\
                 [server]\nlisten = \"127.0.0.1:0\"\nconnections = 1024\n[log]\nlevel = \"warn\"\n[library]\nrefresh_interval = \"1h\"\n[keeper]\n{threads}\n[content.cache]\nenabled = {disk}\n\
                 [provider.rd]\ntoken = \"{}\"\napi_url = \"{}\"\ncalls_per_minute = 100000\n{more}",
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

    /// Lets this backend answer from now on.
    pub(crate) fn switch_backend(&self, name: &str) -> Result<()> {
        let output = Command::new(&self.program)
            .args(["backend", "switch", name, "--socket"])
            .arg(self.dir.path().join("run/control.sock"))
            .output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
        }
    }

    /// `debridfs status --json`.
    fn status(&self) -> Option<serde_json::Value> {
        let output = Command::new(&self.program)
            .args(["status", "--json", "--socket"])
            .arg(self.dir.path().join("run/control.sock"))
            .output()
            .ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Waits until all files are known.
    pub(crate) fn wait_synced(&self) -> Result<Duration> {
        let synced = until_every(100, "the first sync", 900, || {
            self.status().is_some_and(|status| {
                status["library"]["listed"] == true && status["library"]["unknown"] == 0
            })
        });
        Ok(synced?)
    }

    /// The process all others of it descend from.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.serve.as_ref().map(Running::pid)
    }

    /// Resident memory of its largest process, the engine, MiB.
    pub(crate) fn largest_resident(&self) -> f64 {
        self.pid().map_or(f64::NAN, largest_resident)
    }

    /// Resident memory of all its processes, MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.pid().map_or(f64::NAN, |pid| Usage::of(pid).resident)
    }
}

/// A directory that goes with its value. Others may enter it: an engine is not root.
pub(crate) fn temporary_dir() -> Result<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("debridfs-bench-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()?)
}
