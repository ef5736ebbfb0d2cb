//! Rows of `compared_files`.

use debridfs_base::NodeId;
use jiff::Timestamp;
use rusqlite::Connection;
use sqlx::SqliteConnection;

use super::read::{has_table, sound};
use crate::ComparedFiles;

/// Two files that were compared, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) files: ComparedFiles,
    pub(crate) at: Timestamp,
}

/// Reads all.
pub(super) fn load(
    connection: &Connection,
    unreadable: &mut usize,
) -> rusqlite::Result<Vec<Compared>> {
    if !has_table(connection, "compared_files")? {
        return Ok(Vec::new());
    }
    let sql = "SELECT file, other, equal, at FROM compared_files";
    sound(connection, sql, unreadable, |row| {
        let Ok(at) = Timestamp::from_microsecond(row.get(3)?) else {
            return Ok(None);
        };
        let files = ComparedFiles {
            file: NodeId(row.get::<_, i64>(0)? as u64),
            other: NodeId(row.get::<_, i64>(1)? as u64),
            equal: row.get(2)?,
        };
        Ok(Some(Compared { files, at }))
    })
}

/// Adds each, in place of what was known before.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    compared: &[Compared],
) -> sqlx::Result<()> {
    for Compared { files, at } in compared {
        sqlx::query(
            "INSERT OR REPLACE INTO compared_files (file, other, equal, at) VALUES (?, ?, ?, ?)",
        )
        .bind(files.file.0 as i64)
        .bind(files.other.0 as i64)
        .bind(files.equal)
        .bind(at.as_microsecond())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::Store;
    use super::*;

    #[tokio::test]
    async fn comparisons_are_kept_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalogue.db");
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 20_000);
        let pair = |file: u64, equal, at| {
            let (file, other) = (NodeId(file), NodeId(u64::MAX - 1));
            let files = ComparedFiles { file, other, equal };
            Compared { files, at }
        };
        let old = pair(1, true, now - SignedDuration::from_hours(24 * 200));
        let (yes, no) = (pair(2, true, now), pair(u64::MAX - 2, false, now));
        let (store, stored) = Store::open(&path, now).await.unwrap();
        assert_eq!(stored.compared, []);
        let compared = vec![old, pair(2, false, now), yes.clone(), no.clone()];
        let written = store.change_links(Default::default(), vec![], compared);
        written.await.unwrap();
        drop(store);
        for _ in 0..2 {
            let (_store, mut stored) = Store::open(&path, now).await.unwrap();
            stored.compared.sort_by_key(|pair| pair.files.file.0 as i64);
            assert_eq!(stored.compared, [no.clone(), yes.clone()]);
        }
    }
}
