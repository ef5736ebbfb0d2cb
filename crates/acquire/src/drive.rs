//! Goes on with jobs: which are driven when, how long is waited after trouble, and deletions that are owed.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::Backoff;
use debridfs_provider::{Priority, Verdict};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::attempt::{Attempt, Go, Trouble};
use crate::removal::torrent_left;
use crate::shared::Shared;
use crate::store::Change;
use crate::trash::Deletion;
use crate::watch::Watch;
use crate::{Action, Job, JobId, Step, action, links, tell_arrs};

/// Jobs handed to a provider at once; the others wait in their order.
const STARTING: usize = 8;
/// The same, with those that wait for a provider in trouble, or for a slot: they do not hold up jobs that may go elsewhere.
const STARTED: usize = 64;
/// Waits after trouble in a row.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));
/// How often deletions that are owed are looked at.
const DELETIONS_EVERY: Duration = Duration::from_secs(60);

/// Drives all jobs until `shutdown`. May be called again after a panic.
///
/// # Panics
/// With the panic of a task that is not one job's.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    stop_guilty(&shared).await;
    let watch = Arc::new(Watch::default());
    let mut running: HashMap<JobId, CancellationToken> = HashMap::new();
    let mut tasks: JoinSet<JobId> = JoinSet::new();
    let mut helpers = JoinSet::new();
    helpers.spawn(mend(shared.clone()));
    helpers.spawn(delete_owed(shared.clone()));
    helpers.spawn(tell_arrs::run(shared.clone()));
    helpers.spawn(action::sweep(shared.clone()));
    let measured = shared.clone();
    helpers.spawn(async move { measured.disks.measure().await });
    loop {
        reconcile(&shared, &watch, &mut running, &mut tasks);
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = shared.wake.notified() => {}
            // Some of them have nothing left to do; without one that panicked the queue is none.
            Some(ended) = helpers.join_next() => if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            },
            Some(ended) = tasks.join_next() => match ended {
                Ok(id) => drop(running.remove(&id)),
                Err(error) if error.is_panic() => {
                    // Its job stays where it was stored; the others are not to suffer.
                    tracing::error!(%error, "going on with a job ended by a defect");
                }
                Err(_) => {}
            }
        }
    }
    shared.end();
}

/// Gives up the jobs that were in hand at two deaths of an engine: a third try would end this one.
async fn stop_guilty(shared: &Arc<Shared>) {
    let guilty = std::mem::take(&mut *shared.guilty.lock());
    for hash in guilty {
        let jobs: Vec<Arc<Job>> = shared.read().of(hash).cloned().collect();
        for job in jobs.iter().filter(|job| !job.step.is_settled()) {
            let words = "it ended the engine twice: it was in hand when two engines in a row were killed or crashed; start it again to try once more";
            let trouble = Trouble::Hopeless(words.to_owned());
            fail(shared, job.id(), trouble).await;
        }
    }
}

/// Starts what is to be driven and is not, and ends what is not to be driven any more.
fn reconcile(
    shared: &Arc<Shared>,
    watch: &Arc<Watch>,
    running: &mut HashMap<JobId, CancellationToken>,
    tasks: &mut JoinSet<JobId>,
) {
    let (mut due, starting, started) = {
        let memory = shared.read();
        for (id, cancel) in running.iter() {
            // One that is settled ends by itself, after its last words.
            let wanted = |job: &Arc<Job>| job.is_active() || job.step.is_settled();
            if !memory.jobs.get(id).is_some_and(wanted) {
                cancel.cancel();
            }
        }
        let due: Vec<Arc<Job>> = memory
            .jobs
            .values()
            .filter(|job| job.is_active() && !running.contains_key(&job.id()))
            .cloned()
            .collect();
        let jobs = running.keys().filter_map(|id| memory.jobs.get(id));
        let placed = jobs.filter(|job| job.step == Step::Placed);
        let (waiting, busy): (Vec<_>, Vec<_>) = placed.partition(|job| job.live.trouble.is_some());
        let starting = busy.len();
        (due, starting, starting + waiting.len())
    };
    due.sort_by_key(|job| (!job.forced, job.position, job.added));
    let mut free = STARTING
        .saturating_sub(starting)
        .min(STARTED.saturating_sub(started));
    for job in due {
        if builds_with_another(shared, &job, running) {
            continue;
        }
        if job.step == Step::Placed && !job.forced {
            if free == 0 {
                continue;
            }
            free -= 1;
        }
        let cancel = CancellationToken::new();
        running.insert(job.id(), cancel.clone());
        let (shared, watch, id) = (shared.clone(), watch.clone(), job.id());
        tasks.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = drive(&shared, &watch, id) => {}
            }
            if shared.job(id).is_none() {
                action::abandon(shared, &job).await;
            }
            id
        });
    }
}

