//! The schema in a SQLite file: its steps.

use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};

use super::open::{explain, owner, plain, shown, take};
use crate::model::Durability;
use crate::tier::error::OpenError;
use crate::tier::schema;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// The steps that this server knows.
pub(in crate::tier) fn migrations() -> &'static Migrator {
    &MIGRATIONS
}

/// The numbers of the steps that have been taken; none where there is no file.
pub(in crate::tier) async fn applied(path: &Path) -> Result<Vec<i64>, OpenError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let told = |error: sqlx::Error| explain(path, error);
    let looking = plain(path).pragma("query_only", "ON");
    let mut connection = looking.connect().await.map_err(told)?;
    owner(path, &mut connection).await?;
    let made = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let made: i64 = sqlx::query_scalar(made).fetch_one(&mut connection).await.map_err(told)?;
    let applied = match made {
        0 => Vec::new(),
        _ => sqlx::query_scalar("SELECT version FROM _sqlx_migrations")
            .fetch_all(&mut connection)
            .await
            .map_err(told)?,
    };
    connection.close().await.map_err(told)?;
    Ok(applied)
}

/// Takes the steps that are missing.
pub(in crate::tier) async fn migrate(path: &Path) -> Result<(), OpenError> {
    let (_lock, _, connection) = take(path, Durability::Each).await?;
    connection.close().await.map_err(|error| explain(path, error))
}

/// Takes the steps that are missing, in a file that is ours.
pub(super) async fn bring_up(
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<(), OpenError> {
    let told = |error| explain(path, error);
    let run = MIGRATIONS.run_direct(None, connection, false);
    let wrong = |error| schema::explain(&MIGRATIONS, shown(path), error, told);
    schema::run_in_time(run, wrong, shown(path)).await
}
