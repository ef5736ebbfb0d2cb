//! Rows of `copy_verdicts`.

use debridfs_provider::TorrentId;
use sqlx::{Row, SqliteConnection};

use super::rows::sound;
use crate::stored_time::read_time;
use crate::verdicts::{CopyVerdict, VerdictRow};

/// Reads all.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    unreadable: &mut usize,
) -> sqlx::Result<Vec<VerdictRow>> {
    // A file that is only read, as the disk is full, may be one of the version before.
    let table = "SELECT name FROM sqlite_master WHERE name = 'copy_verdicts'";
    let table = sqlx::query(table).fetch_optional(&mut *connection).await?;
    if table.is_none() {
        return Ok(Vec::new());
    }
    sound(
        connection,
        "SELECT provider, id, verdict, words, at FROM copy_verdicts",
        unreadable,
        |row| {
            let Some(at) = read_time(row.try_get(4)?) else {
                return Ok(None);
            };
            Ok(Some(VerdictRow {
                provider: row.try_get(0)?,
                id: TorrentId(row.try_get(1)?),
                said: CopyVerdict {
                    at,
                    verdict: row.try_get(2)?,
                    words: row.try_get(3)?,
                },
            }))
        },
    )
    .await
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

/// Forgets those of copies that are gone, also of what a version without this table purged.
pub(super) async fn purge(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM copy_verdicts WHERE NOT EXISTS (SELECT 1 FROM torrents \
         WHERE torrents.provider = copy_verdicts.provider AND torrents.id = copy_verdicts.id)",
    )
    .execute(connection)
    .await?;
    Ok(())
}
