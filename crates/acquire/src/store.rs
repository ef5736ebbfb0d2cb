//! What survives a restart: jobs with what they were made of, categories, tags, and deletions that are owed.
//!
//! Everything is read once, at the start. Unlike the catalogue, which any list of the account brings back, nothing here can be had
//! again: every write is on the disk before its caller goes on, and a store that cannot be written refuses the change.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use debridfs_base::state_file;
use debridfs_provider::{InfoHash, TorrentId};
use jiff::Timestamp;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqliteConnection};

use crate::trash::Deletion;
use crate::{Error, Job, Result, Source};

/// Every schema change ever made, oldest first.
const MIGRATIONS: [(i64, &str, &str); 1] =
    [(1, "first", include_str!("../migrations/0001_first.sql"))];

/// How long torrents that are to be deleted are still kept. No migration: versions before this one refuse a store with one they do
/// not know. One of them may change `deletions` meanwhile; `due` tells whether the row is still of the same deletion.
const KEPT: &str = "CREATE TABLE IF NOT EXISTS kept (
    provider TEXT NOT NULL,
    torrent TEXT NOT NULL,
    due INTEGER NOT NULL,
    -- Milliseconds.
    remaining INTEGER NOT NULL,
    PRIMARY KEY (provider, torrent)
) WITHOUT ROWID";

/// A category and its folder; an empty one means below the downloads folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CategoryRow {
    pub(crate) name: String,
    pub(crate) save_path: String,
}

/// One change. Those of one call to [`Store::write`] happen together or not at all.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Job(Box<Job>),
    Source(InfoHash, Source),
    Gone(InfoHash),
    Category(CategoryRow),
    CategoryGone(String),
    Tag(String),
    TagGone(String),
    Owed(Deletion),
    Paid(String, TorrentId),
}

/// All that was stored.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) jobs: Vec<Job>,
    pub(crate) categories: Vec<CategoryRow>,
    pub(crate) tags: Vec<String>,
    pub(crate) deletions: Vec<Deletion>,
}

/// The database, behind one connection.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    connection: SqliteConnection,
}

impl Store {
    /// Opens the file and reads it. A corrupt file is moved aside (`NAME.corrupt-TIME`) and a new one begun.
    pub(crate) async fn open(path: &Path, now: Timestamp) -> Result<(Self, Stored)> {
        let fail = |message: String| Error::Store {
            path: path.to_owned(),
            message,
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| fail(format!("cannot make its directory: {error}")))?;
        }
        let connection = match connect(path).await {
            Ok(connection) => connection,
            Err(Opening::Newer) => {
                return Err(Error::NewerSchema {
                    path: path.to_owned(),
                });
            }
            Err(Opening::Corrupt(reason)) => {
                state_file::move_aside(path, state_file::SQLITE, &reason, now)
                    .map_err(|error| fail(error.to_string()))?;
                connect(path).await.map_err(|error| fail(error.words()))?
            }
            Err(error @ Opening::Other(_)) => return Err(fail(error.words())),
        };
        let mut store = Self {
            path: path.to_owned(),
            connection,
        };
        let stored = load(&mut store.connection)
            .await
            .map_err(|error| fail(error.to_string()))?;
        Ok((store, stored))
    }

    /// Writes `changes` in one transaction; they are on the disk when this returns.
    pub(crate) async fn write(&mut self, changes: &[Change]) -> Result<()> {
        let outcome = async {
            let mut transaction = self.connection.begin().await?;
            for change in changes {
                write(&mut transaction, change).await?;
            }
            transaction.commit().await
        };
        let outcome = outcome.await;
        outcome.map_err(|error| self.error(&error))
    }

    /// What the job was made of.
    pub(crate) async fn source(&mut self, hash: InfoHash) -> Result<Option<Source>> {
        let row =
            sqlx::query_as::<_, SourceRow>("SELECT magnet, torrent FROM sources WHERE hash = ?")
                .bind(hash.to_string())
                .fetch_optional(&mut self.connection)
                .await
                .map_err(|error| self.error(&error))?;
        Ok(row.and_then(|row| match row {
            (_, Some(torrent)) => Some(Source::Torrent(Bytes::from(torrent))),
            (Some(magnet), None) => Some(Source::Magnet(magnet)),
            (None, None) => None,
        }))
    }

    fn error(&self, error: &sqlx::Error) -> Error {
        Error::Store {
            path: self.path.clone(),
            message: error.to_string(),
        }
    }
}

/// Magnet and file, one of which is there.
type SourceRow = (Option<String>, Option<Vec<u8>>);

enum Opening {
    Corrupt(String),
    Newer,
    Other(String),
}

impl Opening {
    fn words(self) -> String {
        match self {
            Self::Corrupt(reason) | Self::Other(reason) => reason,
            Self::Newer => "written by a newer version".to_owned(),
        }
    }
}

