//! What survives a restart: jobs with what they were made of, categories, tags, and deletions that are owed.
//!
//! Everything is read once, at the start. Unlike the catalogue, which any list of the account brings back, nothing here can be had
//! again: every write is on the disk before its caller goes on, and a store that cannot be written refuses the change.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

mod open;
mod read;
mod requests;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use debridfs_base::state_file;
use debridfs_provider::{InfoHash, TorrentId};
use debridfs_sqlite::Failure;
use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};

use self::open::connect;
use crate::trash::Deletion;
use crate::{Error, Job, JobId, Result, Source};

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
    Gone(JobId),
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
    ///
    /// # Errors
    /// [`Error::NewerSchema`], and [`Error::Store`] when the file cannot be used now.
    pub(crate) async fn open(path: &Path, now: Timestamp) -> Result<(Self, Stored)> {
        let reason = match Self::open_and_read(path, now).await {
            Ok(opened) => return Ok(opened),
            Err(Failure::Corrupt(reason)) => reason,
            Err(other) => return Err(open::error(other, path)),
        };
        state_file::move_aside(path, state_file::SQLITE, &reason, now)
            .map_err(|error| open::error(Failure::Other(format!("{reason}: {error}")), path))?;
        let anew = Self::open_and_read(path, now).await;
        anew.map_err(|failure| open::error(failure, path))
    }

    async fn open_and_read(
        path: &Path,
        now: Timestamp,
    ) -> std::result::Result<(Self, Stored), Failure> {
        let mut connection = connect(path).await?;
        match read::all(&mut connection, now).await {
            Ok(stored) => {
                let path = path.to_owned();
                Ok((Self { path, connection }, stored))
            }
            Err(error) => {
                // It must be free to be moved, and its log to be written back.
                let _ = connection.close().await;
                Err(error.into())
            }
        }
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

async fn write(connection: &mut SqliteConnection, change: &Change) -> sqlx::Result<()> {
    let query = match change {
        Change::Job(job) => {
            let text =
                serde_json::to_string(job).map_err(|error| sqlx::Error::Encode(error.into()))?;
            // What is not readable now is not readable after a restart: the change is refused.
            let read = serde_json::from_str::<Job>(&text);
            read.map_err(|error| sqlx::Error::Encode(error.into()))?;
            return requests::put(connection, job.id(), text).await;
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
        Change::Gone(id) => return requests::remove(connection, *id).await,
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
