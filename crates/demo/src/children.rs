//! The processes of the demo: the simulator and the service.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use debridfs_base::parent;

use crate::Demo;
use crate::error::{DemoError, Doing};
use crate::place::Place;
use crate::simulated::Simulated;

/// The service has 5 s for its engine and has to unmount; more is not waited for.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// What a killed service has left is on its way out; a disk may hold it up.
const ORPHAN_LIMIT: Duration = Duration::from_secs(5);
const ORPHAN_TICK: Duration = Duration::from_millis(10);
/// A simulator with a very large library takes a while to make it.
const SIMULATOR_LIMIT: Duration = Duration::from_secs(120);
/// Lines of a dead child's log that are shown.
const LAST_LINES: usize = 15;

/// How the simulated account is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Its name in the configuration.
    pub name: String,
    /// The vendor's word there.
    pub kind: &'static str,
    /// Where the simulator is told what to do.
    pub control: String,
    /// Base of the API.
    pub url: String,
    /// Its token.
    pub token: String,
    /// Whether calls need not be counted: a large library is to be seen soon.
    pub unlimited: bool,
}

/// What has been started, the service last.
#[derive(Debug)]
pub(crate) struct Children {
    /// The file of this program.
    program: PathBuf,
    simulators: Vec<Child>,
    service: Option<Child>,
}

impl Children {
    /// Makes this process the one that is left with what its children leave: a service that is ended while it starts may have a helper under way that
    /// makes directories.
    pub fn adopt(program: PathBuf) -> Result<Self, DemoError> {
        set_child_subreaper(Some(getpid())).doing(|| "subreaper".into())?;
        Ok(Self {
            program,
            simulators: Vec::new(),
            service: None,
        })
    }

    /// Starts a simulator of an account called `name` and waits until it says where it is.
    pub async fn start_simulator(
        &mut self,
        place: &Place,
        demo: &Demo,
        vendor: Simulated,
        name: &str,
    ) -> Result<Account, DemoError> {
        let log = match name {
            "sim" => "sim".to_owned(),
            name => format!("sim-{name}"),
        };
        let mut command = self.child(place, &log)?;
        command
            .args(["sim", "--listen", "127.0.0.1:0", "--kind", vendor.word()])
            .arg(parent::argument())
            .args(["--seed", &demo.seed.to_string()])
            .stdout(Stdio::piped());
        if let Some(files) = demo.files {
            command.args(["--unlimited", "--files", &files.to_string()]);
        }
        let mut started = command.spawn().doing(|| log.clone())?;
        let stdout = started.stdout.take();
        self.simulators.push(started);
        let Some(stdout) = stdout else {
            return Err(DemoError::Silent(log));
        };
        let said = read_account(BufReader::new(stdout).lines());
        match tokio::time::timeout(SIMULATOR_LIMIT, said).await {
            Ok(Some(account)) => Ok(Account {
                name: name.to_owned(),
                kind: vendor.kind.word,
                unlimited: demo.files.is_some(),
                ..account
            }),
            Ok(None) => Err(died("the simulator", &place.log(&log))),
            Err(_) => Err(DemoError::Silent("the simulator".to_owned())),
        }
    }

    /// Starts `serve`.
    pub fn start_service(&mut self, place: &Place) -> Result<(), DemoError> {
        let mut command = self.child(place, "serve")?;
        command
            .arg("--config")
            .arg(place.config())
            .args(["serve".into(), parent::argument()])
            .stdout(Stdio::null());
        self.service = Some(command.spawn().doing(|| "serve".into())?);
        Ok(())
    }

    /// Waits until one of them ends, which it should not.
    pub async fn first_death(&mut self, place: &Place) -> DemoError {
        let service = async {
            match &mut self.service {
                // Its exit code says less than its log.
                Some(child) => drop(child.wait().await),
                None => std::future::pending().await,
            }
        };
        let simulators = async {
            let simulators = self
                .simulators
                .iter_mut()
                .map(|child| Box::pin(child.wait()));
            let simulators: Vec<_> = simulators.collect();
            match simulators.is_empty() {
                true => std::future::pending().await,
                false => drop(futures_util::future::select_all(simulators).await),
            }
        };
        tokio::select! {
            () = service => died("the service", &place.log("serve")),
            () = simulators => died("a simulator", &place.log("sim")),
        }
    }

    /// Ends them, the service first; returns when none is left, nor what they had started.
    pub async fn stop(&mut self) {
        let service = self.service.take().into_iter();
        for child in service.chain(std::mem::take(&mut self.simulators)) {
            stop(child).await;
        }
        // An error: none is left.
        let orphans = async {
            while let Ok(ended) = wait(WaitOptions::NOHANG) {
                if ended.is_none() {
                    tokio::time::sleep(ORPHAN_TICK).await;
                }
            }
        };
        let _ = tokio::time::timeout(ORPHAN_LIMIT, orphans).await;
    }

    /// This program again, in a process group of its own, so that Ctrl-C reaches the demo alone; its log goes to a file.
    fn child(&self, place: &Place, name: &str) -> Result<Command, DemoError> {
        let log = place.log(name);
        // The directory is the engine's user's: a link that lies there is not followed.
        let file = File::create_new(&log).doing(|| log.display().to_string())?;
        let mut command = Command::new(&self.program);
        command.process_group(0).stdin(Stdio::null()).stderr(file);
        // The demo's own places must hold, whatever the user's instance is told by its environment.
        for variable in ["DEBRIDFS_CONFIG", "DEBRIDFS_CONTROL", "PUID", "PGID"] {
            command.env_remove(variable);
        }
        for (variable, _) in std::env::vars_os() {
            let kept = variable.to_str().is_none_or(|name| {
                !name.starts_with("DEBRIDFS__")
                    || name.starts_with("DEBRIDFS__PROVIDER__")
                    || name.starts_with("DEBRIDFS__LOG__")
            });
            if !kept {
                command.env_remove(variable);
            }
        }
        Ok(command)
    }
}

async fn stop(mut child: Child) {
    // Without an id it has been waited for.
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, Signal::TERM);
        if tokio::time::timeout(STOP_LIMIT, child.wait())
            .await
            .is_err()
        {
            let _ = child.kill().await;
        }
    }
}

async fn read_account(mut lines: Lines<BufReader<ChildStdout>>) -> Option<Account> {
    let mut said = Account::default();
    loop {
        if ![&said.url, &said.token, &said.control].contains(&&String::new()) {
            return Some(said);
        }
        let line = lines.next_line().await.ok()??;
        match line.split_once(' ') {
            Some(("url", value)) => value.clone_into(&mut said.url),
            Some(("token", value)) => value.clone_into(&mut said.token),
            Some(("control", value)) => value.clone_into(&mut said.control),
            _ => {}
        }
    }
}

fn died(what: &'static str, log: &Path) -> DemoError {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    DemoError::Ended { what, last }
}
