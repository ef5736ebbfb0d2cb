//! What is done with a release that is ready: it is put where the arr looks for it.

mod fetch;
pub(crate) mod files;
mod strm;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::files::{Entry, What};
use crate::attempt::{Attempt, Go, Outcome, Trouble};
use crate::folder::Spot;
use crate::job::JobFile;
use crate::links::{self, Link};
use crate::shared::Shared;
use crate::{AcquireConfig, Action, Error, Job, Shown, Step};

impl Attempt<'_> {
    /// Puts it in place.
    pub(crate) async fn act(&mut self, job: &Job) -> Outcome {
        let Some(shown) = self.shared.library.shown(job.hash).await else {
            self.shared
                .update(job.hash, |job| job.step = Step::Ready)
                .await?;
            return Ok(Go::On);
        };
        let content = match job.action {
            Action::None => shown.path.clone(),
            Action::Symlink | Action::Download | Action::Strm => job.save_path.join(&shown.name),
        };
        let place = || {
            let place = self.shared.config.spot(&content);
            place.map_err(|error| Trouble::Later(error.to_string(), Duration::ZERO))
        };
        let placing = match job.action {
            Action::None => Placing::Nothing,
            Action::Symlink => Placing::Links {
                place: place()?,
                wanted: links_of(job, &shown),
                unwanted: links_where(job, &shown, false),
            },
            Action::Download | Action::Strm => {
                let place = place()?;
                let entries = self.entries(job, &shown)?;
                self.shared.at("fetching");
                self.fetch(job, &place, &entries).await?;
                Placing::Files {
                    place,
                    entries,
                    unwanted: unwanted(job),
                }
            }
        };
        self.shared.at("linking");
        let shared = self.shared.clone();
        // Not to be cut off in between, as the links of a removed job would stay.
        let done = tokio::spawn(complete(shared, job.clone(), content.clone(), placing));
        match done.await {
            Ok(Ok(())) => Ok(Go::On),
            Ok(Err(PlaceError::Store(error))) => Err(error.into()),
            Ok(Err(PlaceError::Disk(error))) => {
                let words = format!("{}: {error}", content.display());
                Err(Trouble::Later(words, Duration::ZERO))
            }
            Err(_) => Err(Trouble::Later("stopping".to_owned(), Duration::ZERO)),
        }
    }

    /// The files that `job` is to have.
    fn entries(&self, job: &Job, shown: &Shown) -> Result<Vec<Entry>, Trouble> {
        let wanted = job.files.iter().filter(|file| file.wanted);
        let wanted: Vec<&JobFile> = wanted
            .filter(|file| shown.files.iter().any(|there| there.path == file.path))
            .collect();
        let fetched = |file: &JobFile| Entry {
            path: file.path.clone(),
            content: What::Fetched(file.bytes),
        };
        if job.action == Action::Download {
            return Ok(wanted.into_iter().map(fetched).collect());
        }
        let names = strm::names(wanted.iter().map(|file| &*file.path));
        let entry = |(file, name): (&JobFile, Option<String>)| match name {
            None => Ok(fetched(file)),
            Some(path) => {
                let url = self.shared.library.url(shown, &file.path);
                let url = url.map_err(|why| Trouble::Later(why, Duration::ZERO))?;
                Ok(Entry {
                    path,
                    content: What::Text(format!("{url}\n")),
                })
            }
        };
        wanted.into_iter().zip(names).map(entry).collect()
    }
}

/// Files of `job` that may lie in its place and are not to.
fn unwanted(job: &Job) -> Vec<Entry> {
    let unwanted = job.files.iter().filter(|file| !file.wanted);
    unwanted
        .map(|file| Entry {
            path: file.path.clone(),
            content: What::Fetched(file.bytes),
        })
        .collect()
}

/// What is put in place.
enum Placing {
    Nothing,
    Links {
        place: Spot,
        wanted: Vec<Link>,
        unwanted: Vec<Link>,
    },
    Files {
        place: Spot,
        entries: Vec<Entry>,
        unwanted: Vec<Entry>,
    },
}

enum PlaceError {
    Disk(io::Error),
    Store(Error),
}

