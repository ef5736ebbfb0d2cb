//! Opening the file: migrations, and what is wrong when it cannot be opened.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use debridfs_base::state_file;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlSafeStr, SqliteConnection};

use crate::Error;

/// Every schema change ever made, oldest first. They only ever add, so that the version before can
/// still use the file after a downgrade. One that cannot has to set `PRAGMA user_version` to its own
/// number: programs that do not know it leave the file alone.
const MIGRATIONS: [(i64, &str, &str); 1] =
    [(1, "first", include_str!("../../migrations/0001_first.sql"))];

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

/// Why the file was not opened.
pub(super) enum Opening {
    /// It is damaged, or no database.
    Corrupt(String),
    /// A newer version says that this one must not use it.
    Newer,
    /// It cannot be used now.
    Other(String),
}

impl Opening {
    /// As an error of the store at `path`.
    pub(super) fn of(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Newer => Error::NewerSchema { path },
            Self::Corrupt(message) | Self::Other(message) => Error::Store { path, message },
        }
    }
}

impl From<sqlx::Error> for Opening {
    fn from(error: sqlx::Error) -> Self {
        // SQLITE_ERROR (a table that was made with the file is not there), SQLITE_CORRUPT and
        // SQLITE_NOTADB (<https://www.sqlite.org/rescode.html>).
        let code = error
            .as_database_error()
            .and_then(|error| error.code()?.parse::<i32>().ok());
        match code.map(|extended| extended & 0xff) {
            Some(1 | 11 | 26) => Self::Corrupt(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

/// Opens the file at `path`, creating it and its directory.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, Opening> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|error| Opening::Other(format!("cannot make its directory: {error}")))?;
    }
    for companion in ["", "-wal", "-shm"] {
        check_kind(path, companion)?;
    }
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
    migrate(&mut connection).await?;
    Ok(connection)
}

/// SQLite would wait at a pipe, and has few words for a directory.
fn check_kind(path: &Path, companion: &str) -> Result<(), Opening> {
    let mut name = path.as_os_str().to_owned();
    name.push(companion);
    state_file::check_kind(Path::new(&name)).map_err(|error| {
        let words = format!("{}: {error}", Path::new(&name).display());
        match error.kind() {
            std::io::ErrorKind::InvalidData if companion.is_empty() => Opening::Corrupt(words),
            _ => Opening::Other(words),
        }
    })
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), Opening> {
    let known = MIGRATIONS.last().map_or(0, |(version, ..)| *version);
    let least: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?;
    if least > known {
        return Err(Opening::Newer);
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
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // What a later version added is not ours to judge.
    migrator.set_ignore_missing(true);
    match migrator.run_direct(None, &mut *connection, false).await {
        Ok(()) => {
            sqlx::query(KEPT).execute(&mut *connection).await?;
            sqlx::query(super::requests::TABLE)
                .execute(connection)
                .await?;
            Ok(())
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(error.into())
        }
        // No version ever wrote that.
        Err(error @ (MigrateError::VersionMismatch(_) | MigrateError::Dirty(_))) => {
            Err(Opening::Corrupt(error.to_string()))
        }
        Err(error) => Err(Opening::Other(error.to_string())),
    }
}
