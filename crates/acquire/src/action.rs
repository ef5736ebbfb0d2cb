//! What is done with a release that is ready: it is put where the arr looks for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::InfoHash;

use crate::links::{self, Link};
use crate::shared::Shared;
use crate::steps::{Attempt, Go, Outcome, Trouble};
use crate::{Action, Error, Job, Shown, Step};

impl Attempt<'_> {
    /// Puts it in place.
    pub(crate) async fn act(&mut self, job: &Job) -> Outcome {
        let Some(shown) = self.shared.library.shown(job.hash).await else {
            self.shared
                .update(job.hash, |job| job.step = Step::Ready)
                .await?;
            return Ok(Go::On);
        };
        let (content, links, unwanted) = match job.action {
            Action::None => (shown.path.clone(), Vec::new(), Vec::new()),
            Action::Symlink => (
                job.save_path.join(&shown.name),
                links_of(job, &shown),
                links_where(job, &shown, false),
            ),
        };
        self.shared.at("linking");
        let (shared, hash) = (self.shared.clone(), job.hash);
        // Not to be cut off in between, as the links of a removed job would stay.
        let done = tokio::spawn(complete(shared, hash, content.clone(), links, unwanted));
        match done.await {
            Ok(Ok(())) => Ok(Go::On),
            Ok(Err(PlaceError::Store(error))) => Err(error.into()),
            Ok(Err(PlaceError::Links(error))) => {
                let words = format!("{}: {error}", content.display());
                Err(Trouble::Later(words, Duration::ZERO))
            }
            Err(_) => Err(Trouble::Later("stopping".to_owned(), Duration::ZERO)),
        }
    }
}

enum PlaceError {
    Links(std::io::Error),
    Store(Error),
}

/// Makes the links and stores that the job is complete, or takes them back when it was removed in the meantime.
async fn complete(
    shared: Arc<Shared>,
    hash: InfoHash,
    content: PathBuf,
    links: Vec<Link>,
    unwanted: Vec<Link>,
) -> Result<(), PlaceError> {
    let has_links = !links.is_empty();
    if has_links {
        let place = content.clone();
        let made = tokio::task::spawn_blocking(move || {
            links::place(&place, &links)?;
            links::withdraw(&place, &unwanted)
        });
        let made = made.await.map_err(std::io::Error::other);
        made.and_then(|made| made).map_err(PlaceError::Links)?;
        shared.at("linked");
    }
    let (now, place) = (shared.now(), content.clone());
    let job = shared
        .update(hash, move |job| {
            job.step = Step::Complete;
            job.content = Some(place);
            job.completed.get_or_insert(now);
        })
        .await
        .map_err(PlaceError::Store)?;
    match job {
        Some(job) => tracing::info!(%hash, name = job.name, "complete"),
        None if has_links => {
            let removed = tokio::task::spawn_blocking(move || links::remove(&content)).await;
            let removed = removed.map_err(std::io::Error::other);
            removed
                .and_then(|removed| removed)
                .map_err(PlaceError::Links)?;
        }
        None => {}
    }
    shared.at("completed");
    Ok(())
}

/// The links of the wanted files that are shown.
pub(crate) fn links_of(job: &Job, shown: &Shown) -> Vec<Link> {
    links_where(job, shown, true)
}

fn links_where(job: &Job, shown: &Shown, wanted: bool) -> Vec<Link> {
    let meant = job.files.iter().filter(|file| file.wanted == wanted);
    meant
        .filter(|file| shown.files.iter().any(|there| there.path == file.path))
        .map(|file| (file.path.clone(), shown.path.join(&file.path)))
        .collect()
}
