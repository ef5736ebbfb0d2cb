//! The store: what survives a restart. Everything is read once, at the start; the truth while running is in memory, and every
//! change is written in one transaction per batch.
//!
//! A store that cannot be written (full disk, broken file) never stops the library: the trouble is kept for `status`, and the
//! caller writes everything anew once it is possible.

mod compared;
mod differing;
mod first_sync;
mod forget;
mod learnt;
mod links;
mod open;
mod read;
mod rows;
mod verdicts;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use debridfs_base::volume::{NoAnswer, Volume};
use debridfs_provider::{ContentId, DifferingCopy, DirectLink, HosterLink, TorrentId};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::Mutex;

use crate::learnt::{LearntHash, LearntHashes};
use crate::sync::first::Stage;
use crate::verdicts::VerdictRow;
use crate::{Copy, Error, IdOverride, Memory, Result, ShownRelease, ViewChange};
use debridfs_base::NodeId;

use open::{Opened, Source};

pub(crate) use compared::Compared;
pub(crate) use links::StoredLinks;

/// How long names that left and history are kept, and names and links of what is gone.
pub(crate) const KEPT: SignedDuration = SignedDuration::from_hours(24 * 90);

/// A torrent with what the sync has to remember of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TorrentRow {
    pub(crate) record: Arc<Copy>,
    pub(crate) mark: Mark,
}

/// What the sync remembers of a torrent beside the provider's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Fingerprint of the line of the list that was seen last.
    pub(crate) list_print: u64,
    /// An info call is owed.
    pub(crate) info_due: bool,
    /// When it was first seen ready.
    pub(crate) ready_seen: Option<Timestamp>,
}

/// A name that left a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RetiredRow {
    pub(crate) at: Timestamp,
    pub(crate) parent: NodeId,
    pub(crate) name: String,
}

/// How far the sync of a provider is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyncRow {
    pub(crate) provider: String,
    pub(crate) listed: bool,
    pub(crate) last_full: Option<Timestamp>,
    pub(crate) held_counted: Option<Timestamp>,
    pub(crate) held: Vec<HeldRow>,
    /// How far its first sync is, and until when what it holds is not new; `None` in a store of the version before.
    pub(crate) first: Option<(Stage, Option<Timestamp>)>,
}

/// A torrent whose loss is not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldRow {
    pub(crate) torrent: TorrentId,
    pub(crate) since: Timestamp,
    pub(crate) confirmations: u32,
}

/// Something that happened to a torrent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// Provider's configured name.
    pub provider: String,
    /// The provider's id of the torrent.
    pub torrent: TorrentId,
    /// Its info-hash, 40 hexadecimal digits.
    pub hash: String,
    /// `added`, `changed`, `removed`, `returned`, `held`, `accepted` or `purged`.
    pub what: String,
    /// The provider's display name.
    pub name: String,
}

/// All that the store held at the start.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) torrents: Vec<TorrentRow>,
    /// Paths, ids and times of what was shown.
    pub(crate) memory: Memory,
    pub(crate) retired: Vec<RetiredRow>,
    pub(crate) sync: Vec<SyncRow>,
    pub(crate) links: Vec<(String, HosterLink, DirectLink)>,
    pub(crate) verdicts: Vec<VerdictRow>,
    pub(crate) differing: Vec<DifferingCopy>,
    /// Info-hashes of releases that were shown without one.
    pub(crate) learnt: LearntHashes,
    pub(crate) compared: Vec<Compared>,
    pub(crate) generation: u64,
    /// Rows that could not be understood and were left out.
    pub(crate) unreadable: usize,
}

/// Changes that are written together or not at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) torrents: Vec<TorrentRow>,
    pub(crate) purged: Vec<(String, TorrentId)>,
    pub(crate) shown: Vec<ShownRelease>,
    pub(crate) ids: Vec<IdOverride>,
    pub(crate) views: Vec<ViewChange>,
    pub(crate) history: Vec<HistoryEntry>,
    pub(crate) retired: Vec<RetiredRow>,
    pub(crate) sync: Vec<SyncRow>,
    pub(crate) verdicts: Vec<VerdictRow>,
    /// Info-hashes of releases that were shown without one.
    pub(crate) learnt: Vec<(ContentId, LearntHash)>,
    pub(crate) generation: Option<u64>,
    /// History and retired names older than this are dropped.
    pub(crate) forget_before: Option<Timestamp>,
}

impl Batch {
    /// Adds what of `later` has to be written even when that cannot be done now. Torrents, learnt hashes and sync
    /// states are told by the state at any time, and history is worth no memory without bounds.
    pub(crate) fn keep(&mut self, later: Self) {
        let Self {
            torrents: _,
            learnt: _,
            sync: _,
            history: _,
            forget_before: _,
            purged,
            shown,
            ids,
            views,
            retired,
            verdicts,
            generation,
        } = later;
        self.purged.extend(purged);
        self.shown.extend(shown);
        self.ids.extend(ids);
        self.views.extend(views);
        self.retired.extend(retired);
        self.verdicts.extend(verdicts);
        self.generation = generation.or(self.generation);
    }
}

/// What is wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreTrouble {
    /// For people.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether changes are kept in memory alone now.
    pub in_memory: bool,
}

type Job<T> =
    Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send>;

/// The database, behind one connection.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    connection: Arc<Mutex<SqliteConnection>>,
    trouble: parking_lot::Mutex<Option<StoreTrouble>>,
    /// Opened in memory: writing succeeds and keeps nothing.
    volatile: bool,
}

