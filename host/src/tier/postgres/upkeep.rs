//! What is done now and then: rows that have ended go, and what nobody needs any more of the fence
//! and the journal.

use sqlx::Error;

use super::Session;
use crate::fail_points::{Point, reach};
use crate::model::Sequence;
use crate::tier::codec;
use crate::tier::database::{CULL_ROWS, FENCE_ROWS, JOURNAL_RECORDS_MAX};

/// One step of culling. Rows are found by their place: nobody else changes them meanwhile.
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
        "DELETE FROM entries WHERE ctid = ANY(ARRAY(SELECT e.place FROM \
           (SELECT ctid AS place, key, url, site, tags, birth FROM entries \
            ORDER BY birth LIMIT $1) e WHERE \
           EXISTS (SELECT FROM fence f WHERE f.kind = $2 AND f.hard > e.birth) OR \
           EXISTS (SELECT FROM fence f WHERE f.kind = $3 AND sha256(f.name) = sha256(e.url) \
                   AND f.hard > e.birth) OR \
           EXISTS (SELECT FROM fence f WHERE f.kind = $6 AND sha256(f.name) = sha256(e.site) \
                   AND f.hard > e.birth) OR \
           EXISTS (SELECT FROM unnest(e.tags) t \
                   JOIN fence f ON f.kind = $4 AND sha256(f.name) = sha256(t) \
                   WHERE f.hard > e.birth) OR \
           EXISTS (SELECT FROM fence f WHERE f.kind = $5 AND f.hard > e.birth \
                   AND substr(e.key, 1, length(f.name)) = f.name)))",
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

/// Drops what no row needs any more of the fence, and the journal's tail.
pub(in crate::tier) async fn compact(session: &mut Session, oldest: Sequence) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM fence WHERE ctid = ANY(ARRAY(\
         SELECT ctid FROM fence WHERE hard <= $1 AND soft <= $1 LIMIT $2))",
    )
    .bind(codec::encode_sequence(oldest))
    .bind(FENCE_ROWS)
    .execute(session.connection())
    .await?;
    reach(Point::FenceCompacted);
    sqlx::query(
        "DELETE FROM journal WHERE sequence <= \
         (SELECT sequence FROM journal ORDER BY sequence DESC LIMIT 1 OFFSET $1)",
    )
    .bind(JOURNAL_RECORDS_MAX)
    .execute(session.connection())
    .await?;
    Ok(())
}
