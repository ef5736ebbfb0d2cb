//! What each step of a job does. Everything here may be cut off at any point and done again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use debridfs_provider::{InfoHash, Priority, Provider, TorrentInfo, TorrentStatus, Verdict};
use tokio::time::timeout;

use crate::attempt::{Attempt, Go, Outcome, Trouble};
use crate::job::{AtProvider, JobFile};
use crate::placing::is_refused_by_name;
use crate::release::{MOST_FILES, shortened};
use crate::{
    AcquireConfig, Chosen, Error, Evidence, Job, ProbeError, Refusal, Shown, ShownFile, Step,
    Uncached, filter, left_out,
};

/// A torrent that is not done so long after its selection was not in the provider's cache.
const CACHED_WITHIN: Duration = Duration::from_secs(15);
/// What is ready has to show within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(30 * 60);
/// A release that is shown as bad may be an older torrent of the same hash; the new one shows within this time.
const BAD_FOR: Duration = Duration::from_secs(60);
/// Files probed at once.
const PROBES: usize = 4;
/// The library is asked again after this time at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Looks at a torrent by a call of its own before the list is used: what is cached is ready within them.
const OWN_LOOKS: u32 = 4;

/// Why files were not probed.
enum Unread {
    /// Those who should have one say no.
    Refused(String),
    /// Another reason.
    Not(Trouble),
}

