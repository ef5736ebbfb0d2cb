//! How far each account is in its first sync.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::{Row, SqliteConnection};

use super::rows::sound;
use crate::stored_time::read_time;
use crate::sync::first::Stage;

/// By provider. The file of the version before has no such table where it can be read alone.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    unreadable: &mut usize,
) -> sqlx::Result<HashMap<String, (Stage, Option<Timestamp>)>> {
    let table = "SELECT count(*) FROM sqlite_master WHERE name = 'first_sync'";
    let tables: i64 = sqlx::query_scalar(table)
        .fetch_one(&mut *connection)
        .await?;
    if tables == 0 {
        return Ok(HashMap::new());
    }
    let sql = "SELECT provider, stage, until FROM first_sync";
    let read = sound(connection, sql, unreadable, |row| {
        let stage = match row.try_get::<i64, _>(1)? {
            0 => Stage::Unknown,
            1 => Stage::Known,
            2 => Stage::Shown,
            _ => return Ok(None),
        };
        let until = row.try_get::<Option<i64>, _>(2)?.and_then(read_time);
        Ok(Some((row.try_get::<String, _>(0)?, (stage, until))))
    });
    Ok(read.await?.into_iter().collect())
}

pub(super) async fn write(
    connection: &mut SqliteConnection,
    provider: &str,
    (stage, until): (Stage, Option<Timestamp>),
) -> sqlx::Result<()> {
    sqlx::query("INSERT OR REPLACE INTO first_sync (provider, stage, until) VALUES (?, ?, ?)")
        .bind(provider)
        .bind(stage as i64)
        .bind(until.map(Timestamp::as_microsecond))
        .execute(connection)
        .await?;
    Ok(())
}
