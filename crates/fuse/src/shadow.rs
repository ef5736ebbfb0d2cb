//! The parallel run: for a sample of the requests a second backend answers as well, and the two are compared.
//!
//! ```text
//! request ─▶ primary ─▶ Recorded (asks the library, notes questions and answers) ─▶ reply to the kernel
//!                └─ queue ─▶ thread: secondary ─▶ Replayed (gives the noted answers) ─▶ reply, compared
//! ```
//!
//! The secondary never reaches the library: a question that the primary did not ask, or with another
//! argument, is a divergence and gets an error. So nothing is opened, fetched or released twice.

mod compare;
mod record;
mod replay;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use debridfs_vfs::Vfs;
use futures_util::FutureExt;

use crate::backend::{Call, Outcome};
use crate::backend_kind::BackendKind;
use crate::selection::MakeBackend;
use crate::wire::Reply;
use compare::{Book, Whole};
pub use compare::{Compared, ComparedKind, Difference, Divergence};
use record::{Record, Recorded};
use replay::Replayed;

/// Requests that wait to be compared. More are let go: the comparison never holds a reader back.
const QUEUE: usize = 256;

/// Bytes of files in those, which they keep in memory.
const QUEUED_BYTES: usize = 8 << 20;

/// A request that the primary has answered.
struct Job {
    request: Vec<u8>,
    left: Duration,
    primary: BackendKind,
    secondary: BackendKind,
    record: Record,
    reply: Whole,
}

/// Runs a second backend beside the first.
pub(crate) struct Shadow {
    vfs: Arc<dyn Vfs>,
    make: MakeBackend,
    /// Of 2^32 requests so many are compared.
    share: AtomicU64,
    turn: AtomicU64,
    /// To the thread that compares, once something was to be compared.
    queue: OnceLock<SyncSender<Job>>,
    queued_bytes: Arc<AtomicUsize>,
    book: Arc<Book>,
}

impl Shadow {
    /// One that compares nothing yet.
    pub(crate) fn new(vfs: Arc<dyn Vfs>, make: MakeBackend) -> Self {
        Self {
            vfs,
            make,
            share: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            queue: OnceLock::new(),
            queued_bytes: Arc::default(),
            book: Arc::default(),
        }
    }

    /// Compares `percent` of the requests from now on; 0 to 100, others are taken for the nearer end.
    /// Nothing, where its thread cannot be started.
    pub(crate) fn set_percent(&self, percent: f64) {
        let mut share = percent.clamp(0.0, 100.0) / 100.0 * 2f64.powi(32);
        if share > 0.0
            && self.queue.get().is_none()
            && let Err(error) = self.start()
        {
            tracing::error!(%error, "no requests can be compared");
            share = 0.0;
        }
        self.share.store(share as u64, Relaxed);
    }

    /// Starts the thread that compares; it ends with this shadow.
    fn start(&self) -> std::io::Result<()> {
        let (queue, jobs) = sync_channel(QUEUE);
        let worker = Worker {
            make: Arc::clone(&self.make),
            jobs,
            queued_bytes: Arc::clone(&self.queued_bytes),
            book: Arc::clone(&self.book),
        };
        let thread = std::thread::Builder::new().name("fuse-shadow".into());
        thread.spawn(move || worker.run())?;
        // One that somebody else started meanwhile stays, and this one ends.
        let _ = self.queue.set(queue);
        Ok(())
    }

    /// Requests that were compared, and those of them about which the backends differ.
    pub(crate) fn sums(&self) -> (u64, u64) {
        self.book.sums()
    }

    /// How it stands.
    pub(crate) fn compared(&self) -> Compared {
        let percent = self.share.load(Relaxed) as f64 / 2f64.powi(32) * 100.0;
        self.book.compared(percent)
    }

    /// Whether the next request is one to compare.
    pub(crate) fn takes(&self) -> bool {
        let share = self.share.load(Relaxed);
        // An odd step through all numbers of 32 bits: spread evenly, without a pattern of requests.
        share > 0 && self.turn.fetch_add(0x9e37_79b9, Relaxed) & 0xffff_ffff < share
    }

    /// Lets `primary` answer, and compares its reply with that of `secondary` later. `None`: the
    /// primary cannot be made a second time, and has answered nothing.
    pub(crate) fn answer(
        &self,
        primary: BackendKind,
        secondary: BackendKind,
        call: Call<'_>,
        reply: &mut Reply,
    ) -> Option<Outcome> {
        let queue = self.queue.get()?.clone();
        let recorded = Arc::new(Recorded::new(Arc::clone(&self.vfs)));
        let backend = (self.make)(primary, recorded.clone()).ok()?;
        let outcome = backend.answer(call, reply);
        let (request, left) = (call.request.to_vec(), call.left);
        let handing = Handing {
            queue,
            queued_bytes: Arc::clone(&self.queued_bytes),
            book: Arc::clone(&self.book),
        };
        let job = move |reply: Whole| Job {
            request,
            left,
            primary,
            secondary,
            record: recorded.take(),
            reply,
        };
        Some(match outcome {
            Outcome::Ready => {
                handing.hand_on(job(Whole::of(reply)));
                Outcome::Ready
            }
            Outcome::Later(answer) => Outcome::Later(
                answer
                    .map(move |mut reply| {
                        handing.hand_on(job(Whole::of(&mut reply)));
                        reply
                    })
                    .boxed(),
            ),
        })
    }
}

struct Handing {
    queue: SyncSender<Job>,
    queued_bytes: Arc<AtomicUsize>,
    book: Arc<Book>,
}

impl Handing {
    fn hand_on(&self, job: Job) {
        let bytes = job.reply.span_bytes();
        let before = self.queued_bytes.fetch_add(bytes, Relaxed);
        let fits = before + bytes <= QUEUED_BYTES || before == 0;
        if !fits || self.queue.try_send(job).is_err() {
            self.queued_bytes.fetch_sub(bytes, Relaxed);
            self.book.let_go();
        }
    }
}

struct Worker {
    make: MakeBackend,
    jobs: Receiver<Job>,
    queued_bytes: Arc<AtomicUsize>,
    book: Arc<Book>,
}

impl Worker {
    fn run(self) {
        for job in &self.jobs {
            let bytes = job.reply.span_bytes();
            self.compare(job);
            self.queued_bytes.fetch_sub(bytes, Relaxed);
        }
    }

    fn compare(&self, job: Job) {
        let replayed = Arc::new(Replayed::new(job.record));
        let Ok(backend) = (self.make)(job.secondary, replayed.clone()) else {
            return self.book.let_go();
        };
        let mut reply = Reply::new();
        let (request, left) = (&job.request, job.left);
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            match backend.answer(Call { request, left }, &mut reply) {
                Outcome::Ready => Some(Whole::of(&mut reply)),
                // All answers are there; what waits, waits for something that nobody gave.
                Outcome::Later(answer) => answer.now_or_never().as_mut().map(Whole::of),
            }
        }));
        let difference = match answered {
            Err(_) => Some(Difference::Panicked),
            Ok(None) => Some(Difference::Waits),
            Ok(Some(other)) => replayed
                .difference()
                .or_else(|| (other != job.reply).then(|| Difference::reply(&job.reply, &other))),
        };
        self.book
            .note(&job.request, job.primary, job.secondary, difference);
    }
}

#[cfg(test)]
mod tests;
