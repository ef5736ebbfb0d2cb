//! What the tasks of the sync share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use debridfs_base::WallClock;
use debridfs_provider::{ContentId, Provider};
use jiff::Timestamp;
use parking_lot::MutexGuard;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;

use super::pace::Pace;
use super::queue::InfoQueue;
use super::state::State;
use super::told::Told;
use super::waiters::Waiters;
use super::writer::Writer;
use crate::guard::GuardRules;
use crate::status::{FirstSync, HeldLoss, ProviderSync, SyncTrouble};
use crate::store::{Batch, RetiredRow, Store};
use crate::stored_time::stored_time;
use crate::verdicts::Verdicts;
use crate::views::ViewBuilder;
use crate::{Error, FolderNaming, Library, Unexamined};

/// Names of a held loss that `status` shows.
const NAMES_SHOWN: usize = 10;

/// What of [`crate::CatalogueConfig`] the tasks need.
pub(crate) struct Settings {
    pub(crate) poll_every: Duration,
    pub(crate) first_page: u32,
    pub(crate) full_list_every: Duration,
    pub(crate) info_in_flight: usize,
    pub(crate) publish_every: Duration,
    pub(crate) guard: GuardRules,
    pub(crate) naming: FolderNaming,
    pub(crate) clock: Arc<dyn WallClock>,
}

/// Refusals in a row, a minute apart, after which an account counts as refused for good: one may be a mistake of the provider's.
const REFUSALS: u32 = 2;

/// An account that has answered nothing for so long is not waited for any more: longer than most outages, and short enough that
/// the others' films are there the same evening.
const PATIENCE: Duration = Duration::from_secs(3600);

/// One provider's part.
pub(crate) struct Line {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) queue: InfoQueue,
    /// What others were told.
    pub(crate) told: Told,
    /// Ends the wait for the next poll.
    pub(crate) poll_now: Notify,
    /// The next poll is a full list.
    pub(crate) full_wanted: AtomicBool,
    /// Polls in a row that refused the account.
    pub(crate) refusals: AtomicU32,
    /// Since when no poll was answered.
    silent: parking_lot::Mutex<Option<Instant>>,
    /// For `status`.
    pub(crate) report: parking_lot::Mutex<ProviderSync>,
}

impl Line {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Self {
        let report = ProviderSync {
            name: provider.name().to_owned(),
            listed: false,
            first_sync: Some(FirstSync::default()),
            torrents: 0,
            last_full_list: None,
            last_answer: None,
            unreadable: 0,
            trouble: None,
            last_error: None,
        };
        Self {
            provider,
            queue: InfoQueue::default(),
            told: Told::default(),
            poll_now: Notify::new(),
            full_wanted: AtomicBool::new(false),
            refusals: AtomicU32::new(0),
            silent: parking_lot::Mutex::default(),
            report: parking_lot::Mutex::new(report),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.provider.name()
    }

    /// Whether nobody waits for its first sync: it refuses the account, or has been silent for [`PATIENCE`].
    pub(crate) fn is_given_up(&self) -> bool {
        let refused = self.refusals.load(Ordering::Acquire) >= REFUSALS;
        refused || self.patience_left() == Some(Duration::ZERO)
    }

    /// How long a silent account is still waited for; `None` for one that answers.
    pub(crate) fn patience_left(&self) -> Option<Duration> {
        let silent = *self.silent.lock();
        silent.map(|since| PATIENCE.saturating_sub(since.elapsed()))
    }

    /// Notes whether it answered a poll, be it with an error of its own.
    pub(crate) fn heard(&self, answered: bool) {
        let mut silent = self.silent.lock();
        *silent = match answered {
            true => None,
            false => silent.or_else(|| Some(Instant::now())),
        };
    }

    pub(crate) fn report(&self) -> MutexGuard<'_, ProviderSync> {
        self.report.lock()
    }

    /// Notes that something is wrong now.
    pub(crate) fn trouble(&self, message: String, now: Timestamp) {
        let mut report = self.report();
        let since = report.trouble.as_ref().map_or(now, |trouble| trouble.since);
        if report.trouble.as_ref().map(|trouble| &trouble.message) != Some(&message) {
            tracing::warn!(
                provider = self.name(),
                "the library stays as it is: {message}"
            );
        }
        let trouble = SyncTrouble {
            message,
            since,
            last: now,
        };
        report.last_error = Some(trouble.clone());
        report.trouble = Some(trouble);
    }

    /// Notes that all is well.
    pub(crate) fn well(&self) {
        if self.report().trouble.take().is_some() {
            tracing::info!(provider = self.name(), "the sync is well again");
        }
    }
}

/// Numbers of the last publication, for `status`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) releases: usize,
    pub(crate) files: usize,
    pub(crate) bad: usize,
    /// Copies of `releases`, and how many of those more than one can serve.
    pub(crate) copies: usize,
    pub(crate) spared: usize,
    pub(crate) done: usize,
    pub(crate) total: usize,
    /// Of the ready torrents whose files are not known, those that were asked for in vain.
    pub(crate) left_out: usize,
}

