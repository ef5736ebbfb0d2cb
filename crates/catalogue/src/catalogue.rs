//! The catalogue as the rest of the program sees it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{NodeId, SystemClock, WallClock};
use debridfs_provider::{ContentId, LinkStore, Provider, TorrentInfo};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::guard::GuardRules;
use crate::status::{CopiesStatus, CopyReport, LibraryStatus, Progress, ViewCount};
use crate::store::{Batch, Compared, HistoryEntry, Store, StoredLinks};
use crate::stored_time::stored_time;
use crate::sync::state::State;
use crate::sync::{Counts, Line, Settings, Shared, publish};
use crate::verdicts::Verdicts;
use crate::views::{ViewBuilder, ViewRules};
use crate::{BadReason, ComparedFiles, Copy, Entry, Error, Findings, Library, Result, Unexamined};

/// Refused copies that `status` names.
const COPIES_SHOWN: usize = 10;

/// How the catalogue is kept.
pub struct CatalogueConfig {
    /// The store's file; its directory is made if need be.
    pub path: PathBuf,
    /// Which views there are.
    pub views: ViewRules,
    /// Between polls of a provider. Default 10 s.
    pub poll_every: Duration,
    /// Torrents of the page that a poll asks for, 1 to 5000. Default 100.
    pub first_page: u32,
    /// Longest time between full lists. Default 6 h.
    pub full_list_every: Duration,
    /// Info calls on the way at once, besides those somebody waits for. Default 8.
    pub info_in_flight: usize,
    /// Least time between publications, unless somebody waits. Default 500 ms.
    pub publish_every: Duration,
    /// When a loss is too large to be believed.
    pub guard: GuardRules,
    /// Wall time.
    pub clock: Arc<dyn WallClock>,
}

impl CatalogueConfig {
    /// The defaults, with the store at `path`.
    pub fn new(path: impl Into<PathBuf>, views: ViewRules) -> Self {
        Self {
            path: path.into(),
            views,
            poll_every: Duration::from_secs(10),
            first_page: 100,
            full_list_every: Duration::from_secs(6 * 3600),
            info_in_flight: 8,
            publish_every: Duration::from_millis(500),
            guard: GuardRules::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for CatalogueConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("CatalogueConfig")
            .field("path", &self.path)
            .field("poll_every", &self.poll_every)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

/// The library of one or more accounts: stored, kept true, published.
pub struct Catalogue {
    shared: Arc<Shared>,
    links: Arc<StoredLinks>,
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Catalogue")
            .field("path", &self.shared.store.path())
            .finish_non_exhaustive()
    }
}

impl Catalogue {
    /// Opens the store and publishes what is in it, without asking any provider. A corrupt file is
    /// moved aside, and of one that cannot be used the rows are read as far as they can be, and kept in
    /// memory; [`Catalogue::status`] tells.
    ///
    /// # Errors
    /// [`Error::Store`]: not even memory can be had.
    pub async fn open(
        config: CatalogueConfig,
        providers: Vec<Arc<dyn Provider>>,
    ) -> Result<Arc<Self>> {
        let now = stored_time(config.clock.now());
        let (store, stored) = Store::open(&config.path, now).await?;
        let store = Arc::new(store);
        let names: Vec<String> = providers
            .iter()
            .map(|provider| provider.name().to_owned())
            .collect();
        let naming = config.views.folder_naming();
        let builder = ViewBuilder::new(config.views, stored.memory);
        let settings = Settings {
            poll_every: config.poll_every,
            first_page: config.first_page.clamp(1, 5000),
            full_list_every: config.full_list_every,
            info_in_flight: config.info_in_flight.max(1),
            publish_every: config.publish_every,
            guard: config.guard,
            naming,
            clock: config.clock,
        };
        let mut state = State::load(stored.torrents, stored.sync, &names);
        state.learnt = stored.learnt;
        let runtime = tokio::runtime::Handle::current();
        let verdicts = Arc::new(Verdicts::new(stored.verdicts, settings.clock.clone()));
        let links = StoredLinks::new(
            store.clone(),
            stored.links,
            (stored.differing, stored.compared),
            verdicts.clone(),
            runtime,
        );
        let lines = providers.into_iter().map(Line::new).collect();
        let shared = Shared::new(
            settings,
            lines,
            store,
            state,
            builder,
            verdicts,
            (stored.generation, stored.retired),
        );
        publish(&shared).await;
        Ok(Arc::new(Self {
            shared: Arc::new(shared),
            links: Arc::new(links),
        }))
    }

    /// The published library, now and whenever it changes.
    pub fn library(&self) -> watch::Receiver<Arc<Library>> {
        self.shared.library.subscribe()
    }

    /// Keeps the library true until `shutdown`. To be called once, and again after a panic.
    ///
    /// # Panics
    /// With a panic of one of its tasks.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        crate::sync::run(self.shared.clone(), shutdown).await;
    }

    /// Asks for the files of a release before all others, and resolves once they are published, and with them what its links give, if somebody has to look
    /// ([`Self::unexamined`]) and could at the first attempt.
    ///
    /// # Errors
    /// [`Error::UnknownRelease`] when no account holds it ready, or only those in their first sync, the provider's error when the call failed (it is made again
    /// later all the same), [`Error::Stopping`].
    pub fn demand(&self, release: impl Into<ContentId>) -> BoxFuture<'static, Result<()>> {
        let (shared, content) = (self.shared.clone(), release.into());
        Box::pin(async move {
            let library = shared.library.borrow().clone();
            if shared.is_told(&library, content) {
                return Ok(());
            }
            let waiter = {
                let state = shared.state.lock().await;
                // Answers come for what its copies are called.
                let content = state.learnt.named(content);
                let Some((known, askable)) = state.contents_of(content) else {
                    return Err(Error::UnknownRelease(content));
                };
                if (!known && askable.is_empty()) || state.is_hidden(content) {
                    return Err(Error::UnknownRelease(content));
                }
                let waiter = shared.waiters.wait_for(content);
                for record in askable {
                    if let Some(line) = shared.line(&record.provider) {
                        line.queue.demand(&record.id, record.added);
                    }
                }
                waiter
            };
            // What is known and not published yet will be at once.
            shared.urgent.notify_one();
            waiter.await.unwrap_or(Err(Error::Stopping))
        })
    }

