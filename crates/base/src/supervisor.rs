//! Watches the long tasks of a process, and starts again what ended.
//!
//! A panic in a task, or its end, is otherwise seen by nobody: the process lives on and looks well,
//! and does one thing less. A part that cannot be opened is treated in the same way: it is tried
//! again, and what is wrong shows meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::Backoff;

/// Waits before a task is started again. The first is short, as most of what fails once does not
/// fail again; the longest is what somebody who has mended the cause waits for.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// A task that was down counts as up once it has run for so long.
const STEADY: Duration = PAUSES.first;

/// Why a part does not run, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What failed, and on what.
    pub words: String,
    /// What to do about it.
    pub help: String,
}

impl Trouble {
    /// `words` say what failed and on what, `help` what to do about it.
    pub fn new(words: impl fmt::Display, help: impl Into<String>) -> Self {
        Self {
            words: words.to_string(),
            help: help.into(),
        }
    }

    fn of_defect(error: &JoinError) -> Self {
        Self::new(
            format!("it ended by a defect: {error}"),
            "it is started again by itself; please report it with the log",
        )
    }

    /// Of a task that ended although it should not.
    pub fn of_end() -> Self {
        Self::new("it ended", "it is started again by itself; see the log")
    }
}

/// A part that does not run now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Down {
    /// Which.
    pub part: String,
    /// What failed, and on what.
    pub words: String,
    /// What to do about it.
    pub help: String,
    /// Since when it has not run.
    pub since: Timestamp,
    /// How often it was tried since then.
    pub tries: u32,
}

impl fmt::Display for Down {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            part, words, help, ..
        } = self;
        write!(out, "{part} does not run: {words}; {help}")
    }
}

/// Starts tasks, and starts them again when they end, until a shutdown. Clones share everything.
#[derive(Clone)]
pub struct Supervisor {
    down: Arc<Mutex<BTreeMap<String, Down>>>,
    shutdown: CancellationToken,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Supervisor")
            .field("down", &self.down())
            .finish_non_exhaustive()
    }
}

