//! Rows of `copy_verdicts`.

use debridfs_provider::TorrentId;
use rusqlite::Connection;
use sqlx::SqliteConnection;

use super::read::{has_table, sound};
use crate::stored_time::read_time;
use crate::verdicts::{CopyVerdict, VerdictRow};

/// Reads all.
pub(super) fn load(
    connection: &Connection,
    unreadable: &mut usize,
) -> rusqlite::Result<Vec<VerdictRow>> {
    if !has_table(connection, "copy_verdicts")? {
        return Ok(Vec::new());
    }
    let sql = "SELECT provider, id, verdict, words, at FROM copy_verdicts";
    sound(connection, sql, unreadable, |row| {
        let Some(at) = read_time(row.get(4)?) else {
            return Ok(None);
        };
        Ok(Some(VerdictRow {
            provider: row.get(0)?,
            id: TorrentId(row.get(1)?),
            said: CopyVerdict {
                at,
                verdict: row.get(2)?,
                words: row.get(3)?,
            },
        }))
    })
}

/// Writes each in place of the copy's last one.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    rows: &[VerdictRow],
) -> sqlx::Result<()> {
    for row in rows {
        sqlx::query(
            "INSERT OR REPLACE INTO copy_verdicts (provider, id, verdict, words, at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&row.provider)
        .bind(&row.id.0)
        .bind(&row.said.verdict)
        .bind(&row.said.words)
        .bind(row.said.at.as_microsecond())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
