//! A look through the mount that can never hang the engine: it is taken by a helper process.
//!
//! A process that waits on its own FUSE mount survives SIGKILL, so the engine itself must not touch a path there. Helpers run
//! one at a time; one that is stuck is killed and abandoned, and no other is started until it is gone.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::Instant;

/// Why the look failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The helper looked, and it is not right.
    #[error("{0}")]
    Failed(String),
    /// There was no answer in time.
    #[error("no answer through the mount within {0:?}")]
    Stuck(Duration),
    /// The helper could not be started.
    #[error("the helper that looks through the mount could not be started: {0}")]
    NotStarted(String),
}

/// Outcome of one helper: how long it took, or why not. `None` while it runs.
type Outcome = Option<Result<Duration, ProbeError>>;

/// Looks through the mount.
#[derive(Debug)]
pub struct MountProbe {
    command: Vec<OsString>,
    limit: Duration,
    running: Arc<Mutex<Option<watch::Receiver<Outcome>>>>,
}

impl MountProbe {
    /// Runs `command` (program and arguments) for each look; it ends with 0, or says why not in one line on stdout.
    pub fn new(command: Vec<OsString>, limit: Duration) -> Self {
        Self {
            command,
            limit,
            running: Arc::default(),
        }
    }

    /// Looks. Ends within the limit; callers at the same time share one look. Needs a tokio runtime.
    pub async fn look(&self) -> Result<Duration, ProbeError> {
        let mut outcome = self.join_or_start()?;
        // The task behind it is bounded by the limit itself.
        match outcome.wait_for(Option::is_some).await {
            Ok(done) => done.clone().unwrap_or(Err(ProbeError::Stuck(self.limit))),
            Err(_) => Err(ProbeError::NotStarted("the look was given up".into())),
        }
    }

    fn join_or_start(&self) -> Result<watch::Receiver<Outcome>, ProbeError> {
        let mut running = self.running.lock();
        if let Some(outcome) = &*running {
            return Ok(outcome.clone());
        }
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| ProbeError::NotStarted("no command".into()))?;
        let mut command = tokio::process::Command::new(program);
        for name in debridfs_base::private_variables() {
            command.env_remove(name);
        }
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| ProbeError::NotStarted(error.to_string()))?;
        let (sender, receiver) = watch::channel(None);
        *running = Some(receiver.clone());
        tokio::spawn(follow(child, self.limit, sender, Arc::clone(&self.running)));
        Ok(receiver)
    }
}

/// Follows one helper to its end, however long that takes; the outcome is told within `limit`.
async fn follow(
    mut child: tokio::process::Child,
    limit: Duration,
    outcome: watch::Sender<Outcome>,
    running: Arc<Mutex<Option<watch::Receiver<Outcome>>>>,
) {
    let started = Instant::now();
    let ended = tokio::time::timeout(limit, finish(&mut child)).await;
    outcome.send_replace(Some(match ended {
        Ok(Ok(())) => Ok(started.elapsed()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ProbeError::Stuck(limit)),
    }));
    // Killed when stuck; in the kernel's hands it may still take its time to go.
    let _ = child.start_kill();
    let _ = child.wait().await;
    *running.lock() = None;
}

async fn finish(child: &mut tokio::process::Child) -> Result<(), ProbeError> {
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        // What it says is only for people; a line is enough.
        let _ = stdout.take(1024).read_to_string(&mut said).await;
    }
    match child.wait().await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) if said.trim().is_empty() => Err(ProbeError::Failed(status.to_string())),
        Ok(_) => Err(ProbeError::Failed(said.trim().to_owned())),
        Err(error) => Err(ProbeError::Failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(script: &str, limit: Duration) -> MountProbe {
        let command = ["/bin/sh", "-c", script];
        MountProbe::new(command.map(OsString::from).to_vec(), limit)
    }

    #[tokio::test]
    async fn success_and_failure_are_told() {
        let long = Duration::from_secs(60);
        assert!(probe("exit 0", long).look().await.is_ok());
        assert_eq!(
            probe("echo not mounted; exit 1", long).look().await,
            Err(ProbeError::Failed("not mounted".into()))
        );
    }

    #[tokio::test]
    async fn a_stuck_helper_is_abandoned_and_does_not_pile_up() {
        let dir = tempfile::tempdir().unwrap();
        let count = dir.path().join("count");
        let script = format!("echo x >> {}; exec sleep 1000", count.display());
        let limit = Duration::from_millis(100);
        let probe = Arc::new(probe(&script, limit));
        let looks: Vec<_> = (0..5)
            .map(|_| {
                let probe = Arc::clone(&probe);
                tokio::spawn(async move { probe.look().await })
            })
            .collect();
        for look in looks {
            assert_eq!(look.await.unwrap(), Err(ProbeError::Stuck(limit)));
        }
        let started = std::fs::read_to_string(&count).unwrap_or_default();
        assert!(started.lines().count() <= 1, "{started:?}");
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_the_look_to_others() {
        let probe = Arc::new(probe("exit 0", Duration::from_secs(60)));
        let other = Arc::clone(&probe);
        let gone = tokio::spawn(async move { other.look().await });
        gone.abort();
        assert!(probe.look().await.is_ok());
    }

    #[tokio::test]
    async fn a_missing_helper_is_an_error() {
        let probe = MountProbe::new(vec!["/nonexistent/helper".into()], Duration::from_secs(1));
        assert!(matches!(probe.look().await, Err(ProbeError::NotStarted(_))));
    }
}
