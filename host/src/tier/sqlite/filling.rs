//! Filling a file that no server has used, and what tells that this is not finished.
//!
//! # Invariants
//! - An import is marked from its first transaction to its last; meanwhile no server starts above
//!   it, and nobody looks into it.
//!
//! # Not here
//! What is written, and when that is the last of it: `operator`.

use std::fs::File;
use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::journal::insert_row;
use super::open::{Taken, explain, shown, take};
use super::reading::EPOCH;
use super::session::{Session, check_epoch};
use crate::cache::tier::Record;
use crate::model::Durability;
use crate::tier::codec;
use crate::tier::database::{DatabaseError, TABLES};
use crate::tier::error::OpenError;

/// A connection that fills the file, and makes it where there is none, with the lock and with how
/// often a server has opened it.
pub(in crate::tier) async fn fill(path: &Path) -> Result<(File, Session, i64), OpenError> {
    let Taken { lock, place, mut connection, .. } = take(path, Durability::Each).await?;
    let epoch = sqlx::query_scalar(EPOCH).fetch_one(&mut connection).await;
    let epoch = epoch.map_err(|error| explain(path, error))?;
    Ok((lock, Session::new(connection, place, epoch), epoch))
}

/// Empties all tables for an import, marks it as begun, and writes events into the journal alone.
pub(in crate::tier) async fn begin_import(
    session: &mut Session,
    events: &[Record],
) -> Result<(), DatabaseError> {
    let epoch = session.epoch();
    let mut transaction = session.connection().begin_with("BEGIN IMMEDIATE").await?;
    check_epoch(&mut transaction, epoch).await?;
    for table in TABLES {
        let empty = AssertSqlSafe(format!("DELETE FROM {table}"));
        sqlx::query(empty).execute(&mut *transaction).await?;
    }
    sqlx::query("INSERT INTO intents (name, until_ms, targets) VALUES (?, 0, x'')")
        .bind(codec::IMPORT_NAME)
        .execute(&mut *transaction)
        .await?;
    for event in events {
        insert_row(&mut transaction, event).await?;
    }
    transaction.commit().await?;
    session.check().await
}

/// Whether what has been imported into a file is whole.
///
/// # Errors
/// It is not, or that is not known.
pub(super) async fn check_import(
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<(), OpenError> {
    let marks = sqlx::query_scalar("SELECT count(*) FROM intents WHERE name = ?");
    let marks: i64 = marks
        .bind(codec::IMPORT_NAME)
        .fetch_one(connection)
        .await
        .map_err(|error| explain(path, error))?;
    match marks {
        0 => Ok(()),
        _ => Err(OpenError::Importing { database: shown(path) }),
    }
}