impl Attempt<'_> {
    /// Does what `job` needs now.
    pub(crate) async fn next(&mut self, job: &Arc<Job>) -> Outcome {
        match job.step {
            Step::Placed => self.place(job).await,
            Step::Waiting => self.wait(job).await,
            Step::Ready => self.show(job).await,
            Step::Probed => self.act(job).await,
            Step::Complete | Step::Failed => Ok(Go::On),
        }
    }

    /// Looks after the torrent at the provider until it is ready there.
    async fn wait(&mut self, job: &Arc<Job>) -> Outcome {
        let Some(at) = &job.at else {
            return self.again(job).await;
        };
        let Some(provider) = self.shared.provider(&at.provider) else {
            let words = format!("the provider {} is not configured any more", at.provider);
            return Err(Trouble::Hopeless(words));
        };
        let every = self.shared.config.poll_every;
        if self.looks >= OWN_LOOKS
            && let Some(seen) = self
                .watch
                .look(provider.as_ref(), &at.torrent, every)
                .await?
            && is_under_way(&seen.status)
        {
            let progress = seen.progress / 100.0;
            self.shared.live(job.id(), |live| {
                live.progress = progress;
                live.trouble = None;
            });
            return match self.impatient(job, at, &seen.status) {
                Some((why, words)) => self.leave(job, at, why, words).await,
                None => Ok(Go::After(every)),
            };
        }
        let info = match provider.torrent(Priority::Import, &at.torrent).await {
            Ok(info) => Arc::new(info),
            Err(error) if error.verdict == Verdict::NotFound => return self.lost(job, at).await,
            Err(error) => return Err(error.into()),
        };
        self.missing = 0;
        self.looks += 1;
        if info.files.len() > MOST_FILES {
            let words = format!("it has {} files, more than {MOST_FILES}", info.files.len());
            return Err(Trouble::TakeBack(Evidence::Unservable, words));
        }
        self.note(job, &info).await?;
        let status = &info.summary.status;
        if is_dead(status) && job.adding.is_none() {
            // It died before it was asked for: a new one may do well.
            return self.another(job, at).await;
        }
        if is_dead(status) {
            let words = format!("{} says {:?}", at.provider, status.word());
            return self.condemned(job, at, Refusal::Dead, words).await;
        }
        match status {
            TorrentStatus::Downloaded => {
                let (shared, known, told) = (self.shared.clone(), job.clone(), info.clone());
                let missing = move || unselected(&shared.config, &known, &told);
                let missing = self.shared.whole(job.hash, missing).await;
                if !missing.is_empty() {
                    return self.partial(job, at, &missing).await;
                }
                let info = Arc::unwrap_or_clone(info);
                self.shared.library.told(&at.provider, info).await;
                self.shared.update(job.id(), ready).await?;
                self.shared.at("ready");
                Ok(Go::On)
            }
            TorrentStatus::WaitingFilesSelection => {
                self.select(job, at, provider.as_ref(), &info).await
            }
            _ => {
                let progress = info.summary.progress / 100.0;
                self.shared.live(job.id(), |live| live.progress = progress);
                if let Some((why, words)) = self.impatient(job, at, status) {
                    return self.leave(job, at, why, words).await;
                }
                // 1 s after the first look, and twice as long after each.
                let wait = Duration::from_secs(1 << (self.looks - 1).min(6));
                Ok(Go::After(wait.min(every)))
            }
        }
    }

    /// Keeps what the provider tells of the torrent.
    async fn note(&self, job: &Arc<Job>, info: &Arc<TorrentInfo>) -> Result<(), Error> {
        let (shared, known, told) = (self.shared.clone(), job.clone(), info.clone());
        let news = move || told_of(&shared.config, &known, &told);
        let Some((files, name)) = self.shared.whole(job.hash, news).await else {
            return Ok(());
        };
        self.shared
            .update(job.id(), move |job| {
                job.files = files;
                job.name = name;
            })
            .await?;
        Ok(())
    }

    async fn select(
        &mut self,
        job: &Arc<Job>,
        at: &AtProvider,
        provider: &dyn Provider,
        info: &Arc<TorrentInfo>,
    ) -> Outcome {
        let (shared, known, told) = (self.shared.clone(), job.clone(), info.clone());
        let chosen = move || chosen_of(&shared.config, &known, &told);
        let chosen = self.shared.whole(job.hash, chosen).await;
        let ids = chosen.map_err(|words| Trouble::TakeBack(Evidence::Unwanted, words))?;
        match provider
            .select_files(Priority::Import, &info.summary.id, &ids)
            .await
        {
            Ok(()) => {}
            Err(error) if error.verdict == Verdict::Rejected => {
                let words = error.to_string();
                return self.condemned(job, at, Refusal::Rejected, words).await;
            }
            // Without a slot it cannot be seen whether it is cached: another provider may have it.
            Err(error) => {
                let status = TorrentStatus::WaitingFilesSelection;
                let others =
                    job.uncached != Uncached::Refuse && self.has_another(job, &at.provider);
                return match self.impatient(job, at, &status) {
                    Some((why, words)) if others => self.leave(job, at, why, words).await,
                    _ => Err(error.into()),
                };
            }
        }
        self.shared.at("selected");
        let now = self.shared.now();
        self.shared
            .update(job.id(), move |job| job.selected = Some(now))
            .await?;
        Ok(Go::On)
    }

    /// Why the provider may not take longer, if that is so.
    fn impatient(
        &mut self,
        job: &Job,
        at: &AtProvider,
        status: &TorrentStatus,
    ) -> Option<(Refusal, String)> {
        let trial = at.chosen == Some(Chosen::Trial);
        let (why, limit) = match job.uncached {
            // A magnet that is unknown to the provider is not in its cache either, but resolving it may take a moment.
            _ if trial => (Refusal::Uncached, CACHED_WITHIN),
            Uncached::Wait => return None,
            Uncached::Refuse => (Refusal::Uncached, CACHED_WITHIN),
            Uncached::UpTo(limit) => (Refusal::TooLong, limit.max(CACHED_WITHIN)),
        };
        let since = job.selected.or(job.adding).unwrap_or(job.added);
        if self.elapsed_since(since) < limit {
            return None;
        }
        let words = format!(
            "{} does not have it: {:?} after {} s",
            at.provider,
            status.word(),
            limit.as_secs()
        );
        Some((why, words))
    }

    /// What the provider says against its torrent: another provider is asked, if there is one.
    async fn condemned(
        &mut self,
        job: &Arc<Job>,
        at: &AtProvider,
        why: Refusal,
        words: String,
    ) -> Outcome {
        if self.has_another(job, &at.provider) {
            return self.leave(job, at, why, words).await;
        }
        let evidence = job.passed.iter().find_map(|passed| passed.why.evidence());
        let said = job.passed.iter().map(|passed| &*passed.words);
        let words = said.chain([&*words]).collect::<Vec<_>>().join("; ");
        match why.evidence().or(evidence) {
            Some(evidence) => Err(Trouble::Condemned(evidence, words)),
            None => Err(Trouble::Blocked(words)),
        }
    }

    /// The torrent is ready with a part of what is wanted. No provider changes what was selected of a torrent, so another one of the
    /// same hash takes its place: one that the account holds, or a new one beside it. The library shows what all of them have.
    async fn partial(&mut self, job: &Arc<Job>, at: &AtProvider, missing: &[String]) -> Outcome {
        if job.selected.is_some() {
            let words = format!(
                "{} has not all that was selected: {} is missing, and {} files besides",
                at.provider,
                missing[0],
                missing.len() - 1
            );
            return Err(Trouble::Hopeless(words));
        }
        tracing::info!(hash = %job.hash, name = job.name, torrent = %at.torrent, missing = missing.len(),
            "the account's torrent lacks wanted files: another one is taken");
        self.another(job, at).await
    }

    /// Takes another torrent than this one, which is of no use, or adds one.
    async fn another(&mut self, job: &Arc<Job>, at: &AtProvider) -> Outcome {
        self.pass_over(at);
        self.shared
            .update(job.id(), |job| {
                job.step = Step::Placed;
                job.at = None;
            })
            .await?;
        Ok(Go::On)
    }

    /// The provider does not know the torrent.
    async fn lost(&mut self, job: &Arc<Job>, at: &AtProvider) -> Outcome {
        self.missing += 1;
        if self.missing < 2 {
            let words = format!("{} does not know the torrent", at.provider);
            return Err(Trouble::Later(words, Duration::ZERO));
        }
        if at.ours && job.adding.is_some() {
            return Err(Trouble::Hopeless(
                "the torrent was deleted from the account".to_owned(),
            ));
        }
        // Somebody else's, or that of an earlier grab, which was gone by the time it was needed.
        self.shared.library.look_now();
        self.another(job, at).await
    }

    async fn again(&self, job: &Arc<Job>) -> Outcome {
        self.shared
            .update(job.id(), |job| {
                job.step = Step::Placed;
                job.forget_route();
            })
            .await?;
        Ok(Go::On)
    }

    /// Waits until the library shows it, and reads head and tail of every wanted file.
    async fn show(&mut self, job: &Arc<Job>) -> Outcome {
        let library = &self.shared.library;
        library.look_now();
        let shown = match library.shown(job.hash).await {
            Some(shown) if shown.bad.is_none() && shown.unsettled.is_none() => shown,
            Some(Shown {
                unsettled: Some(words),
                ..
            }) => {
                // However long that takes: it says nothing of the release.
                self.shared
                    .live(job.id(), |live| live.trouble = Some(words));
                let _ = timeout(LOOK_AGAIN, library.changed()).await;
                return Ok(Go::On);
            }
            other => return self.unshown(job, other.and_then(|shown| shown.bad)).await,
        };
        let (shared, known) = (self.shared.clone(), job.clone());
        let files = move || files_of(&shared.config, &known, &shown);
        let files = self.shared.whole(job.hash, files).await;
        let mut files = files.map_err(|words| Trouble::Condemned(Evidence::Unwanted, words))?;
        // Which ones are missing cannot be told by their paths, as a layout may change these.
        let wanted = |files: &[JobFile]| files.iter().filter(|file| file.wanted).count();
        if wanted(&files) < wanted(&job.files) {
            return self.unshown(job, None).await;
        }
        let dead = match self.probe(job.hash, &files).await {
            Ok(dead) => dead,
            Err(Unread::Not(trouble)) => return Err(trouble),
            Err(Unread::Refused(words)) => return self.unreadable(job, words).await,
        };
        self.shared
            .update(job.id(), move |job| {
                job.step = Step::Probed;
                job.reason = left_out::of(&mut files, &dead);
                job.files = files;
            })
            .await?;
        self.shared.at("probed");
        Ok(Go::On)
    }

    /// A file without which the release is nothing cannot be read. A provider that refuses its name says so of links to what
    /// it holds, too: that is asked once, and says nothing of the release.
    async fn unreadable(&mut self, job: &Arc<Job>, words: String) -> Outcome {
        let at = job.at.as_ref();
        let by_name = at.filter(|at| {
            let provider = self.shared.provider(&at.provider);
            provider.is_some_and(|one| is_refused_by_name(one.as_ref(), job, None))
        });
        match by_name {
            Some(at) => {
                let words = format!(
                    "{words}; {} refuses its name, whatever it holds",
                    at.provider
                );
                self.condemned(job, at, Refusal::Blocked, words).await
            }
            None => Err(self.refused(words)),
        }
    }

    /// What is ready does not show yet, or not all of it, or it shows as `bad`.
    async fn unshown(&mut self, job: &Arc<Job>, bad: Option<String>) -> Outcome {
        let limit = if bad.is_some() { BAD_FOR } else { SHOWN_WITHIN };
        if self.elapsed_since(job.changed) >= limit {
            return Err(match bad {
                Some(reason) => Trouble::Condemned(Evidence::Unservable, reason),
                None => Trouble::Hopeless(
                    "it never showed in the library with all its files".to_owned(),
                ),
            });
        }
        // Whether it changed or not, it is asked again.
        let _ = timeout(LOOK_AGAIN, self.shared.library.changed()).await;
        Ok(Go::On)
    }

    /// Reads head and tail of the wanted ones of `files`. Returns those that are dead, with the words
    /// for it, and that the release can do without.
    async fn probe(
        &mut self,
        hash: InfoHash,
        files: &[JobFile],
    ) -> Result<BTreeMap<String, String>, Unread> {
        let mut probes = tokio::task::JoinSet::new();
        let mut left = left_out::deciding_first(files).into_iter();
        let mut dead = BTreeMap::new();
        loop {
            while probes.len() < PROBES
                && let Some((decides, path)) = left.next()
            {
                let (library, path) = (self.shared.library.clone(), path.to_owned());
                probes.spawn(async move {
                    let outcome = library.probe(hash, &path).await;
                    (decides, path, outcome)
                });
            }
            match probes.join_next().await {
                None => break,
                Some(Ok((.., Ok(())))) => {}
                Some(Ok((decides, path, Err(ProbeError::Refused(why))))) => {
                    let words = format!("{path} cannot be read: {why}");
                    if decides {
                        return Err(Unread::Refused(words));
                    }
                    dead.insert(path, words);
                }
                Some(Ok((_, path, Err(ProbeError::NoAnswer(why))))) => {
                    let words = format!("{path} cannot be read yet: {why}");
                    return Err(Unread::Not(Trouble::Later(words, Duration::ZERO)));
                }
                Some(Err(_)) => {
                    let words = "a probe ended".to_owned();
                    return Err(Unread::Not(Trouble::Later(words, Duration::ZERO)));
                }
            }
        }
        if let Some(words) = dead.values().next() {
            self.refused_lesser(words.clone()).map_err(Unread::Not)?;
        }
        Ok(dead)
    }
}

