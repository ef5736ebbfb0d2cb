//! What is done with a release that is ready: it is put where the arr looks for it.

mod fetch;
pub(crate) mod files;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use debridfs_catalogue::strm_names;

use self::files::{Entry, What};
use crate::attempt::{Attempt, Go, Outcome, Trouble};
use crate::folder::Spot;
use crate::job::JobFile;
use crate::links::{self, Link};
use crate::shared::Shared;
use crate::{AcquireConfig, Action, Error, Job, Library, Shown, Step};

impl Attempt<'_> {
    /// Puts it in place.
    pub(crate) async fn act(&mut self, job: &Arc<Job>) -> Outcome {
        // An arr that is told of it would find nothing there.
        if matches!(job.action, Action::Symlink | Action::None)
            && let Some(words) = self.shared.library.unmounted()
        {
            return Err(Trouble::Unmounted(words));
        }
        let Some(shown) = self.shared.library.shown(job.hash).await else {
            self.shared
                .update(job.id(), |job| job.step = Step::Ready)
                .await?;
            return Ok(Go::On);
        };
        let content = match job.action {
            Action::None => shown.path.clone(),
            Action::Symlink | Action::Download | Action::Strm => job.save_path.join(&shown.name),
        };
        let (known, library) = (job.clone(), self.shared.library.clone());
        let (shared, place) = (self.shared.clone(), content.clone());
        let lists = move || placing(&shared.config, &known, &shown, &place, library.as_ref());
        let placing = self.shared.whole(job.hash, lists).await;
        let placing = Arc::new(placing.map_err(|why| Trouble::Later(why, Duration::ZERO))?);
        if matches!(*placing, Placing::Files { .. }) {
            self.shared.at("fetching");
            self.fetch(job, &content, &placing).await?;
        }
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
}

/// What `job` wants in its place, of what is shown.
fn placing(
    config: &AcquireConfig,
    job: &Job,
    shown: &Shown,
    content: &Path,
    library: &dyn Library,
) -> Result<Placing, String> {
    let place = || config.spot(content).map_err(|error| error.to_string());
    Ok(match job.action {
        Action::None => Placing::Nothing,
        Action::Symlink => Placing::Links {
            place: place()?,
            wanted: links_of(job, shown),
            unwanted: links_where(job, shown, false),
        },
        Action::Download | Action::Strm => Placing::Files {
            place: place()?,
            entries: entries(job, shown, library)?,
            unwanted: unwanted(job),
        },
    })
}

/// The files that `job` is to have.
fn entries(job: &Job, shown: &Shown, library: &dyn Library) -> Result<Vec<Entry>, String> {
    let wanted: Vec<&JobFile> = shown_files(job, shown, true).collect();
    let fetched = |file: &JobFile| Entry {
        path: file.path.clone(),
        content: What::Fetched(file.bytes),
    };
    if job.action == Action::Download {
        return Ok(wanted.into_iter().map(fetched).collect());
    }
    let names = strm_names(wanted.iter().map(|file| &*file.path));
    let entry = |(file, name): (&JobFile, Option<String>)| match name {
        None => Ok(fetched(file)),
        Some(path) => {
            let url = library.url(job.hash, &file.path)?;
            Ok(Entry {
                path,
                content: What::Text(format!("{url}\n")),
            })
        }
    };
    wanted.into_iter().zip(names).map(entry).collect()
}

