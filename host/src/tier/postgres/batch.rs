//! One transaction: the rows of keys, then records of the journal; each table in one statement,
//! because each statement is a way to the server and back.
//!
//! # Not here
//! What of a batch is written at all (`database::Writes`), and records (`journal`).

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use sqlx::{Error, Postgres, Transaction};

use super::Session;
use super::entry::{self, EntryRow};
use super::journal;
use crate::fail_points::{Point, reach};
use crate::model::Key;
use crate::tier::database::{KeyRows, Writes};

/// Writes a batch; when it returns `Ok`, it is durable.
pub(in crate::tier) async fn write(
    session: &mut Session,
    writes: &Writes<'_>,
) -> Result<(), Error> {
    let mut transaction = session.begin().await?;
    reach(Point::BatchBegun);
    if writes.is_wiping {
        sqlx::query("TRUNCATE entries").execute(&mut *transaction).await?;
    }
    // A key that was overwritten while the batch was gathered is in it twice; the last counts.
    let keys: HashMap<&Key, &KeyRows> = writes.keys.iter().map(|rows| (&rows.key, rows)).collect();
    if !keys.is_empty() {
        let old = keys.values().filter(|rows| !rows.is_new).map(|rows| &rows.key);
        delete_keys(&mut transaction, old).await?;
        reach(Point::RowsDeleted);
        let mut rows = Vec::new();
        for of_key in keys.into_values() {
            for (variant, row) in writes.kept(of_key) {
                rows.push(EntryRow::of(&of_key.key, variant, row, writes.packed(row)));
            }
        }
        insert_rows(&mut transaction, rows).await?;
    }
    reach(Point::RowsWritten);
    if !writes.records.is_empty() {
        journal::insert(&mut transaction, writes.records).await?;
        delete_keys(&mut transaction, writes.removed()).await?;
    }
    reach(Point::RecordsWritten);
    transaction.commit().await?;
    session.note_commit_of(writes.records);
    Ok(())
}

/// Takes the rows of keys out.
pub(super) async fn delete_keys(
    transaction: &mut Transaction<'_, Postgres>,
    keys: impl Iterator<Item = &Key>,
) -> Result<(), Error> {
    // Hashed here, so that it is no join: the plan is made while the table is small, and kept.
    let keys: Vec<[u8; 32]> = keys.map(hash_of).collect();
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM entries WHERE sha256(key) = ANY($1)")
        .bind(keys)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// What the index has of a key.
fn hash_of(key: &Key) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Writes rows of keys that have none.
async fn insert_rows(
    transaction: &mut Transaction<'_, Postgres>,
    rows: Vec<EntryRow<'_>>,
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(entry::INSERT).bind(rows).execute(&mut **transaction).await?;
    Ok(())
}
