//! What a start reads: the epoch, raised, and what was left of the fence, intents and numbers.

use sqlx::Error;
use sqlx::sqlite::SqliteConnection;

use crate::cache::Recovered;
use crate::fail_points::{Point, reach};
use crate::model::Sequence;
use crate::tier::rows;

/// Raises the epoch for good and returns it.
pub(super) async fn raise_epoch(connection: &mut SqliteConnection) -> Result<i64, Error> {
    sqlx::query_scalar("UPDATE meta SET value = value + 1 WHERE name = 'epoch' RETURNING value")
        .fetch_one(connection)
        .await
}

/// What the cache is to start from in this epoch.
pub(super) async fn recover(
    connection: &mut SqliteConnection,
    epoch: u32,
) -> Result<Recovered, Error> {
    let connection = &mut *connection;
    let fence = sqlx::query("SELECT kind, name, hard, soft FROM fence");
    let fence = rows::fence(&fence.fetch_all(&mut *connection).await?, Sequence::start_of(epoch));
    reach(Point::FenceRead);
    let intents = sqlx::query("SELECT name, until_ms, targets FROM intents");
    let (intents, flush_due_ms) = rows::intents(&intents.fetch_all(&mut *connection).await?);
    let numbers = sqlx::query("SELECT source, number FROM numbers");
    let numbers = rows::numbers(&numbers.fetch_all(&mut *connection).await?);
    Ok(Recovered { epoch, fence, numbers, intents, flush_due_ms })
}
