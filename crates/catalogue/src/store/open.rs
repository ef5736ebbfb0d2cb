//! Opening the database file: migrations, and what is done about a corrupt, newer or unwritable one.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use debridfs_base::state_file;
use debridfs_base::volume::NoAnswer;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlSafeStr, SqliteConnection};

use crate::{Error, Result};

/// Every schema change ever made, oldest first. They only ever add, so that the version before can still use the file after a downgrade. One that
/// cannot has to set `PRAGMA user_version` to its own number: programs that do not know it leave the file alone.
const MIGRATIONS: &[(i64, &str, &str)] = &[
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
];

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

enum Failure {
    Corrupt(String),
    NoSpace(String),
    Other(Error),
}

/// Opens the file at `path`, creating it and its directory.
///
/// A corrupt file is moved aside (`NAME.corrupt-TIME`) and a new one is begun. On a full disk the database is one in memory, and
/// the rows are read from the file as far as they can be.
///
/// # Errors
/// [`Error::NewerSchema`], and [`Error::Store`] for a place that cannot be used at all.
pub(super) async fn open(path: &Path, now: jiff::Timestamp) -> Result<Opened> {
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent).map_err(|error| Error::Store {
            path: path.to_owned(),
            message: format!("cannot make its directory: {error}"),
        })?;
    }
    match connect(path).await {
        Ok(connection) => Ok(Opened {
            connection,
            stored: None,
            trouble: None,
            volatile: false,
        }),
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::NoSpace(reason)) => {
            tracing::error!(path = %path.display(), reason, "no room for the catalogue: going on in memory, changes are lost at the next stop");
            Ok(Opened {
                connection: in_memory(path).await?,
                stored: reading(path).await,
                trouble: Some(format!("no room on the disk, going on in memory: {reason}")),
                volatile: true,
            })
        }
        Err(Failure::Corrupt(reason)) => {
            let aside = state_file::move_aside(path, state_file::SQLITE, &reason, now);
            let aside = aside.map_err(|error| Error::Store {
                path: path.to_owned(),
                message: format!("corrupt, and cannot be moved aside: {error}"),
            })?;
            let connection = connect(path).await.map_err(|failure| match failure {
                Failure::Other(error) => error,
                Failure::Corrupt(message) | Failure::NoSpace(message) => Error::Store {
                    path: path.to_owned(),
                    message,
                },
            })?;
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
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(10))
        // Rows are read in bulk; the default of 50 would switch threads 60 times for a list of 3000.
        .row_buffer_size(4096)
        .disable_statement_logging()
}

async fn connect(path: &Path) -> std::result::Result<SqliteConnection, Failure> {
    let classify = |error: sqlx::Error| classify(path, &error);
    let mut connection = options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .connect()
        .await
        .map_err(classify)?;
    // Direct links in it are as good as passwords.
    if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
        tracing::warn!(path = %path.display(), %error, "cannot make the catalogue file private");
    }
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut connection)
        .await
        .map_err(classify)?;
    if verdict != "ok" {
        return Err(Failure::Corrupt(verdict));
    }
    migrate(&mut connection, path).await?;
    Ok(connection)
}

async fn migrate(
    connection: &mut SqliteConnection,
    path: &Path,
) -> std::result::Result<(), Failure> {
    migrate_by(MIGRATIONS, connection, path).await
}

async fn migrate_by(
    migrations: &[(i64, &'static str, &'static str)],
    connection: &mut SqliteConnection,
    path: &Path,
) -> std::result::Result<(), Failure> {
    let known = migrations.last().map_or(0, |(version, ..)| *version);
    let least: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| classify(path, &error))?;
    if least > known {
        return Err(Failure::Other(Error::NewerSchema {
            path: path.to_owned(),
            found: least,
            known,
        }));
    }
    let mut migrator = Migrator::with_migrations(
        migrations
            .iter()
            .map(|&(version, name, sql)| {
                Migration::new(
                    version,
                    name.into(),
                    MigrationType::Simple,
                    sql.into_sql_str(),
                    false,
                )
            })
            .collect(),
    );
    // What a later version added is not ours to judge.
    migrator.set_ignore_missing(true);
    match migrator.run_direct(None, connection, false).await {
        Ok(()) => Ok(()),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(classify(path, &error))
        }
        Err(error) => Err(Failure::Other(Error::Store {
            path: path.to_owned(),
            message: error.to_string(),
        })),
    }
}

/// Primary result code of an SQLite error (<https://www.sqlite.org/rescode.html>).
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|extended| extended & 0xff)
}

const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_NOTADB: i32 = 26;

fn classify(path: &Path, error: &sqlx::Error) -> Failure {
    match primary_code(error) {
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Failure::Corrupt(error.to_string()),
        // An -shm file that cannot grow is told as an I/O error.
        Some(SQLITE_FULL | SQLITE_IOERR) => Failure::NoSpace(error.to_string()),
        _ => Failure::Other(Error::Store {
            path: path.to_owned(),
            message: error.to_string(),
        }),
    }
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
    let failed = |error: sqlx::Error| Error::Store {
        path: path.to_owned(),
        message: error.to_string(),
    };
    let mut memory = SqliteConnectOptions::new()
        .in_memory(true)
        .connect()
        .await
        .map_err(failed)?;
    migrate(&mut memory, path)
        .await
        .map_err(|failure| match failure {
            Failure::Other(error) => error,
            Failure::Corrupt(message) | Failure::NoSpace(message) => Error::Store {
                path: path.to_owned(),
                message,
            },
        })?;
    Ok(memory)
}

/// The file, to be read alone: without the -shm file that a full disk refuses, and so without what is only in the log.
async fn reading(path: &Path) -> Option<SqliteConnection> {
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
        let options = options(&path).create_if_missing(true);
        let mut old = options.connect().await.unwrap();
        let done = migrate_by(&MIGRATIONS[..1], &mut old, &path).await;
        assert!(done.is_ok());
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
