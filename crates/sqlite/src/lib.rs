//! Opens a database file: migrations, and what is wrong when it cannot be opened. What is then done
//! about it is the store's matter: a catalogue can be had again, a job cannot.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "stores are opened on threads of the state's volume"
)]

mod schema;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use debridfs_base::state_file;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

pub use schema::Schema;

/// Why a file was not opened.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is damaged, or no database: in words for people.
    Corrupt(String),
    /// A later version made it such that this one would harm it: its number, and the highest that is
    /// known here.
    Newer(i64, i64),
    /// It cannot be used now: mode, owner, room on the disk; in words for people.
    Other(String),
}

impl Failure {
    /// What an error of SQLite comes to: its code, extended or not, and its words.
    pub fn of_code(code: Option<i32>, words: String) -> Self {
        // SQLITE_ERROR, SQLITE_CORRUPT and SQLITE_NOTADB (<https://www.sqlite.org/rescode.html>);
        // an extended code has the primary one in its lowest byte.
        match code.map(|extended| extended & 0xff) {
            Some(1 | 11 | 26) => Self::Corrupt(words),
            _ => Self::Other(words),
        }
    }

    /// In words for people.
    pub fn words(self) -> String {
        match self {
            Self::Corrupt(words) | Self::Other(words) => words,
            Self::Newer(least, known) => format!(
                "its schema is version {least}, and this program knows {known} at most: it is left \
                 alone; use the newer version again, or move the file away"
            ),
        }
    }
}

/// A table or column that is not there (`SQLITE_ERROR`) is damage as well, as it was made when the
/// file was.
impl From<&sqlx::Error> for Failure {
    fn from(error: &sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(|error| error.code()?.parse::<i32>().ok());
        Self::of_code(code, error.to_string())
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::from(&error)
    }
}

/// How the file at `path` is opened.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(10))
        // Rows are read in bulk; the default of 50 would switch threads 60 times for a list of 3000.
        .row_buffer_size(4096)
        .disable_statement_logging()
}

/// Opens the file at `path` to be written, creating it and its directory, and brings it to `schema`.
/// Nobody else may read the file: stores hold links and magnets that are as good as passwords.
///
/// # Errors
/// Why it cannot be used; nothing was moved or removed.
pub async fn connect(
    path: &Path,
    schema: &Schema,
    synchronous: SqliteSynchronous,
) -> Result<SqliteConnection, Failure> {
    let mut connection = open(path, synchronous).await?;
    check(&mut connection).await?;
    schema.apply(&mut connection).await?;
    Ok(connection)
}

/// As [`connect`], but checks the file only before it changes its schema: else that is left to who
/// reads all of it (`PRAGMA quick_check`), perhaps at the same time.
///
/// # Errors
/// As of [`connect`].
pub async fn connect_unchecked(
    path: &Path,
    schema: &Schema,
    synchronous: SqliteSynchronous,
) -> Result<SqliteConnection, Failure> {
    let mut connection = open(path, synchronous).await?;
    if !schema.is_applied(&mut connection).await {
        check(&mut connection).await?;
    }
    schema.apply(&mut connection).await?;
    Ok(connection)
}

async fn open(path: &Path, synchronous: SqliteSynchronous) -> Result<SqliteConnection, Failure> {
    make_directory(path)
        .map_err(|error| Failure::Other(format!("cannot make its directory: {error}")))?;
    for companion in ["", "-wal", "-shm"] {
        check_kind(path, companion)?;
    }
    let connection = options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .connect()
        .await?;
    if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
        tracing::warn!(path = %path.display(), %error, "cannot make the database private");
    }
    Ok(connection)
}

async fn check(connection: &mut SqliteConnection) -> Result<(), Failure> {
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await?;
    match &*verdict {
        "ok" => Ok(()),
        _ => Err(Failure::Corrupt(verdict)),
    }
}

/// An empty database in memory, with `schema`.
///
/// # Errors
/// Without memory.
pub async fn in_memory(schema: &Schema) -> Result<SqliteConnection, Failure> {
    let memory = SqliteConnectOptions::new().in_memory(true);
    let mut connection = memory.connect().await?;
    schema.apply(&mut connection).await?;
    Ok(connection)
}

fn make_directory(path: &Path) -> io::Result<()> {
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => std::fs::create_dir_all(parent),
        None => Ok(()),
    }
}

/// SQLite would wait at a pipe, and has few words for a directory.
fn check_kind(path: &Path, companion: &str) -> Result<(), Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(companion);
    state_file::check_kind(Path::new(&name)).map_err(|error| {
        let words = format!("{}: {error}", Path::new(&name).display());
        match error.kind() {
            io::ErrorKind::InvalidData if companion.is_empty() => Failure::Corrupt(words),
            _ => Failure::Other(words),
        }
    })
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;

    const SCHEMA: Schema = Schema {
        migrations: &[(1, "first", "CREATE TABLE t (a TEXT NOT NULL)")],
        tables: &["CREATE TABLE IF NOT EXISTS u (b INTEGER)"],
    };

    async fn open(path: &Path) -> Result<SqliteConnection, Failure> {
        connect(path, &SCHEMA, SqliteSynchronous::Normal).await
    }

    #[tokio::test]
    async fn a_new_file_is_private_and_has_all_tables_and_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/store.db");
        for _ in 0..2 {
            let mut connection = open(&path).await.unwrap();
            for table in ["t", "u"] {
                let name = "SELECT name FROM sqlite_schema WHERE name = ?";
                let found = sqlx::query_scalar::<_, String>(name).bind(table);
                assert_eq!(found.fetch_one(&mut connection).await.unwrap(), table);
            }
            connection.close().await.unwrap();
        }
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_is_no_database_is_corrupt_and_a_directory_is_not_moved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        std::fs::write(&path, [b'x'; 8192]).unwrap();
        assert!(matches!(open(&path).await, Err(Failure::Corrupt(_))));
        let path = dir.path().join("other.db");
        std::fs::create_dir(dir.path().join("other.db-wal")).unwrap();
        assert!(matches!(open(&path).await, Err(Failure::Other(_))));
    }

    #[tokio::test]
    async fn a_missing_column_is_damage_and_a_newer_schema_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let mut connection = open(&path).await.unwrap();
        let error = sqlx::query("SELECT c FROM t")
            .fetch_all(&mut connection)
            .await;
        assert!(matches!(
            Failure::from(error.unwrap_err()),
            Failure::Corrupt(_)
        ));
        sqlx::query("PRAGMA user_version = 7")
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let failure = open(&path).await.unwrap_err();
        assert_eq!(failure, Failure::Newer(7, 1));
        assert!(failure.words().contains("use the newer version again"));
    }
}
