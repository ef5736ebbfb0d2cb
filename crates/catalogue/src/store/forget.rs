//! What is forgotten at a start, so that the store does not grow with everything that ever was.
//!
//! - The name of a release that no account has held for long: whoever comes back is named anew. Its
//!   ids come back the same, as they are made of what it is.
//! - With it the hash that was learnt of it.
//! - That two files were compared long ago: those that are played are compared again.
//! - Direct links of torrents that are gone.
//! - What is noted of copies that are gone, with each that goes.
//!
//! What is kept for ever is `id_overrides`: a row only where two nodes came to the same number of 62
//! bits. With a million nodes that is one in four million libraries.

use std::collections::HashSet;

use debridfs_provider::ContentId;
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::Stored;

/// Forgets what nothing has happened to since `before`, in the file and in what was just read of
/// it. The file is asked only when there may be something: who starts waits for the answer.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    stored: &mut Stored,
    before: Timestamp,
) -> sqlx::Result<()> {
    let since = before.as_microsecond();
    let torrents = stored.torrents.iter();
    let mut known: HashSet<ContentId> = torrents.map(|row| row.record.content).collect();
    let learnt = stored.learnt.iter();
    let learnt = learnt.filter(|(_, learnt)| known.contains(&learnt.hash));
    let learnt: Vec<ContentId> = learnt.map(|(shown, _)| *shown).collect();
    let outdated = learnt.len() < stored.learnt.iter().count();
    known.extend(learnt);
    let releases = &mut stored.memory.releases;
    if releases.iter().any(|shown| !known.contains(&shown.id)) {
        let gone: Vec<String> = sqlx::query_scalar(
            "DELETE FROM shown WHERE hash NOT IN (SELECT hash FROM torrents) \
             AND hash NOT IN (SELECT hash FROM history WHERE at >= ?) \
             AND hash NOT IN (SELECT shown FROM learnt_hashes WHERE hash IN (SELECT hash FROM torrents)) RETURNING hash",
        )
        .bind(since)
        .fetch_all(&mut *connection)
        .await?;
        let gone: HashSet<ContentId> = gone.iter().filter_map(|hash| hash.parse().ok()).collect();
        releases.retain(|shown| !gone.contains(&shown.id));
    }
    if outdated {
        let gone: Vec<String> = sqlx::query_scalar(
            "DELETE FROM learnt_hashes WHERE hash NOT IN (SELECT hash FROM torrents) \
             AND shown NOT IN (SELECT hash FROM shown) RETURNING shown",
        )
        .fetch_all(&mut *connection)
        .await?;
        for shown in gone.iter().filter_map(|shown| shown.parse().ok()) {
            stored.learnt.remove(shown);
        }
    }
    if stored.compared.iter().any(|pair| pair.at < before) {
        sqlx::query("DELETE FROM compared_files WHERE at < ?")
            .bind(since)
            .execute(&mut *connection)
            .await?;
        stored.compared.retain(|pair| pair.at >= before);
    }
    if stored
        .links
        .iter()
        .any(|(.., link)| link.resolved_at < before)
    {
        // What cannot be read holds no links. Nobody asks for those that go: they may stay in memory.
        sqlx::query(
            "DELETE FROM key_links WHERE resolved_at < ? AND hoster NOT IN (SELECT value FROM torrents, \
             json_each(CASE WHEN json_valid(links) THEN links ELSE '[]' END) WHERE value IS NOT NULL)",
        )
        .bind(since)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What is noted of copies, by the table.
const OF_COPIES: [&str; 2] = [
    "DELETE FROM copy_verdicts WHERE NOT EXISTS (SELECT 1 FROM torrents \
     WHERE torrents.provider = copy_verdicts.provider AND torrents.id = copy_verdicts.id)",
    "DELETE FROM differing_copies WHERE NOT EXISTS (SELECT 1 FROM torrents \
     WHERE torrents.provider = differing_copies.provider AND torrents.id = differing_copies.id)",
];

/// Forgets what is noted of copies that are gone, also of those that a version without these tables purged.
pub(super) async fn forget_purged(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    for sql in OF_COPIES {
        sqlx::query(sql).execute(&mut *connection).await?;
    }
    Ok(())
}
