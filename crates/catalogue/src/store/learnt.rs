//! Rows of `learnt_hashes`.

use debridfs_provider::{ContentId, TorrentId};
use rusqlite::Connection;
use sqlx::SqliteConnection;

use super::read::{has_table, sound};
use crate::learnt::{LearntHash, LearntHashes};

/// Reads all.
pub(super) fn load(
    connection: &Connection,
    unreadable: &mut usize,
) -> rusqlite::Result<LearntHashes> {
    if !has_table(connection, "learnt_hashes")? {
        return Ok(LearntHashes::default());
    }
    let sql = "SELECT shown, hash, provider, id FROM learnt_hashes";
    let pairs = sound(connection, sql, unreadable, |row| {
        let both: [String; 2] = [row.get(0)?, row.get(1)?];
        let [Ok(shown), Ok(hash)] = both.map(|text| text.parse::<ContentId>()) else {
            return Ok(None);
        };
        let learnt = LearntHash {
            hash,
            provider: row.get(2)?,
            torrent: TorrentId(row.get(3)?),
        };
        Ok(Some((shown, learnt)))
    })?;
    Ok(pairs.into_iter().collect())
}

/// Adds each, in place of what was known before.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    hashes: &[(ContentId, LearntHash)],
) -> sqlx::Result<()> {
    for (shown, learnt) in hashes {
        sqlx::query(
            "INSERT OR REPLACE INTO learnt_hashes (shown, hash, provider, id) VALUES (?, ?, ?, ?)",
        )
        .bind(shown.to_string())
        .bind(learnt.hash.to_string())
        .bind(&learnt.provider)
        .bind(&learnt.torrent.0)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
