//! `on_library_update`: a program that is told what changed, such as a media server's scan trigger.
//!
//! It is called with its configured arguments followed by the changed paths, relative to the mount (`__all__/Name`). A path is
//! told when a release came and its files are known, when they changed, and when it went. Changes are gathered for `debounce`;
//! one run at a time; a run that lasts longer than `time_limit` is killed; its output goes to the log. At most
//! [`PATHS_PER_RUN`] paths are handed to one run, the rest to the next. During the first sync of an empty catalogue it is not
//! run (everything is new then, and a scan would fight the sync for the provider's budget), unless `during_first_sync` is set.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Linux allows about 2 MiB of arguments (`getconf ARG_MAX`); names have at most 255 bytes.
pub const PATHS_PER_RUN: usize = 1000;

/// The program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateHook {
    /// Program, found by `PATH` when it has no slash.
    pub program: OsString,
    /// Its first arguments; the changed paths follow.
    pub args: Vec<OsString>,
    /// How long changes are gathered. Default 5 s.
    pub debounce: Duration,
    /// How long one run may last. Default 60 s.
    pub time_limit: Duration,
    /// Also run during the first sync.
    pub during_first_sync: bool,
}

impl UpdateHook {
    /// A hook with the default times.
    pub fn new(program: impl Into<OsString>, args: Vec<OsString>) -> Self {
        Self {
            program: program.into(),
            args,
            debounce: Duration::from_secs(5),
            time_limit: Duration::from_secs(60),
            during_first_sync: false,
        }
    }

    /// Runs it for the paths that arrive, until the sender is dropped or `shutdown`; a running program is then killed.
    pub(crate) async fn run(
        self,
        mut changes: mpsc::UnboundedReceiver<Vec<String>>,
        shutdown: CancellationToken,
    ) {
        let mut paths = BTreeSet::new();
        loop {
            if paths.is_empty() {
                match next(&mut changes, &shutdown).await {
                    Some(more) => paths.extend(more),
                    None => return,
                }
            }
            let gathered = tokio::time::sleep(self.debounce);
            tokio::pin!(gathered);
            loop {
                tokio::select! {
                    () = &mut gathered => break,
                    more = next(&mut changes, &shutdown) => match more {
                        Some(more) => paths.extend(more),
                        None => return,
                    },
                }
            }
            let mut now: Vec<String> = Vec::new();
            while now.len() < PATHS_PER_RUN
                && let Some(path) = paths.pop_first()
            {
                now.push(path);
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.call(&now) => {}
            }
        }
    }

    async fn call(&self, paths: &[String]) {
        let program = self.program.to_string_lossy();
        let child = Command::new(&self.program)
            .args(&self.args)
            .args(paths)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%program, %error, "on_library_update cannot be started");
                return;
            }
        };
        match tokio::time::timeout(self.time_limit, child.wait_with_output()).await {
            Ok(Ok(output)) => {
                let stdout = shorten(&output.stdout);
                let stderr = shorten(&output.stderr);
                if output.status.success() {
                    tracing::info!(%program, paths = paths.len(), stdout, stderr, "on_library_update ran");
                } else {
                    tracing::error!(%program, status = %output.status, stdout, stderr, "on_library_update failed");
                }
            }
            Ok(Err(error)) => tracing::error!(%program, %error, "on_library_update was lost"),
            Err(_) => {
                tracing::error!(%program, limit = ?self.time_limit, "on_library_update took too long and was killed");
            }
        }
    }
}

async fn next(
    changes: &mut mpsc::UnboundedReceiver<Vec<String>>,
    shutdown: &CancellationToken,
) -> Option<Vec<String>> {
    tokio::select! {
        () = shutdown.cancelled() => None,
        more = changes.recv() => more,
    }
}

fn shorten(output: &[u8]) -> String {
    const LIMIT: usize = 2000;
    let text = String::from_utf8_lossy(&output[..output.len().min(LIMIT)]);
    text.trim().to_owned()
}
