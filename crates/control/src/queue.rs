//! Downloads: listed, added, removed.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Json;
use axum::routing::{get, post};
use bytes::Bytes;
use debridfs_acquire::{
    Acquire, AddOptions, Evidence, Job, Release, ReleaseError, Selection, Told,
};
use debridfs_provider::InfoHash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Answer, RefusalKind, Refused};
use crate::client::with_arguments;
use crate::server::Engine;
use crate::{CallError, Client, RunningEngine};

/// What `GET /queue` answers.
#[derive(Debug, Serialize, Deserialize)]
struct Queued {
    jobs: Vec<QueuedJob>,
}

/// A download. Scripts rely on `debridfs queue ls --json`: fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueuedJob {
    /// Its info-hash, 40 digits.
    pub hash: String,
    /// What it is called.
    pub name: String,
    /// Its category; may be empty.
    pub category: String,
    /// `placed`, `waiting`, `ready`, `probed`, `complete` or `failed`.
    pub step: String,
    /// Whether somebody stopped it.
    pub stopped: bool,
    /// Share that is done, 0 to 1.
    pub progress: f64,
    /// Bytes of the wanted files, as far as they are known.
    pub bytes: u64,
    /// When it was accepted.
    pub added: Timestamp,
    /// When it was complete.
    pub completed: Option<Timestamp>,
    /// Where an arr finds it.
    pub path: String,
    /// What it failed for.
    pub evidence: Option<Evidence>,
    /// Which arr was told of the failure.
    pub told: Option<Told>,
    /// Why it failed, or what is in its way; for people.
    pub reason: Option<String>,
    /// Configured name of the provider that it is with.
    #[serde(default)]
    pub provider: Option<String>,
    /// Why it is there, and which providers were passed over; for people.
    #[serde(default)]
    pub route: Option<String>,
    /// Every provider refuses its name: it is not retried, and no arr is told.
    #[serde(default)]
    pub blocked: bool,
}

/// What is added to the reason of a grab that failed without anybody to be told.
const UNTOLD: &str = "no arr was told of it: add `[arr.NAME]` (docs/arrs.md)";

impl QueuedJob {
    /// `job`, of a queue with arrs to tell or without (`has_arrs`).
    pub fn of(job: &Job, has_arrs: bool) -> Self {
        let trouble = job.live.trouble.clone();
        let mut reason = job.reason.clone().or(trouble);
        if job.evidence.is_some() && !has_arrs && !job.reads_failures {
            let known = reason.map_or_else(String::new, |reason| format!("{reason}; "));
            reason = Some(known + UNTOLD);
        }
        Self {
            hash: job.hash.to_string(),
            name: job.name.clone(),
            category: job.category.clone(),
            step: job.step.label().into(),
            stopped: job.stopped,
            progress: job.progress(),
            bytes: job.bytes(),
            added: job.added,
            completed: job.completed,
            path: job.content_path().to_string_lossy().into_owned(),
            evidence: job.evidence,
            told: job.told.clone(),
            reason,
            provider: job.at.as_ref().map(|at| at.provider.clone()),
            route: job.route(),
            blocked: job.blocked,
        }
    }