    /// Copies of the release that accounts hold in any state, as last told.
    pub async fn copies(&self, release: impl Into<ContentId>) -> Vec<Arc<Copy>> {
        let state = self.shared.state.lock().await;
        state.held(release.into()).cloned().collect()
    }

    /// Takes what an account was just told to say of a torrent to somebody who asked it, as if the
    /// catalogue had asked: of a torrent that is ready, no call is made for its files.
    pub async fn told(&self, provider: &str, info: TorrentInfo) {
        if let Some(line) = self.shared.line(provider) {
            crate::sync::told::take(&self.shared, line, info).await;
        }
    }

    /// Ends the wait for the next poll of every provider: an account has just been changed from here.
    pub fn look_now(&self) {
        for line in &self.shared.lines {
            line.poll_now.notify_one();
        }
    }

    /// Torrents of which nobody knows what their links give: an archive each, or not one link for each file. They are in `__bad__`
    /// until [`Catalogue::examined`]. Those that somebody waits for come first. Changes with the published library only.
    pub async fn unexamined(&self) -> Vec<Unexamined> {
        let now = self.shared.now();
        let awaited = self.shared.waiters.awaited();
        let owed = self.shared.state.lock().await.unexamined(now, &awaited);
        self.shared
            .unexaminable
            .lock()
            .retain(|one| owed.contains(one));
        owed
    }

    /// What its links give could not be found out, and is tried again later: nobody is to wait for it any more.
    pub fn not_examined(&self, of: &Unexamined) {
        self.shared.unexaminable.lock().insert(of.clone());
        self.shared.urgent.notify_one();
    }

    /// Stores what was found of links, and shows what can be read of it. What is stored is never asked for again. Findings about a torrent that has
    /// another link by now, or is gone, are dropped.
    pub async fn examined(&self, of: &Unexamined, findings: Findings) {
        let shared = &self.shared;
        let mut state = shared.state.lock().await;
        let mut batch = Batch::default();
        if state.apply_findings(of, findings, &mut batch) {
            shared.save(&state, batch).await;
            drop(state);
            shared.changed.notify_one();
        }
    }

    /// Shows these releases in `__bad__` as well, each for its reason ([`BadReason::Unreadable`] or [`BadReason::Blocked`]), and no others for these. Their paths stay, and who reads them is
    /// served if they can be had after all.
    pub async fn quarantine(&self, releases: BTreeMap<ContentId, BadReason>) {
        let shared = &self.shared;
        // While it is held nothing is built.
        let mut state = shared.state.lock().await;
        if shared.builder.lock().quarantine(releases) {
            state.dirty = true;
            drop(state);
            shared.changed.notify_one();
        }
    }

    /// Files of different releases that were compared, also by earlier runs.
    pub fn compared_files(&self) -> Vec<ComparedFiles> {
        self.links.compared()
    }

