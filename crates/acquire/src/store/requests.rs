//! Where the requests of a release are: one in `jobs`, which the program before knows, all others in `requests`, which it passes over.
//!
//! That program writes the row in `jobs` anew, and drops what it does not know, such as a number: so a number of 0 in `requests`
//! is never given.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use sqlx::SqliteConnection;

use crate::JobId;

/// Requests that are not in `jobs`.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS requests (
    hash TEXT NOT NULL,
    nth INTEGER NOT NULL,
    -- As in `jobs`.
    job TEXT NOT NULL,
    PRIMARY KEY (hash, nth)
) WITHOUT ROWID";

/// The number of the request that is in `jobs`.
const NTH: &str =
    "SELECT CASE WHEN json_valid(job) THEN coalesce(json_extract(job, '$.nth'), 0) ELSE 0 END
    FROM jobs WHERE hash = ?";

/// Writes the request `id`.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    id: JobId,
    job: String,
) -> sqlx::Result<()> {
    let hash = id.hash.to_string();
    let updated = sqlx::query("UPDATE requests SET job = ? WHERE hash = ? AND nth = ?")
        .bind(&job)
        .bind(&hash)
        .bind(id.nth)
        .execute(&mut *connection)
        .await?;
    if updated.rows_affected() > 0 {
        return Ok(());
    }
    let first: Option<i64> = sqlx::query_scalar(NTH)
        .bind(&hash)
        .fetch_optional(&mut *connection)
        .await?;
    let query = match first {
        Some(first) if first != i64::from(id.nth) => {
            sqlx::query("INSERT INTO requests (hash, job, nth) VALUES (?, ?, ?)")
                .bind(hash)
                .bind(job)
                .bind(id.nth)
        }
        _ => sqlx::query("INSERT OR REPLACE INTO jobs (hash, job) VALUES (?, ?)")
            .bind(hash)
            .bind(job),
    };
    query.execute(connection).await?;
    Ok(())
}

/// Removes the request `id`. Another one takes its place in `jobs`; with the last one goes what was handed in.
pub(super) async fn remove(connection: &mut SqliteConnection, id: JobId) -> sqlx::Result<()> {
    let hash = id.hash.to_string();
    let removed = sqlx::query("DELETE FROM requests WHERE hash = ? AND nth = ?")
        .bind(&hash)
        .bind(id.nth)
        .execute(&mut *connection)
        .await?;
    if removed.rows_affected() > 0 {
        return Ok(());
    }
    for statement in [
        "DELETE FROM jobs WHERE hash = ?",
        "INSERT INTO jobs (hash, job) SELECT hash, job FROM requests WHERE hash = ? ORDER BY nth LIMIT 1",
        "DELETE FROM requests WHERE hash = ?1 AND nth = (SELECT min(nth) FROM requests WHERE hash = ?1)",
        "DELETE FROM sources WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE hash = ?1)",
    ] {
        sqlx::query(statement)
            .bind(&hash)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
