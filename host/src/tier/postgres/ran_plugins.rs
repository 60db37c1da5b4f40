//! The table of plugins that ran.

use sqlx::Error;
use sqlx::postgres::PgConnection;

use super::Session;
use crate::tier::ran_plugins::{Beside, Notes, RanPlugin};

/// Writes what is to be noted.
pub(in crate::tier) async fn note_plugins(
    session: &mut Session,
    notes: &Notes,
) -> Result<(), Error> {
    let mut transaction = session.begin().await?;
    if notes.beside == Beside::Forgotten {
        sqlx::query("DELETE FROM plugins").execute(&mut *transaction).await?;
    }
    for RanPlugin { name, identity, mark } in &notes.plugins {
        sqlx::query(
            "INSERT INTO plugins (name, identity, mark) VALUES ($1, $2, $3) \
             ON CONFLICT (name, identity) DO UPDATE SET mark = excluded.mark",
        )
        .bind(name.as_bytes())
        .bind(identity.as_bytes())
        .bind(mark.as_bytes())
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    session.note_commit_of_plugins(notes);
    Ok(())
}

/// What has been noted.
pub(in crate::tier) async fn ran_plugins(
    reader: &mut PgConnection,
) -> Result<Vec<RanPlugin>, Error> {
    let rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT name, identity, mark FROM plugins").fetch_all(reader).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let ran = |(name, identity, mark)| RanPlugin {
        name: text(name),
        identity: text(identity),
        mark: text(mark),
    };
    Ok(rows.into_iter().map(ran).collect())
}
