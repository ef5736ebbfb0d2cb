//! Opening the database file: migrations, and what is done about a corrupt, newer or unwritable one.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

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
    /// It is damaged, or no database: another one is begun beside it.
    Corrupt(String),
    /// A newer version says that this one must not use it.
    Newer(String),
    /// It cannot be used now.
    Other(String),
}

impl Failure {
    fn words(self) -> String {
        match self {
            Self::Corrupt(words) | Self::Newer(words) | Self::Other(words) => words,
        }
    }
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
    after(classify(error), path, now).await
}

async fn after(failure: Failure, path: &Path, now: jiff::Timestamp) -> Result<Opened> {
    let may_read = !matches!(failure, Failure::Newer(_));
    let reason = match failure {
        Failure::Corrupt(reason) => match begin_anew(path, reason, now).await {
            Ok(opened) => return Ok(opened),
            Err(reason) => reason,
        },
        Failure::Newer(reason) | Failure::Other(reason) => reason,
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

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(10))
        // Rows are read in bulk; the default of 50 would switch threads 60 times for a list of 3000.
        .row_buffer_size(4096)
        .disable_statement_logging()
}

async fn connect(path: &Path) -> std::result::Result<SqliteConnection, Failure> {
    make_directory(path)
        .map_err(|error| Failure::Other(format!("cannot make its directory: {error}")))?;
    for companion in ["", "-wal", "-shm"] {
        check_kind(path, companion)?;
    }
    let classify = |error: sqlx::Error| classify(&error);
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
    migrate(&mut connection).await?;
    Ok(connection)
}

fn make_directory(path: &Path) -> std::io::Result<()> {
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => std::fs::create_dir_all(parent),
        None => Ok(()),
    }
}

/// SQLite would wait at a pipe, and has few words for a directory.
fn check_kind(path: &Path, companion: &str) -> std::result::Result<(), Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(companion);
    state_file::check_kind(Path::new(&name)).map_err(|error| {
        let words = format!("{}: {error}", Path::new(&name).display());
        match error.kind() {
            std::io::ErrorKind::InvalidData if companion.is_empty() => Failure::Corrupt(words),
            _ => Failure::Other(words),
        }
    })
}

async fn migrate(connection: &mut SqliteConnection) -> std::result::Result<(), Failure> {
    migrate_by(MIGRATIONS, connection).await
}

async fn migrate_by(
    migrations: &[(i64, &'static str, &'static str)],
    connection: &mut SqliteConnection,
) -> std::result::Result<(), Failure> {
    let known = migrations.last().map_or(0, |(version, ..)| *version);
    let least: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| classify(&error))?;
    if least > known {
        return Err(Failure::Newer(format!(
            "its schema is version {least}, and this program knows {known} at most: it is left \
             alone; use the newer version again, or move the file away"
        )));
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
            Err(classify(&error))
        }
        // No version ever wrote that.
        Err(error @ (MigrateError::VersionMismatch(_) | MigrateError::Dirty(_))) => {
            Err(Failure::Corrupt(error.to_string()))
        }
        Err(error) => Err(Failure::Other(error.to_string())),
    }
}

/// Primary result code of an SQLite error (<https://www.sqlite.org/rescode.html>).
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|extended| extended & 0xff)
}

const SQLITE_ERROR: i32 = 1;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

fn classify(error: &sqlx::Error) -> Failure {
    match is_damage(error) {
        true => Failure::Corrupt(error.to_string()),
        false => Failure::Other(error.to_string()),
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

/// Whether it says that the file is damaged. A table or column that is not there
/// (`SQLITE_ERROR`) is damage as well, as it was made when the file was.
fn is_damage(error: &sqlx::Error) -> bool {
    let damage = [SQLITE_ERROR, SQLITE_CORRUPT, SQLITE_NOTADB];
    primary_code(error).is_some_and(|code| damage.contains(&code))
}

/// An empty database in memory.
async fn in_memory(path: &Path) -> Result<SqliteConnection> {
    let failed = |message: String| Error::Store {
        path: path.to_owned(),
        message,
    };
    let memory = SqliteConnectOptions::new().in_memory(true);
    let mut memory = memory
        .connect()
        .await
        .map_err(|error| failed(error.to_string()))?;
    let migrated = migrate(&mut memory).await;
    migrated.map_err(|failure| failed(failure.words()))?;
    Ok(memory)
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
        let options = options(&path).create_if_missing(true);
        let mut old = options.connect().await.unwrap();
        let done = migrate_by(&MIGRATIONS[..1], &mut old).await;
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
