//! Starting helpers and waiting for them with limits.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::container::Container;
use crate::level::Level;
use crate::marker::Marker;
use crate::server::Keep;
use crate::task::{Attempt, Helper, Left, Sight, Where, Written};

/// A look or an attempt that takes longer hangs. Generous: the machine may be busy.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// Starting a process and making its namespace.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long a keeper may take to stop its engine and unmount.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// Starts helpers.
#[derive(Debug, Clone)]
pub(crate) struct Helpers {
    /// The program and its arguments, to which `--parent=PID` and the description are added.
    pub program: Vec<OsString>,
}

impl Helpers {
    fn command(&self, helper: &Helper) -> Result<Command, String> {
        let (program, arguments) = self.program.split_first().ok_or("no helper program")?;
        let description = serde_json::to_string(helper).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(format!("--parent={}", std::process::id()))
            .arg(description)
            // A Ctrl-C is for the test, which ends its helpers in order.
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    /// What a helper says; `None` when it hangs, which is then left behind.
    async fn ask<T: DeserializeOwned>(&self, helper: &Helper) -> Result<Option<T>, String> {
        let child = self
            .command(helper)?
            .spawn()
            .map_err(|error| error.to_string())?;
        let Ok(output) = timeout(LOOK_LIMIT, child.wait_with_output()).await else {
            return Ok(None);
        };
        let output = output.map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout)
            .map(Some)
            .map_err(|_| {
                let said = String::from_utf8_lossy(&output.stderr);
                format!("{} ({})", said.trim(), output.status)
            })
    }

    /// What is seen at a mount.
    pub async fn look(&self, place: Where, level: Level, mount: &Path) -> Sight {
        let mount = mount.into();
        match self
            .ask(&Helper::Look {
                place,
                level,
                mount,
            })
            .await
        {
            Ok(Some(sight)) => sight,
            Ok(None) => Sight::Hung,
            Err(error) => Sight::Failed(error),
        }
    }

    /// Whether a file can be made.
    pub async fn write(&self, place: Where, level: Level, dir: &Path) -> Written {
        let dir = dir.into();
        match self.ask(&Helper::Write { place, level, dir }).await {
            Ok(Some(written)) => written,
            Ok(None) => Written::Refused("no answer in time".into()),
            Err(error) => Written::Refused(error),
        }
    }

    /// Whether one may mount there.
    pub async fn try_mount(
        &self,
        place: Where,
        level: Level,
        dir: &Path,
    ) -> Result<Attempt, String> {
        let dir = dir.into();
        let answer = self.ask(&Helper::TryMount { place, level, dir }).await?;
        answer.ok_or_else(|| "no answer in time".into())
    }

    /// Starts a container.
    pub async fn contain(&self, container: Container) -> Result<Contained, String> {
        self.hold(&Helper::Contain(container), true).await
    }

    /// Starts what cleans up when this process ends without doing so.
    pub async fn sweep(
        &self,
        base: PathBuf,
        directories: Vec<PathBuf>,
    ) -> Result<Contained, String> {
        let helper = Helper::Sweep { base, directories };
        self.hold(&helper, false).await
    }

    /// Starts what removes a sandbox when this process ends without doing so.
    pub async fn forget(&self, left: Left) -> Result<Contained, String> {
        self.hold(&Helper::Forget(left), false).await
    }

    /// Starts a helper that works for as long as its standard input is open.
    async fn hold(&self, helper: &Helper, mortal: bool) -> Result<Contained, String> {
        let mut child = self
            .command(helper)?
            .stdin(Stdio::piped())
            .kill_on_drop(mortal)
            .spawn()
            .map_err(|error| error.to_string())?;
        let pid = child.id().ok_or("ended at once")?;
        let said = Said::from(child.stderr.take());
        match ready(&mut child).await {
            Ok(()) => Ok(Contained {
                held: Held::Input(child),
                pid,
            }),
            Err(reason) => Err(said.or(reason).await),
        }
    }

