//! How each backend does during a rollout: requests, errors and latency, without the library's share.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::blame::{self, Seen};
use super::judge::{Sample, SideCounts};
use crate::wire::Reply;

/// A request that is dropped so shortly before its deadline, or later, has timed out: timers tick
/// in milliseconds.
const TICK: Duration = Duration::from_millis(2);

/// Counters of one backend. They only grow.
#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    errors: AtomicU64,
    slow: AtomicU64,
    half_slow: AtomicU64,
}

/// Which of the two backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Primary,
    Canary,
}

/// Counters of both.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    primary: Tally,
    canary: Tally,
    /// Above how many microseconds a request is slow.
    limit: AtomicU64,
}

impl Meters {
    /// Takes requests for slow from `limit` on.
    pub(crate) fn set_limit(&self, limit: Duration) {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        self.limit.store(micros, Relaxed);
    }

    /// What was counted so far; the comparison is counted elsewhere.
    pub(crate) fn counts(&self) -> Sample {
        Sample {
            primary: self.primary.counts(),
            canary: self.canary.counts(),
            ..Sample::default()
        }
    }

    /// A reply that the kernel refused, counted as a request before.
    pub(crate) fn refused(&self, side: Side) {
        self.tally(side).errors.fetch_add(1, Relaxed);
    }

    fn tally(&self, side: Side) -> &Tally {
        match side {
            Side::Primary => &self.primary,
            Side::Canary => &self.canary,
        }
    }

    fn count(&self, side: Side, failed: bool, took: Duration) {
        let tally = self.tally(side);
        tally.requests.fetch_add(1, Relaxed);
        if failed {
            tally.errors.fetch_add(1, Relaxed);
        }
        let limit = self.limit.load(Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if micros > limit {
            tally.slow.fetch_add(1, Relaxed);
        }
        if micros > limit / 2 {
            tally.half_slow.fetch_add(1, Relaxed);
        }
    }
}

impl Tally {
    fn counts(&self) -> SideCounts {
        SideCounts {
            requests: self.requests.load(Relaxed),
            errors: self.errors.load(Relaxed),
            slow: self.slow.load(Relaxed),
            half_slow: self.half_slow.load(Relaxed),
        }
    }
}

/// One request in hand. Dropped without an end it has panicked, timed out or been given up.
pub(crate) struct Meter {
    meters: Arc<Meters>,
    side: Side,
    started: Instant,
    left: Duration,
    /// What the library took.
    excluded: Duration,
    seen: Seen,
    /// Whether the backend runs: a drop meanwhile is a panic.
    runs: bool,
    ended: bool,
}

impl Meter {
    /// A request that has `left` until its deadline.
    pub(crate) fn start(meters: &Arc<Meters>, side: Side, left: Duration) -> Self {
        Self {
            meters: Arc::clone(meters),
            side,
            started: Instant::now(),
            left,
            excluded: Duration::ZERO,
            seen: Seen::default(),
            runs: false,
            ended: false,
        }
    }

    /// Runs the backend.
    pub(crate) fn run<T>(&mut self, backend: impl FnOnce() -> T) -> T {
        self.runs = true;
        let (answer, seen) = blame::during(backend);
        self.runs = false;
        self.seen.owes = seen.owes;
        if seen.errno != 0 {
            self.seen.errno = seen.errno;
        }
        answer
    }

    /// The request was answered with `errno`.
    pub(crate) fn end(&mut self, errno: i32) {
        // The same errno as the library's: a dead film is no fault of whoever says so.
        self.count(blame::counts(errno) && errno != self.seen.errno);
    }

