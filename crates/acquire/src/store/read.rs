//! Rows to values. A job whose row makes no sense is a failed one in the list: what was asked for is
//! not to vanish without a word.
#![allow(
    clippy::disallowed_methods,
    reason = "all of it runs on threads of the state's volume"
)]

use std::collections::HashMap;
use std::time::Duration;

use debridfs_provider::{InfoHash, TorrentId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sha1::{Digest, Sha1};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{CategoryRow, Stored};
use crate::trash::Deletion;
use crate::{Job, Step};

/// Reads everything.
pub(super) async fn all(connection: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<Stored> {
    let mut stored = Stored::default();
    let rows = sqlx::query("SELECT CAST(hash AS BLOB), CAST(job AS BLOB) FROM jobs")
        .fetch_all(&mut *connection)
        .await?;
    for row in rows {
        let (key, text): (Vec<u8>, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        stored.jobs.push(job(connection, &key, &text, now).await?);
    }
    requests(connection, &mut stored.jobs, now).await?;
    let rows = sqlx::query("SELECT name, save_path FROM categories")
        .fetch_all(&mut *connection)
        .await?;
    stored.categories = sound(&rows, "category", |row| {
        let (name, save_path) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Some(CategoryRow { name, save_path }))
    });
    let rows = sqlx::query("SELECT name FROM tags")
        .fetch_all(&mut *connection)
        .await?;
    stored.tags = sound(&rows, "tag", |row| row.try_get(0).map(Some));
    let rows = sqlx::query(
        "SELECT provider, torrent, hash, due, remaining
         FROM deletions LEFT JOIN kept USING (provider, torrent, due)",
    )
    .fetch_all(&mut *connection)
    .await?;
    stored.deletions = sound(&rows, "deletion", deletion);
    Ok(stored)
}

fn deletion(row: &SqliteRow) -> sqlx::Result<Option<Deletion>> {
    let hash = row.try_get::<&str, _>(2)?.parse();
    let due = Timestamp::from_microsecond(row.try_get(3)?);
    let (Ok(hash), Ok(due)) = (hash, due) else {
        return Ok(None);
    };
    let at = (row.try_get(0)?, TorrentId(row.try_get(1)?));
    let left: Option<i64> = row.try_get(4)?;
    let left = left.and_then(|left| u64::try_from(left).ok());
    let left = left.map(Duration::from_millis);
    Ok(Some(Deletion::stored(at, hash, due, left)))
}

/// What `rows` say. Those that make no sense stay in the file, and are told to the log.
fn sound<T>(
    rows: &[SqliteRow],
    what: &str,
    read: impl Fn(&SqliteRow) -> sqlx::Result<Option<T>>,
) -> Vec<T> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        match read(row) {
            Ok(Some(value)) => all.push(value),
            Ok(None) => tracing::error!("a stored {what} makes no sense and is left out"),
            Err(error) => {
                tracing::error!(%error, "a stored {what} cannot be read and is left out");
            }
        }
    }
    all
}

/// Reads the requests that are not in `jobs`. The program before may have stored one of them there as well: that one is older.
async fn requests(
    connection: &mut SqliteConnection,
    jobs: &mut Vec<Job>,
    now: Timestamp,
) -> sqlx::Result<()> {
    let rows = sqlx::query("SELECT hash, nth, CAST(job AS BLOB) FROM requests")
        .fetch_all(&mut *connection)
        .await?;
    let requests = sound(&rows, "request", |row| {
        let hash = row.try_get::<&str, _>(0)?.parse();
        let (nth, text): (u32, Vec<u8>) = (row.try_get(1)?, row.try_get(2)?);
        Ok(hash.ok().map(|hash: InfoHash| {
            let mut job = serde_json::from_slice::<Job>(&text)
                .unwrap_or_else(|error| failed(hash, &text, &error.to_string(), now));
            (job.hash, job.nth) = (hash, nth);
            job
        }))
    });
    let first: HashMap<InfoHash, Job> = jobs.iter().map(|job| (job.hash, job.clone())).collect();
    for request in requests {
        let same = first.get(&request.hash).is_some_and(|first| {
            first.category == request.category
                && (first.owner.is_none() || first.owner == request.owner)
        });
        if same {
            super::requests::remove(connection, request.id()).await?;
        } else {
            jobs.push(request);
        }
    }
    Ok(())
}

/// The job of a row, or a failed one that says why there is none. The row stays as it is until
/// somebody changes the job, for a version that can read it.
async fn job(
    connection: &mut SqliteConnection,
    key: &[u8],
    text: &[u8],
    now: Timestamp,
) -> sqlx::Result<Job> {
    let hash: Option<InfoHash> = (std::str::from_utf8(key).ok()).and_then(|key| key.parse().ok());
    let read = serde_json::from_slice::<Job>(text);
    let reason = match (hash, read) {
        (Some(hash), Ok(job)) if job.hash == hash => return Ok(job),
        (_, Ok(_)) => "its key is damaged".to_owned(),
        (_, Err(error)) => error.to_string(),
    };
    let hash = match hash {
        Some(hash) => hash,
        None => {
            // It is known by its key from here on, also when it is removed.
            let hash = InfoHash(Sha1::digest(key).into());
            sqlx::query("UPDATE OR IGNORE jobs SET hash = ? WHERE CAST(hash AS BLOB) = ?")
                .bind(hash.to_string())
                .bind(key)
                .execute(connection)
                .await?;
            hash
        }
    };
    tracing::error!(%hash, reason, "a stored job cannot be read: it is shown as failed");
    Ok(failed(hash, text, &reason, now))
}

/// A failed job with what can be read of `text`, field by field.
fn failed(hash: InfoHash, text: &[u8], reason: &str, now: Timestamp) -> Job {
    let mut job = Job::unreadable(hash, now);
    if let Ok(Value::Object(fields)) = serde_json::from_slice(text)
        && let Ok(mut good) = serde_json::to_value(&job)
    {
        for (name, value) in fields {
            let before = good[&name].take();
            good[&name] = value;
            match Job::deserialize(&good) {
                Ok(more) => job = more,
                // Absent and null are not the same to every field.
                Err(_) if before.is_null() => {
                    if let Some(all) = good.as_object_mut() {
                        all.remove(&name);
                    }
                }
                Err(_) => good[&name] = before,
            }
        }
    }
    job.hash = hash;
    job.step = Step::Failed;
    job.evidence = None;
    job.reason = Some(format!(
        "what is stored of it cannot be read ({reason}); `Recheck` begins it anew, a newer version may read it"
    ));
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_of_a_job_is_kept() {
        let now = Timestamp::UNIX_EPOCH;
        let hash = InfoHash([7; 20]);
        let mut job = Job::unreadable(hash, now);
        job.name = "Film (2024)".to_owned();
        job.category = "films".to_owned();
        job.step = Step::Complete;
        job.limits.seeding_time = 90;
        let mut text = serde_json::to_value(&job).unwrap();
        text["limits"]["ratio"] = Value::Null;
        text["step"] = "teleported".into();
        let read = failed(hash, text.to_string().as_bytes(), "no number", now);
        assert_eq!((&*read.name, &*read.category), ("Film (2024)", "films"));
        assert_eq!(read.step, Step::Failed);
        assert!(read.reason.unwrap().contains("no number"));
        assert_eq!(read.limits, crate::ShareLimits::default());
        let nothing = failed(hash, b"\xff{", "no text", now);
        assert_eq!((nothing.hash, nothing.step), (hash, Step::Failed));
        assert_eq!(nothing.name, hash.to_string());
    }
}