/// Files and name of `job` as the provider tells them, if that is new.
fn told_of(
    config: &AcquireConfig,
    job: &Job,
    info: &TorrentInfo,
) -> Option<(Vec<JobFile>, String)> {
    let paths = info.files.iter().map(|file| (&*file.path, file.bytes));
    let wanted = config.filter_of(&job.category).choose(paths);
    let files = info.files.iter().zip(wanted).map(|(file, wanted)| {
        let path = file.path.trim_start_matches('/').to_owned();
        JobFile {
            wanted: wanted && !job.unwanted.contains(&path),
            bytes: file.bytes,
            path,
        }
    });
    let files: Vec<JobFile> = files.collect();
    let told = [&info.original_filename, &info.summary.filename];
    let name = told.into_iter().find(|name| !name.trim().is_empty());
    let name = name
        .filter(|_| job.name == job.hash.to_string())
        .map_or_else(|| job.name.clone(), |name| shortened(name.trim()));
    let is_new = !files.is_empty() && (files != job.files || name != job.name);
    is_new.then_some((files, name))
}

/// The provider's numbers of the files that `job` wants, or why there are none.
fn chosen_of(config: &AcquireConfig, job: &Job, info: &TorrentInfo) -> Result<Vec<u32>, String> {
    let paths = info.files.iter().map(|file| (&*file.path, file.bytes));
    let wanted = config.filter_of(&job.category).choose(paths);
    let files = info.files.iter().zip(wanted);
    let wanted = files.filter(|(file, wanted)| {
        *wanted && !job.unwanted.contains(file.path.trim_start_matches('/'))
    });
    let ids: Vec<u32> = wanted.map(|(file, _)| file.id).collect();
    match ids.is_empty() {
        true => Err(filter::why_none(info.files.iter().map(|file| &*file.path))),
        false => Ok(ids),
    }
}