    fn count(&mut self, failed: bool) {
        self.ended = true;
        let took = self.started.elapsed().saturating_sub(self.excluded);
        self.meters.count(self.side, failed, took);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let timed_out = self.started.elapsed() + TICK >= self.left;
        if self.runs || (timed_out && !self.seen.owes) {
            self.count(true);
        }
    }
}

/// An answer that comes later, metered until it does.
pub(crate) struct Metered<F> {
    meter: Meter,
    waited_for: BoxFuture<'static, Reply>,
    /// Since when the library is waited for.
    since: Option<Instant>,
    finish: Option<F>,
}

impl<F> Metered<F> {
    /// `finish` gets the reply before anybody else does.
    pub(crate) fn new(meter: Meter, waited_for: BoxFuture<'static, Reply>, finish: F) -> Self {
        Self {
            since: meter.seen.owes.then(Instant::now),
            meter,
            waited_for,
            finish: Some(finish),
        }
    }
}

impl<F: FnOnce(&mut Reply) + Unpin> Future for Metered<F> {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let this = &mut *self;
        if let Some(since) = this.since.take() {
            this.meter.excluded += since.elapsed();
        }
        let waited_for = this.waited_for.as_mut();
        match this.meter.run(|| waited_for.poll(context)) {
            Poll::Pending => {
                this.since = this.meter.seen.owes.then(Instant::now);
                Poll::Pending
            }
            Poll::Ready(mut reply) => {
                this.meter.end(reply.errno());
                if let Some(finish) = this.finish.take() {
                    finish(&mut reply);
                }
                Poll::Ready(reply)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use debridfs_vfs::{Answer, ErrorKind};
    use futures_util::FutureExt;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn meters(limit: Duration) -> Arc<Meters> {
        let meters = Arc::<Meters>::default();
        meters.set_limit(limit);
        meters
    }

    fn canary(meters: &Meters) -> (u64, u64) {
        let canary = meters.counts().canary;
        (canary.requests, canary.errors)
    }

    /// A request that is answered at once with `errno`, after the library said `library`.
    fn answered(errno: i32, library: Option<ErrorKind>) -> (u64, u64) {
        let meters = meters(MINUTE);
        let mut meter = Meter::start(&meters, Side::Canary, MINUTE);
        meter.run(|| {
            if let Some(kind) = library {
                drop(blame::noted::<()>(Answer::Now(Err(kind.into()))));
            }
        });
        meter.end(errno);
        canary(&meters)
    }

    #[test]
    fn what_counts_as_an_error() {
        for errno in [0, libc::ENOENT, libc::ENODATA, libc::EROFS, libc::EINTR] {
            assert_eq!(answered(errno, None), (1, 0), "{errno}");
        }
        assert_eq!(answered(libc::EIO, None), (1, 1));
        assert_eq!(answered(libc::EINVAL, None), (1, 1));
        for dead in [ErrorKind::Lost, ErrorKind::Unavailable, ErrorKind::TimedOut] {
            assert_eq!(answered(libc::EIO, Some(dead)), (1, 0), "{dead:?}");
        }
        assert_eq!(answered(libc::EIO, Some(ErrorKind::NotFound)), (1, 1));
        assert_eq!(answered(libc::EINVAL, Some(ErrorKind::Lost)), (1, 1));
    }

    fn waits(meters: &Arc<Meters>, left: Duration, owes: bool) -> Metered<fn(&mut Reply)> {
        let mut meter = Meter::start(meters, Side::Canary, left);
        let waited_for = match owes {
            true => meter.run(|| {
                let never = Answer::<()>::Later(std::future::pending().boxed());
                let Answer::Later(never) = blame::noted(never) else {
                    panic!("it came at once");
                };
                async move {
                    let _ = never.await;
                    Reply::new()
                }
                .boxed()
            }),
            false => std::future::pending().boxed(),
        };
        Metered::new(meter, waited_for, |_| {})
    }

    #[test]
    fn a_timeout_counts_unless_the_library_owes_the_answer() {
        for (left, owes, counted) in [
            (Duration::ZERO, false, (1, 1)),
            (Duration::ZERO, true, (0, 0)),
            // Given up by its caller.
            (MINUTE, false, (0, 0)),
        ] {
            let meters = meters(MINUTE);
            let mut waiting = waits(&meters, left, owes);
            assert!((&mut waiting).now_or_never().is_none());
            drop(waiting);
            assert_eq!(canary(&meters), counted, "{left:?} {owes}");
        }
    }

    #[test]
    fn a_panic_counts() {
        let meters = meters(MINUTE);
        let mut meter = Meter::start(&meters, Side::Canary, MINUTE);
        let panics = std::panic::AssertUnwindSafe(|| meter.run(|| panic!("asked for by the test")));
        assert!(std::panic::catch_unwind(panics).is_err());
        drop(meter);
        assert_eq!(canary(&meters), (1, 1));
    }

    #[tokio::test]
    async fn the_wait_for_the_library_is_no_latency() {
        let limit = Duration::from_millis(40);
        let meters = meters(limit);
        for by_library in [true, false] {
            let mut meter = Meter::start(&meters, Side::Canary, MINUTE);
            let wait = tokio::time::sleep(3 * limit);
            let waited_for = meter.run(|| {
                let wait = wait.map(Ok).boxed();
                let wait = match by_library {
                    true => blame::noted(Answer::Later(wait)),
                    false => Answer::Later(wait),
                };
                async move {
                    let _ = wait.get().await;
                    Reply::new()
                }
                .boxed()
            });
            Metered::new(meter, waited_for, |_: &mut Reply| {}).await;
        }
        let canary = meters.counts().canary;
        assert_eq!((canary.requests, canary.slow, canary.half_slow), (2, 1, 1));
    }
}
