//! The schema in a SQLite file: its steps.

use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};

use super::open::{Taken, check_folder, explain, looking, owner, shown, take, unwritable};
use crate::model::Durability;
use crate::tier::error::OpenError;
use crate::tier::schema;

/// How long taking steps waits for whoever has the file: as long as in PostgreSQL.
const LOCK_TRIES: u32 = 30;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

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
    let looking = looking(path).pragma("query_only", "ON");
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

/// Whether the file, or one that is made at its path, can be written, and others beside it.
pub(in crate::tier) fn check_rights(path: &Path) -> Result<(), OpenError> {
    check_folder(path)?;
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = real.parent().filter(|folder| !folder.as_os_str().is_empty());
    let may = |place: &Path, how| {
        access(place, how).map_err(|error| unwritable(path, &std::io::Error::from(error)))
    };
    if real.exists() {
        may(&real, Access::READ_OK | Access::WRITE_OK)?;
    }
    may(folder.unwrap_or(Path::new(".")), Access::WRITE_OK | Access::EXEC_OK)
}

/// Takes the steps that are missing.
pub(in crate::tier) async fn migrate(path: &Path) -> Result<(), OpenError> {
    let mut tries = 0;
    let Taken { lock: _lock, connection, .. } = loop {
        match take(path, Durability::Each).await {
            // Another may be taking the same steps.
            Err(OpenError::InUse { .. }) if tries < LOCK_TRIES => tries += 1,
            taken => break taken?,
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    };
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
