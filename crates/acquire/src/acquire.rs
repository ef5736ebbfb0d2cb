//! The queue as fronts and the program see it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use debridfs_base::volume::Volume;
use debridfs_provider::{InfoHash, Provider};
use tokio_util::sync::CancellationToken;

use crate::job::Live;
use crate::labels::check_category;
use crate::release::shortened;
use crate::shared::Shared;
use crate::space::Space;
use crate::store::{CategoryRow, Change, Store};
use crate::whole_job::whole_job;
use crate::{
    AcquireConfig, Error, Job, JobFile, JobId, Library, Release, ReleaseError, Result, Selection,
    ShareLimits, Step, drive,
};

/// How an arr wants a release done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddOptions {
    /// Its category; made if it is not there.
    pub category: String,
    /// The URL of the arr that asks, when its login tells.
    pub owner: Option<String>,
    /// The caller learns of a failure from a history, as arrs do from SABnzbd's.
    pub reads_failures: bool,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Another name than the one in the magnet or file.
    pub name: Option<String>,
    /// Not to be begun yet.
    pub stopped: bool,
    /// To be begun before all others, whatever `stopped` says.
    pub forced: bool,
    /// To be begun before those that wait.
    pub first: bool,
    /// A folder below the downloads folder, in place of the category's.
    pub save_path: Option<PathBuf>,
    /// Limits of sharing.
    pub limits: ShareLimits,
    /// Shown again, of no consequence.
    pub sequential: bool,
    /// As `sequential`.
    pub first_last: bool,
}

/// What became of a release that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// A job of its own.
    New,
    /// It had been asked for in this category, and is again.
    Known,
}

/// Where in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Before all others.
    First,
    /// Before the one that is before it.
    Sooner,
    /// Behind the one that is behind it.
    Later,
    /// Behind all others.
    Last,
}

/// How the queue does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueStatus {
    /// Jobs by step, in the order of [`Step::ALL`].
    pub jobs: Vec<(Step, u64)>,
    /// Unfinished jobs with something in their way.
    pub troubled: u64,
    /// Torrents that are still to be deleted from accounts.
    pub deletions: u64,
}

/// The queue of downloads.
pub struct Acquire {
    pub(crate) shared: Arc<Shared>,
}

impl std::fmt::Debug for Acquire {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Acquire")
            .field("store", &self.shared.config.store)
            .finish_non_exhaustive()
    }
}

impl Acquire {
    /// Opens the store; goes on with nothing before [`Self::run`].
    ///
    /// # Errors
    /// [`Error::NoProvider`], [`Error::NewerSchema`], and [`Error::Store`] when the file cannot be used.
    pub async fn open(
        config: AcquireConfig,
        providers: Vec<Arc<dyn Provider>>,
        library: Arc<dyn Library>,
    ) -> Result<Arc<Self>> {
        if providers.is_empty() {
            return Err(Error::NoProvider("at all".to_owned()));
        }
        let rules = config.categories.values();
        let orders = rules.filter_map(|rule| rule.order.as_ref());
        let named = orders.chain([&config.order]).flatten();
        let unknown = |name: &&String| !providers.iter().any(|one| one.name() == *name);
        if let Some(name) = named.into_iter().find(unknown) {
            return Err(Error::NoProvider(name.clone()));
        }
        let (path, now) = (config.store.clone(), config.clock.now());
        let runtime = tokio::runtime::Handle::current();
        let opening = move || runtime.block_on(Store::open(&path, now));
        let opened = Volume::state().run(&config.store, opening).await;
        let (store, stored) = opened.map_err(|silent| Error::Store {
            path: config.store.clone(),
            message: silent.to_string(),
        })??;
        let shared = Shared::new(config, library, providers, store, stored);
        Ok(Arc::new(Self {
            shared: Arc::new(shared),
        }))
    }

