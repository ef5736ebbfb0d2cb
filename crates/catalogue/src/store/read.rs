//! Rows of the database to values: all of them, once, at the start.
//!
//! By rusqlite, on the threads that want the values, as the first listing waits for them. sqlx
//! copies each value to the heap and hands it over from a thread of its own: that took three times
//! as long as SQLite and the library made of the values together.

use std::collections::HashMap;
use std::sync::Arc;

use debridfs_base::NodeId;
use debridfs_provider::{
    ContentId, DirectLink, HosterLink, KeyId, TorrentFile, TorrentId, TorrentStatus,
};
use debridfs_sqlite::Failure;
use rusqlite::{Connection, Error, OptionalExtension, Row};

use super::rows::GENERATION;
use super::{
    HeldRow, Mark, RetiredRow, Stored, SyncRow, TorrentRow, compared, differing, first_sync,
    learnt, verdicts,
};
use crate::stored_time::read_time;
use crate::{Copy, CopyDetail, IdOverride, Memory, ShownRelease, ShownView};

/// Reads everything through two connections that `open` gives, on as many threads.
///
/// # Errors
/// Why the file cannot be used.
pub(super) fn load(
    open: impl Fn() -> rusqlite::Result<Connection> + Sync,
) -> std::result::Result<Stored, Failure> {
    let rest = || load_rest(&open().map_err(failed)?);
    std::thread::scope(|scope| {
        let beside = std::thread::Builder::new().spawn_scoped(scope, rest);
        let torrents = open().and_then(|connection| {
            let mut unreadable = 0;
            let torrents = load_torrents(&connection, &mut unreadable)?;
            Ok((torrents, unreadable))
        });
        let rest = match beside.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(rest)) => rest,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // There is no thread for it: it takes longer.
            Err(_) => rest(),
        };
        // What the check says of damage says more than the row that was met first.
        let mut stored = rest?;
        let (torrents, unreadable) = torrents.map_err(failed)?;
        stored.torrents = torrents;
        stored.unreadable += unreadable;
        Ok(stored)
    })
}

fn failed(error: Error) -> Failure {
    let code = error.sqlite_error().map(|error| error.extended_code);
    Failure::of_code(code, error.to_string())
}

/// Checks the file, and reads all but the torrents.
fn load_rest(connection: &Connection) -> std::result::Result<Stored, Failure> {
    let check = "PRAGMA quick_check(1)";
    let verdict: String = connection
        .query_row(check, [], |row| row.get(0))
        .map_err(failed)?;
    if verdict != "ok" {
        return Err(Failure::Corrupt(verdict));
    }
    let mut unreadable = 0;
    let stored = load_checked(connection, &mut unreadable).map_err(failed)?;
    Ok(Stored {
        unreadable,
        ..stored
    })
}

fn load_checked(connection: &Connection, unreadable: &mut usize) -> rusqlite::Result<Stored> {
    let sql = "SELECT provider, hoster, url, filename, bytes, resolved_at, key FROM key_links";
    let generation: Option<i64> = connection
        .query_row(
            "SELECT value FROM counters WHERE name = ?",
            [GENERATION],
            |row| row.get(0),
        )
        .optional()?;
    Ok(Stored {
        memory: load_memory(connection, unreadable)?,
        retired: load_retired(connection, unreadable)?,
        links: sound(connection, sql, unreadable, link)?,
        sync: load_sync(connection, unreadable)?,
        verdicts: verdicts::load(connection, unreadable)?,
        differing: differing::load(connection, unreadable)?,
        learnt: learnt::load(connection, unreadable)?,
        compared: compared::load(connection, unreadable)?,
        generation: u64::try_from(generation.unwrap_or(0)).unwrap_or(0),
        ..Stored::default()
    })
}

/// What the rows of `sql` say. Rows that make no sense are counted and left out: a file whose
/// structure is whole may hold them all the same, and one of them is no reason to do without the
/// others.
pub(super) fn sound<T>(
    connection: &Connection,
    sql: &str,
    unreadable: &mut usize,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Option<T>>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(Some(value)) => all.push(value),
            Ok(None) | Err(_) => *unreadable += 1,
        }
    }
    all.shrink_to_fit();
    Ok(all)
}

/// Whether the file has a table: one that is only read, as the disk is full, may be of a version
/// before it.
pub(super) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE name = ?";
    connection.query_row(sql, [name], |row| row.get(0))
}

/// A text, where it is, as long as the row is the current one.
fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str()?)
}

fn optional_text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<&'a str>> {
    Ok(row.get_ref(column)?.as_str_or_null()?)
}

fn link(row: &Row<'_>) -> rusqlite::Result<Option<(String, HosterLink, DirectLink)>> {
    let Some(resolved_at) = read_time(row.get(5)?) else {
        return Ok(None);
    };
    let link = DirectLink {
        url: row.get(2)?,
        filename: row.get(3)?,
        bytes: row.get::<_, Option<i64>>(4)?.map(|bytes| bytes as u64),
        resolved_at,
        key: KeyId::from_stored(row.get::<_, String>(6)?),
    };
    Ok(Some((row.get(0)?, HosterLink(row.get(1)?), link)))
}

fn load_memory(connection: &Connection, unreadable: &mut usize) -> rusqlite::Result<Memory> {
    let sql = "SELECT hash, name, added, good FROM shown";
    let shown = |row: &Row<'_>| {
        let (Ok(id), Some(added)) = (text(row, 0)?.parse(), read_time(row.get(2)?)) else {
            return Ok(None);
        };
        Ok(Some(ShownRelease {
            id,
            name: text(row, 1)?.into(),
            added,
            good: row.get(3)?,
        }))
    };
    let releases = sound(connection, sql, unreadable, shown)?;
    let choice = |row: &Row<'_>| {
        let id = NodeId(row.get::<_, i64>(1)? as u64);
        let key = <[u8; 32]>::try_from(row.get_ref(0)?.as_blob()?);
        Ok(key.ok().map(|key| IdOverride { key, id }))
    };
    let sql = "SELECT node, id FROM id_overrides";
    let ids = sound(connection, sql, unreadable, choice)?;
    Ok(Memory {
        releases,
        ids,
        views: load_views(connection, unreadable)?,
    })
}

