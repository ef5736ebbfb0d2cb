//! `on_library_update`: a program that is told what changed, such as a media server's scan trigger.
//!
//! It is called with its configured arguments followed by the changed paths, relative to the mount
//! (`__all__/Name`). A path is told when a release came and its files are known, when they changed,
//! and when it went. Changes are gathered for `debounce`. One run is under way at a time; one that
//! lasts longer than `time_limit` is killed. The first of its output goes to the log. Our own variables, which may hold tokens,
//! are not in its environment. A run gets at most
//! [`PATHS_PER_RUN`] paths, the next one the rest. The first sync of an empty catalogue is not told,
//! nor what is left of it after a restart: everything is new then, and a scan would fight the sync for the provider's budget.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::private_variables;
use debridfs_base::volume::{NoAnswer, Volume};
use debridfs_catalogue::{Catalogue, Library, changed_paths};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::hooks::until_complete;

/// Linux allows about 2 MiB of arguments (`getconf ARG_MAX`); names have at most 255 bytes.
pub const PATHS_PER_RUN: usize = 1000;
/// Before it is started again from a volume that does not answer.
const PAUSE: Duration = Duration::from_secs(30);
/// Bytes of what it prints, on each of stdout and stderr, that go to the log: some lines.
const LOGGED: u64 = 2000;

/// The program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateProgram {
    /// Program, found by `PATH` when it has no slash.
    pub program: OsString,
    /// Its first arguments; the changed paths follow.
    pub args: Vec<OsString>,
    /// How long changes are gathered. Default 5 s.
    pub debounce: Duration,
    /// How long one run may last. Default 60 s.
    pub time_limit: Duration,
}

impl UpdateProgram {
    /// A program with the default times.
    pub fn new(program: impl Into<OsString>, args: Vec<OsString>) -> Self {
        Self {
            program: program.into(),
            args,
            debounce: Duration::from_secs(5),
            time_limit: Duration::from_secs(60),
        }
    }

    /// Tells it what changes in the library from this call on, until `shutdown`; a run that is
    /// under way is then killed.
    pub fn follow(
        self,
        catalogue: Arc<Catalogue>,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        let news = News::of(catalogue.library());
        async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.run(&catalogue, news) => {}
            }
        }
    }

    async fn run(&self, catalogue: &Catalogue, mut news: News) {
        if news.shown.is_in_first_sync() {
            until_complete(catalogue, &mut news.library).await;
            news.pass_over();
        }
        let mut paths = BTreeSet::new();
        loop {
            while paths.is_empty() {
                match news.next().await {
                    Some(more) => paths.extend(more),
                    None => return,
                }
            }
            let end = Instant::now() + self.debounce;
            while let Ok(more) = timeout_at(end, news.next()).await {
                match more {
                    Some(more) => paths.extend(more),
                    None => return,
                }
            }
            let rest = match paths.iter().nth(PATHS_PER_RUN).cloned() {
                Some(first) => paths.split_off(&first),
                None => BTreeSet::new(),
            };
            let told = std::mem::replace(&mut paths, rest);
            while let Err(error) = self.call(&told).await {
                tracing::error!(program = %self.program.to_string_lossy(), %error, "on_library_update cannot be started yet");
                sleep(PAUSE).await;
            }
        }
    }

    /// Tells it of `paths`, whatever it makes of that.
    async fn call(&self, paths: &BTreeSet<String>) -> Result<(), NoAnswer> {
        let program = self.program.to_string_lossy();
        let mut command = Command::new(&self.program);
        for name in private_variables() {
            command.env_remove(name);
        }
        command
            .args(&self.args)
            .args(paths)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Where it lies is not ours: starting it reads from there.
        let place = Path::new(&self.program);
        let child = Volume::programs()
            .run(place, move || command.spawn())
            .await?;
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%program, %error, "on_library_update cannot be started");
                return Ok(());
            }
        };
        match timeout(self.time_limit, finish(child)).await {
            Ok(Ok((status, stdout, stderr))) => {
                if status.success() {
                    tracing::info!(%program, paths = paths.len(), stdout, stderr, "on_library_update ran");
                } else {
                    tracing::error!(%program, %status, stdout, stderr, "on_library_update failed");
                }
            }
            Ok(Err(error)) => tracing::error!(%program, %error, "on_library_update was lost"),
            Err(_) => {
                tracing::error!(%program, limit = ?self.time_limit, "on_library_update took too long and was killed");
            }
        }
        Ok(())
    }
}

/// What changes in the library.
struct News {
    library: watch::Receiver<Arc<Library>>,
    /// The library of which all changes were told.
    shown: Arc<Library>,
}

impl News {
    fn of(mut library: watch::Receiver<Arc<Library>>) -> Self {
        let shown = library.borrow_and_update().clone();
        Self { library, shown }
    }

    /// What changed until now is not told.
    fn pass_over(&mut self) {
        self.shown = self.library.borrow_and_update().clone();
    }

    /// Waits for the next library; `None` when there will be none.
    async fn next(&mut self) -> Option<impl Iterator<Item = String> + use<>> {
        self.library.changed().await.ok()?;
        let now = self.library.borrow_and_update().clone();
        let changes = changed_paths(&self.shown, &now);
        self.shown = now;
        Some(changes.into_iter().map(|change| change.path))
    }
}

/// Waits for the end of a program; how it ended, and what it said first. Given up, it is killed.
async fn finish(mut child: Child) -> io::Result<(ExitStatus, String, String)> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    tokio::try_join!(child.wait(), beginning(stdout), beginning(stderr))
}

/// The first [`LOGGED`] bytes of what is said. The rest is read and dropped: a pipe that nobody empties would stop the program.
async fn beginning(said: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let Some(mut said) = said else {
        return Ok(String::new());
    };
    let mut kept = Vec::new();
    (&mut said).take(LOGGED).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut said, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&kept).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn much_is_read_and_little_kept() {
        let mut said = tokio::io::repeat(b'y').take(64 << 20);
        let kept = beginning(Some(&mut said)).await.unwrap();
        assert_eq!(kept.len() as u64, LOGGED);
        assert_eq!(said.limit(), 0, "all of it was read");
        assert_eq!(beginning(None::<&[u8]>).await.unwrap(), "");
    }
}
