//! The queue in memory and its store: what is shown was stored first.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use debridfs_provider::{InfoHash, Provider};
use jiff::Timestamp;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, Semaphore};

use crate::job::Live;
use crate::pace::{FILES, Pace};
use crate::store::{CategoryRow, Change, Store, Stored};
use crate::trash::Deletion;
use crate::{AcquireConfig, Error, Job, Library, Result};

/// Removals that are remembered for those who ask what has changed.
const GONE_KEPT: usize = 10_000;

/// The store, held by one change at a time.
type Guard = OwnedMutexGuard<Store>;

/// The queue as it is now.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) jobs: HashMap<InfoHash, Arc<Job>>,
    /// Folders of categories by name.
    pub(crate) categories: BTreeMap<String, String>,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) deletions: Vec<Deletion>,
    /// Grows with every change.
    pub(crate) revision: u64,
    /// What it was at the start: a number below is of an earlier run.
    pub(crate) first_revision: u64,
    /// Removed jobs with the revision of their removal, oldest first.
    pub(crate) gone: VecDeque<(u64, InfoHash)>,
}

/// What all parts share.
pub(crate) struct Shared {
    pub(crate) config: AcquireConfig,
    pub(crate) library: Arc<dyn Library>,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) providers: Vec<Arc<dyn Provider>>,
    memory: RwLock<Memory>,
    store: Arc<Mutex<Store>>,
    /// Told when there may be something to do.
    pub(crate) wake: Notify,
    /// Told when a deletion is owed.
    pub(crate) owed: Notify,
    /// Told when a job was settled.
    pub(crate) settled: Notify,
    /// Files that may be fetched now.
    pub(crate) fetching: Semaphore,
    /// How fast.
    pub(crate) pace: Pace,
}

impl Shared {
    pub(crate) fn new(
        config: AcquireConfig,
        library: Arc<dyn Library>,
        provider: Arc<dyn Provider>,
        providers: Vec<Arc<dyn Provider>>,
        store: Store,
        stored: Stored,
    ) -> Self {
        // Larger than any number of an earlier run, as a queue changes less than once a second on the whole.
        let revision = u64::try_from(config.clock.now().as_second()).unwrap_or(0);
        let mut memory = Memory {
            tags: stored.tags.into_iter().collect(),
            deletions: stored
                .deletions
                .into_iter()
                .map(|owed| owed.at_most(config.trash_time))
                .collect(),
            revision,
            first_revision: revision,
            ..Memory::default()
        };
        for CategoryRow { name, save_path } in stored.categories {
            memory.categories.insert(name, save_path);
        }
        for name in config.categories.keys() {
            memory.categories.entry(name.clone()).or_default();
        }
        for mut job in stored.jobs {
            job.live.revision = revision;
            memory.jobs.insert(job.hash, Arc::new(job));
        }
        Self {
            fetching: Semaphore::new(FILES),
            pace: Pace::new(config.download_rate),
            config,
            library,
            provider,
            providers,
            memory: RwLock::new(memory),
            store: Arc::new(Mutex::new(store)),
            wake: Notify::new(),
            owed: Notify::new(),
            settled: Notify::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.config.clock.now()
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read()
    }

    fn change(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write()
    }

    pub(crate) fn job(&self, hash: InfoHash) -> Option<Arc<Job>> {
        self.read().jobs.get(&hash).cloned()
    }

    pub(crate) fn provider(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.providers
            .iter()
            .find(|provider| provider.name() == name)
    }

    pub(crate) fn at(&self, point: &'static str) {
        (self.config.checkpoint)(point);
    }

    /// Lets `plan` look at the queue, stores the changes it wants, and then shows them. No other change comes in between, and one
    /// that was begun is ended, also when its caller goes away.
    pub(crate) async fn transact<T: Send + 'static>(
        self: &Arc<Self>,
        plan: impl FnOnce(&Memory) -> Result<(Vec<Change>, T)> + Send + 'static,
    ) -> Result<T> {
        let shared = self.clone();
        let done = tokio::spawn(async move {
            let store = shared.store.clone().lock_owned().await;
            let (changes, value) = plan(&shared.read())?;
            if !changes.is_empty() {
                // The store stays held until the change can be seen.
                let (_store, changes) = shared.write(store, changes).await?;
                shared.apply(changes);
                shared.wake.notify_one();
            }
            Ok(value)
        });
        done.await.unwrap_or_else(|_| Err(self.stopping()))
    }

