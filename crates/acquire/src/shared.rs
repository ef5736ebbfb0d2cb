//! The queue in memory and its store: what is shown was stored first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use debridfs_base::volume::{NoAnswer, Volume};
use debridfs_provider::{InfoHash, Provider};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use crate::full::Full;
use crate::in_hand::InHand;
use crate::job::Live;
use crate::pace::{FILES, Pace};
use crate::space::Disks;
use crate::store::{CategoryRow, Change, Store, Stored};
use crate::trash::Deletion;
use crate::turns::Turns;
use crate::whole_job::whole_job;
use crate::{AcquireConfig, Error, Job, JobId, Library, Result};

/// Removals that are remembered for those who ask what has changed.
const GONE_KEPT: usize = 10_000;

/// The queue as it is now.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) jobs: BTreeMap<JobId, Arc<Job>>,
    /// Folders of categories by name.
    pub(crate) categories: BTreeMap<String, String>,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) deletions: Vec<Deletion>,
    /// Grows with every change.
    pub(crate) revision: u64,
    /// What it was at the start: a number below is of an earlier run.
    pub(crate) first_revision: u64,
    /// Releases of removed jobs with the revision of their removal, oldest first.
    pub(crate) gone: VecDeque<(u64, InfoHash)>,
}

/// What all parts share.
pub(crate) struct Shared {
    pub(crate) config: AcquireConfig,
    pub(crate) library: Arc<dyn Library>,
    pub(crate) providers: Vec<Arc<dyn Provider>>,
    memory: RwLock<Memory>,
    /// Held by one change at a time, on a thread of its volume.
    store: Mutex<Store>,
    /// What jobs are put on.
    pub(crate) disks: Disks,
    in_hand: Arc<InHand>,
    /// Jobs that ended the engine, until they are stopped.
    pub(crate) guilty: Mutex<Vec<InfoHash>>,
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
    /// Whose torrent is being looked for or added.
    pub(crate) adding: Turns,
    /// Whose slots are taken.
    pub(crate) full: Full,
}

