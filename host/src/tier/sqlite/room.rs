//! What the entries take, and rows that go to make room.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Error, Row as _};

use crate::tier::Limits;
use crate::tier::room::{Candidate, Usage};

/// What is in use of the file, which does not become smaller: what is free in it is used again.
/// Rows are counted only where they are limited.
pub(in crate::tier) async fn usage(
    connection: &mut SqliteConnection,
    limits: Limits,
) -> Result<Usage, Error> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT (p.page_count - f.freelist_count) * s.page_size FROM pragma_page_count() p, \
         pragma_freelist_count() f, pragma_page_size() s",
    )
    .fetch_one(&mut *connection)
    .await?;
    let rows: i64 = match limits.rows_max {
        Some(_) => {
            sqlx::query_scalar("SELECT count(*) FROM entries").fetch_one(&mut *connection).await?
        }
        None => 0,
    };
    Ok(Usage { rows: rows.unsigned_abs(), bytes: bytes.unsigned_abs() })
}

/// The oldest rows after one.
pub(in crate::tier) async fn rows_after(
    connection: &mut SqliteConnection,
    id: i64,
    limit: i64,
) -> Result<Vec<Candidate>, Error> {
    let sql = "SELECT id, key FROM entries WHERE id > ? ORDER BY id LIMIT ?";
    candidates(connection, sql, id, limit).await
}

/// The newest rows before one.
pub(in crate::tier) async fn rows_before(
    connection: &mut SqliteConnection,
    id: i64,
    limit: i64,
) -> Result<Vec<Candidate>, Error> {
    let sql = "SELECT id, key FROM entries WHERE id < ? ORDER BY id DESC LIMIT ?";
    candidates(connection, sql, id, limit).await
}

async fn candidates(
    connection: &mut SqliteConnection,
    sql: &'static str,
    id: i64,
    limit: i64,
) -> Result<Vec<Candidate>, Error> {
    let found = sqlx::query(sql).bind(id).bind(limit).fetch_all(connection).await?;
    let rows = found.iter().map(|row| Ok(Candidate { id: row.try_get(0)?, key: row.try_get(1)? }));
    rows.collect()
}

/// Takes rows out.
pub(in crate::tier) async fn remove(
    connection: &mut SqliteConnection,
    ids: &[i64],
) -> Result<(), Error> {
    sqlx::query("DELETE FROM entries WHERE id IN (SELECT value FROM json_each(?))")
        .bind(serde_json::Value::from(ids).to_string())
        .execute(connection)
        .await?;
    Ok(())
}
