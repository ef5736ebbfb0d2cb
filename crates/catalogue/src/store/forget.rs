//! What is forgotten at a start, so that the store does not grow with everything that ever was.
//!
//! - The name of a release that no account has held for long: whoever comes back is named anew. Its
//!   ids come back the same, as they are made of what it is.
//! - Direct links of torrents that are gone.
//!
//! What is kept for ever is `id_overrides`: a row only where two nodes came to the same number of 62
//! bits. With a million nodes that is one in four million libraries.

use jiff::Timestamp;
use sqlx::SqliteConnection;

/// Forgets what nothing has happened to since `before`.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> sqlx::Result<()> {
    let before = before.as_microsecond();
    sqlx::query(
        "DELETE FROM shown WHERE hash NOT IN (SELECT hash FROM torrents) \
         AND hash NOT IN (SELECT hash FROM history WHERE at >= ?)",
    )
    .bind(before)
    .execute(&mut *connection)
    .await?;
    // What cannot be read holds no links.
    sqlx::query(
        "DELETE FROM key_links WHERE resolved_at < ? AND hoster NOT IN (SELECT value FROM torrents, \
         json_each(CASE WHEN json_valid(links) THEN links ELSE '[]' END) WHERE value IS NOT NULL)",
    )
    .bind(before)
    .execute(&mut *connection)
    .await?;
    Ok(())
}