    /// Goes on with jobs until `shutdown`. To be called once, and again after a panic.
    ///
    /// # Panics
    /// With the panic of a task that is not one job's.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        drive::run(self.shared.clone(), shutdown).await;
    }

    /// How it was configured.
    pub fn config(&self) -> &AcquireConfig {
        &self.shared.config
    }

    /// Room in the downloads folder as last measured; none while it was never told, as tools refuse to add anything then.
    pub(crate) fn space(&self) -> Space {
        self.shared.disks.space().unwrap_or_default()
    }

    /// Reads a `.torrent`, beside the runtime's threads.
    ///
    /// # Errors
    /// As [`Release::from_torrent`].
    pub async fn read_torrent(bytes: Bytes) -> std::result::Result<Release, ReleaseError> {
        whole_job(move || Release::from_torrent(bytes)).await
    }

    /// The folders that jobs are put in, each with its volume: those of categories only where they lie outside the first one.
    pub fn volumes(&self) -> Vec<(PathBuf, Volume)> {
        let all = self.shared.disks.all();
        all.map(|(folder, volume)| (folder.to_owned(), volume.clone()))
            .collect()
    }

    /// Tries in each folder that jobs are put in whether something can be made there; those that are
    /// missing are made, but for categories' below the downloads folder. A volume that does not answer
    /// is left out, as it shows by itself.
    pub async fn try_folders(&self) -> Vec<(PathBuf, io::Result<()>)> {
        let disks = &self.shared.disks;
        let mut folders: Vec<(PathBuf, bool)> = disks
            .all()
            .map(|(folder, _)| (folder.to_owned(), true))
            .collect();
        let categories = self.categories();
        let below = categories
            .keys()
            .map(|category| (self.folder(category), false));
        folders.extend(below);
        folders.sort();
        folders.dedup_by(|one, before| one.0 == before.0);
        let mut tried = Vec::new();
        for (folder, make) in folders {
            let (config, path) = (self.shared.config.clone(), folder.clone());
            let work = move || config.spot(&path)?.try_out(make);
            if let Ok(done) = disks.volume(&folder).run(&folder, work).await {
                tried.push((folder, done));
            }
        }
        tried
    }

    /// All jobs, oldest first.
    pub fn jobs(&self) -> Vec<Arc<Job>> {
        let mut jobs: Vec<Arc<Job>> = self.shared.read().jobs.values().cloned().collect();
        jobs.sort_by_key(|job| (job.added, job.id()));
        jobs
    }

    /// The first request of a release.
    pub fn job(&self, hash: InfoHash) -> Option<Arc<Job>> {
        self.shared.read().of(hash).next().cloned()
    }

    /// All that `selection` means.
    pub fn select(&self, selection: &Selection) -> Vec<Arc<Job>> {
        let memory = self.shared.read();
        memory.meant(selection).into_iter().cloned().collect()
    }

    /// A number that grows with every change, also over a restart.
    pub fn revision(&self) -> u64 {
        self.shared.read().revision
    }

    /// Releases of which the last job went after revision `since`; `None` when that is not known any more, or was never a revision.
    pub fn gone_since(&self, since: u64) -> Option<Vec<InfoHash>> {
        let memory = self.shared.read();
        if since < memory.first_revision || since > memory.revision {
            return None;
        }
        let later = memory.gone.iter().filter(|(at, _)| *at > since);
        Some(
            later
                .map(|(_, hash)| *hash)
                .filter(|hash| memory.of(*hash).next().is_none())
                .collect(),
        )
    }

    /// Categories and the folders they were given; an empty one is below the downloads folder.
    pub fn categories(&self) -> BTreeMap<String, String> {
        let memory = self.shared.read();
        let mut categories = memory.categories.clone();
        for (name, rule) in &self.shared.config.categories {
            if let Some(folder) = &rule.folder {
                categories.insert(name.clone(), folder.display().to_string());
            }
        }
        categories
    }

    /// The folder of a category, existing or not.
    pub fn folder(&self, category: &str) -> PathBuf {
        self.shared.folder(&self.shared.read(), category)
    }

    /// All tags.
    pub fn tags(&self) -> BTreeSet<String> {
        self.shared.read().tags.clone()
    }

    /// How the queue does.
    pub fn status(&self) -> QueueStatus {
        let memory = self.shared.read();
        let count = |step| memory.jobs.values().filter(|job| job.step == step).count() as u64;
        let troubled = |job: &&Arc<Job>| !job.step.is_settled() && job.live.trouble.is_some();
        QueueStatus {
            jobs: Step::ALL.map(|step| (step, count(step))).to_vec(),
            troubled: memory.jobs.values().filter(troubled).count() as u64,
            deletions: memory.deletions.len() as u64,
        }
    }

    /// Adds a release; it is on the disk when this returns. A known release is not added twice: a failed job begins anew, a
    /// complete one goes through its steps again and makes what is missing. One that is known in another category, or to another arr,
    /// is a request of its own over the same torrent.
    ///
    /// # Errors
    /// [`Error::BadCategory`] for a category or save path that cannot be, [`Error::Store`].
    pub async fn add(&self, release: Release, options: AddOptions) -> Result<Added> {
        if !options.category.is_empty() {
            check_category(&options.category)?;
        }
        let save_path = match &options.save_path {
            Some(path) => Some(self.inside(path)?),
            None => None,
        };
        let shared = self.shared.clone();
        let now = shared.now();
        let added = self
            .shared
            .transact(move |memory| {
                let mut changes = Vec::new();
                if !options.category.is_empty()
                    && !memory.categories.contains_key(&options.category)
                {
                    changes.push(Change::Category(CategoryRow {
                        name: options.category.clone(),
                        save_path: String::new(),
                    }));
                }
                let tags = options
                    .tags
                    .iter()
                    .filter(|tag| !memory.tags.contains(*tag));
                changes.extend(tags.cloned().map(Change::Tag));
                let mut fresh = shared.new_job(memory, &release, &options, save_path, now);
                let owner = options.owner.as_deref();
                let before = memory.same_request(release.hash, &options.category, owner);
                let added = match before {
                    None => Added::New,
                    Some(before) if before.step == Step::Failed => {
                        (fresh.added, fresh.nth) = (before.added, before.nth);
                        fresh.at.clone_from(&before.at);
                        Added::Known
                    }
                    Some(before) => {
                        fresh = asked_again(before, &options, now);
                        Added::Known
                    }
                };
                if before.is_some_and(|before| **before == fresh) {
                    return Ok((changes, added));
                }
                changes.push(Change::Source(release.hash, release.source));
                changes.push(Change::Job(Box::new(fresh)));
                Ok((changes, added))
            })
            .await?;
        self.shared.at("accepted");
        Ok(added)
    }

    /// Changes the jobs of `selection`, all or none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn edit(
        &self,
        selection: Selection,
        change: impl Fn(&mut Job) + Send + 'static,
    ) -> Result<()> {
        let now = self.shared.now();
        self.shared
            .transact(move |memory| {
                let mut changes = Vec::new();
                for before in memory.meant(&selection) {
                    let mut job = Job::clone(before);
                    change(&mut job);
                    if job != **before {
                        job.changed = now;
                        changes.push(Change::Job(Box::new(job)));
                    }
                }
                Ok((changes, ()))
            })
            .await
    }

    /// Does jobs again from where their files are read: for links that are gone, and for those that failed.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn recheck(&self, selection: Selection) -> Result<()> {
        self.edit(selection, |job| match job.step {
            Step::Complete | Step::Probed => job.step = Step::Ready,
            Step::Failed => {
                job.step = Step::Placed;
                job.reason = None;
                job.evidence = None;
                job.told = None;
                job.forget_route();
            }
            Step::Placed | Step::Waiting | Step::Ready => {}
        })
        .await
    }

    /// Moves jobs that are not complete in the queue, keeping their order among each other.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn reorder(&self, selection: Selection, to: Move) -> Result<()> {
        self.shared
            .transact(move |memory| {
                let mut queue: Vec<&Arc<Job>> = memory
                    .jobs
                    .values()
                    .filter(|job| job.step != Step::Complete)
                    .collect();
                queue.sort_by_key(|job| (job.position, job.added));
                let positions: Vec<i64> = queue.iter().map(|job| job.position).collect();
                let meant: HashSet<JobId> = memory
                    .meant(&selection)
                    .iter()
                    .map(|job| job.id())
                    .collect();
                let meant = |job: &&Arc<Job>| meant.contains(&job.id());
                match to {
                    Move::First => queue.sort_by_key(|job| !meant(job)),
                    Move::Last => queue.sort_by_key(meant),
                    Move::Sooner => {
                        for at in 1..queue.len() {
                            if meant(&queue[at]) && !meant(&queue[at - 1]) {
                                queue.swap(at, at - 1);
                            }
                        }
                    }
                    Move::Later => {
                        for at in (1..queue.len()).rev() {
                            if meant(&queue[at - 1]) && !meant(&queue[at]) {
                                queue.swap(at, at - 1);
                            }
                        }
                    }
                }
                let moved = positions.into_iter().zip(queue);
                let moved = moved.filter(|(position, job)| job.position != *position);
                let changes = moved.map(|(position, job)| {
                    let mut job = Job::clone(job);
                    job.position = position;
                    Change::Job(Box::new(job))
                });
                Ok((changes.collect(), ()))
            })
            .await
    }

    /// `path` made absolute below the downloads folder.
    pub(crate) fn inside(&self, path: &Path) -> Result<PathBuf> {
        let whole = self.shared.config.downloads.join(path);
        let plain = whole
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::RootDir));
        let configured = self.shared.config.categories.values();
        let mut roots = configured
            .filter_map(|rule| rule.folder.as_ref())
            .chain([&self.shared.config.downloads]);
        match plain && roots.any(|root| whole.starts_with(root)) {
            true => Ok(whole),
            false => Err(Error::BadCategory(path.display().to_string())),
        }
    }
}

