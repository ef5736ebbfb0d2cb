//! The end of a request: its job goes, with what it put in place, and its torrent if nobody else wants that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::shared::Memory;
use crate::store::Change;
use crate::trash::Deletion;
use crate::{
    Acquire, AcquireConfig, DeletePolicy, Evidence, Job, JobId, Result, Selection, Step, action,
};

impl Acquire {
    /// Removes jobs. With `files` what they put in place goes as well, unless another request of the same release has the same place.
    /// The torrent stays for other requests of it. When there are none, and it was added here, [`DeletePolicy`] says what happens to
    /// it in the account; what never became ready is taken back whatever the policy.
    ///
    /// # Errors
    /// [`crate::Error::Store`], [`crate::Error::NoAnswer`]; the jobs are still there then.
    pub async fn remove(&self, selection: Selection, files: bool) -> Result<usize> {
        let jobs: Vec<Arc<Job>> = {
            let memory = self.shared.read();
            memory.meant(&selection).into_iter().cloned().collect()
        };
        let ids: BTreeSet<JobId> = jobs.iter().map(|job| job.id()).collect();
        if files {
            self.unlink(&jobs, &ids).await?;
            self.shared.at("unlinked");
        }
        let (now, config, leaving) = (self.shared.now(), self.shared.config.clone(), ids.clone());
        let removed = self
            .shared
            .transact(move |memory| {
                let mut changes = Vec::new();
                let mut removed = Vec::new();
                for job in leaving.iter().filter_map(|id| memory.jobs.get(id)) {
                    removed.push(job.clone());
                    changes.push(Change::Gone(job.id()));
                    changes.extend(Job::clone(job).let_kept_go(memory, now));
                    let kept = files.then(|| kept(&config, job)).flatten();
                    changes.extend(torrent_left(memory, &leaving, job, kept, now));
                }
                Ok((changes, removed))
            })
            .await?;
        if files {
            // Whoever made links until now has seen the job; whoever does from now on sees that it is gone.
            self.unlink(&removed, &ids).await?;
        }
        Ok(removed.len())
    }

    /// Takes what was put in place away before the job: a job without it can be removed again, links without a job cannot.
    async fn unlink(&self, jobs: &[Arc<Job>], leaving: &BTreeSet<JobId>) -> Result<()> {
        for job in jobs {
            if self.shared.read().is_place_shared(job, leaving) {
                continue;
            }
            let path = job.content_path();
            let (name, job, shared) = (job.name.clone(), job.clone(), self.shared.clone());
            let away = move || action::take_away(&shared.config, &job);
            if let Err(error) = self.shared.disks.volume(&path).run(&path, away).await? {
                tracing::warn!(name, %error, "what was put in place cannot be removed");
            }
        }
        Ok(())
    }
}

impl Memory {
    /// Whether another request of the release, none of `leaving`, has its things where `job` has them.
    pub(crate) fn is_place_shared(&self, job: &Job, leaving: &BTreeSet<JobId>) -> bool {
        self.of(job.hash).any(|other| {
            let same_content = job.content.is_some() && other.content == job.content;
            let building = other.save_path == job.save_path && !other.step.is_settled();
            other.nth != job.nth && !leaving.contains(&other.id()) && (same_content || building)
        })
    }
}

/// How long the torrent of `job`, which was added here, is kept when nobody wants it; for ever if not told.
fn kept(config: &AcquireConfig, job: &Job) -> Option<Duration> {
    if never_ready(job) {
        return Some(Duration::ZERO);
    }
    match config.delete {
        DeletePolicy::Ignore => None,
        DeletePolicy::Trash => Some(config.trash_time),
        DeletePolicy::Provider => Some(Duration::ZERO),
    }
}

/// Whether the torrent never had its files: all it does in the account is to hold one of few slots.
fn never_ready(job: &Job) -> bool {
    let unreadable = [Evidence::Unreadable, Evidence::Unservable];
    job.completed.is_none()
        && match job.step {
            Step::Placed | Step::Waiting => true,
            Step::Failed => job.evidence.is_some_and(|why| !unreadable.contains(&why)),
            Step::Ready | Step::Probed | Step::Complete => false,
        }
}

/// What becomes of the torrent that `job` added, as it goes: another request has it from now on, or it is deleted after `kept`.
pub(crate) fn torrent_left(
    memory: &Memory,
    leaving: &BTreeSet<JobId>,
    job: &Job,
    kept: Option<Duration>,
    now: Timestamp,
) -> Option<Change> {
    let at = job.at.as_ref().filter(|at| at.ours)?;
    let same = |other: &Job| match &other.at {
        Some(its) => (&its.provider, &its.torrent) == (&at.provider, &at.torrent),
        None => true,
    };
    let mut others = memory.of(job.hash).filter(|other| {
        let stays = other.nth != job.nth && !leaving.contains(&other.id());
        stays && other.step != Step::Failed && same(other)
    });
    if let Some(heir) = others.next() {
        let mut heir = Job::clone(heir);
        heir.at = Some(at.clone());
        if heir.step == Step::Placed {
            heir.step = Step::Waiting;
        }
        return Some(Change::Job(Box::new(heir)));
    }
    let torrent = (at.provider.clone(), at.torrent.clone());
    kept.map(|kept| Change::Owed(Deletion::new(torrent, job.hash, kept, now)))
}

impl Job {
    /// Forgets the torrent that was kept while other providers were asked: it is deleted, unless another request has it.
    pub(crate) fn let_kept_go(&mut self, memory: &Memory, now: Timestamp) -> Option<Change> {
        let kept = self.kept.take().filter(|kept| kept.given)?;
        let mut others = memory.of(self.hash).filter(|other| other.nth != self.nth);
        if others.any(|other| {
            let its = other.at.as_ref().or(other.kept.as_ref());
            its.is_some_and(|at| (&at.provider, &at.torrent) == (&kept.provider, &kept.torrent))
        }) {
            return None;
        }
        let torrent = (kept.provider, kept.torrent);
        let gone = Deletion::new(torrent, self.hash, Duration::ZERO, now);
        Some(Change::Owed(gone))
    }
}