/// All of it.
pub(crate) struct Shared {
    pub(crate) config: Settings,
    pub(crate) lines: Vec<Line>,
    pub(crate) store: Arc<Store>,
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) builder: Arc<parking_lot::Mutex<ViewBuilder>>,
    pub(crate) library: watch::Sender<Arc<Library>>,
    /// There is something to publish.
    pub(crate) changed: Notify,
    /// Somebody waits for it.
    pub(crate) urgent: Notify,
    pub(crate) counts: parking_lot::Mutex<Counts>,
    pub(crate) pace: parking_lot::Mutex<Pace>,
    pub(crate) held: parking_lot::Mutex<HashMap<String, HeldLoss>>,
    pub(crate) retired: parking_lot::Mutex<Vec<RetiredRow>>,
    /// The catalogue was begun empty and is not complete yet.
    pub(crate) first_sync: AtomicBool,
    pub(crate) waiters: Waiters,
    /// Torrents of which the last attempt did not find out what their links give.
    pub(crate) unexaminable: parking_lot::Mutex<HashSet<Unexamined>>,
    pub(crate) writer: Writer,
    pub(crate) verdicts: Arc<Verdicts>,
}

impl Shared {
    pub(crate) fn new(
        config: Settings,
        lines: Vec<Line>,
        store: Arc<Store>,
        state: State,
        builder: ViewBuilder,
        verdicts: Arc<Verdicts>,
        (generation, retired): (u64, Vec<RetiredRow>),
    ) -> Self {
        let first_sync = !state.providers.values().any(|provider| provider.listed);
        let library = Library::new(generation, false, Vec::new());
        Self {
            config,
            lines,
            state: Arc::new(Mutex::new(state)),
            builder: Arc::new(parking_lot::Mutex::new(builder)),
            library: watch::Sender::new(Arc::new(library)),
            changed: Notify::new(),
            urgent: Notify::new(),
            counts: parking_lot::Mutex::default(),
            pace: parking_lot::Mutex::default(),
            held: parking_lot::Mutex::default(),
            retired: parking_lot::Mutex::new(retired),
            first_sync: AtomicBool::new(first_sync),
            waiters: Waiters::default(),
            unexaminable: parking_lot::Mutex::default(),
            writer: Writer::new(store.clone()),
            verdicts,
            store,
        }
    }

    /// Wall time.
    pub(crate) fn now(&self) -> Timestamp {
        stored_time(self.config.clock.now())
    }

    /// Whether `library` shows all of a release that is worth waiting for.
    pub(crate) fn is_told(&self, library: &Library, content: ContentId) -> bool {
        let Some(release) = library.release(content).map(|entry| &entry.release) else {
            return false;
        };
        if release.tree().is_none() || !release.awaits_examination() {
            return release.tree().is_some();
        }
        let failed = self.unexaminable.lock();
        let mut owing = release.held().filter(|copy| copy.has_unexamined_links());
        owing.all(|copy| failed.contains(&Unexamined::of(copy)))
    }

    pub(crate) fn line(&self, provider: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.name() == provider)
    }

    /// Stores `batch`, for good or as soon as the store can be written.
    pub(crate) async fn save(&self, state: &State, batch: Batch) {
        self.verdicts.forget(&batch.purged);
        self.writer.write(state, batch, self.now()).await;
    }

    /// Stores verdicts that the store has not got.
    pub(crate) async fn save_verdicts(&self) {
        let verdicts = self.verdicts.take_unstored();
        if !verdicts.is_empty() {
            let state = self.state.lock().await;
            let batch = Batch {
                verdicts,
                ..Batch::default()
            };
            self.save(&state, batch).await;
        }
    }

    /// Refreshes what `status` tells of a provider.
    pub(crate) fn tell(&self, state: &State, line: &Line) {
        let name = line.name();
        let Some(provider) = state.providers.get(name) else {
            return;
        };
        let held = &provider.held;
        let torrents = state.live(name).count();
        let naming = state.naming(name, self.config.naming);
        {
            let mut report = line.report();
            report.listed = provider.listed;
            report.first_sync = naming.map(|so_far| FirstSync {
                named: so_far.named,
                total: so_far.total,
                seconds_left: None,
                patience: None,
            });
            report.last_full_list = provider.last_full;
            report.torrents = torrents - held.entries.len().min(torrents);
        }
        let loss = held
            .entries
            .values()
            .map(|entry| entry.since)
            .min()
            .map(|since| HeldLoss {
                provider: name.to_owned(),
                torrents: held.entries.len(),
                names: state
                    .live(name)
                    .filter(|record| held.entries.contains_key(&record.id))
                    .take(NAMES_SHOWN)
                    .map(|record| record.filename.clone())
                    .collect(),
                since,
                confirmations: held
                    .entries
                    .values()
                    .map(|entry| entry.confirmations)
                    .max()
                    .unwrap_or(0),
                next_check: held.next_check(&self.config.guard),
            });
        let mut all = self.held.lock();
        match loss {
            Some(loss) => all.insert(name.to_owned(), loss),
            None => all.remove(name),
        };
    }

    /// Owes the info calls that `state` lacks.
    pub(crate) fn queue_infos(&self, state: &State, line: &Line) {
        for record in state.info_due(line.name()) {
            line.queue.push(&record.id, record.added);
        }
    }

    /// Ends all waiting, and writes the log back into the file.
    pub(super) async fn stop(&self) {
        self.waiters.stop();
        self.save_verdicts().await;
        if let Err(error) = self.store.checkpoint().await {
            tracing::debug!(%error, "checkpoint");
        }
    }
}

/// The error for waiters, as the provider's one is told to several.
pub(crate) fn provider_error(error: &debridfs_provider::Error) -> Error {
    Error::Provider(error.clone())
}