    /// Starts a producer.
    pub async fn produce(
        &self,
        place: Where,
        keep: Keep,
        level: Level,
        marker: Marker,
    ) -> Result<Producer, String> {
        let socket = keep.socket.clone();
        let mut keeper = self
            .command(&Helper::Keep(keep, place))?
            .spawn()
            .map_err(|error| error.to_string())?;
        let said = Said::from(keeper.stderr.take());
        let engine = self
            .command(&Helper::Serve {
                place,
                level,
                socket,
                marker: marker.clone(),
            })?
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut producer = Producer {
            keeper,
            engine,
            marker,
        };
        match ready(&mut producer.keeper).await {
            Ok(()) => Ok(producer),
            Err(reason) => {
                producer.kill().await;
                Err(said.or(reason).await)
            }
        }
    }
}

/// Waits for a helper's `ready`.
async fn ready(child: &mut Child) -> Result<(), String> {
    let stdout = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(stdout).lines();
    match timeout(START_LIMIT, lines.next_line()).await {
        Ok(Ok(Some(_))) => Ok(()),
        Ok(_) => Err("it ended".into()),
        Err(_) => Err(format!("not ready within {} s", START_LIMIT.as_secs())),
    }
}

/// What a process says on standard error; reading it keeps the process from waiting.
struct Said {
    lines: Arc<Mutex<Vec<String>>>,
    reading: tokio::task::JoinHandle<()>,
}

impl Said {
    fn from(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&lines);
        let reading = tokio::spawn(async move {
            let Some(stream) = stream else { return };
            let mut stream = BufReader::new(stream).lines();
            while let Ok(Some(line)) = stream.next_line().await {
                let mut lines = taken.lock();
                lines.push(line);
            }
        });
        Self { lines, reading }
    }

    /// All of it, or else the reason.
    async fn or(self, reason: String) -> String {
        // What it said last may still be on its way.
        let _ = timeout(Duration::from_millis(500), self.reading).await;
        let lines = self.lines.lock();
        if lines.is_empty() {
            reason
        } else {
            lines.join("; ")
        }
    }
}

/// Something that is there for as long as this is not ended, such as a container.
#[derive(Debug)]
pub(crate) struct Contained {
    held: Held,
    /// A process in it.
    pub pid: u32,
}

#[derive(Debug)]
enum Held {
    /// By a process that works while its input is open.
    Input(Child),
    /// By a container runtime.
    Runtime(debridfs_cri::Runtime, String),
}

impl Contained {
    /// A container of a runtime.
    pub fn by_runtime(runtime: debridfs_cri::Runtime, id: String, pid: u32) -> Self {
        let held = Held::Runtime(runtime, id);
        Self { held, pid }
    }

    pub async fn end(self) {
        match self.held {
            Held::Input(mut child) => {
                drop(child.stdin.take());
                if timeout(STOP_LIMIT, child.wait()).await.is_err() {
                    let _ = timeout(STOP_LIMIT, child.kill()).await;
                }
            }
            Held::Runtime(runtime, id) => {
                // With the sandbox, at the latest.
                let _ = timeout(STOP_LIMIT, runtime.remove(&id)).await;
            }
        }
    }
}

/// A keeper and its engine.
#[derive(Debug)]
pub(crate) struct Producer {
    keeper: Child,
    engine: Child,
    pub marker: Marker,
}

impl Producer {
    /// As a container that is stopped: SIGTERM, which unmounts. True when it ended by itself.
    pub async fn terminate(&mut self) -> bool {
        if let Some(pid) = pid_of(&self.keeper) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = timeout(STOP_LIMIT, self.keeper.wait()).await.is_ok();
        self.kill().await;
        ended
    }

    /// As a container that is killed: both processes at once, with no chance to unmount.
    pub async fn kill(&mut self) {
        let both = [&mut self.keeper, &mut self.engine];
        for child in both {
            if let Some(pid) = pid_of(child) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = timeout(STOP_LIMIT, self.keeper.wait()).await;
        let _ = timeout(STOP_LIMIT, self.engine.wait()).await;
    }

    /// Waits until the keeper ends, which it should not.
    pub async fn ended(&mut self) {
        let _ = self.keeper.wait().await;
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    // Without an id it has been waited for.
    child.id().and_then(|id| Pid::from_raw(id.cast_signed()))
}