/// Whether another request of the release is gone on with that builds in the same place: this one has its turn afterwards.
fn builds_with_another(
    shared: &Shared,
    job: &Job,
    running: &HashMap<JobId, CancellationToken>,
) -> bool {
    let memory = shared.read();
    memory.of(job.hash).any(|other| {
        other.nth != job.nth
            && other.save_path == job.save_path
            && running.contains_key(&other.id())
    })
}

/// Takes one job from step to step until nothing is left to do.
async fn drive(shared: &Arc<Shared>, watch: &Watch, id: JobId) {
    let mut attempt = Attempt::new(shared, watch);
    let mut troubles = 0u32;
    while let Some(job) = shared.job(id)
        && job.is_active()
    {
        let step = job.step;
        let trouble = match attempt.next(&job).await {
            Ok(go) => {
                troubles = 0;
                if let Go::After(wait) = go {
                    sleep(wait).await;
                }
                continue;
            }
            Err(trouble) => trouble,
        };
        match trouble {
            Trouble::Later(words, at_least) => {
                troubles = troubles.saturating_add(1);
                let pause = PAUSES.after(troubles).max(at_least);
                tracing::info!(%id, name = job.name, step = step.label(), ?pause, "waiting: {words}");
                shared.live(id, |live| live.trouble = Some(words));
                // Another one may be begun.
                shared.wake.notify_one();
                sleep(pause).await;
            }
            Trouble::Unmounted(words) => {
                tracing::info!(%id, name = job.name, "waiting for the mount: {words}");
                shared.live(id, |live| live.trouble = Some(words));
                shared.wake.notify_one();
                shared.library.mounted().await;
            }
            hopeless => fail(shared, id, hopeless).await,
        }
    }
}

/// Gives a job up. What it added and is to be taken back is owed with it: both or neither, as a torrent in use is not deleted.
async fn fail(shared: &Arc<Shared>, id: JobId, trouble: Trouble) {
    let blocked = matches!(trouble, Trouble::Blocked(_));
    let (evidence, reason, take_back) = match trouble {
        Trouble::Later(reason, _)
        | Trouble::Unmounted(reason)
        | Trouble::Hopeless(reason)
        | Trouble::Blocked(reason) => (None, reason, false),
        Trouble::Condemned(evidence, reason) => (Some(evidence), reason, false),
        Trouble::TakeBack(evidence, reason) => (Some(evidence), reason, true),
    };
    let now = shared.now();
    let failed = shared
        .transact(move |memory| {
            let Some(job) = memory.jobs.get(&id) else {
                return Ok((Vec::new(), ()));
            };
            tracing::warn!(%id, name = job.name, reason, "the job failed");
            let mut failed = Job::clone(job);
            failed.step = Step::Failed;
            failed.reason = Some(reason);
            failed.evidence = evidence;
            failed.blocked = blocked;
            failed.changed = now;
            let mut changes: Vec<_> = failed.let_kept_go(memory, now).into_iter().collect();
            if take_back {
                let at_once = Some(Duration::ZERO);
                let alone = BTreeSet::new();
                changes.extend(torrent_left(memory, &alone, job, at_once, now));
            }
            changes.push(Change::Job(Box::new(failed)));
            Ok((changes, ()))
        })
        .await;
    if let Err(error) = failed {
        tracing::error!(%error, "a failure could not be stored");
        sleep(PAUSES.first).await;
    }
}

