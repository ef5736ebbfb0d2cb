//! Opening the database file, and what is done about a corrupt, newer or unwritable one.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use debridfs_base::state_file;
use debridfs_base::volume::NoAnswer;
use debridfs_sqlite::{Failure, Schema};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rusqlite::{Connection, OpenFlags};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteSynchronous;

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
        (
            6,
            "differing copies",
            include_str!("../../migrations/0006_differing_copies.sql"),
        ),
        (
            7,
            "learnt hashes",
            include_str!("../../migrations/0007_learnt_hashes.sql"),
        ),
        (
            8,
            "compared files",
            include_str!("../../migrations/0008_compared_files.sql"),
        ),
    ],
    tables: &[],
};

/// Where the stored rows are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The opened file, beside its connection.
    File,
    /// A file that cannot be opened to be written.
    FileAlone,
    /// There are none.
    Nothing,
}

/// An opened database.
pub(super) struct Opened {
    pub(super) connection: SqliteConnection,
    /// Where the rows are read from.
    pub(super) source: Source,
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
            source: Source::File,
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
    failure: Failure,
    now: jiff::Timestamp,
) -> Result<Opened> {
    after(failure, path, now).await
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
        // SQLite would wait at a pipe.
        source: match may_read && path.is_file() {
            true => Source::FileAlone,
            false => Source::Nothing,
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
        source: Source::Nothing,
        trouble: Some(format!(
            "the file was corrupt ({reason}); it was moved to {} and a new one begun",
            aside.display()
        )),
        volatile: false,
    })
}

async fn connect(path: &Path) -> std::result::Result<SqliteConnection, Failure> {
    debridfs_sqlite::connect_unchecked(path, &SCHEMA, SqliteSynchronous::Normal).await
}

/// One in memory, as the volume of the file does not answer.
///
/// # Errors
/// [`Error::Store`], without memory.
pub(super) async fn without_file(path: &Path, silent: &NoAnswer) -> Result<Opened> {
    tracing::error!(path = %path.display(), "{silent}: going on in memory, changes are lost at the next stop");
    Ok(Opened {
        connection: in_memory(path).await?,
        source: Source::Nothing,
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

/// The file beside the connection that writes it.
pub(super) fn reading(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, READING)
}

/// The file, to be read alone: without the -shm file that a full disk refuses, and so without what is only in the log.
pub(super) fn reading_alone(path: &Path) -> rusqlite::Result<Connection> {
    // What a URI would take for its own (<https://www.sqlite.org/uri.html>).
    const SPECIAL: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');
    let name = percent_encode(path.as_os_str().as_bytes(), SPECIAL);
    let uri = format!("file:{name}?immutable=1");
    Connection::open_with_flags(uri, READING | OpenFlags::SQLITE_OPEN_URI)
}

/// A connection stays on one thread.
const READING: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

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
        for stored in [reading_alone(&path), reading(&path)] {
            let sql = "SELECT value FROM counters";
            let value: i64 = stored
                .unwrap()
                .query_row(sql, [], |row| row.get(0))
                .unwrap();
            assert_eq!(value, 42);
        }
        assert!(in_memory(&path).await.is_ok());
    }
}
