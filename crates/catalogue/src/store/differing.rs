//! Rows of `differing_copies`.

use debridfs_provider::{DifferingCopy, TorrentId};
use rusqlite::Connection;
use sqlx::SqliteConnection;

use super::read::{has_table, sound};

/// Reads all.
pub(super) fn load(
    connection: &Connection,
    unreadable: &mut usize,
) -> rusqlite::Result<Vec<DifferingCopy>> {
    if !has_table(connection, "differing_copies")? {
        return Ok(Vec::new());
    }
    let sql = "SELECT file, provider, id FROM differing_copies";
    sound(connection, sql, unreadable, |row| {
        Ok(Some(DifferingCopy {
            file: row.get::<_, i64>(0)? as u64,
            provider: row.get(1)?,
            torrent: TorrentId(row.get(2)?),
        }))
    })
}

/// Adds each.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    copies: &[DifferingCopy],
) -> sqlx::Result<()> {
    for copy in copies {
        sqlx::query("INSERT OR IGNORE INTO differing_copies (file, provider, id) VALUES (?, ?, ?)")
            .bind(copy.file as i64)
            .bind(&copy.provider)
            .bind(&copy.torrent.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::forget::forget_purged;
    use super::*;

    #[tokio::test]
    async fn marks_are_kept_as_long_as_their_torrents() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalogue.db");
        let opened = super::super::open::open(&path, jiff::Timestamp::UNIX_EPOCH).await;
        let mut store = opened.unwrap().connection;
        let copy = |file: u64, torrent: &str| DifferingCopy {
            file,
            provider: "rd".to_owned(),
            torrent: TorrentId(torrent.to_owned()),
        };
        let held = copy(u64::MAX - 1, "held");
        add(&mut store, &[held.clone(), copy(1, "gone"), held.clone()])
            .await
            .unwrap();
        let mut unreadable = 0;
        let read = Connection::open(&path).unwrap();
        assert_eq!(load(&read, &mut unreadable).unwrap().len(), 2);
        sqlx::query(
            "INSERT INTO torrents (provider, id, hash, filename, bytes, status, added, links, list_print, info_due) \
             VALUES ('rd', 'held', '', '', 0, '', 0, '[]', 0, 0)",
        )
        .execute(&mut store)
        .await
        .unwrap();
        forget_purged(&mut store).await.unwrap();
        assert_eq!(load(&read, &mut unreadable).unwrap(), [held]);
        assert_eq!(unreadable, 0);
    }
}
