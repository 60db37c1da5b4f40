//! The table of plugins that ran.

use sqlx::sqlite::{SqliteConnection, SqliteExecutor};
use sqlx::{Connection as _, Error};

use crate::tier::ran_plugins::{Beside, Notes, RanPlugin};

/// Writes what is to be noted.
pub(in crate::tier) async fn note_plugins(
    connection: &mut SqliteConnection,
    notes: &Notes,
) -> Result<(), Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    if notes.beside == Beside::Forgotten {
        sqlx::query("DELETE FROM plugins").execute(&mut *transaction).await?;
    }
    for RanPlugin { name, identity, mark } in &notes.plugins {
        sqlx::query("INSERT OR REPLACE INTO plugins (name, identity, mark) VALUES (?, ?, ?)")
            .bind(name)
            .bind(identity)
            .bind(mark)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

/// What has been noted.
pub(in crate::tier) async fn ran_plugins(
    reader: impl SqliteExecutor<'_>,
) -> Result<Vec<RanPlugin>, Error> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT name, identity, mark FROM plugins").fetch_all(reader).await?;
    Ok(rows.into_iter().map(|(name, identity, mark)| RanPlugin { name, identity, mark }).collect())
}
