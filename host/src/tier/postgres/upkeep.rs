//! What is done now and then: rows that have ended go, and what nobody needs any more of the fence
//! and the journal.

use sqlx::Error;

use super::Session;
use crate::fail_points::{Point, reach};
use crate::model::Sequence;
use crate::tier::codec;
use crate::tier::database::{CULL_ROWS, FENCE_ROWS};
use crate::tier::trim::{JOURNAL_RECORDS_MAX, TRIM_RECORDS, Trim};

/// One step of culling. Rows are found by their place: nobody else changes them meanwhile. Tags are
/// no join: its plan, made while the fence is small, would be to read all of it for each row.
pub(in crate::tier) async fn cull(session: &mut Session, now_ms: u64) -> Result<u64, Error> {
    let expired = sqlx::query(
        "DELETE FROM entries WHERE ctid = ANY(ARRAY(\
         SELECT ctid FROM entries WHERE expires_ms <= $1 LIMIT $2))",
    )
    .bind(i64::try_from(now_ms).unwrap_or(i64::MAX))
    .bind(CULL_ROWS)
    .execute(session.connection())
    .await?;
    let ended = sqlx::query(
        "WITH lengths AS MATERIALIZED \
           (SELECT DISTINCT length(name) AS bytes FROM fence WHERE kind = $5) \
         DELETE FROM entries WHERE ctid = ANY(ARRAY(SELECT e.place FROM \
           (SELECT ctid AS place, key, url, site, tags, birth FROM entries \
            ORDER BY birth LIMIT $1) e WHERE \
           EXISTS (SELECT FROM fence f WHERE f.kind = $2 AND f.hard > e.birth) OR \
           EXISTS (SELECT FROM fence f WHERE f.kind = $3 AND sha256(f.name) = sha256(e.url) \
                   AND f.hard > e.birth) OR \
           EXISTS (SELECT FROM fence f WHERE f.kind = $6 AND sha256(f.name) = sha256(e.site) \
                   AND f.hard > e.birth) OR \
           EXISTS (SELECT FROM fence f WHERE f.kind = $4 AND f.hard > e.birth \
                   AND sha256(f.name) = ANY(ARRAY(SELECT sha256(t) FROM unnest(e.tags) t))) OR \
           EXISTS (SELECT FROM fence f WHERE f.kind = $5 AND f.hard > e.birth \
                   AND sha256(f.name) = ANY(ARRAY(SELECT sha256(substr(e.key, 1, l.bytes)) \
                   FROM lengths l WHERE l.bytes <= length(e.key))))))",
    )
    .bind(CULL_ROWS)
    .bind(codec::TARGET_EVERYTHING)
    .bind(codec::TARGET_URL)
    .bind(codec::TARGET_TAG)
    .bind(codec::TARGET_PREFIX)
    .bind(codec::TARGET_SITE)
    .execute(session.connection())
    .await?;
    Ok(expired.rows_affected() + ended.rows_affected())
}

/// The smallest birth among all rows; `None` without rows.
pub(in crate::tier) async fn oldest_birth(
    session: &mut Session,
) -> Result<Option<Sequence>, Error> {
    let oldest: Option<i64> = sqlx::query_scalar("SELECT min(birth) FROM entries")
        .fetch_one(session.connection())
        .await?;
    Ok(oldest.map(codec::decode_sequence))
}

/// One step of dropping what no row needs any more of the fence. Returns how many rows went.
pub(in crate::tier) async fn compact_fence(
    session: &mut Session,
    oldest: Sequence,
) -> Result<u64, Error> {
    let dropped = sqlx::query(
        "DELETE FROM fence WHERE ctid = ANY(ARRAY(\
         SELECT ctid FROM fence WHERE hard <= $1 AND soft <= $1 LIMIT $2))",
    )
    .bind(codec::encode_sequence(oldest))
    .bind(FENCE_ROWS)
    .execute(session.connection())
    .await?;
    reach(Point::FenceCompacted);
    Ok(dropped.rows_affected())
}

/// The last record of the journal before those that are kept; `None` where there are no more.
pub(in crate::tier) async fn journal_end(session: &mut Session) -> Result<Option<Sequence>, Error> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT sequence FROM journal ORDER BY sequence DESC LIMIT 1 OFFSET $1")
            .bind(JOURNAL_RECORDS_MAX)
            .fetch_optional(session.connection())
            .await?;
    Ok(last.map(codec::decode_sequence))
}

/// One step of trimming: the next records are looked at, and go unless they are spared. Returns
/// the last of them; `None` at the end.
pub(in crate::tier) async fn trim_journal(
    session: &mut Session,
    trim: Trim,
) -> Result<Option<Sequence>, Error> {
    let found: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT sequence, octet_length(targets)::bigint FROM journal \
         WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3",
    )
    .bind(codec::encode_sequence(trim.after))
    .bind(codec::encode_sequence(trim.end))
    .bind(TRIM_RECORDS)
    .fetch_all(session.connection())
    .await?;
    let Some(last) = trim.last_of(&found) else { return Ok(None) };
    let (from_ms, to_ms) = trim.spared_ms();
    sqlx::query(
        "DELETE FROM journal WHERE sequence > $1 AND sequence <= $2 \
         AND (event_id IS NULL OR at_ms NOT BETWEEN $3 AND $4)",
    )
    .bind(codec::encode_sequence(trim.after))
    .bind(last)
    .bind(from_ms)
    .bind(to_ms)
    .execute(session.connection())
    .await?;
    Ok(Some(codec::decode_sequence(last)))
}