/// Makes directories anew that are gone although their jobs are complete: after a restart on an empty volume.
async fn mend(shared: Arc<Shared>) {
    let complete: Vec<Arc<Job>> = {
        let memory = shared.read();
        let jobs = memory.jobs.values();
        jobs.filter(|job| job.step == Step::Complete && job.action == Action::Symlink)
            .cloned()
            .collect()
    };
    for job in complete {
        let Some(content) = job.content.clone() else {
            continue;
        };
        if is_there(&shared, &content).await {
            continue;
        }
        let Some(shown) = shared.library.shown(job.hash).await else {
            continue;
        };
        let (owner, name) = (shared.clone(), job.name.clone());
        let (id, hash, path) = (job.id(), job.hash, content.clone());
        let wanted = shared
            .whole(hash, move || action::links_of(&job, &shown))
            .await;
        let made = shared.on_disk(hash, &path, move || {
            let place = owner.config.spot(&content)?;
            links::place(&place, hash, &wanted)?;
            // Removed in the meantime, and its links with it.
            if owner.job(id).is_none() {
                links::remove(&place)?;
            }
            Ok(())
        });
        match made.await {
            Ok(()) => tracing::info!(name, "the symlinks were gone: made anew"),
            Err(error) => tracing::warn!(name, %error, "symlinks cannot be made"),
        }
    }
}

/// Whether something lies at `path`, as soon as its volume says so.
async fn is_there(shared: &Shared, path: &Path) -> bool {
    loop {
        let looked = path.to_owned();
        let there = shared
            .disks
            .volume(path)
            .run(path, move || links::is_there(&looked));
        match there.await {
            Ok(there) => return there,
            Err(_) => sleep(PAUSES.longest).await,
        }
    }
}

/// Deletes from accounts what is due, again and again until it is gone.
async fn delete_owed(shared: Arc<Shared>) {
    loop {
        let due: Vec<Deletion> = {
            let memory = shared.read();
            let owed = memory.deletions.iter();
            owed.filter(|owed| owed.left().is_zero()).cloned().collect()
        };
        for owed in due {
            delete(&shared, owed).await;
        }
        let now = shared.now();
        let counted = shared.transact(move |memory| {
            let owed = memory.deletions.iter();
            let counted = owed.filter_map(|owed| owed.recounted(now));
            Ok((counted.map(Change::Owed).collect(), ()))
        });
        if let Err(error) = counted.await {
            tracing::warn!(%error, "how long what is in the trash is still kept could not be stored");
        }
        // What could not be deleted is tried again after the pause.
        let _ = timeout(DELETIONS_EVERY, shared.owed.notified()).await;
    }
}

async fn delete(shared: &Arc<Shared>, owed: Deletion) {
    let used = {
        let memory = shared.read();
        memory.of(owed.hash).any(|job| {
            job.step != Step::Failed
                && job.at.as_ref().is_some_and(|at| {
                    (&at.provider, &at.torrent) == (&owed.provider, &owed.torrent)
                })
        })
    };
    if !used {
        let Some(provider) = shared.provider(&owed.provider) else {
            return;
        };
        match provider.delete(Priority::Refresh, &owed.torrent).await {
            Ok(()) => {
                tracing::info!(provider = owed.provider, torrent = %owed.torrent, "deleted from the account");
                shared.library.look_now();
            }
            Err(error) if error.verdict == Verdict::NotFound => {}
            Err(error) => {
                tracing::info!(provider = owed.provider, torrent = %owed.torrent, %error, "cannot be deleted yet");
                return;
            }
        }
        shared.at("deleted");
    }
    let paid = shared
        .transact(move |_| Ok((vec![Change::Paid(owed.provider, owed.torrent)], ())))
        .await;
    if let Err(error) = paid {
        tracing::warn!(%error, "a deletion could not be struck off");
    }
}
