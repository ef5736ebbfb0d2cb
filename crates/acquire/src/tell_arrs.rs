//! Tells arrs what became of their grabs: a complete one, so that it is imported at once, and a failed one, as no state of a download client makes
//! an arr search again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::Backoff;
use debridfs_services::{Arr, FailedGrab};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use crate::shared::Shared;
use crate::{Job, JobId, Step, Told};

/// Changes of the queue are gathered for so long: a season's releases come together.
const GATHER: Duration = Duration::from_secs(2);
/// An arr is not asked to look more often than this, whatever happens.
const LOOKS_APART: Duration = Duration::from_secs(20);
/// Pauses before an arr is told again. Short at first: an arr that was asked to look at its client
/// knows the grab a moment later.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(600));
/// A grab is in the arr's queue once it has looked at its client, about once a minute. Only after this time is its history gone by.
const QUEUED_WITHIN: Duration = Duration::from_secs(150);
/// After this time nobody is looked for any more who would know the grab.
const KNOWN_WITHIN: Duration = Duration::from_secs(900);

/// What is not stored: a failure that is told twice is harmless.
struct Patience {
    next: Instant,
    /// Attempts that failed.
    times: u32,
}

/// Until the task is dropped.
pub(crate) async fn run(shared: Arc<Shared>) {
    if shared.config.arrs.is_empty() {
        return;
    }
    let mut waiting: HashMap<JobId, Patience> = HashMap::new();
    let mut complete = complete_of(&shared);
    let mut look_at: Option<Instant> = None;
    let mut looked: Option<Instant> = None;
    loop {
        let owed = owed(&shared);
        waiting.retain(|id, _| owed.iter().any(|job| job.id() == *id));
        let now = Instant::now();
        for job in owed {
            let due = waiting
                .get(&job.id())
                .is_none_or(|patience| patience.next <= now);
            if due && !tell(&shared, &job).await {
                let patience = waiting.entry(job.id()).or_insert(Patience {
                    next: now,
                    times: 0,
                });
                patience.times = patience.times.saturating_add(1);
                patience.next = Instant::now() + PAUSES.after(patience.times);
            }
        }
        // The arr looks at a failed grab, too, before it is in its queue and can be failed.
        let now_complete = complete_of(&shared);
        let news = now_complete.iter().any(|id| !complete.contains(id)) || !waiting.is_empty();
        complete = now_complete;
        let now = Instant::now();
        if news && look_at.is_none() {
            look_at = Some(looked.map_or(now, |at| now.max(at + LOOKS_APART)));
        }
        if look_at.is_some_and(|at| at <= now) {
            look(&shared).await;
            (look_at, looked) = (None, Some(Instant::now()));
        }
        let next = waiting.values().map(|patience| patience.next);
        let next = next.chain(look_at).min();
        tokio::select! {
            () = shared.settled.notified() => sleep(GATHER).await,
            () = until(next) => {}
        }
    }
}

async fn until(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => std::future::pending().await,
    }
}

fn complete_of(shared: &Shared) -> HashSet<JobId> {
    let memory = shared.read();
    let jobs = memory.jobs.values();
    jobs.filter(|job| job.step == Step::Complete)
        .map(|job| job.id())
        .collect()
}

/// Failed jobs of which an arr has to hear.
fn owed(shared: &Shared) -> Vec<Arc<Job>> {
    let memory = shared.read();
    let jobs = memory.jobs.values();
    jobs.filter(|job| job.step == Step::Failed && job.evidence.is_some() && job.told.is_none())
        .cloned()
        .collect()
}

/// Lets every arr look at its clients.
async fn look(shared: &Shared) {
    for arr in &shared.config.arrs {
        if let Err(error) = arr.refresh().await {
            tracing::info!(arr = arr.name(), %error, "cannot be asked to look at its downloads; it will by itself");
        }
    }
}

/// Tells who grabbed it; false when it has to be done again later.
async fn tell(shared: &Arc<Shared>, job: &Job) -> bool {
    let passed = |limit| has_passed(job.changed, limit, shared.now());
    let mut troubled = false;
    // One that knows already may have failed its own request of the release; this one may be another arr's, which has not looked yet.
    let mut knew = None;
    for arr in &shared.config.arrs {
        match arr.fail_grab(job.hash, passed(QUEUED_WITHIN)).await {
            Ok(FailedGrab::Unknown) => {}
            Ok(FailedGrab::Already) => knew = knew.or(Some(arr)),
            Ok(how) => {
                log(arr, job, how);
                return note(shared, job, Some(arr.name().to_owned())).await;
            }
            Err(error) => {
                troubled = true;
                tracing::warn!(arr = arr.name(), name = job.name, %error, "cannot be told of a failed grab yet");
            }
        }
    }
    let alone = shared.config.arrs.len() == 1;
    match knew {
        Some(arr) if alone || (passed(QUEUED_WITHIN) && !troubled) => {
            log(arr, job, FailedGrab::Already);
            return note(shared, job, Some(arr.name().to_owned())).await;
        }
        Some(_) => return false,
        None => {}
    }
    if troubled || !passed(KNOWN_WITHIN) {
        return false;
    }
    tracing::info!(name = job.name, "no arr knows the failed grab");
    note(shared, job, None).await
}

fn log(arr: &Arr, job: &Job, how: FailedGrab) {
    let (arr, name, reason) = (arr.name(), &job.name, &job.reason);
    match how {
        FailedGrab::Already => tracing::info!(arr, name, "knows of the failed grab already"),
        _ => tracing::info!(arr, name, reason, ?how, "the failed grab is blocklisted"),
    }
}

async fn note(shared: &Arc<Shared>, job: &Job, arr: Option<String>) -> bool {
    let (at, changed, id) = (shared.now(), job.changed, job.id());
    let stored = shared
        .transact(move |memory| {
            // Gone, as the arr took it from its client; or begun anew in the meantime.
            let Some(job) = memory.jobs.get(&id).filter(|job| job.changed == changed) else {
                return Ok((Vec::new(), ()));
            };
            let mut job = Job::clone(job);
            job.told = Some(Told { at, arr });
            Ok((vec![crate::store::Change::Job(Box::new(job))], ()))
        })
        .await;
    if let Err(error) = &stored {
        tracing::warn!(%error, "that an arr was told could not be stored");
    }
    stored.is_ok()
}

fn has_passed(since: Timestamp, limit: Duration, now: Timestamp) -> bool {
    since.saturating_add(limit).is_ok_and(|end| now >= end)
}
