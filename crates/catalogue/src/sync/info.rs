//! Asking for the files of what is ready: one call a torrent, several on the way at once, those somebody waits for first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use debridfs_base::Backoff;
use debridfs_provider::{Priority, TorrentId, TorrentInfo, Verdict};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::queue::Job;
use super::shared::{Line, Shared, provider_error};
use super::state::InfoOutcome;
use crate::Error;
use crate::store::Batch;

/// Demanded calls on the way beside the others.
const DEMANDED_IN_FLIGHT: usize = 32;
/// Until links that may be late are asked for again.
const LATE_WAIT: Duration = Duration::from_secs(15);
/// Waits after failures in a row that are not the torrent's own.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
/// Failures of a torrent's own after which the first sync goes on without its name: 15 s after the first.
const LEFT_OUT_AFTER: u32 = 3;
/// Least time between full lists asked for because a torrent was unknown to the provider.
const LIST_WAIT: Duration = Duration::from_secs(60);

/// `None`: given up for a call of higher priority.
type Answer = Option<debridfs_provider::Result<TorrentInfo>>;

struct Flight {
    id: TorrentId,
    priority: Priority,
    /// The torrent's fingerprint when the call was made.
    print: u64,
}

/// Makes the calls owed to the provider number `index` until `shutdown`.
pub(super) async fn run(shared: Arc<Shared>, index: usize, shutdown: CancellationToken) {
    let line = &shared.lines[index];
    line.queue.owe_flying();
    {
        let state = shared.state.lock().await;
        shared.queue_infos(&state, line);
    }
    let mut info = Info {
        shared: &shared,
        line,
        calls: JoinSet::new(),
        flights: HashMap::new(),
        pause: None,
        failures: 0,
        list_asked: None,
    };
    loop {
        info.start().await;
        let due = [line.queue.next_due(), info.pause]
            .into_iter()
            .flatten()
            .min();
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(ended) = info.calls.join_next_with_id() => info.ended(ended).await,
            () = line.queue.wake.notified() => {}
            () = sleep_until(due) => {}
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

struct Info<'a> {
    shared: &'a Shared,
    line: &'a Line,
    calls: JoinSet<Answer>,
    flights: HashMap<Id, Flight>,
    /// Nothing but demanded calls until then: the provider as a whole is in trouble.
    pause: Option<Instant>,
    /// Failures in a row that were not a torrent's own.
    failures: u32,
    /// When an unknown torrent last led to a full list.
    list_asked: Option<Instant>,
}

impl Info<'_> {
    /// Starts what may be started now.
    async fn start(&mut self) {
        let now = Instant::now();
        if self.pause.is_some_and(|until| until <= now) {
            self.pause = None;
        }
        loop {
            let most = self.shared.config.info_in_flight;
            let flying = self.flights.len();
            if flying >= most + DEMANDED_IN_FLIGHT {
                return;
            }
            let only_demanded = self.pause.is_some() || flying >= most;
            let Some(job) = self.line.queue.next(now, only_demanded) else {
                return;
            };
            let print = {
                let state = self.shared.state.lock().await;
                state.print_of(self.line.name(), &job.id)
            };
            match print {
                Some(print) => self.call(job, print),
                None => self.line.queue.done(&job.id),
            }
        }
    }

    fn call(&mut self, job: Job, print: u64) {
        let provider = self.line.provider.clone();
        let Job {
            id,
            priority,
            cancel,
        } = job;
        let asked = id.clone();
        let task = self.calls.spawn(async move {
            tokio::select! {
                answer = provider.torrent(priority, &asked) => Some(answer),
                () = cancel.cancelled() => None,
            }
        });
        let flight = Flight {
            id,
            priority,
            print,
        };
        self.flights.insert(task.id(), flight);
    }

    async fn ended(&mut self, ended: Result<(Id, Answer), JoinError>) {
        let (task, answer) = match ended {
            Ok((task, answer)) => (task, answer),
            Err(error) => {
                tracing::error!(provider = self.line.name(), %error, "an info call ended by a defect");
                if let Some(flight) = self.flights.remove(&error.id()) {
                    self.line.queue.failed(&flight.id, Instant::now());
                }
                return;
            }
        };
        let Some(flight) = self.flights.remove(&task) else {
            return;
        };
        match answer {
            None => self.line.queue.again(&flight.id),
            Some(Ok(info)) => {
                self.failures = 0;
                self.pause = None;
                self.answered(flight, info).await;
            }
            Some(Err(error)) => self.failed(flight, error).await,
        }
    }

    async fn answered(&mut self, flight: Flight, info: TorrentInfo) {
        let queue = &self.line.queue;
        let name = self.line.name();
        let mut batch = Batch::default();
        let mut state = self.shared.state.lock().await;
        let now = self.shared.now();
        self.shared.verdicts.note(name, &flight.id, Ok(()));
        let outcome = state.apply_info(name, &flight.id, flight.print, info, now, &mut batch);
        if !batch.torrents.is_empty() {
            self.shared.save(&state, batch).await;
        }
        let dirty = state.dirty;
        drop(state);
        if dirty {
            self.shared.changed.notify_one();
            if flight.priority <= Priority::User {
                self.shared.urgent.notify_one();
            }
        }
        match outcome {
            InfoOutcome::Stored | InfoOutcome::Gone => queue.done(&flight.id),
            InfoOutcome::Outdated => queue.again(&flight.id),
            InfoOutcome::Late => queue.postpone(&flight.id, LATE_WAIT, Instant::now()),
            InfoOutcome::Odd => {
                tracing::warn!(provider = name, torrent = %flight.id, "the info call contradicts the list; asked again later");
                self.its_own_fault(&flight.id).await;
                self.tell_waiters(&flight, || Error::Contradiction).await;
            }
        }
    }

    async fn failed(&mut self, flight: Flight, error: debridfs_provider::Error) {
        let now = Instant::now();
        tracing::debug!(torrent = %flight.id, %error, "info call failed");
        let name = self.line.name();
        self.shared.verdicts.note(name, &flight.id, Err(&error));
        match error.verdict {
            // The torrent's own trouble. One 404 proves nothing; the list tells whether it is gone.
            Verdict::NotFound => {
                self.its_own_fault(&flight.id).await;
                let again = self
                    .list_asked
                    .is_none_or(|asked| now.duration_since(asked) >= LIST_WAIT);
                if again {
                    self.list_asked = Some(now);
                    self.line.full_wanted.store(true, Ordering::Release);
                    self.line.poll_now.notify_one();
                }
            }
            Verdict::LinkBroken
            | Verdict::FileUnavailable
            | Verdict::AlreadyDone
            | Verdict::Infringing
            | Verdict::Rejected
            | Verdict::NotCached
            | Verdict::BadRequest
            | Verdict::SlotsFull
            | Verdict::Malformed => self.its_own_fault(&flight.id).await,
            // Everybody's trouble: no torrent is worse off for it.
            Verdict::Retry
            | Verdict::BackOff
            | Verdict::AccountRefused
            | Verdict::OutOfTraffic
            | Verdict::Disabled => {
                self.failures = self.failures.saturating_add(1);
                let pause = PAUSES
                    .after(self.failures)
                    .max(error.retry_after.unwrap_or_default())
                    .min(PAUSES.longest);
                self.pause = Some(now + pause);
                self.line.queue.postpone(&flight.id, pause, now);
            }
        }
        self.tell_waiters(&flight, || provider_error(&error)).await;
    }

    /// Asks for the torrent again later and later; in the end nobody waits for its name.
    async fn its_own_fault(&self, id: &TorrentId) {
        if self.line.queue.failed(id, Instant::now()) < LEFT_OUT_AFTER {
            return;
        }
        let mut state = self.shared.state.lock().await;
        if let Some(provider) = state.providers.get_mut(self.line.name())
            && provider.first.left_out.insert(id.clone())
        {
            state.dirty = true;
            self.shared.changed.notify_one();
        }
    }

    async fn tell_waiters(&self, flight: &Flight, error: impl Fn() -> Error) {
        if flight.priority > Priority::User {
            return;
        }
        let content = {
            let state = self.shared.state.lock().await;
            state.content_of(self.line.name(), &flight.id)
        };
        if let Some(content) = content {
            self.shared.waiters.answer(content, || Err(error()));
        }
    }
}
