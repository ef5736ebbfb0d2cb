//! Rows of the database to values and back.

use std::collections::HashMap;
use std::sync::Arc;

use debridfs_provider::{
    ContentId, DirectLink, HosterLink, KeyId, TorrentFile, TorrentId, TorrentStatus,
};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{
    Batch, HeldRow, HistoryEntry, Mark, RetiredRow, Stored, SyncRow, TorrentRow, first_sync,
    verdicts,
};
use crate::stored_time::read_time;
use crate::{Copy, CopyDetail, IdOverride, Memory, ShownRelease, ShownView, ViewChange};
use debridfs_base::NodeId;

const GENERATION: &str = "generation";

/// Reads everything.
pub(super) async fn load(connection: &mut SqliteConnection) -> sqlx::Result<Stored> {
    let mut stored = Stored::default();
    let mut unreadable = 0;
    let sql = "SELECT provider, id, hash, filename, bytes, status, added, ended, links, original_filename, files, removed, list_print, \
               info_due, ready_seen, archive FROM torrents";
    stored.torrents = sound(connection, sql, &mut unreadable, torrent).await?;
    stored.memory = load_memory(connection, &mut unreadable).await?;
    stored.retired = load_retired(connection, &mut unreadable).await?;
    let sql = "SELECT provider, hoster, url, filename, bytes, resolved_at, key FROM key_links";
    stored.links = sound(connection, sql, &mut unreadable, link).await?;
    stored.sync = load_sync(connection, &mut unreadable).await?;
    stored.verdicts = verdicts::load(connection, &mut unreadable).await?;
    let generation: Option<i64> = sqlx::query_scalar("SELECT value FROM counters WHERE name = ?")
        .bind(GENERATION)
        .fetch_optional(&mut *connection)
        .await?;
    stored.generation = u64::try_from(generation.unwrap_or(0)).unwrap_or(0);
    stored.unreadable = unreadable;
    Ok(stored)
}

/// What the rows of `sql` say, each taken as it comes: all rows at once, as text, are as large as
/// the library made of them, and the allocator keeps their memory. Rows that make no sense are
/// counted and left out: a file whose structure is whole may hold them all the same, and one of them
/// is no reason to do without the others.
pub(super) async fn sound<T>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    unreadable: &mut usize,
    read: impl Fn(&SqliteRow) -> sqlx::Result<Option<T>>,
) -> sqlx::Result<Vec<T>> {
    let mut rows = sqlx::query(sql).fetch(connection);
    let mut all = Vec::new();
    while let Some(row) = rows.try_next().await? {
        match read(&row) {
            Ok(Some(value)) => all.push(value),
            Ok(None) | Err(_) => *unreadable += 1,
        }
    }
    all.shrink_to_fit();
    Ok(all)
}

fn link(row: &SqliteRow) -> sqlx::Result<Option<(String, HosterLink, DirectLink)>> {
    let Some(resolved_at) = read_time(row.try_get(5)?) else {
        return Ok(None);
    };
    let link = DirectLink {
        url: row.try_get(2)?,
        filename: row.try_get(3)?,
        bytes: row.try_get::<Option<i64>, _>(4)?.map(|bytes| bytes as u64),
        resolved_at,
        key: KeyId::from_stored(row.try_get::<String, _>(6)?),
    };
    Ok(Some((row.try_get(0)?, HosterLink(row.try_get(1)?), link)))
}

async fn load_memory(
    connection: &mut SqliteConnection,
    unreadable: &mut usize,
) -> sqlx::Result<Memory> {
    let sql = "SELECT hash, name, added, good FROM shown";
    let shown = |row: &SqliteRow| {
        let id = row.try_get::<&str, _>(0)?.parse();
        let (Ok(id), Some(added)) = (id, read_time(row.try_get(2)?)) else {
            return Ok(None);
        };
        Ok(Some(ShownRelease {
            id,
            name: row.try_get::<&str, _>(1)?.into(),
            added,
            good: row.try_get(3)?,
        }))
    };
    let releases = sound(connection, sql, unreadable, shown).await?;
    let choice = |row: &SqliteRow| {
        let id = NodeId(row.try_get::<i64, _>(1)? as u64);
        let key = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(0)?);
        Ok(key.ok().map(|key| IdOverride { key, id }))
    };
    let sql = "SELECT node, id FROM id_overrides";
    let ids = sound(connection, sql, unreadable, choice).await?;
    Ok(Memory {
        releases,
        ids,
        views: load_views(connection, unreadable).await?,
    })
}

