//! What is done now and then: rows that have ended go, and what nobody needs any more of the fence
//! and the journal.

use sqlx::Error;
use sqlx::sqlite::SqliteConnection;

use crate::fail_points::{Point, reach};
use crate::model::Sequence;
use crate::tier::codec;
use crate::tier::database::{CULL_ROWS, FENCE_ROWS, JOURNAL_RECORDS_MAX};

/// One step of culling: rows that are expired or that the fence has ended. Returns how many went.
///
/// Of the latter only the oldest are looked at: they hold [`oldest_birth`] down, and with it the
/// fence. Softly purged rows stay: they may still be served stale.
pub(in crate::tier) async fn cull(
    connection: &mut SqliteConnection,
    now_ms: u64,
) -> Result<u64, Error> {
    let expired = sqlx::query(
        "DELETE FROM entries WHERE id IN \
         (SELECT id FROM entries WHERE expires_ms <= ? LIMIT ?)",
    )
    .bind(i64::try_from(now_ms).unwrap_or(i64::MAX))
    .bind(CULL_ROWS)
    .execute(&mut *connection)
    .await?;
    let ended = sqlx::query(
        "DELETE FROM entries WHERE id IN (\
           SELECT e.id FROM \
           (SELECT id, key, url, site, tags, birth FROM entries ORDER BY birth LIMIT ?1) e WHERE \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?2 AND f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?3 AND f.name = CAST(e.url AS BLOB) \
                   AND f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?6 AND f.name = CAST(e.site AS BLOB) \
                   AND f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(e.tags) THEN e.tags END) t \
                   JOIN fence f ON f.kind = ?4 AND f.name = CAST(t.value AS BLOB) \
                   WHERE f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?5 AND f.hard > e.birth \
                   AND substr(e.key, 1, length(f.name)) = f.name))",
    )
    .bind(CULL_ROWS)
    .bind(codec::TARGET_EVERYTHING)
    .bind(codec::TARGET_URL)
    .bind(codec::TARGET_TAG)
    .bind(codec::TARGET_PREFIX)
    .bind(codec::TARGET_SITE)
    .execute(&mut *connection)
    .await?;
    Ok(expired.rows_affected() + ended.rows_affected())
}

/// Writes the log out and into the file, as far as no reader needs it as it is.
pub(in crate::tier) async fn sync(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await?;
    Ok(())
}

/// The smallest birth among all rows; `None` without rows.
pub(in crate::tier) async fn oldest_birth(
    connection: &mut SqliteConnection,
) -> Result<Option<Sequence>, Error> {
    let oldest: Option<i64> =
        sqlx::query_scalar("SELECT min(birth) FROM entries").fetch_one(connection).await?;
    Ok(oldest.map(codec::decode_sequence))
}

/// Drops what no row needs any more of the fence, and the journal's tail.
pub(in crate::tier) async fn compact(
    connection: &mut SqliteConnection,
    oldest: Sequence,
) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM fence WHERE (kind, name) IN \
         (SELECT kind, name FROM fence WHERE hard <= ?1 AND soft <= ?1 LIMIT ?2)",
    )
    .bind(codec::encode_sequence(oldest))
    .bind(FENCE_ROWS)
    .execute(&mut *connection)
    .await?;
    reach(Point::FenceCompacted);
    sqlx::query(
        "DELETE FROM journal WHERE sequence <= \
         (SELECT sequence FROM journal ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
    )
    .bind(JOURNAL_RECORDS_MAX)
    .execute(&mut *connection)
    .await?;
    Ok(())
}
