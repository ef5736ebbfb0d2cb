//! The job store's file: its tables, and what is said when it cannot be opened.

use std::path::Path;

use debridfs_sqlite::{Failure, Schema};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteSynchronous;

use crate::Error;

/// The programs before `kept` and `requests` refuse a store with a migration that they do not know.
const SCHEMA: Schema = Schema {
    migrations: &[(1, "first", include_str!("../../migrations/0001_first.sql"))],
    tables: &[KEPT, super::requests::TABLE],
};

/// How long torrents that are to be deleted are still kept. One of them may change `deletions` meanwhile; `due` tells whether the row is still of the same deletion.
const KEPT: &str = "CREATE TABLE IF NOT EXISTS kept (
    provider TEXT NOT NULL,
    torrent TEXT NOT NULL,
    due INTEGER NOT NULL,
    -- Milliseconds.
    remaining INTEGER NOT NULL,
    PRIMARY KEY (provider, torrent)
) WITHOUT ROWID";

/// As an error of the store at `path`.
pub(super) fn error(failure: Failure, path: &Path) -> Error {
    let path = path.to_owned();
    match failure {
        Failure::Newer(..) => Error::NewerSchema { path },
        Failure::Corrupt(message) | Failure::Other(message) => Error::Store { path, message },
    }
}

/// Opens the file at `path`, creating it and its directory.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, Failure> {
    // A grab that was answered with "Ok." is still there after a power cut.
    debridfs_sqlite::connect(path, &SCHEMA, SqliteSynchronous::Full).await
}