async fn open_and_read(path: &Path, now: Timestamp) -> Result<(Opened, Stored)> {
    let mut opened = open::open(path, now).await?;
    let loaded = match opened.source {
        Source::File => read::load(|| open::reading(path)),
        Source::FileAlone => read::load(|| open::reading_alone(path)),
        Source::Nothing => Ok(Stored::default()),
    };
    match loaded {
        Ok(mut stored) => {
            if !opened.volatile
                && let Err(error) =
                    forget::forget(&mut opened.connection, &mut stored, now - KEPT).await
            {
                // It is only larger than it need be.
                tracing::warn!(path = %path.display(), %error, "nothing of the catalogue could be forgotten");
            }
            Ok((opened, stored))
        }
        Err(failure) if opened.volatile => {
            let error = failure.words();
            tracing::error!(path = %path.display(), error, "the stored library cannot be read");
            Ok((opened, Stored::default()))
        }
        Err(failure) => {
            // It must be free to be moved, and its log to be written back.
            let _ = opened.connection.close().await;
            let opened = open::instead_of(path, failure, now).await?;
            Ok((opened, Stored::default()))
        }
    }
}

impl Store {
    /// Opens the file and reads it, or does without it: see [`open::open`].
    pub(crate) async fn open(path: &Path, now: Timestamp) -> Result<(Self, Stored)> {
        let (place, runtime) = (path.to_owned(), tokio::runtime::Handle::current());
        let opening = move || runtime.block_on(open_and_read(&place, now));
        let (opened, stored) = match Volume::state().run(path, opening).await {
            Ok(opened) => opened?,
            Err(silent) => (open::without_file(path, &silent).await?, Stored::default()),
        };
        if stored.unreadable > 0 {
            tracing::error!(path = %path.display(), rows = stored.unreadable, "rows of the catalogue could not be read; the next full list brings them back");
        }
        let trouble = opened.trouble.map(|message| StoreTrouble {
            message,
            since: now,
            in_memory: opened.volatile,
        });
        let store = Self {
            path: path.to_owned(),
            connection: Arc::new(Mutex::new(opened.connection)),
            trouble: parking_lot::Mutex::new(trouble),
            volatile: opened.volatile,
        };
        Ok((store, stored))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it, if anything.
    pub(crate) fn trouble(&self) -> Option<StoreTrouble> {
        self.lock_trouble().clone()
    }

    /// Writes `batch` in one transaction. On failure nothing of it is kept, and the trouble shows in [`Store::trouble`] until a
    /// later write succeeds.
    pub(crate) async fn write(&self, batch: Arc<Batch>, now: Timestamp) -> Result<()> {
        let outcome = self
            .with(Box::new(move |connection| {
                Box::pin(async move {
                    let mut transaction = connection.begin().await?;
                    rows::write(&mut transaction, &batch).await?;
                    transaction.commit().await
                })
            }))
            .await;
        self.note(&outcome, now);
        outcome
    }

    /// What happened since `since`, oldest first, at most `limit` entries.
    pub(crate) async fn history(&self, since: Timestamp, limit: u32) -> Result<Vec<HistoryEntry>> {
        self.with(Box::new(move |connection| {
            Box::pin(rows::history(connection, since, limit))
        }))
        .await
    }

    async fn change_links(
        &self,
        changes: links::LinkChanges,
        marks: Vec<DifferingCopy>,
        compared: Vec<Compared>,
    ) -> Result<()> {
        self.with(Box::new(move |connection| {
            Box::pin(async move {
                let mut transaction = connection.begin().await?;
                differing::add(&mut transaction, &marks).await?;
                compared::add(&mut transaction, &compared).await?;
                for ((provider, hoster, key), link) in changes {
                    match link {
                        Some(link) => {
                            rows::save_link(&mut transaction, (provider, hoster, link)).await?;
                        }
                        None => rows::forget_link(&mut transaction, provider, hoster, key).await?,
                    }
                }
                transaction.commit().await
            })
        }))
        .await
    }

    /// Moves the write-ahead log into the file.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        self.with(Box::new(|connection| {
            Box::pin(async move {
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                    .execute(connection)
                    .await?;
                Ok(())
            })
        }))
        .await
    }

    fn note(&self, outcome: &Result<()>, now: Timestamp) {
        let mut trouble = self.lock_trouble();
        match outcome {
            // Still nothing of it lasts.
            Ok(()) if self.volatile => {}
            Ok(()) => {
                if trouble.as_ref().is_some_and(|trouble| trouble.in_memory) {
                    tracing::info!(path = %self.path.display(), "the catalogue can be written again");
                    *trouble = None;
                }
            }
            Err(error) => {
                let since = match trouble.as_ref() {
                    Some(before) if before.in_memory => before.since,
                    _ => {
                        tracing::error!(%error, "going on in memory");
                        now
                    }
                };
                *trouble = Some(StoreTrouble {
                    message: error.to_string(),
                    since,
                    in_memory: true,
                });
            }
        }
    }

    fn lock_trouble(&self) -> parking_lot::MutexGuard<'_, Option<StoreTrouble>> {
        self.trouble.lock()
    }

    /// Runs `job` on a thread of the volume: turning rows into text by the ten thousand would hold up the runtime's own threads.
    async fn with<T: Send + 'static>(&self, job: Job<T>) -> Result<T> {
        let connection = self.connection.clone();
        let runtime = tokio::runtime::Handle::current();
        let outcome = Volume::state().run(&self.path, move || {
            let mut connection = connection.blocking_lock();
            runtime.block_on(job(&mut connection))
        });
        let message = match outcome.await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(NoAnswer::Stopping) => return Err(Error::Stopping),
            Err(silent) => silent.to_string(),
        };
        Err(Error::Store {
            path: self.path.clone(),
            message,
        })
    }
}