/// Puts it in place and stores that the job is complete, or takes it back when it was removed in the meantime.
async fn complete(
    shared: Arc<Shared>,
    mut job: Job,
    content: PathBuf,
    placing: Placing,
) -> Result<(), PlaceError> {
    if !matches!(placing, Placing::Nothing) {
        let owner = job.hash;
        let put = tokio::task::spawn_blocking(move || match placing {
            Placing::Nothing => Ok(()),
            Placing::Links {
                place,
                wanted,
                unwanted,
            } => {
                links::place(&place, owner, &wanted)?;
                links::withdraw(&place, &unwanted)
            }
            Placing::Files {
                place,
                entries,
                unwanted,
            } => files::put(owner, &place, &entries, &unwanted),
        });
        let put = put.await.map_err(io::Error::other);
        put.and_then(|put| put).map_err(PlaceError::Disk)?;
        shared.at("linked");
    }
    let (now, place) = (shared.now(), content.clone());
    let stored = shared
        .update(job.hash, move |job| {
            job.step = Step::Complete;
            job.content = Some(place);
            job.completed.get_or_insert(now);
            job.fetched.clear();
        })
        .await
        .map_err(PlaceError::Store)?;
    match stored {
        Some(job) => tracing::info!(hash = %job.hash, name = job.name, "complete"),
        None => {
            job.content = Some(content);
            let owner = shared.clone();
            let removed = tokio::task::spawn_blocking(move || take_away(&owner.config, &job));
            let removed = removed.await;
            let removed = removed.map_err(io::Error::other);
            removed
                .and_then(|removed| removed)
                .map_err(PlaceError::Disk)?;
        }
    }
    shared.at("completed");
    Ok(())
}

/// Removes what `job` put in place, and nothing of others.
pub(crate) fn take_away(config: &AcquireConfig, job: &Job) -> io::Result<()> {
    let content = || match &job.content {
        Some(content) => config.spot(content).map(Some),
        None => Ok(None),
    };
    match job.action {
        Action::None => Ok(()),
        Action::Symlink => content()?.map_or(Ok(()), |content| links::remove(&content)),
        Action::Download | Action::Strm => {
            files::discard(&config.spot(&files::building(job))?)?;
            content()?.map_or(Ok(()), |content| files::remove(&content, &names(job)))
        }
    }
}

/// Removes what a job that is gone may have begun.
pub(crate) async fn abandon(shared: Arc<Shared>, building: PathBuf) {
    let discarded = tokio::task::spawn_blocking(move || {
        let spot = shared.config.spot(&building);
        if let Err(error) = spot.and_then(|spot| files::discard(&spot)) {
            tracing::warn!(path = %building.display(), %error, "what a download left cannot be removed");
        }
    });
    // It fails only when the program is stopping.
    let _ = discarded.await;
}

/// Where the files of `job` are made before they are moved to their place.
pub(crate) fn building(job: &Job) -> PathBuf {
    files::building(job)
}

/// Removes what downloads left that nobody goes on with: the program was killed while they were being removed.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    let folders: BTreeSet<PathBuf> = {
        let memory = shared.read();
        let categories = memory.categories.keys();
        let folders = categories.map(|category| shared.folder(&memory, category));
        let used = memory.jobs.values().map(|job| job.save_path.clone());
        folders
            .chain(used)
            .chain([shared.config.downloads.clone()])
            .collect()
    };
    let swept = tokio::task::spawn_blocking(move || {
        for folder in folders {
            // One that is not configured any more is left alone.
            let Ok(spot) = shared.config.spot(&folder) else {
                continue;
            };
            files::sweep(&spot, |hash| {
                let job = shared.job(hash);
                // Links of what is complete may just be made anew.
                let made = |job: &Job| match job.action {
                    Action::Symlink => job.step != Step::Failed,
                    _ => !job.step.is_settled(),
                };
                job.is_some_and(|job| job.save_path == folder && made(&job))
            });
        }
    });
    // It fails only when the program is stopping.
    let _ = swept.await;
}

/// What `job` may have put in its place.
fn names(job: &Job) -> Vec<String> {
    let paths = || job.files.iter().map(|file| &*file.path);
    let strm = match job.action {
        Action::Strm => strm::names(paths()),
        _ => Vec::new(),
    };
    // Which of two films is wanted decides how they are called: what one of them would be called alone is meant as well.
    let alone = paths().filter(|_| job.action == Action::Strm);
    let alone = alone.flat_map(|path| strm::names([path].into_iter()));
    let own = paths().map(str::to_owned);
    own.chain(strm.into_iter().chain(alone).flatten()).collect()
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