/// Files of `job` that are shown, those that are wanted or the others.
fn shown_files<'a>(
    job: &'a Job,
    shown: &'a Shown,
    wanted: bool,
) -> impl Iterator<Item = &'a JobFile> {
    let there: HashSet<&str> = shown.files.iter().map(|file| &*file.path).collect();
    let meant = job.files.iter().filter(move |file| file.wanted == wanted);
    meant.filter(move |file| there.contains(&*file.path))
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
    job: Arc<Job>,
    content: PathBuf,
    placing: Arc<Placing>,
) -> Result<(), PlaceError> {
    if !matches!(*placing, Placing::Nothing) {
        let owner = job.hash;
        let put = shared.on_disk(owner, &content, move || match &*placing {
            Placing::Nothing => Ok(()),
            Placing::Links {
                place,
                wanted,
                unwanted,
            } => {
                links::place(place, owner, wanted)?;
                links::withdraw(place, unwanted)
            }
            Placing::Files {
                place,
                entries,
                unwanted,
            } => files::put(owner, place, entries, unwanted),
        });
        put.await.map_err(PlaceError::Disk)?;
        shared.at("linked");
    }
    let (now, place) = (shared.now(), content.clone());
    let stored = shared
        .update(job.id(), move |job| {
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
            let mut gone = Job::clone(&job);
            gone.content = Some(content.clone());
            if shared.read().is_place_shared(&gone, &BTreeSet::new()) {
                return Ok(());
            }
            let owner = shared.clone();
            let away = move || take_away(&owner.config, &gone);
            let removed = shared.on_disk(job.hash, &content, away);
            removed.await.map_err(PlaceError::Disk)?;
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
pub(crate) async fn abandon(shared: Arc<Shared>, gone: &Job) {
    if shared.read().is_place_shared(gone, &BTreeSet::new()) {
        return;
    }
    let building = building(gone);
    let (owner, path) = (shared.clone(), building.clone());
    let discarded = shared.disks.volume(&path).io(&path, move || {
        let spot = owner.config.spot(&building)?;
        files::discard(&spot)
    });
    if let Err(error) = discarded.await {
        tracing::warn!(path = %path.display(), %error, "what a download left cannot be removed");
    }
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
    for folder in folders {
        // One that is not configured any more is left alone.
        let Ok(spot) = shared.config.spot(&folder) else {
            continue;
        };
        let (owner, place) = (shared.clone(), folder.clone());
        let swept = shared.disks.volume(&folder).run(&folder, move || {
            files::sweep(&spot, |hash| {
                // A job that is complete may be having its links made again.
                let made = |job: &Job| match job.action {
                    Action::Symlink => job.step != Step::Failed,
                    _ => !job.step.is_settled(),
                };
                let memory = owner.read();
                memory
                    .of(hash)
                    .any(|job| job.save_path == place && made(job))
            });
        });
        if let Err(error) = swept.await {
            tracing::info!(%error, "leftovers of downloads are looked for at the next start");
        }
    }
}

/// What `job` may have put in its place.
fn names(job: &Job) -> Vec<String> {
    let paths = || job.files.iter().map(|file| &*file.path);
    let strm = match job.action {
        Action::Strm => strm_names(paths()),
        _ => Vec::new(),
    };
    // Which of two films is wanted decides how they are called: what one of them would be called alone is meant as well.
    let alone = paths().filter(|_| job.action == Action::Strm);
    let alone = alone.flat_map(|path| strm_names([path].into_iter()));
    let own = paths().map(str::to_owned);
    own.chain(strm.into_iter().chain(alone).flatten()).collect()
}

/// The links of the wanted files that are shown.
pub(crate) fn links_of(job: &Job, shown: &Shown) -> Vec<Link> {
    links_where(job, shown, true)
}

fn links_where(job: &Job, shown: &Shown, wanted: bool) -> Vec<Link> {
    shown_files(job, shown, wanted)
        .map(|file| (file.path.clone(), shown.path.join(&file.path)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ShownFile;
    use crate::release::MOST_FILES;

    /// Compared each with each, these take minutes.
    #[test]
    fn as_many_files_as_there_may_be_are_compared_in_a_moment() {
        let path = |number: usize| format!("{}/{number}.epub", number / 1000);
        let files = (0..MOST_FILES)
            .map(|number| json!({ "path": path(number), "bytes": 1, "wanted": number % 2 == 0 }));
        let job = json!({
            "hash": format!("{:040x}", 1), "name": "Name", "category": "tv",
            "added": "2026-01-01T00:00:00Z", "changed": "2026-01-01T00:00:00Z", "step": "probed",
            "save_path": "/downloads/tv", "action": "symlink", "uncached": "wait",
            "files": files.collect::<Vec<_>>(),
        });
        let job: Job = serde_json::from_value(job).unwrap();
        // The second half is not shown.
        let shown = (0..MOST_FILES / 2).map(|number| ShownFile {
            path: path(number),
            in_torrent: path(number),
            bytes: 1,
        });
        let shown = Shown {
            name: "Name".to_owned(),
            path: "/mnt/dfs/__all__/Name".into(),
            files: shown.collect(),
            bad: None,
            unsettled: None,
        };
        for wanted in [true, false] {
            let links = links_where(&job, &shown, wanted);
            assert_eq!(links.len(), MOST_FILES / 4);
        }
    }
}