fn load_views(connection: &Connection, unreadable: &mut usize) -> rusqlite::Result<Vec<ShownView>> {
    let view = |row: &Row<'_>| {
        let name: String = row.get(0)?;
        Ok(read_time(row.get(1)?).map(|changed| ShownView {
            name,
            changed,
            members: Vec::new(),
        }))
    };
    let sql = "SELECT name, changed FROM views";
    let mut views = sound(connection, sql, unreadable, view)?;
    let number: HashMap<String, usize> = views
        .iter()
        .enumerate()
        .map(|(number, view)| (view.name.clone(), number))
        .collect();
    // Members of views that are not there are passed over.
    let member = |row: &Row<'_>| {
        let content = text(row, 1)?.parse::<ContentId>().ok();
        let view = number.get(text(row, 0)?).copied();
        Ok(content.map(|content| (view, content)))
    };
    let sql = "SELECT view, hash FROM view_members";
    for (view, content) in sound(connection, sql, unreadable, member)? {
        if let Some(view) = view {
            views[view].members.push(content);
        }
    }
    Ok(views)
}

fn load_retired(
    connection: &Connection,
    unreadable: &mut usize,
) -> rusqlite::Result<Vec<RetiredRow>> {
    let sql = "SELECT at, parent, name FROM retired ORDER BY at, rowid";
    sound(connection, sql, unreadable, |row| {
        let Some(at) = read_time(row.get(0)?) else {
            return Ok(None);
        };
        Ok(Some(RetiredRow {
            at,
            parent: NodeId(row.get::<_, i64>(1)? as u64),
            name: row.get(2)?,
        }))
    })
}

fn load_sync(connection: &Connection, unreadable: &mut usize) -> rusqlite::Result<Vec<SyncRow>> {
    let sql = "SELECT provider, torrent, since, confirmations FROM held";
    let read = |row: &Row<'_>| {
        let Some(since) = read_time(row.get(2)?) else {
            return Ok(None);
        };
        let provider: String = row.get(0)?;
        let held = HeldRow {
            torrent: TorrentId(row.get(1)?),
            since,
            confirmations: row.get(3)?,
        };
        Ok(Some((provider, held)))
    };
    let mut held: HashMap<String, Vec<HeldRow>> = HashMap::new();
    for (provider, row) in sound(connection, sql, unreadable, read)? {
        held.entry(provider).or_default().push(row);
    }
    let sql = "SELECT provider, listed, last_full, held_counted FROM sync_state";
    let mut all = sound(connection, sql, unreadable, |row| {
        Ok(Some(SyncRow {
            provider: row.get(0)?,
            listed: row.get(1)?,
            last_full: row.get::<_, Option<i64>>(2)?.and_then(read_time),
            held_counted: row.get::<_, Option<i64>>(3)?.and_then(read_time),
            held: Vec::new(),
            first: None,
        }))
    })?;
    let mut first = first_sync::load(connection, unreadable)?;
    for row in &mut all {
        row.first = first.remove(&row.provider);
        row.held = held.remove(&row.provider).unwrap_or_default();
    }
    Ok(all)
}

fn load_torrents(
    connection: &Connection,
    unreadable: &mut usize,
) -> rusqlite::Result<Vec<TorrentRow>> {
    let sql = "SELECT provider, id, hash, filename, bytes, status, added, ended, links, \
               original_filename, files, removed, list_print, info_due, ready_seen, archive \
               FROM torrents";
    sound(connection, sql, unreadable, torrent)
}

/// `None` when the row makes no sense. Unreadable details alone are asked for again.
fn torrent(row: &Row<'_>) -> rusqlite::Result<Option<TorrentRow>> {
    let Ok(content) = text(row, 2)?.parse::<ContentId>() else {
        return Ok(None);
    };
    let Some(added) = read_time(row.get(6)?) else {
        return Ok(None);
    };
    let links: Option<Vec<HosterLink>> = serde_json::from_str(text(row, 8)?).ok();
    let original_filename: Option<String> = row.get(9)?;
    let files: Option<Vec<TorrentFile>> =
        optional_text(row, 10)?.and_then(|files| serde_json::from_str(files).ok());
    let detail = original_filename
        .zip(files)
        .map(|(original_filename, files)| CopyDetail {
            original_filename,
            files,
        });
    // An unreadable one is looked into again.
    let archive = optional_text(row, 15)?.and_then(|archive| serde_json::from_str(archive).ok());
    let info_due: bool = row.get(13)?;
    let time = |column| -> rusqlite::Result<_> {
        Ok(row.get::<_, Option<i64>>(column)?.and_then(read_time))
    };
    Ok(Some(TorrentRow {
        mark: Mark {
            list_print: row.get::<_, i64>(12)? as u64,
            info_due: info_due || detail.is_none() || links.is_none(),
            ready_seen: time(14)?,
        },
        record: Arc::new(Copy::compact(Copy {
            provider: row.get(0)?,
            id: TorrentId(row.get(1)?),
            content,
            filename: row.get(3)?,
            bytes: row.get::<_, i64>(4)? as u64,
            status: TorrentStatus::from_word(text(row, 5)?),
            added,
            ended: time(7)?,
            links: links.unwrap_or_default(),
            detail,
            archive,
            removed: time(11)?,
        })),
    }))
}