    /// Keeps what came of a comparison, for 90 days.
    pub fn files_compared(&self, files: ComparedFiles) {
        let at = self.shared.now();
        self.links.note_compared(Compared { files, at });
    }

    /// Where direct links are kept over a restart.
    pub fn links(&self) -> Arc<dyn LinkStore> {
        self.links.clone()
    }

    /// How the library and its sync do; never waits.
    pub fn status(&self) -> LibraryStatus {
        let shared = &self.shared;
        let library = shared.library.borrow().clone();
        let counts = shared.counts.lock().clone();
        let now = shared.now();
        let takes = |left| shared.pace.lock().seconds_left(left, Instant::now());
        let report = |line: &Line| {
            let mut report = line.report().clone();
            if let Some(first) = &mut report.first_sync {
                first.seconds_left = takes(first.total - first.named);
                first.patience = line.patience_left().map(|left| left.as_secs());
            }
            report
        };
        let providers: Vec<_> = shared.lines.iter().map(report).collect();
        let left = counts.total.saturating_sub(counts.done);
        let progress = (left > 0 || !library.listed).then(|| Progress {
            done: counts.done,
            total: counts.total,
            seconds_left: takes(left),
        });
        let age = |at: Timestamp| u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0);
        let mut held: Vec<_> = shared.held.lock().values().cloned().collect();
        held.sort_by(|a, b| a.provider.cmp(&b.provider));
        LibraryStatus {
            generation: library.generation,
            listed: library.listed,
            complete: library.listed && left <= counts.left_out,
            releases: counts.releases,
            files: counts.files,
            bad: counts.bad,
            copies: self.copies_status(&library, &counts),
            views: library
                .views
                .iter()
                .map(|view| ViewCount {
                    name: view.name.clone(),
                    entries: view.entries.len(),
                })
                .collect(),
            progress,
            age_seconds: providers
                .iter()
                .map(|provider| provider.last_answer.map(age))
                .collect::<Option<Vec<u64>>>()
                .and_then(|ages| ages.into_iter().max()),
            providers,
            held,
            store: shared.store.path().display().to_string(),
            store_trouble: shared.store.trouble(),
        }
    }

    /// A copy as people see it.
    pub fn report_of(&self, copy: &Copy) -> CopyReport {
        CopyReport {
            provider: copy.provider.clone(),
            id: copy.id.clone(),
            health: copy.health(self.shared.now()),
            verdict: self.shared.verdicts.of(copy),
        }
    }

    fn copies_status(&self, library: &Library, counts: &Counts) -> CopiesStatus {
        let refused = self.shared.verdicts.refused();
        let refused: HashSet<_> = refused
            .iter()
            .map(|row| (&*row.provider, &row.id))
            .collect();
        let copies = library.all().iter().flat_map(|entry| {
            let copies = entry.release.held().map(move |copy| (entry, copy));
            copies.filter(|(_, copy)| refused.contains(&(&*copy.provider, &copy.id)))
        });
        let copies: Vec<_> = copies.collect();
        let report =
            |(entry, copy): (&Entry, &Arc<Copy>)| (entry.name.to_string(), self.report_of(copy));
        CopiesStatus {
            total: counts.copies,
            spared: counts.spared,
            refused: copies.len(),
            lines: copies.into_iter().take(COPIES_SHOWN).map(report).collect(),
        }
    }

    /// Believes every held loss now. Returns the number of torrents that went.
    pub async fn accept(&self) -> usize {
        let shared = &self.shared;
        let now = shared.now();
        let mut state = shared.state.lock().await;
        let mut batch = Batch::default();
        let mut count = 0;
        for line in &shared.lines {
            count += state.accept(line.name(), now, &mut batch);
        }
        shared.save(&state, batch).await;
        for line in &shared.lines {
            shared.tell(&state, line);
        }
        drop(state);
        shared.changed.notify_one();
        tracing::info!(torrents = count, "the held loss was accepted");
        count
    }

    /// Names that left their directory at or after `since` (up to 90 days back), each with its directory: what a kernel may
    /// still remember of a run before this one.
    pub fn retired_since(&self, since: Timestamp) -> Vec<(NodeId, String)> {
        self.shared
            .retired
            .lock()
            .iter()
            .filter(|row| row.at >= since)
            .map(|row| (row.parent, row.name.clone()))
            .collect()
    }

    /// What happened to torrents at or after `since`, oldest first.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be read.
    pub async fn history(&self, since: Timestamp, limit: u32) -> Result<Vec<HistoryEntry>> {
        self.shared.store.history(since, limit).await
    }
}
