//! The order of the hottest keys: one row.

use sqlx::Error;
use sqlx::postgres::PgConnection;

use super::Session;

/// Writes the order in place of the one before.
pub(in crate::tier) async fn write_hottest(
    session: &mut Session,
    keys: &[u8],
) -> Result<(), Error> {
    let mut transaction = session.begin().await?;
    sqlx::query("INSERT INTO hot (keys) VALUES ($1) ON CONFLICT (is_only) DO UPDATE SET keys = $1")
        .bind(keys)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    session.note_commit();
    Ok(())
}

/// The order written last.
pub(super) async fn hottest(reader: &mut PgConnection) -> Result<Option<Vec<u8>>, Error> {
    sqlx::query_scalar("SELECT keys FROM hot").fetch_optional(reader).await
}
