//! What is done now and then: rows that have ended go, and what nobody needs any more of the fence
//! and the journal.

use sqlx::Error;
use sqlx::sqlite::SqliteConnection;

use crate::fail_points::{Point, reach};
use crate::model::Sequence;
use crate::tier::codec;
use crate::tier::database::{CULL_ROWS, FENCE_ROWS};
use crate::tier::trim::{JOURNAL_RECORDS_MAX, TRIM_RECORDS, Trim};

/// One step of culling: rows that are expired or that the fence has ended. Returns how many went.
///
/// Of the latter only the oldest are looked at: they hold [`oldest_birth`] down, and with it the
/// fence. Softly purged rows stay: they may still be served stale. Prefixes are looked up by the
/// lengths that there are, because there may be many more prefixes than lengths.
///
/// `CROSS JOIN` has what a row has looked up in the fence, not all of the fence in the row.
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
        "WITH lengths AS MATERIALIZED \
           (SELECT DISTINCT length(name) AS bytes FROM fence WHERE kind = ?5) \
         DELETE FROM entries WHERE id IN (\
           SELECT e.id FROM \
           (SELECT id, key, url, site, tags, birth FROM entries ORDER BY birth LIMIT ?1) e WHERE \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?2 AND f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?3 AND f.name = CAST(e.url AS BLOB) \
                   AND f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?6 AND f.name = CAST(e.site AS BLOB) \
                   AND f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(e.tags) THEN e.tags END) t \
                   CROSS JOIN fence f ON f.kind = ?4 AND f.name = CAST(t.value AS BLOB) \
                   WHERE f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM lengths l \
                   CROSS JOIN fence f ON f.kind = ?5 AND f.name = substr(e.key, 1, l.bytes) \
                   WHERE l.bytes <= length(e.key) AND f.hard > e.birth))",
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

/// The smallest birth among all rows; `None` without rows.
pub(in crate::tier) async fn oldest_birth(
    connection: &mut SqliteConnection,
) -> Result<Option<Sequence>, Error> {
    let oldest: Option<i64> =
        sqlx::query_scalar("SELECT min(birth) FROM entries").fetch_one(connection).await?;
    Ok(oldest.map(codec::decode_sequence))
}

/// One step of dropping what no row needs any more of the fence. Returns how many rows went.
pub(in crate::tier) async fn compact_fence(
    connection: &mut SqliteConnection,
    oldest: Sequence,
) -> Result<u64, Error> {
    let dropped = sqlx::query(
        "DELETE FROM fence WHERE (kind, name) IN \
         (SELECT kind, name FROM fence WHERE hard <= ?1 AND soft <= ?1 LIMIT ?2)",
    )
    .bind(codec::encode_sequence(oldest))
    .bind(FENCE_ROWS)
    .execute(&mut *connection)
    .await?;
    reach(Point::FenceCompacted);
    Ok(dropped.rows_affected())
}

/// The last record of the journal before those that are kept; `None` where there are no more.
pub(in crate::tier) async fn journal_end(
    connection: &mut SqliteConnection,
) -> Result<Option<Sequence>, Error> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT sequence FROM journal ORDER BY sequence DESC LIMIT 1 OFFSET ?")
            .bind(JOURNAL_RECORDS_MAX)
            .fetch_optional(connection)
            .await?;
    Ok(last.map(codec::decode_sequence))
}

/// One step of trimming: the next records are looked at, and go unless they are spared. Returns
/// the last of them; `None` at the end.
pub(in crate::tier) async fn trim_journal(
    connection: &mut SqliteConnection,
    trim: Trim,
) -> Result<Option<Sequence>, Error> {
    let found: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT sequence, length(targets) FROM journal WHERE sequence > ? AND sequence <= ? \
         ORDER BY sequence LIMIT ?",
    )
    .bind(codec::encode_sequence(trim.after))
    .bind(codec::encode_sequence(trim.end))
    .bind(TRIM_RECORDS)
    .fetch_all(&mut *connection)
    .await?;
    let Some(last) = trim.last_of(&found) else { return Ok(None) };
    let (from_ms, to_ms) = trim.spared_ms();
    sqlx::query(
        "DELETE FROM journal WHERE sequence > ? AND sequence <= ? \
         AND (event_id IS NULL OR at_ms NOT BETWEEN ? AND ?)",
    )
    .bind(codec::encode_sequence(trim.after))
    .bind(last)
    .bind(from_ms)
    .bind(to_ms)
    .execute(connection)
    .await?;
    Ok(Some(codec::decode_sequence(last)))
}
