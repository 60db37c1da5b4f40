//! What a start reads: the epoch, raised, and what was left of the fence, intents and numbers.

use sqlx::Error;
use sqlx::postgres::PgConnection;

use super::session::RUN_SHIFT;
use crate::cache::Recovered;
use crate::fail_points::{Point, reach};
use crate::model::Sequence;
use crate::tier::rows;

/// Raises the epoch for good and returns it with the number that commits are counted from: a random
/// one of this run. Waits for a transaction that another server has begun, which then is the last
/// that it commits.
pub(super) async fn raise_epoch(connection: &mut PgConnection) -> Result<(i64, i64), Error> {
    let runs = 1_i32 << (i64::BITS - 1 - RUN_SHIFT);
    sqlx::query_as(
        "UPDATE state SET epoch = epoch + 1, commits = floor(random() * $1)::bigint << $2 \
         RETURNING epoch, commits",
    )
    .bind(f64::from(runs))
    .bind(RUN_SHIFT.cast_signed())
    .fetch_one(connection)
    .await
}

/// What the cache is to start from in this epoch.
pub(super) async fn recover(connection: &mut PgConnection, epoch: u32) -> Result<Recovered, Error> {
    let fence = sqlx::query("SELECT kind, name, hard, soft FROM fence");
    let fence = rows::fence(&fence.fetch_all(&mut *connection).await?, Sequence::start_of(epoch));
    reach(Point::FenceRead);
    let intents = sqlx::query("SELECT name, until_ms, targets FROM intents");
    let (intents, flush_due_ms) = rows::intents(&intents.fetch_all(&mut *connection).await?);
    let numbers = sqlx::query("SELECT source, number FROM numbers");
    let numbers = rows::numbers(&numbers.fetch_all(&mut *connection).await?);
    Ok(Recovered { epoch, fence, numbers, intents, flush_due_ms })
}