impl From<sqlx::Error> for Opening {
    fn from(error: sqlx::Error) -> Self {
        // SQLITE_CORRUPT and SQLITE_NOTADB (<https://www.sqlite.org/rescode.html>).
        let code = error
            .as_database_error()
            .and_then(|error| error.code()?.parse::<i32>().ok());
        match code.map(|extended| extended & 0xff) {
            Some(11 | 26) => Self::Corrupt(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

async fn connect(path: &Path) -> std::result::Result<SqliteConnection, Opening> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(10))
        .journal_mode(SqliteJournalMode::Wal)
        // A grab that was answered with "Ok." is still there after a power cut.
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
        .connect()
        .await?;
    // Magnets of private trackers hold passkeys.
    if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
        tracing::warn!(path = %path.display(), %error, "cannot make the job store private");
    }
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut connection)
        .await?;
    if verdict != "ok" {
        return Err(Opening::Corrupt(verdict));
    }
    let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    match migrator.run_direct(None, &mut connection, false).await {
        Ok(()) => {
            sqlx::query(KEPT).execute(&mut connection).await?;
            Ok(connection)
        }
        Err(MigrateError::VersionMissing(_)) => Err(Opening::Newer),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(error.into())
        }
        Err(error) => Err(Opening::Other(error.to_string())),
    }
}

async fn load(connection: &mut SqliteConnection) -> sqlx::Result<Stored> {
    let mut stored = Stored::default();
    let jobs: Vec<(String, String)> = sqlx::query_as("SELECT hash, job FROM jobs")
        .fetch_all(&mut *connection)
        .await?;
    for (hash, text) in jobs {
        match serde_json::from_str(&text) {
            Ok(job) => stored.jobs.push(job),
            // It stays in the file, for a version that can read it.
            Err(error) => tracing::error!(hash, %error, "a job cannot be read and is left out"),
        }
    }
    let categories: Vec<(String, String)> =
        sqlx::query_as("SELECT name, save_path FROM categories")
            .fetch_all(&mut *connection)
            .await?;
    stored.categories = categories
        .into_iter()
        .map(|(name, save_path)| CategoryRow { name, save_path })
        .collect();
    stored.tags = sqlx::query_scalar("SELECT name FROM tags")
        .fetch_all(&mut *connection)
        .await?;
    let deletions: Vec<(String, String, String, i64, Option<i64>)> = sqlx::query_as(
        "SELECT provider, torrent, hash, due, remaining
         FROM deletions LEFT JOIN kept USING (provider, torrent, due)",
    )
    .fetch_all(&mut *connection)
    .await?;
    stored.deletions = deletions
        .into_iter()
        .filter_map(|(provider, torrent, hash, due, left)| {
            let due = Timestamp::from_microsecond(due).ok()?;
            let left = left.and_then(|left| u64::try_from(left).ok());
            let at = (provider, TorrentId(torrent));
            let left = left.map(Duration::from_millis);
            Some(Deletion::stored(at, hash.parse().ok()?, due, left))
        })
        .collect();
    Ok(stored)
}

async fn write(connection: &mut SqliteConnection, change: &Change) -> sqlx::Result<()> {
    let query = match change {
        Change::Job(job) => {
            let text =
                serde_json::to_string(job).map_err(|error| sqlx::Error::Encode(error.into()))?;
            sqlx::query("INSERT OR REPLACE INTO jobs (hash, job) VALUES (?, ?)")
                .bind(job.hash.to_string())
                .bind(text)
        }
        Change::Source(hash, source) => {
            let (magnet, torrent) = match source {
                Source::Magnet(magnet) => (Some(magnet.clone()), None),
                Source::Torrent(bytes) => (None, Some(bytes.to_vec())),
            };
            sqlx::query("INSERT OR REPLACE INTO sources (hash, magnet, torrent) VALUES (?, ?, ?)")
                .bind(hash.to_string())
                .bind(magnet)
                .bind(torrent)
        }
        Change::Gone(hash) => {
            sqlx::query("DELETE FROM sources WHERE hash = ?")
                .bind(hash.to_string())
                .execute(&mut *connection)
                .await?;
            sqlx::query("DELETE FROM jobs WHERE hash = ?").bind(hash.to_string())
        }
        Change::Category(row) => {
            sqlx::query("INSERT OR REPLACE INTO categories (name, save_path) VALUES (?, ?)")
                .bind(row.name.clone())
                .bind(row.save_path.clone())
        }
        Change::CategoryGone(name) => {
            sqlx::query("DELETE FROM categories WHERE name = ?").bind(name.clone())
        }
        Change::Tag(name) => {
            sqlx::query("INSERT OR REPLACE INTO tags (name) VALUES (?)").bind(name.clone())
        }
        Change::TagGone(name) => sqlx::query("DELETE FROM tags WHERE name = ?").bind(name.clone()),
        Change::Owed(owed) => {
            sqlx::query(
                "INSERT OR REPLACE INTO kept (provider, torrent, due, remaining) VALUES (?, ?, ?, ?)",
            )
            .bind(owed.provider.clone())
            .bind(owed.torrent.0.clone())
            .bind(owed.due.as_microsecond())
            .bind(i64::try_from(owed.left().as_millis()).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
            sqlx::query(
                "INSERT OR REPLACE INTO deletions (provider, torrent, hash, due) VALUES (?, ?, ?, ?)",
            )
            .bind(owed.provider.clone())
            .bind(owed.torrent.0.clone())
            .bind(owed.hash.to_string())
            .bind(owed.due.as_microsecond())
        }
        Change::Paid(provider, torrent) => {
            sqlx::query("DELETE FROM kept WHERE provider = ? AND torrent = ?")
                .bind(provider.clone())
                .bind(torrent.0.clone())
                .execute(&mut *connection)
                .await?;
            sqlx::query("DELETE FROM deletions WHERE provider = ? AND torrent = ?")
                .bind(provider.clone())
                .bind(torrent.0.clone())
        }
    };
    query.execute(&mut *connection).await?;
    Ok(())
}
