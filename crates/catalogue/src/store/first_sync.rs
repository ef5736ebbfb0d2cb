//! How far each account is in its first sync.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::Connection;
use sqlx::SqliteConnection;

use super::read::{has_table, sound};
use crate::stored_time::read_time;
use crate::sync::first::Stage;

/// By provider.
pub(super) fn load(
    connection: &Connection,
    unreadable: &mut usize,
) -> rusqlite::Result<HashMap<String, (Stage, Option<Timestamp>)>> {
    if !has_table(connection, "first_sync")? {
        return Ok(HashMap::new());
    }
    let sql = "SELECT provider, stage, until FROM first_sync";
    let read = sound(connection, sql, unreadable, |row| {
        let stage = match row.get::<_, i64>(1)? {
            0 => Stage::Unknown,
            1 => Stage::Known,
            2 => Stage::Shown,
            _ => return Ok(None),
        };
        let until = row.get::<_, Option<i64>>(2)?.and_then(read_time);
        Ok(Some((row.get::<_, String>(0)?, (stage, until))))
    });
    Ok(read?.into_iter().collect())
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
