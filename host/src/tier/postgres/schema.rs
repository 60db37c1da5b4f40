//! The schema in PostgreSQL: whose it is, and its steps.
//!
//! # Invariants
//! - A schema with tables that are not ours is not changed.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Error};

use super::open::{explain, in_time, place, take};
use super::session::{ANSWER_MS_MAX, answered, connect_to_look};
use crate::tier::address::PostgresAddress;
use crate::tier::error::OpenError;
use crate::tier::schema::{self, SchemaReport};

static MIGRATIONS: Migrator = {
    // Without a lock of its own: whoever runs them has the schema's.
    Migrator { locking: false, ..sqlx::migrate!("../migrations/postgres") }
};

/// The steps that this server knows.
pub(in crate::tier) fn migrations() -> &'static Migrator {
    &MIGRATIONS
}

/// The numbers of the steps that have been taken.
pub(in crate::tier) async fn applied(address: &PostgresAddress) -> Result<Vec<i64>, OpenError> {
    let told = |error| explain(address, error);
    let mut connection = connect_to_look(&address.options).await.map_err(told)?;
    let asking = async {
        let place = place(address, &mut connection).await?;
        check_owner(address, &mut connection, place.oid).await?;
        let applied = steps(&mut connection).await.map_err(told)?;
        connection.close().await.map_err(told)?;
        Ok(applied)
    };
    let applied = in_time(address, asking).await?;
    Ok(applied.into_iter().map(|(version, _)| version).collect())
}

/// Whether the user of an address may take the steps that are missing; where there are none,
/// whether it may write the tables.
pub(in crate::tier) async fn check_rights(
    address: &PostgresAddress,
    report: &SchemaReport,
) -> Result<(), OpenError> {
    let told = |error| explain(address, error);
    let mut connection = connect_to_look(&address.options).await.map_err(told)?;
    let asking = sqlx::query_as(RIGHTS).fetch_one(&mut connection);
    let found: Rights = answered(ANSWER_MS_MAX, asking).await.map_err(told)?;
    let (schema, user, is_read_only, may_create, unwritable, may_empty) = found;
    connection.close().await.map_err(told)?;
    let reason = match unwritable {
        _ if is_read_only => "it is read-only, as a standby is".to_owned(),
        _ if !report.pending.is_empty() && !may_create => {
            format!("user {user} may not create tables in its schema {schema}")
        }
        Some(table) => format!("user {user} may not write its table {table}"),
        // Where it has gone back, and where more keys wait than are remembered.
        None if !may_empty => format!("user {user} may not TRUNCATE its table entries"),
        None => return Ok(()),
    };
    Err(OpenError::Unwritable { database: address.to_string(), reason })
}

/// Schema, user, whether nothing can be written, whether the user may create tables, and one that
/// it may not write; whether it may empty that of entries.
type Rights = (String, String, bool, bool, Option<String>, bool);

const RIGHTS: &str = "SELECT current_schema()::text, current_user::text, \
     current_setting('transaction_read_only') = 'on', \
     has_schema_privilege(current_schema(), 'CREATE'), \
     (SELECT min(relname)::text FROM pg_class \
      WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' \
      AND relname <> '_sqlx_migrations' \
      AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT') \
               AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))), \
     coalesce(has_table_privilege(to_regclass('entries'), 'TRUNCATE'), TRUE)";

/// Takes the steps that are missing.
pub(in crate::tier) async fn migrate(address: &PostgresAddress) -> Result<(), OpenError> {
    let taken = take(address).await?;
    taken.connection.close().await.map_err(|error| explain(address, error))
}

/// Takes the steps that are missing, by a session that has the lock.
pub(super) async fn bring_up(
    address: &PostgresAddress,
    connection: &mut PgConnection,
) -> Result<(), OpenError> {
    let told = |error| explain(address, error);
    // Even looking for missing steps takes the right to create tables.
    let taken = answered(ANSWER_MS_MAX, steps(connection)).await.map_err(told)?;
    let known = MIGRATIONS.iter().map(|step| (step.version, step.checksum.to_vec()));
    if known.eq(taken) {
        return Ok(());
    }
    let limit = format!("{}", schema::MIGRATE_MS_MAX);
    let setting = sqlx::query("SELECT set_config('statement_timeout', $1, FALSE)").bind(limit);
    let setting = answered(ANSWER_MS_MAX, setting.execute(&mut *connection));
    setting.await.map_err(told)?;
    let run = MIGRATIONS.run_direct(None, connection, false);
    let wrong = |error| schema::explain(&MIGRATIONS, address, error, told);
    schema::run_in_time(run, wrong, address).await
}

/// The steps that have been taken, each with the checksum of what was done.
async fn steps(connection: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>, Error> {
    let made: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !made {
        return Ok(Vec::new());
    }
    sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
        .fetch_all(connection)
        .await
}

/// Finds out whose schema it is, before anything is changed in it. Ours is one that is empty, and
/// one whose first step is ours.
pub(super) async fn check_owner(
    address: &PostgresAddress,
    connection: &mut PgConnection,
    oid: i64,
) -> Result<(), OpenError> {
    let told = |error| explain(address, error);
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace::bigint = $1 \
         AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY relname",
    )
    .bind(oid)
    .fetch_all(&mut *connection)
    .await
    .map_err(told)?;
    let taken = answered(ANSWER_MS_MAX, steps(connection)).await.map_err(told)?;
    // Nothing yet, or its making was interrupted before the first step.
    let is_new = taken.is_empty() && tables.iter().all(|table| table == "_sqlx_migrations");
    let first = MIGRATIONS.iter().next().map(|step| (step.version, &*step.checksum));
    if is_new || taken.first().map(|(version, sum)| (*version, &**sum)) == first {
        return Ok(());
    }
    Err(schema::foreign(address.to_string(), "its schema", &tables))
}