    /// Its step, or the word for what keeps it from going on.
    pub fn state(&self) -> &str {
        match (self.stopped, self.blocked) {
            (true, _) => "stopped",
            (false, true) => "blocked",
            (false, false) => &self.step,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Adding {
    link: String,
    #[serde(default)]
    category: String,
}

/// A download that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddedJob {
    /// Its info-hash, 40 digits.
    pub hash: String,
    /// What it is called.
    pub name: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Removing {
    hash: String,
    #[serde(default)]
    files: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Removed {
    removed: u64,
}

impl Client {
    /// Lists downloads; refused when none are configured.
    pub async fn queue(&self) -> Result<Vec<QueuedJob>, CallError> {
        let queued: Queued = self.get("/queue").await?;
        Ok(queued.jobs)
    }

    /// Adds a magnet link or an info-hash.
    pub async fn add_job(&self, link: &str, category: &str) -> Result<AddedJob, CallError> {
        let adding = Adding {
            link: link.to_owned(),
            category: category.to_owned(),
        };
        self.post(&with_arguments("/queue/add", &adding)).await
    }

    /// Removes the download with this info-hash, with what was put in place for an arr if `files`; refused when there is none.
    pub async fn remove_job(&self, hash: &str, files: bool) -> Result<(), CallError> {
        let hash = hash.to_owned();
        let path = with_arguments("/queue/remove", &Removing { hash, files });
        let _: Removed = self.post(&path).await?;
        Ok(())
    }
}

/// `GET /queue`, `POST /queue/add` and `POST /queue/remove`.
pub(crate) fn routes() -> Router<Arc<RunningEngine>> {
    Router::new()
        .route("/queue", get(list))
        .route("/queue/add", post(add))
        .route("/queue/remove", post(remove))
}

impl RunningEngine {
    fn open_queue(&self) -> Result<&Acquire, Refused> {
        let queue = &self.parts.queue;
        queue
            .get()
            .map(|queue| &**queue)
            .ok_or_else(|| match queue.is_expected() {
                true => Refused::new(
                    RefusalKind::Unavailable,
                    "downloads are not open; `debridfs status` says why",
                ),
                false => Refused::new(
                    RefusalKind::NotConfigured,
                    "no downloads: `acquire.downloads` is not configured",
                ),
            })
    }

    /// Downloads, oldest first.
    ///
    /// # Errors
    /// None are configured, or they are not open.
    pub fn queued(&self) -> Result<Vec<QueuedJob>, Refused> {
        let queue = self.open_queue()?;
        let has_arrs = !queue.config().arrs.is_empty();
        let jobs = queue.jobs();
        let jobs = jobs.iter().map(|job| QueuedJob::of(job, has_arrs));
        Ok(jobs.collect())
    }

    /// Names of the categories of downloads; none when no downloads are open.
    pub fn categories(&self) -> Vec<String> {
        let queue = self.parts.queue.get();
        let categories = queue.map(|queue| queue.categories()).unwrap_or_default();
        categories.into_keys().collect()
    }

    /// Takes in a magnet link or an info-hash.
    ///
    /// # Errors
    /// It is neither, or downloads are not open.
    pub async fn add_link(&self, link: &str, category: String) -> Result<AddedJob, Refused> {
        self.add_release(Release::from_link(link), category).await
    }

    /// Takes in the bytes of a `.torrent` file.
    ///
    /// # Errors
    /// They are none, or downloads are not open.
    pub async fn add_torrent(&self, file: Bytes, category: String) -> Result<AddedJob, Refused> {
        self.add_release(Acquire::read_torrent(file).await, category)
            .await
    }

    async fn add_release(
        &self,
        release: Result<Release, ReleaseError>,
        category: String,
    ) -> Result<AddedJob, Refused> {
        let queue = self.open_queue()?;
        let release = release.map_err(|error| Refused::new(RefusalKind::Invalid, error))?;
        let options = AddOptions {
            category,
            ..AddOptions::default()
        };
        let added = AddedJob {
            hash: release.hash.to_string(),
            name: release.name.clone(),
        };
        queue.add(release, options).await.map_err(failed)?;
        Ok(added)
    }

    /// The download with the info-hash `hash`.
    fn job_of(&self, hash: &str) -> Result<(&Acquire, Selection), Refused> {
        let queue = self.open_queue()?;
        let hash: InfoHash = hash.parse().map_err(|_| {
            let words = format!(
                "{hash} is no info-hash of 40 digits; `debridfs queue ls` shows those of the downloads"
            );
            Refused::new(RefusalKind::Invalid, words)
        })?;
        match queue.job(hash) {
            Some(_) => Ok((queue, Selection::Some(vec![hash]))),
            None => {
                let words =
                    format!("no download has the info-hash {hash}; `debridfs queue ls` shows them");
                Err(Refused::new(RefusalKind::NotFound, words))
            }
        }
    }

    /// Stops a download, or lets it go on.
    ///
    /// # Errors
    /// There is none with this info-hash, or downloads are not open.
    pub async fn stop_job(&self, hash: &str, stopped: bool) -> Result<(), Refused> {
        let (queue, one) = self.job_of(hash)?;
        let edit = move |job: &mut Job| {
            job.stopped = stopped;
            job.forced = false;
        };
        queue.edit(one, edit).await.map_err(failed)
    }

    /// Lets a failed download begin again, and makes the links of a complete one again.
    ///
    /// # Errors
    /// As [`Self::stop_job`].
    pub async fn retry_job(&self, hash: &str) -> Result<(), Refused> {
        let (queue, one) = self.job_of(hash)?;
        queue.recheck(one).await.map_err(failed)
    }

    /// Removes a download, with what was put in place for an arr if `files`; how many requests it was.
    ///
    /// # Errors
    /// As [`Self::stop_job`].
    pub async fn remove_job(&self, hash: &str, files: bool) -> Result<u64, Refused> {
        let (queue, one) = self.job_of(hash)?;
        let removed = queue.remove(one, files).await.map_err(failed)?;
        Ok(removed as u64)
    }
}

fn failed(error: debridfs_acquire::Error) -> Refused {
    Refused::new(RefusalKind::Failed, error)
}

async fn list(State(engine): Engine) -> Answer<Queued> {
    let jobs = engine.queued()?;
    Ok(Json(Queued { jobs }))
}

async fn add(State(engine): Engine, Query(adding): Query<Adding>) -> Answer<AddedJob> {
    let added = engine.add_link(&adding.link, adding.category).await?;
    Ok(Json(added))
}

async fn remove(State(engine): Engine, Query(removing): Query<Removing>) -> Answer<Removed> {
    let removed = engine.remove_job(&removing.hash, removing.files).await?;
    Ok(Json(Removed { removed }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_grab_without_an_arr_to_tell_says_so() {
        let job = serde_json::json!({
            "hash": "ab".repeat(20), "name": "Film", "category": "tv", "added": "2026-01-01T00:00:00Z",
            "changed": "2026-01-01T00:00:00Z", "step": "failed", "reason": "dead", "evidence": "dead",
            "save_path": "/downloads/tv", "action": "symlink", "uncached": "wait",
        });
        let mut job: Job = serde_json::from_value(job).unwrap();
        let reason = |job: &Job, has_arrs| QueuedJob::of(job, has_arrs).reason.unwrap();
        assert_eq!(reason(&job, true), "dead");
        assert_eq!(reason(&job, false), format!("dead; {UNTOLD}"));
        // Its arr reads it in the history.
        job.reads_failures = true;
        assert_eq!(reason(&job, false), "dead");
        job.reads_failures = false;
        // Nothing that an arr would have to hear.
        job.evidence = None;
        assert_eq!(reason(&job, false), "dead");
        let shown = QueuedJob::of(&job, true);
        assert_eq!((shown.state(), shown.route.as_deref()), ("failed", None));
        job.blocked = true;
        assert_eq!(QueuedJob::of(&job, true).state(), "blocked");
    }

    #[test]
    fn links_keep_their_ampersands() {
        let path = with_arguments("/queue/add", &[("link", "magnet:?xt=a&dn=b c")]);
        assert_eq!(path, "/queue/add?link=magnet%3A%3Fxt%3Da%26dn%3Db+c");
    }
}