impl Shared {
    pub(crate) fn new(
        config: AcquireConfig,
        library: Arc<dyn Library>,
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
            memory.jobs.insert(job.id(), Arc::new(job));
        }
        let (in_hand, guilty) = InHand::load(config.in_hand.as_deref(), config.clock.now());
        let shared = Self {
            disks: Disks::of(&config),
            in_hand: Arc::new(in_hand),
            guilty: Mutex::new(guilty),
            fetching: Semaphore::new(FILES),
            pace: Pace::new(config.download_rate),
            adding: Turns::default(),
            config,
            library,
            providers,
            full: Full::default(),
            memory: RwLock::new(memory),
            store: Mutex::new(store),
            wake: Notify::new(),
            owed: Notify::new(),
            settled: Notify::new(),
        };
        shared.place_again();
        shared
    }

    /// Gives jobs that are not in place yet the folder of their category, where their own could not be read, or lies in no
    /// configured one any more: `acquire.downloads` was corrected.
    fn place_again(&self) {
        let mut memory = self.change();
        let lost = |job: &&Arc<Job>| {
            let unreadable = job.save_path.as_os_str().is_empty();
            unreadable || (job.content.is_none() && self.config.spot(&job.save_path).is_err())
        };
        let jobs = memory.jobs.values().filter(lost);
        for mut job in jobs.cloned().collect::<Vec<_>>() {
            let folder = self.folder(&memory, &job.category);
            if !job.save_path.as_os_str().is_empty() {
                tracing::info!(from = %job.save_path.display(), to = %folder.display(), name = job.name, "a download follows the setting");
            }
            Arc::make_mut(&mut job).save_path = folder;
            memory.jobs.insert(job.id(), job);
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

    pub(crate) fn job(&self, id: JobId) -> Option<Arc<Job>> {
        self.read().jobs.get(&id).cloned()
    }

    pub(crate) fn provider(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.providers
            .iter()
            .find(|provider| provider.name() == name)
    }

    /// Who is asked for a release of `category`, by name and in this order.
    pub(crate) fn order_of(&self, category: &str) -> Vec<String> {
        let own = self.config.categories.get(category);
        let own = own.and_then(|rule| rule.order.as_ref());
        match own.unwrap_or(&self.config.order) {
            order if order.is_empty() => {
                let all = self.providers.iter();
                all.map(|provider| provider.name().to_owned()).collect()
            }
            order => order.clone(),
        }
    }

    pub(crate) fn at(&self, point: &'static str) {
        (self.config.checkpoint)(point);
    }

    /// Lets `plan` look at the queue, stores the changes it wants, and then shows them. No other change comes in between, and one
    /// that was begun is ended, also when its caller goes away, or is told that the store's volume does not answer.
    pub(crate) async fn transact<T: Send + 'static>(
        self: &Arc<Self>,
        plan: impl FnOnce(&Memory) -> Result<(Vec<Change>, T)> + Send + 'static,
    ) -> Result<T> {
        let shared = self.clone();
        let done = tokio::spawn(async move {
            let (runtime, owner) = (Handle::current(), shared.clone());
            // There, as jobs are copied and turned into text by the thousand, files and all; and a paused clock waits for such a
            // thread, as it would not for the database's own.
            let done = Volume::state().run(&shared.config.store, move || {
                let mut store = owner.store.lock();
                let (changes, value) = plan(&owner.read())?;
                if !changes.is_empty() {
                    runtime.block_on(store.write(&changes))?;
                    // The store stays held until the change can be seen.
                    owner.apply(changes);
                    owner.wake.notify_one();
                }
                Ok(value)
            });
            done.await.map_err(|error| shared.no_store(&error))?
        });
        done.await
            .unwrap_or_else(|_| Err(self.no_store(&NoAnswer::Stopping)))
    }

    fn no_store(&self, why: &NoAnswer) -> Error {
        Error::Store {
            path: self.config.store.clone(),
            message: why.to_string(),
        }
    }

    /// Runs `work`, which is of the size of the job `hash`, beside the runtime's threads.
    pub(crate) async fn whole<T: Send + 'static>(
        &self,
        hash: InfoHash,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let in_hand = self.in_hand.clone();
        whole_job(move || {
            let _held = in_hand.take(hash);
            work()
        })
        .await
    }

    /// Runs `work` of the job `hash`, which touches `path`, on a thread of the volume there.
    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        hash: InfoHash,
        path: &Path,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let in_hand = self.in_hand.clone();
        let done = self.disks.volume(path).run(path, move || {
            let _held = in_hand.take(hash);
            work()
        });
        done.await.unwrap_or_else(|error| {
            self.in_hand.put_down(hash);
            Err(error.into())
        })
    }

    /// What is under way is cut off in order from now on.
    pub(crate) fn end(&self) {
        self.in_hand.end();
    }

    /// Changes one job; `None` when it is gone.
    pub(crate) async fn update(
        self: &Arc<Self>,
        id: JobId,
        change: impl FnOnce(&mut Job) + Send + 'static,
    ) -> Result<Option<Arc<Job>>> {
        let now = self.now();
        self.transact(move |memory| {
            let Some(job) = memory.jobs.get(&id) else {
                return Ok((Vec::new(), ()));
            };
            let mut job = Job::clone(job);
            change(&mut job);
            job.changed = now;
            Ok((vec![Change::Job(Box::new(job))], ()))
        })
        .await?;
        Ok(self.job(id))
    }

    /// Changes what is not stored of a job.
    pub(crate) fn live(&self, id: JobId, change: impl FnOnce(&mut Live)) {
        let mut memory = self.change();
        let revision = memory.revision + 1;
        let Some(job) = memory.jobs.get_mut(&id) else {
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
    pub(crate) async fn source(self: &Arc<Self>, hash: InfoHash) -> Result<Option<crate::Source>> {
        let (runtime, owner) = (Handle::current(), self.clone());
        let read = Volume::state().run(&self.config.store, move || {
            runtime.block_on(owner.store.lock().source(hash))
        });
        read.await.map_err(|error| self.no_store(&error))?
    }

    /// The folder of a category.
    pub(crate) fn folder(&self, memory: &Memory, category: &str) -> PathBuf {
        let rule = self.config.categories.get(category);
        if let Some(folder) = rule.and_then(|rule| rule.folder.as_ref()) {
            return folder.clone();
        }
        // Joining an absolute path gives that path, which may have been configured once.
        let own = memory.categories.get(category);
        let own = own.filter(|path| !path.is_empty());
        let own = own.map(|path| self.config.downloads.join(path));
        match own.filter(|path| self.config.spot(path).is_ok()) {
            Some(path) => path,
            None if category.is_empty() => self.config.downloads.clone(),
            None => self.config.downloads.join(category),
        }
    }

    fn apply(&self, changes: Vec<Change>) {
        let mut guard = self.change();
        let memory = &mut *guard;
        for change in changes {
            memory.revision += 1;
            match change {
                Change::Job(mut job) => {
                    if let Some(before) = memory.jobs.get(&job.id()) {
                        job.live = before.live.clone();
                        if before.step != job.step {
                            job.live.trouble = None;
                            if job.step.is_settled() {
                                self.settled.notify_one();
                            }
                        }
                    }
                    job.live.revision = memory.revision;
                    memory.jobs.insert(job.id(), Arc::new(*job));
                }
                Change::Gone(id) => {
                    memory.jobs.remove(&id);
                    // Another one of the release stands for it now.
                    let revision = memory.revision;
                    let all = JobId { nth: 0, ..id }..=JobId {
                        nth: u32::MAX,
                        ..id
                    };
                    for (_, job) in memory.jobs.range_mut(all) {
                        Arc::make_mut(job).live.revision = revision;
                    }
                    memory.gone.push_back((memory.revision, id.hash));
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