    /// Writes `changes` on the blocking pool and gives them back: jobs are turned into text by the thousand, and a paused clock
    /// waits for that pool, as it would not for the database's own thread.
    async fn write(&self, mut store: Guard, changes: Vec<Change>) -> Result<(Guard, Vec<Change>)> {
        let runtime = Handle::current();
        let written = tokio::task::spawn_blocking(move || {
            let outcome = runtime.block_on(store.write(&changes));
            outcome.map(|()| (store, changes))
        });
        written.await.map_err(|_| self.stopping())?
    }

    fn stopping(&self) -> Error {
        Error::Store {
            path: self.config.store.clone(),
            message: "the program is stopping".to_owned(),
        }
    }

    /// Changes one job; `None` when it is gone.
    pub(crate) async fn update(
        self: &Arc<Self>,
        hash: InfoHash,
        change: impl FnOnce(&mut Job) + Send + 'static,
    ) -> Result<Option<Arc<Job>>> {
        let now = self.now();
        self.transact(move |memory| {
            let Some(job) = memory.jobs.get(&hash) else {
                return Ok((Vec::new(), ()));
            };
            let mut job = Job::clone(job);
            change(&mut job);
            job.changed = now;
            Ok((vec![Change::Job(Box::new(job))], ()))
        })
        .await?;
        Ok(self.job(hash))
    }

    /// Changes what is not stored of a job.
    pub(crate) fn live(&self, hash: InfoHash, change: impl FnOnce(&mut Live)) {
        let mut memory = self.change();
        let revision = memory.revision + 1;
        let Some(job) = memory.jobs.get_mut(&hash) else {
            return;
        };
        let mut live = job.live.clone();
        change(&mut live);
        if live != job.live {
            live.revision = revision;
            Arc::make_mut(job).live = live;
            memory.revision = revision;
        }
    }

    /// What the job was made of.
    pub(crate) async fn source(&self, hash: InfoHash) -> Result<Option<crate::Source>> {
        let mut store = self.store.clone().lock_owned().await;
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || runtime.block_on(store.source(hash)))
            .await
            .map_err(|_| self.stopping())?
    }

    /// The folder of a category.
    pub(crate) fn folder(&self, memory: &Memory, category: &str) -> PathBuf {
        let rule = self.config.categories.get(category);
        if let Some(folder) = rule.and_then(|rule| rule.folder.as_ref()) {
            return folder.clone();
        }
        match memory.categories.get(category).map(String::as_str) {
            // Joining an absolute path gives that path.
            Some(path) if !path.is_empty() => self.config.downloads.join(path),
            _ if category.is_empty() => self.config.downloads.clone(),
            _ => self.config.downloads.join(category),
        }
    }

    fn apply(&self, changes: Vec<Change>) {
        let mut guard = self.change();
        let memory = &mut *guard;
        for change in changes {
            memory.revision += 1;
            match change {
                Change::Job(mut job) => {
                    if let Some(before) = memory.jobs.get(&job.hash) {
                        job.live = before.live.clone();
                        if before.step != job.step {
                            job.live.trouble = None;
                            if job.step.is_settled() {
                                self.settled.notify_one();
                            }
                        }
                    }
                    job.live.revision = memory.revision;
                    memory.jobs.insert(job.hash, Arc::new(*job));
                }
                Change::Gone(hash) => {
                    memory.jobs.remove(&hash);
                    memory.gone.push_back((memory.revision, hash));
                    if memory.gone.len() > GONE_KEPT
                        && let Some((revision, _)) = memory.gone.pop_front()
                    {
                        memory.first_revision = revision;
                    }
                }
                Change::Category(row) => {
                    memory.categories.insert(row.name, row.save_path);
                }
                Change::CategoryGone(name) => {
                    memory.categories.remove(&name);
                }
                Change::Tag(name) => {
                    memory.tags.insert(name);
                }
                Change::TagGone(name) => {
                    memory.tags.remove(&name);
                }
                Change::Owed(owed) => {
                    memory.deletions.retain(|one| {
                        (&one.provider, &one.torrent) != (&owed.provider, &owed.torrent)
                    });
                    memory.deletions.push(owed);
                    self.owed.notify_one();
                }
                Change::Paid(provider, torrent) => memory
                    .deletions
                    .retain(|one| one.provider != provider || one.torrent != torrent),
                Change::Source(..) => {}
            }
        }
    }
}