async fn load_views(
    connection: &mut SqliteConnection,
    unreadable: &mut usize,
) -> sqlx::Result<Vec<ShownView>> {
    let view = |row: &SqliteRow| {
        let name: String = row.try_get(0)?;
        Ok(read_time(row.try_get(1)?).map(|changed| ShownView {
            name,
            changed,
            members: Vec::new(),
        }))
    };
    let sql = "SELECT name, changed FROM views";
    let mut views = sound(connection, sql, unreadable, view).await?;
    let number: HashMap<String, usize> = views
        .iter()
        .enumerate()
        .map(|(number, view)| (view.name.clone(), number))
        .collect();
    // Members of views that are not there are passed over.
    let member = |row: &SqliteRow| {
        let content = row.try_get::<&str, _>(1)?.parse::<ContentId>().ok();
        let view = number.get(row.try_get::<&str, _>(0)?).copied();
        Ok(content.map(|content| (view, content)))
    };
    let sql = "SELECT view, hash FROM view_members";
    for (view, content) in sound(connection, sql, unreadable, member).await? {
        if let Some(view) = view {
            views[view].members.push(content);
        }
    }
    Ok(views)
}

async fn load_retired(
    connection: &mut SqliteConnection,
    unreadable: &mut usize,
) -> sqlx::Result<Vec<RetiredRow>> {
    sound(
        connection,
        "SELECT at, parent, name FROM retired ORDER BY at, rowid",
        unreadable,
        |row| {
            let Some(at) = read_time(row.try_get(0)?) else {
                return Ok(None);
            };
            Ok(Some(RetiredRow {
                at,
                parent: NodeId(row.try_get::<i64, _>(1)? as u64),
                name: row.try_get(2)?,
            }))
        },
    )
    .await
}

async fn load_sync(
    connection: &mut SqliteConnection,
    unreadable: &mut usize,
) -> sqlx::Result<Vec<SyncRow>> {
    let mut held: HashMap<String, Vec<HeldRow>> = HashMap::new();
    for (provider, row) in sound(
        connection,
        "SELECT provider, torrent, since, confirmations FROM held",
        unreadable,
        |row| {
            let Some(since) = read_time(row.try_get(2)?) else {
                return Ok(None);
            };
            let provider: String = row.try_get(0)?;
            let held = HeldRow {
                torrent: TorrentId(row.try_get(1)?),
                since,
                confirmations: row.try_get(3)?,
            };
            Ok(Some((provider, held)))
        },
    )
    .await?
    {
        held.entry(provider).or_default().push(row);
    }
    let mut all = sound(
        connection,
        "SELECT provider, listed, last_full, held_counted FROM sync_state",
        unreadable,
        |row| {
            Ok(Some(SyncRow {
                provider: row.try_get(0)?,
                listed: row.try_get(1)?,
                last_full: row.try_get::<Option<i64>, _>(2)?.and_then(read_time),
                held_counted: row.try_get::<Option<i64>, _>(3)?.and_then(read_time),
                held: Vec::new(),
                first: None,
            }))
        },
    )
    .await?;
    let mut first = first_sync::load(connection, unreadable).await?;
    for row in &mut all {
        row.first = first.remove(&row.provider);
        row.held = held.remove(&row.provider).unwrap_or_default();
    }
    Ok(all)
}

/// `None` when the row makes no sense. Unreadable details alone are asked for again.
fn torrent(row: &SqliteRow) -> sqlx::Result<Option<TorrentRow>> {
    let Ok(content) = row.try_get::<&str, _>(2)?.parse::<ContentId>() else {
        return Ok(None);
    };
    let Some(added) = read_time(row.try_get(6)?) else {
        return Ok(None);
    };
    let links: Option<Vec<HosterLink>> = serde_json::from_str(row.try_get(8)?).ok();
    let original_filename: Option<String> = row.try_get(9)?;
    let files: Option<Vec<TorrentFile>> = row
        .try_get::<Option<&str>, _>(10)?
        .and_then(|files| serde_json::from_str(files).ok());
    let detail = original_filename
        .zip(files)
        .map(|(original_filename, files)| CopyDetail {
            original_filename,
            files,
        });
    // An unreadable one is looked into again.
    let archive = row
        .try_get::<Option<&str>, _>(15)?
        .and_then(|archive| serde_json::from_str(archive).ok());
    let info_due = row.try_get(13)?;
    Ok(Some(TorrentRow {
        mark: Mark {
            list_print: row.try_get::<i64, _>(12)? as u64,
            info_due: info_due || detail.is_none() || links.is_none(),
            ready_seen: row.try_get::<Option<i64>, _>(14)?.and_then(read_time),
        },
        record: Arc::new(Copy::compact(Copy {
            provider: row.try_get(0)?,
            id: TorrentId(row.try_get(1)?),
            content,
            filename: row.try_get(3)?,
            bytes: row.try_get::<i64, _>(4)? as u64,
            status: TorrentStatus::from_word(row.try_get(5)?),
            added,
            ended: row.try_get::<Option<i64>, _>(7)?.and_then(read_time),
            links: links.unwrap_or_default(),
            detail,
            archive,
            removed: row.try_get::<Option<i64>, _>(11)?.and_then(read_time),
        })),
    }))
}

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
    if !batch.purged.is_empty() {
        verdicts::purge(connection).await?;
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