impl Shared {
    fn new_job(
        &self,
        memory: &crate::shared::Memory,
        release: &Release,
        options: &AddOptions,
        save_path: Option<PathBuf>,
        now: jiff::Timestamp,
    ) -> Job {
        let rule = self.config.categories.get(&options.category);
        let positions = memory.jobs.values().map(|job| job.position);
        let position = match options.first {
            true => positions.min().unwrap_or(0).saturating_sub(1),
            false => positions.max().unwrap_or(0).saturating_add(1),
        };
        let paths = release.files.iter().map(|(path, bytes)| (&**path, *bytes));
        let wanted = self.config.filter_of(&options.category).choose(paths);
        let files = release.files.iter().zip(wanted);
        Job {
            hash: release.hash,
            nth: memory.next_nth(release.hash),
            owner: options.owner.clone(),
            reads_failures: options.reads_failures,
            name: shortened(options.name.as_deref().unwrap_or(&release.name)),
            category: options.category.clone(),
            tags: options.tags.clone(),
            trackers: release.trackers.clone(),
            added: now,
            changed: now,
            step: Step::Placed,
            reason: None,
            evidence: None,
            told: None,
            save_path: save_path.unwrap_or_else(|| self.folder(memory, &options.category)),
            action: rule
                .and_then(|rule| rule.action)
                .unwrap_or(self.config.action),
            uncached: rule
                .and_then(|rule| rule.uncached)
                .unwrap_or(self.config.uncached),
            adding: None,
            adding_at: None,
            at: None,
            kept: None,
            passed: Vec::new(),
            blocked: false,
            selected: None,
            completed: None,
            files: files
                .map(|((path, bytes), wanted)| JobFile {
                    path: path.trim_start_matches('/').to_owned(),
                    bytes: *bytes,
                    wanted,
                })
                .collect(),
            unwanted: BTreeSet::new(),
            fetched: BTreeMap::new(),
            content: None,
            stopped: options.stopped,
            forced: options.forced,
            position,
            sequential: options.sequential,
            first_last: options.first_last,
            limits: options.limits,
            live: Live::default(),
        }
    }
}

/// What `before`, a job that has not failed, becomes when somebody asks for the release again.
fn asked_again(before: &Job, options: &AddOptions, now: jiff::Timestamp) -> Job {
    let mut job = before.clone();
    job.tags.extend(options.tags.iter().cloned());
    if options.owner.is_some() {
        job.owner.clone_from(&options.owner);
    }
    job.reads_failures |= options.reads_failures;
    if job.step == Step::Complete {
        // What is missing is made: the torrent, its files, or what was put in place, which whoever imported it may have moved away.
        job.step = Step::Placed;
        job.reason = None;
        job.adding = None;
        job.adding_at = None;
        job.passed.clear();
        job.selected = None;
        job.stopped = options.stopped;
        job.changed = now;
    }
    job
}
