//! Filling a schema that no server has used, and what tells that this is not finished.
//!
//! # Invariants
//! - An import is marked from its first transaction to its last; meanwhile no server starts above
//!   it, and nobody looks into it.
//!
//! # Not here
//! What is written, and when that is the last of it: `operator`.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Error};

use super::Session;
use super::journal::insert_rows;
use super::open::{Taken, explain, take};
use super::session::{ANSWER_MS_MAX, Claim, Hold, answered};
use super::standing::Standing;
use crate::cache::tier::Record;
use crate::model::Durability;
use crate::tier::address::PostgresAddress;
use crate::tier::codec;
use crate::tier::database::TABLES;
use crate::tier::error::OpenError;

/// Events that one statement writes: its time is bounded.
const EVENTS_AT_ONCE: usize = 1_000;

/// A session that fills the schema, and makes it where there is none, with how often a server has
/// opened it.
pub(in crate::tier) async fn fill(address: &PostgresAddress) -> Result<(Session, i64), OpenError> {
    let told = |error| explain(address, error);
    let Taken { mut connection, lock, options } = take(address).await?;
    let state = sqlx::query_as("SELECT epoch, commits FROM state").fetch_one(&mut connection);
    let (epoch, commits): (i64, i64) = state.await.map_err(told)?;
    let claim = Claim { options, lock, epoch, durability: Durability::Each };
    let (_, session) =
        Hold::new(claim, connection, commits, Standing::default()).await.map_err(told)?;
    Ok((session, epoch))
}

/// Empties all tables for an import, marks it as begun, and writes events into the journal alone.
pub(in crate::tier) async fn begin_import(
    session: &mut Session,
    events: &[Record],
) -> Result<(), Error> {
    let mut transaction = session.begin().await?;
    for table in TABLES {
        let empty = match table {
            "entries" => "TRUNCATE entries".to_owned(),
            // Small; and the right to do that to them is not asked for.
            table => format!("DELETE FROM {table}"),
        };
        sqlx::query(AssertSqlSafe(empty)).execute(&mut *transaction).await?;
    }
    sqlx::query("INSERT INTO intents (name, until_ms, targets) VALUES ($1, 0, '')")
        .bind(codec::IMPORT_NAME.as_bytes())
        .execute(&mut *transaction)
        .await?;
    for events in events.chunks(EVENTS_AT_ONCE) {
        insert_rows(&mut transaction, events).await?;
    }
    transaction.commit().await?;
    session.note_commit();
    Ok(())
}

/// Whether what has been imported into a schema is whole.
///
/// # Errors
/// It is not, or that is not known.
pub(super) async fn check_import(
    address: &PostgresAddress,
    connection: &mut PgConnection,
) -> Result<(), OpenError> {
    let marks = sqlx::query_scalar("SELECT count(*) FROM intents WHERE name = $1");
    let marks = marks.bind(codec::IMPORT_NAME.as_bytes()).fetch_one(connection);
    let marks: i64 =
        answered(ANSWER_MS_MAX, marks).await.map_err(|error| explain(address, error))?;
    match marks {
        0 => Ok(()),
        _ => Err(OpenError::Importing { database: address.to_string() }),
    }
}
