//! The order of the hottest keys: one row.

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Connection as _, Error};

/// Writes the order in place of the one before.
pub(in crate::tier) async fn write_hottest(
    connection: &mut SqliteConnection,
    keys: &[u8],
) -> Result<(), Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("DELETE FROM hot").execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO hot (keys) VALUES (?)").bind(keys).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// The order written last.
pub(in crate::tier) async fn hottest(readers: &SqlitePool) -> Result<Option<Vec<u8>>, Error> {
    sqlx::query_scalar("SELECT keys FROM hot LIMIT 1").fetch_optional(readers).await
}