/// Wanted files of `job` that are not selected in its torrent.
fn unselected(config: &AcquireConfig, job: &Job, info: &TorrentInfo) -> Vec<String> {
    let paths = info.files.iter().map(|file| (&*file.path, file.bytes));
    let wanted = config.filter_of(&job.category).choose(paths);
    let files = info.files.iter().zip(wanted);
    let missing = files.filter(|(file, wanted)| *wanted && !file.selected);
    let paths = missing.map(|(file, _)| file.path.trim_start_matches('/').to_owned());
    paths.filter(|path| !job.unwanted.contains(path)).collect()
}

/// The files of `job` as they are shown, or why none of them is wanted.
fn files_of(config: &AcquireConfig, job: &Job, shown: &Shown) -> Result<Vec<JobFile>, String> {
    let paths = shown
        .files
        .iter()
        .map(|file| (&*file.in_torrent, file.bytes));
    let wanted = config.filter_of(&job.category).choose(paths);
    let unwanted = |file: &ShownFile| {
        let mut names = [&file.path, &file.in_torrent].into_iter();
        names.any(|name| job.unwanted.contains(name))
    };
    let files = shown
        .files
        .iter()
        .zip(wanted)
        .map(|(file, wanted)| JobFile {
            path: file.path.clone(),
            bytes: file.bytes,
            wanted: wanted && !unwanted(file),
        });
    let files: Vec<JobFile> = files.collect();
    match files.iter().any(|file| file.wanted) {
        true => Ok(files),
        false => Err(filter::why_none(files.iter().map(|file| &*file.path))),
    }
}

/// The provider has all of it.
fn ready(job: &mut Job) {
    job.step = Step::Ready;
    if let Some(at) = &mut job.at
        && at.chosen == Some(Chosen::Trial)
    {
        at.chosen = Some(Chosen::Cached);
    }
}

pub(crate) fn is_dead(status: &TorrentStatus) -> bool {
    use TorrentStatus::{Dead, Error, MagnetError, Virus};
    matches!(status, MagnetError | Error | Virus | Dead)
}

fn is_under_way(status: &TorrentStatus) -> bool {
    use TorrentStatus::{Compressing, Downloading, MagnetConversion, Queued, Uploading};
    matches!(
        status,
        MagnetConversion | Queued | Downloading | Compressing | Uploading
    )
}
