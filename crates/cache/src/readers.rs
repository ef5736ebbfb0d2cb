//! The threads that read from the cache's disk, and the judgement about a disk that does not answer.
//!
//! A thread that hangs in a read cannot be helped. So there are few, nobody waits for one longer than agreed, and while a single read is overdue
//! the whole cache is passed by: that read is the probe, and its end makes the cache good again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::tuning::reading::{QUEUE, THREADS};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

const UNDER_WAY: u8 = 0;
const OVERDUE: u8 = 1;
const DONE: u8 = 2;

type Job = Box<dyn FnOnce() + Send>;

/// The threads.
pub(crate) struct Readers {
    queue: Mutex<Option<VecDeque<Job>>>,
    wake: Condvar,
    overdue: AtomicUsize,
}

impl Readers {
    pub(crate) fn start() -> std::io::Result<Arc<Self>> {
        let readers = Arc::new(Self {
            queue: Mutex::new(Some(VecDeque::new())),
            wake: Condvar::new(),
            overdue: AtomicUsize::new(0),
        });
        for _ in 0..THREADS {
            let readers = readers.clone();
            std::thread::Builder::new()
                .name("cache-read".into())
                .spawn(move || readers.work())?;
        }
        Ok(readers)
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Job>>> {
        self.queue.lock()
    }

    fn work(&self) {
        let mut queue = self.lock();
        loop {
            let Some(jobs) = queue.as_mut() else { return };
            if let Some(job) = jobs.pop_front() {
                drop(queue);
                job();
                queue = self.lock();
            } else {
                self.wake.wait(&mut queue);
            }
        }
    }

    /// Whether a read has not come back in its time.
    pub(crate) fn is_stuck(&self) -> bool {
        self.overdue.load(Ordering::Relaxed) > 0
    }

    /// Runs `job` on a thread; `None` when it takes longer than `limit`, or when too many wait already.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        limit: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, answer) = oneshot::channel();
        let state = Arc::new(AtomicU8::new(UNDER_WAY));
        {
            let (state, readers) = (state.clone(), Arc::downgrade(self));
            let mut queue = self.lock();
            let jobs = queue.as_mut().filter(|jobs| jobs.len() < QUEUE)?;
            jobs.push_back(Box::new(move || {
                // Who gave up has no use for the answer any more.
                let _ = done.send(job());
                finish(&state, &readers);
            }));
            self.wake.notify_one();
        }
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer.ok(),
            Err(_) => {
                // Counted before it is told: the job's end takes it back.
                let before = self.overdue.fetch_add(1, Ordering::Relaxed);
                if state.swap(OVERDUE, Ordering::AcqRel) == DONE {
                    self.overdue.fetch_sub(1, Ordering::Relaxed);
                } else if before == 0 {
                    tracing::warn!(
                        ?limit,
                        "the cache's volume does not answer; it is passed by until it does"
                    );
                }
                None
            }
        }
    }

    /// Ends the threads that do not hang.
    pub(crate) fn end(&self) {
        *self.lock() = None;
        self.wake.notify_all();
    }
}

fn finish(state: &AtomicU8, readers: &Weak<Readers>) {
    if state.swap(DONE, Ordering::AcqRel) == OVERDUE
        && let Some(readers) = readers.upgrade()
        && readers.overdue.fetch_sub(1, Ordering::Relaxed) == 1
    {
        tracing::info!("the cache's volume answers again");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn an_overdue_read_makes_it_stuck_until_it_ends() {
        let readers = Readers::start().unwrap();
        let quick = readers.run(Duration::from_secs(60), || 7).await;
        assert_eq!(quick, Some(7));
        let (go, wait) = mpsc::channel::<()>();
        let slow = readers
            .run(Duration::from_millis(10), move || wait.recv().is_ok())
            .await;
        assert_eq!(slow, None);
        assert!(readers.is_stuck());
        go.send(()).unwrap();
        while readers.is_stuck() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        readers.end();
        assert_eq!(readers.run(Duration::from_secs(60), || 7).await, None);
    }
}
