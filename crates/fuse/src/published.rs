//! Shows the keeper that this engine lives, and what its stand-in is to answer in its place: the root's attributes and statfs, as last given here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use debridfs_handover::journal::Journal;
use debridfs_vfs::{Attr, StatFs, Vfs};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::wire::{attr_out, statfs_out};

/// How often the keeper sees that this engine lives.
const BEAT: Duration = Duration::from_millis(250);

/// What was published last.
pub(crate) struct Published {
    journal: Arc<Journal>,
    vfs: Arc<dyn Vfs>,
    last: Option<(Attr, StatFs)>,
}

impl Published {
    pub(crate) fn new(journal: Arc<Journal>, vfs: Arc<dyn Vfs>) -> Self {
        Self {
            journal,
            vfs,
            last: None,
        }
    }

    /// Publishes what changed.
    pub(crate) fn refresh(&mut self) {
        let now = (self.vfs.root(), self.vfs.statfs());
        if self.last == Some(now) {
            return;
        }
        let mut bytes = Vec::new();
        attr_out(&mut bytes, &now.0);
        if let Ok(bytes) = bytes.as_slice().try_into() {
            self.journal.publish_root(bytes);
        }
        bytes.clear();
        statfs_out(&mut bytes, &now.1);
        if let Ok(bytes) = bytes.as_slice().try_into() {
            self.journal.publish_statfs(bytes);
        }
        self.last = Some(now);
    }

    /// Beats until the runtime ends or `stop` says so; blocks its thread.
    pub(crate) fn beat(self, runtime: &Handle, stop: &AtomicBool) {
        let journal = self.journal.clone();
        let published = Arc::new(Mutex::new(self));
        let refresh = move || {
            // Whoever came before is at it.
            if let Some(mut published) = published.try_lock() {
                published.refresh();
            }
        };
        beat(runtime, stop, &refresh, || journal.beat());
    }
}

/// Has `refresh` done on `runtime` again and again, and calls `alive` for each time that was done.
///
/// The runtime is asked from outside: what is handed in so may be done by any of its threads. A task that waits for its time is
/// woken by one thread and stays with it, so that a single long job on that thread would look like a runtime that hangs.
fn beat(
    runtime: &Handle,
    stop: &AtomicBool,
    refresh: &(impl Fn() + Clone + Send + 'static),
    alive: impl Fn(),
) {
    let answered = Arc::new(AtomicBool::new(false));
    while !stop.load(Ordering::Relaxed) {
        if answered.swap(false, Ordering::Relaxed) {
            alive();
        }
        let (answered, refresh) = (answered.clone(), refresh.clone());
        runtime.spawn(async move {
            refresh();
            answered.store(true, Ordering::Relaxed);
        });
        std::thread::park_timeout(BEAT);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    /// Waits until `count` has grown by `by`; whether it did within `limit`.
    fn grows(count: &AtomicU64, by: u64, limit: Duration) -> bool {
        let (begun, before) = (Instant::now(), count.load(Ordering::Relaxed));
        while begun.elapsed() < limit {
            if count.load(Ordering::Relaxed) >= before + by {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        false
    }

    #[test]
    fn long_jobs_are_no_hanging_and_a_runtime_that_hangs_is() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (beats, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let alive = || {
                    beats.fetch_add(1, Ordering::Relaxed);
                };
                beat(runtime.handle(), &stop, &|| {}, alive);
            });
            let patience = Duration::from_secs(20);
            assert!(grows(&beats, 4, patience));
            let long_job = || {
                let (end, wait) = mpsc::channel::<()>();
                let (begun, has_begun) = mpsc::channel();
                runtime.spawn(async move {
                    begun.send(()).unwrap();
                    wait.recv()
                });
                has_begun.recv().unwrap();
                end
            };
            let first = long_job();
            assert!(grows(&beats, 8, patience), "one thread is busy for long");
            let second = long_job();
            // One may have been on its way.
            assert!(!grows(&beats, 2, 8 * BEAT), "none of its threads is there");
            drop((first, second));
            assert!(grows(&beats, 4, patience));
            stop.store(true, Ordering::Relaxed);
        });
    }
}
