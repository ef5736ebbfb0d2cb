//! Looks at a rollout, and keeps how far it is: the one task behind it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::volume::Volume;
use tokio::time::Instant;

use super::control::TOLD_WITHIN;
use super::machine::Progress;
use crate::remembered::remember;
use crate::selection::Backends;

/// Between two looks at a rollout; less where a stage or the window is short.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks at a window or a stage, at least, where these are long enough.
const LOOKS: u32 = 10;
/// The least time between two looks.
const SOONEST: Duration = Duration::from_millis(20);
/// How often it is kept how far a rollout is, at most: the next engine repeats as much of a stage.
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(10);
/// A flag that says that the kernel has to be told is taken back after this time.
const SETTLED: Duration = TOLD_WITHIN.saturating_add(Duration::from_secs(1));

impl Backends {
    /// Carries rollouts out, for ever. `state_dir` is where the next engine finds how far one is;
    /// `None`: it finds nothing.
    pub async fn drive_rollouts(self: Arc<Self>, state_dir: Option<PathBuf>) {
        let mut kept = Instant::now();
        let mut not_before = kept;
        loop {
            self.look();
            if Instant::now() >= not_before {
                if self.owes_all() && !self.take_all_back().await {
                    not_before = Instant::now() + PAUSE;
                }
                if self.is_stale(kept.elapsed()) {
                    kept = Instant::now();
                    if let Some(dir) = &state_dir
                        && let Err(error) = self.keep(dir).await
                    {
                        tracing::warn!(%error, "who answers, and how far a rollout is, is not kept for the next engine yet");
                        not_before = Instant::now() + PAUSE;
                    }
                }
            }
            tokio::select! {
                () = self.news.notified() => {}
                () = tokio::time::sleep(self.pause(not_before)) => {}
            }
        }
    }

    /// Keeps who answers, and how far a rollout is, for the next engine.
    ///
    /// # Errors
    /// Of the file system, or its silence.
    pub async fn keep(&self, state_dir: &Path) -> io::Result<()> {
        let _order = self.keeping.lock().await;
        let kept = {
            let mut control = self.control.lock();
            control.stale = false;
            self.to_keep(&control)
        };
        let dir = state_dir.to_owned();
        let written = move || remember(&dir, &kept);
        let written = Volume::state().io(state_dir, written).await;
        if written.is_err() {
            self.control.lock().stale = true;
        }
        written
    }

    fn owes_all(&self) -> bool {
        self.control.lock().owes_all
    }

    async fn take_all_back(&self) -> bool {
        match self.sampler.touched.take_all_back(self.vfs.as_ref()).await {
            Ok(()) => {
                let mut control = self.control.lock();
                control.owes_all = false;
                control.took_back = Some(Instant::now());
                control.stale = true;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the kernel cannot be told to forget all yet");
                false
            }
        }
    }

    /// Whether what is kept is out of date, `since` it was written.
    fn is_stale(&self, since: Duration) -> bool {
        let mut control = self.control.lock();
        let settled = |at: &mut Instant| at.elapsed() >= SETTLED;
        if control.took_back.take_if(settled).is_some() {
            control.stale = true;
        }
        let running = control.running.as_ref();
        let moves = running.is_some_and(|running| {
            let progress = running.machine.progress();
            !progress.paused && since >= KEEP_EVERY.min(of_stage(progress) / LOOKS)
        });
        control.stale || moves
    }

    /// How long nothing is to be done.
    fn pause(&self, not_before: Instant) -> Duration {
        let control = self.control.lock();
        let retry = not_before.saturating_duration_since(Instant::now());
        let mut pause = Duration::MAX;
        if control.stale || control.owes_all {
            pause = retry.max(SOONEST);
        }
        if let Some(at) = control.took_back {
            pause = pause.min(SETTLED.saturating_sub(at.elapsed()).max(SOONEST));
        }
        if let Some(running) = &control.running {
            let progress = running.machine.progress();
            let shortest = progress.settings.window.min(of_stage(progress));
            pause = pause.min((shortest / LOOKS).clamp(SOONEST, LOOK_EVERY));
        }
        pause
    }
}

/// How long a stage lasts. One without a time ends with enough requests, and says nothing of how
/// often it is to be looked at.
fn of_stage(progress: &Progress) -> Duration {
    match progress.at().lasts {
        Duration::ZERO => Duration::MAX,
        lasts => lasts,
    }
}
