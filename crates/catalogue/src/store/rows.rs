//! Values to rows of the database, in batches; [`super::read`] has them all back at the start.

use debridfs_provider::{DirectLink, HosterLink, KeyId, TorrentId};
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection};

use super::forget::forget_purged;
use super::{Batch, HistoryEntry, SyncRow, TorrentRow, first_sync, learnt, verdicts};
use crate::ViewChange;
use crate::stored_time::read_time;

/// The counter of publications.
pub(super) const GENERATION: &str = "generation";

/// Writes `batch`; the caller's transaction makes it all or nothing.
pub(super) async fn write(connection: &mut SqliteConnection, batch: &Batch) -> sqlx::Result<()> {
    for torrent in &batch.torrents {
        write_torrent(connection, torrent).await?;
    }
    for (provider, id) in &batch.purged {
        sqlx::query("DELETE FROM torrents WHERE provider = ? AND id = ?")
            .bind(provider)
            .bind(&id.0)
            .execute(&mut *connection)
            .await?;
    }
    for shown in &batch.shown {
        sqlx::query("INSERT OR REPLACE INTO shown (hash, name, added, good) VALUES (?, ?, ?, ?)")
            .bind(shown.id.to_string())
            .bind(&*shown.name)
            .bind(shown.added.as_microsecond())
            .bind(shown.good)
            .execute(&mut *connection)
            .await?;
    }
    for choice in &batch.ids {
        sqlx::query("INSERT OR REPLACE INTO id_overrides (node, id) VALUES (?, ?)")
            .bind(choice.key.as_slice())
            .bind(choice.id.0 as i64)
            .execute(&mut *connection)
            .await?;
    }
    for change in &batch.views {
        write_view(connection, change).await?;
    }
    for entry in &batch.history {
        sqlx::query(
            "INSERT INTO history (at, provider, torrent, hash, what, name) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(entry.at.as_microsecond())
        .bind(&entry.provider)
        .bind(&entry.torrent.0)
        .bind(&entry.hash)
        .bind(&entry.what)
        .bind(&entry.name)
        .execute(&mut *connection)
        .await?;
    }
    for row in &batch.retired {
        sqlx::query("INSERT INTO retired (at, parent, name) VALUES (?, ?, ?)")
            .bind(row.at.as_microsecond())
            .bind(row.parent.0 as i64)
            .bind(&row.name)
            .execute(&mut *connection)
            .await?;
    }
    for sync in &batch.sync {
        write_sync(connection, sync).await?;
    }
    verdicts::write(connection, &batch.verdicts).await?;
    learnt::write(connection, &batch.learnt).await?;
    if !batch.purged.is_empty() {
        forget_purged(connection).await?;
    }
    if let Some(generation) = batch.generation {
        sqlx::query(
            "INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(GENERATION)
        .bind(generation as i64)
        .execute(&mut *connection)
        .await?;
    }
    if let Some(before) = batch.forget_before {
        sqlx::query("DELETE FROM history WHERE at < ?")
            .bind(before.as_microsecond())
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM retired WHERE at < ?")
            .bind(before.as_microsecond())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn write_torrent(connection: &mut SqliteConnection, row: &TorrentRow) -> sqlx::Result<()> {
    let record = &row.record;
    let encode = |error: serde_json::Error| sqlx::Error::Encode(Box::new(error));
    let links = serde_json::to_string(&record.links).map_err(encode)?;
    let files = match &record.detail {
        Some(detail) => Some(serde_json::to_string(&detail.files).map_err(encode)?),
        None => None,
    };
    let archive = match &record.archive {
        Some(archive) => Some(serde_json::to_string(archive).map_err(encode)?),
        None => None,
    };
    sqlx::query(
        "INSERT OR REPLACE INTO torrents (provider, id, hash, filename, bytes, status, added, ended, links, original_filename, \
         files, removed, list_print, info_due, ready_seen, archive) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&record.provider)
    .bind(&record.id.0)
    .bind(record.content.to_string())
    .bind(&record.filename)
    .bind(record.bytes as i64)
    .bind(record.status.word())
    .bind(record.added.as_microsecond())
    .bind(record.ended.map(Timestamp::as_microsecond))
    .bind(links)
    .bind(record.detail.as_ref().map(|detail| detail.original_filename.as_str()))
    .bind(files)
    .bind(record.removed.map(Timestamp::as_microsecond))
    .bind(row.mark.list_print as i64)
    .bind(row.mark.info_due)
    .bind(row.mark.ready_seen.map(Timestamp::as_microsecond))
    .bind(archive)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

async fn write_view(connection: &mut SqliteConnection, change: &ViewChange) -> sqlx::Result<()> {
    if change.dropped {
        for sql in [
            "DELETE FROM views WHERE name = ?",
            "DELETE FROM view_members WHERE view = ?",
        ] {
            sqlx::query(sql)
                .bind(&change.view)
                .execute(&mut *connection)
                .await?;
        }
        return Ok(());
    }
    sqlx::query("INSERT OR REPLACE INTO views (name, changed) VALUES (?, ?)")
        .bind(&change.view)
        .bind(change.changed.as_microsecond())
        .execute(&mut *connection)
        .await?;
    for content in &change.joined {
        sqlx::query("INSERT OR REPLACE INTO view_members (view, hash) VALUES (?, ?)")
            .bind(&change.view)
            .bind(content.to_string())
            .execute(&mut *connection)
            .await?;
    }
    for content in &change.left {
        sqlx::query("DELETE FROM view_members WHERE view = ? AND hash = ?")
            .bind(&change.view)
            .bind(content.to_string())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn write_sync(connection: &mut SqliteConnection, sync: &SyncRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT OR REPLACE INTO sync_state (provider, listed, last_full, held_counted) VALUES (?, ?, ?, ?)",
    )
    .bind(&sync.provider)
    .bind(sync.listed)
    .bind(sync.last_full.map(Timestamp::as_microsecond))
    .bind(sync.held_counted.map(Timestamp::as_microsecond))
    .execute(&mut *connection)
    .await?;
    if let Some(first) = sync.first {
        first_sync::write(connection, &sync.provider, first).await?;
    }
    sqlx::query("DELETE FROM held WHERE provider = ?")
        .bind(&sync.provider)
        .execute(&mut *connection)
        .await?;
    for held in &sync.held {
        sqlx::query(
            "INSERT INTO held (provider, torrent, since, confirmations) VALUES (?, ?, ?, ?)",
        )
        .bind(&sync.provider)
        .bind(&held.torrent.0)
        .bind(held.since.as_microsecond())
        .bind(held.confirmations)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn history(
    connection: &mut SqliteConnection,
    since: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<HistoryEntry>> {
    let rows = sqlx::query(
        "SELECT at, provider, torrent, hash, what, name FROM history WHERE at >= ? ORDER BY at, rowid LIMIT ?",
    )
    .bind(since.as_microsecond())
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(at) = read_time(row.try_get(0)?) else {
            continue;
        };
        entries.push(HistoryEntry {
            at,
            provider: row.try_get(1)?,
            torrent: TorrentId(row.try_get(2)?),
            hash: row.try_get(3)?,
            what: row.try_get(4)?,
            name: row.try_get(5)?,
        });
    }
    Ok(entries)
}

pub(super) async fn save_link(
    connection: &mut SqliteConnection,
    (provider, hoster, link): (String, HosterLink, DirectLink),
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT OR REPLACE INTO key_links (provider, hoster, key, url, filename, bytes, resolved_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(provider)
    .bind(hoster.0)
    .bind(link.key.as_str().to_owned())
    .bind(link.url)
    .bind(link.filename)
    .bind(link.bytes.map(|bytes| bytes as i64))
    .bind(link.resolved_at.as_microsecond())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn forget_link(
    connection: &mut SqliteConnection,
    provider: String,
    hoster: HosterLink,
    key: KeyId,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM key_links WHERE provider = ? AND hoster = ? AND key = ?")
        .bind(provider)
        .bind(hoster.0)
        .bind(key.as_str().to_owned())
        .execute(connection)
        .await?;
    Ok(())
}
