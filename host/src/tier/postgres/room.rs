//! What the entries take, and rows that go to make room.

use sqlx::postgres::PgConnection;
use sqlx::{Error, Row as _};

use super::Session;
use crate::tier::room::{Candidate, Usage};

/// What the rows take, as triggers count it: the table's own size does not shrink with them.
pub(in crate::tier) async fn usage(session: &mut Session) -> Result<Usage, Error> {
    let (rows, bytes): (i64, i64) =
        sqlx::query_as("SELECT rows, bytes FROM state").fetch_one(session.connection()).await?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(Usage { rows: count(rows), bytes: count(bytes) })
}

/// The oldest rows after one.
pub(in crate::tier) async fn rows_after(
    connection: &mut PgConnection,
    id: i64,
    limit: i64,
) -> Result<Vec<Candidate>, Error> {
    let sql = "SELECT id, key FROM entries WHERE id > $1 ORDER BY id LIMIT $2";
    candidates(connection, sql, id, limit).await
}

/// The newest rows before one.
pub(in crate::tier) async fn rows_before(
    connection: &mut PgConnection,
    id: i64,
    limit: i64,
) -> Result<Vec<Candidate>, Error> {
    let sql = "SELECT id, key FROM entries WHERE id < $1 ORDER BY id DESC LIMIT $2";
    candidates(connection, sql, id, limit).await
}

async fn candidates(
    connection: &mut PgConnection,
    sql: &'static str,
    id: i64,
    limit: i64,
) -> Result<Vec<Candidate>, Error> {
    let found = sqlx::query(sql).bind(id).bind(limit).fetch_all(connection).await?;
    let rows = found.iter().map(|row| Ok(Candidate { id: row.try_get(0)?, key: row.try_get(1)? }));
    rows.collect()
}

/// Takes rows out.
pub(in crate::tier) async fn remove(session: &mut Session, ids: &[i64]) -> Result<(), Error> {
    sqlx::query("DELETE FROM entries WHERE id = ANY($1)")
        .bind(ids)
        .execute(session.connection())
        .await?;
    Ok(())
}