impl Supervisor {
    /// One whose tasks may end after `shutdown`.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self {
            down: Arc::default(),
            shutdown,
        }
    }

    /// Runs what `make` makes until it says that it is done. What fails or panics is made and run
    /// again after a pause. The handle ends with the last run.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start<F, Task>(&self, part: impl Into<String>, make: F) -> JoinHandle<()>
    where
        F: Fn() -> Task + Send + Sync + 'static,
        Task: Future<Output = Result<(), Trouble>> + Send + 'static,
    {
        let (watch, part) = (self.clone(), part.into());
        tokio::spawn(async move { watch.run(part, Arc::new(make)).await })
    }

    /// As [`Self::start`], for a task that is not to end before the shutdown.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn keep<F, Task>(&self, part: impl Into<String>, make: F) -> JoinHandle<()>
    where
        F: Fn() -> Task + Send + Sync + 'static,
        Task: Future<Output = ()> + Send + 'static,
    {
        self.start(part, move || {
            let task = make();
            async move {
                task.await;
                Err(Trouble::of_end())
            }
        })
    }

    /// What does not run now, by name.
    pub fn down(&self) -> Vec<Down> {
        self.down.lock().values().cloned().collect()
    }

    async fn run<F, Task>(self, part: String, make: Arc<F>)
    where
        F: Fn() -> Task + Send + Sync + 'static,
        Task: Future<Output = Result<(), Trouble>> + Send + 'static,
    {
        let mut failures = 0u32;
        loop {
            let make = make.clone();
            // In a task of its own, so that a panic ends it alone.
            let mut task = tokio::spawn(async move { make().await });
            let early = match failures {
                0 => None,
                _ => timeout(STEADY, &mut task).await.ok(),
            };
            let ended = match early {
                Some(ended) => ended,
                None => {
                    failures = 0;
                    self.is_up(&part);
                    task.await
                }
            };
            let trouble = match ended {
                Ok(Ok(())) => return self.is_up(&part),
                Ok(Err(_)) if self.shutdown.is_cancelled() => return,
                Ok(Err(trouble)) => trouble,
                Err(error) if error.is_panic() => Trouble::of_defect(&error),
                // The runtime ends.
                Err(_) => return,
            };
            failures = failures.saturating_add(1);
            let pause = PAUSES.after(failures);
            self.is_down(&part, trouble, pause);
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn is_up(&self, part: &str) {
        if self.down.lock().remove(part).is_some() {
            tracing::info!(part, "runs again");
        }
    }

    fn is_down(&self, part: &str, trouble: Trouble, pause: Duration) {
        let Trouble { words, help } = trouble;
        let mut down = self.down.lock();
        let before = down.get(part);
        if before.is_none_or(|before| before.words != words) {
            tracing::error!(part, ?pause, help, "does not run: {words}");
        }
        let (since, tries) = match before {
            Some(before) => (before.since, before.tries.saturating_add(1)),
            None => (Timestamp::now(), 1),
        };
        let now = Down {
            part: part.to_owned(),
            words,
            help,
            since,
            tries,
        };
        down.insert(part.to_owned(), now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{Instant, sleep};

    use super::*;

    fn supervisor() -> (Supervisor, CancellationToken) {
        let shutdown = CancellationToken::new();
        (Supervisor::new(shutdown.clone()), shutdown)
    }

    fn parts(supervisor: &Supervisor) -> Vec<String> {
        let down = supervisor.down().into_iter();
        down.map(|one| one.part).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_or_ends_is_started_again_and_shows_meanwhile() {
        let (supervisor, _shutdown) = supervisor();
        let runs = Arc::new(AtomicU32::new(0));
        let seen = runs.clone();
        supervisor.keep("sync", move || {
            let run = seen.fetch_add(1, Ordering::Relaxed);
            async move {
                match run {
                    0 => {
                        sleep(Duration::from_secs(3)).await;
                        panic!("off by one");
                    }
                    1 => {}
                    _ => sleep(Duration::MAX).await,
                }
            }
        });
        sleep(Duration::from_secs(2)).await;
        assert_eq!(supervisor.down(), []);
        sleep(Duration::from_millis(1500)).await;
        let [down] = &supervisor.down()[..] else {
            panic!("{supervisor:?}")
        };
        assert!(down.words.contains("off by one"), "{down}");
        assert!(!down.help.is_empty() && down.tries == 1);
        // Started after a second, ended at once, started after two more.
        sleep(Duration::from_secs(1)).await;
        let down = &supervisor.down()[0];
        assert!(down.words == "it ended" && down.tries == 2, "{down:?}");
        sleep(Duration::from_secs(4)).await;
        assert_eq!(supervisor.down(), []);
        assert_eq!(runs.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_start_is_tried_less_and_less_often_until_it_can() {
        let (supervisor, _shutdown) = supervisor();
        let begun = Instant::now();
        let tries = Arc::new(Mutex::new(Vec::new()));
        let seen = tries.clone();
        let done = supervisor.start("downloads", move || {
            let mut tries = seen.lock();
            tries.push(begun.elapsed().as_secs());
            let mended = tries.len() > 8;
            async move {
                match mended {
                    true => Ok(()),
                    false => Err(Trouble::new("no such disk", "plug it in")),
                }
            }
        });
        sleep(Duration::from_secs(100)).await;
        assert_eq!(parts(&supervisor), ["downloads"]);
        done.await.unwrap();
        assert_eq!(supervisor.down(), []);
        assert_eq!(*tries.lock(), [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_shutdown_tasks_may_end() {
        let (supervisor, shutdown) = supervisor();
        let (stop, waits) = (shutdown.clone(), supervisor.clone());
        let task = supervisor.keep("sync", move || stop.clone().cancelled_owned());
        let failing = waits.start("repair", || async { Err(Trouble::new("no", "wait")) });
        sleep(Duration::from_secs(10)).await;
        assert_eq!(parts(&supervisor), ["repair"]);
        shutdown.cancel();
        task.await.unwrap();
        failing.await.unwrap();
        assert_eq!(
            parts(&supervisor),
            ["repair"],
            "the sync is not said to be down"
        );
    }
}
