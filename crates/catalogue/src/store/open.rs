//! Opening the database file, and what is done about a corrupt, newer or unwritable one.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::path::Path;

use debridfs_base::state_file;
use debridfs_base::volume::NoAnswer;
use debridfs_sqlite::{Failure, Schema, options};
use sqlx::sqlite::SqliteSynchronous;
use sqlx::{ConnectOptions, SqliteConnection};

use crate::{Error, Result};

const SCHEMA: Schema = Schema {
    migrations: &[
        (1, "first", include_str!("../../migrations/0001_first.sql")),
        (
            2,
            "link keys",
            include_str!("../../migrations/0002_link_keys.sql"),
        ),
        (
            3,
            "archives",
            include_str!("../../migrations/0003_archives.sql"),
        ),
        (
            4,
            "copy verdicts",
            include_str!("../../migrations/0004_copy_verdicts.sql"),
        ),
        (
            5,
            "first sync",
            include_str!("../../migrations/0005_first_sync.sql"),
        ),
    ],
    tables: &[],
};

/// An opened database.
pub(super) struct Opened {
    pub(super) connection: SqliteConnection,
    /// Where the rows are read from, if not from `connection`.
    pub(super) stored: Option<SqliteConnection>,
    /// What had to be done to get it open; for the log and `status`.
    pub(super) trouble: Option<String>,
    /// It is in memory, and ends with the process.
    pub(super) volatile: bool,
}

/// Opens the file at `path`, creating it and its directory.
///
/// A corrupt file is moved aside (`NAME.corrupt-TIME`) and a new one is begun. When there is none
/// that can be used, be it for its mode, its owner, a full disk or a newer schema, the database is
/// one in memory, and the rows are read from the file as far as they can be.
///
/// # Errors
/// [`Error::Store`]: not even memory can be had.
pub(super) async fn open(path: &Path, now: jiff::Timestamp) -> Result<Opened> {
    match connect(path).await {
        Ok(connection) => Ok(Opened {
            connection,
            stored: None,
            trouble: None,
            volatile: false,
        }),
        Err(failure) => after(failure, path, now).await,
    }
}

/// A database in place of one that was opened and then could not be read.
///
/// # Errors
/// As [`open`].
pub(super) async fn instead_of(
    path: &Path,
    error: &sqlx::Error,
    now: jiff::Timestamp,
) -> Result<Opened> {
    after(Failure::from(error), path, now).await
}

async fn after(failure: Failure, path: &Path, now: jiff::Timestamp) -> Result<Opened> {
    let may_read = !matches!(failure, Failure::Newer(..));
    let reason = match failure {
        Failure::Corrupt(reason) => match begin_anew(path, reason, now).await {
            Ok(opened) => return Ok(opened),
            Err(reason) => reason,
        },
        failure => failure.words(),
    };
    tracing::error!(path = %path.display(), reason, "the catalogue cannot be opened: going on in memory, changes are lost at the next stop");
    Ok(Opened {
        connection: in_memory(path).await?,
        stored: match may_read {
            true => reading(path).await,
            false => None,
        },
        trouble: Some(format!(
            "it cannot be opened, and what changes is kept in memory alone: {reason}; mend it \
             (mode, owner, room on the disk) and start the engine again"
        )),
        volatile: true,
    })
}

/// Moves a corrupt file aside and begins another one; or says why that cannot be.
async fn begin_anew(
    path: &Path,
    reason: String,
    now: jiff::Timestamp,
) -> std::result::Result<Opened, String> {
    let aside = state_file::move_aside(path, state_file::SQLITE, &reason, now)
        .map_err(|error| format!("corrupt ({reason}), and cannot be moved aside: {error}"))?;
    let connection = connect(path).await.map_err(Failure::words)?;
    Ok(Opened {
        connection,
        stored: None,
        trouble: Some(format!(
            "the file was corrupt ({reason}); it was moved to {} and a new one begun",
            aside.display()
        )),
        volatile: false,
    })
}

async fn connect(path: &Path) -> std::result::Result<SqliteConnection, Failure> {
    debridfs_sqlite::connect(path, &SCHEMA, SqliteSynchronous::Normal).await
}

/// One in memory, as the volume of the file does not answer.
///
/// # Errors
/// [`Error::Store`], without memory.
pub(super) async fn without_file(path: &Path, silent: &NoAnswer) -> Result<Opened> {
    tracing::error!(path = %path.display(), "{silent}: going on in memory, changes are lost at the next stop");
    Ok(Opened {
        connection: in_memory(path).await?,
        stored: None,
        trouble: Some(silent.to_string()),
        volatile: true,
    })
}

/// An empty database in memory.
async fn in_memory(path: &Path) -> Result<SqliteConnection> {
    let memory = debridfs_sqlite::in_memory(&SCHEMA).await;
    memory.map_err(|failure| Error::Store {
        path: path.to_owned(),
        message: failure.words(),
    })
}

/// The file, to be read alone: without the -shm file that a full disk refuses, and so without what is only in the log.
async fn reading(path: &Path) -> Option<SqliteConnection> {
    // SQLite would wait at a pipe.
    if !path.is_file() {
        return None;
    }
    let connection = options(path)
        .read_only(true)
        .immutable(true)
        .connect()
        .await;
    match connection {
        Ok(connection) => Some(connection),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the stored library cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;

    #[tokio::test]
    async fn links_of_the_first_schema_become_the_first_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalogue.db");
        let first = Schema {
            migrations: &SCHEMA.migrations[..1],
            ..SCHEMA
        };
        let old = debridfs_sqlite::connect(&path, &first, SqliteSynchronous::Normal).await;
        let mut old = old.unwrap();
        sqlx::query("INSERT INTO links VALUES ('rd', 'hoster', 'url', 'name', 7, 8)")
            .execute(&mut old)
            .await
            .unwrap();
        old.close().await.unwrap();
        let mut opened = open(&path, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        let key: String = sqlx::query_scalar("SELECT key FROM key_links WHERE hoster = 'hoster'")
            .fetch_one(&mut opened.connection)
            .await
            .unwrap();
        assert_eq!(key, "");
    }

    #[tokio::test]
    async fn without_room_the_stored_rows_are_still_read() {
        let dir = tempfile::Builder::new()
            .prefix("debridfs-sync-")
            .tempdir()
            .unwrap();
        let path = dir.path().join("a #strange? 100% name.db");
        let mut opened = open(&path, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        sqlx::query("INSERT INTO counters (name, value) VALUES ('generation', 42)")
            .execute(&mut opened.connection)
            .await
            .unwrap();
        opened.connection.close().await.unwrap();
        let mut stored = reading(&path).await.unwrap();
        let value: i64 = sqlx::query_scalar("SELECT value FROM counters")
            .fetch_one(&mut stored)
            .await
            .unwrap();
        assert_eq!(value, 42);
        assert!(in_memory(&path).await.is_ok());
    }
}
