//! Opening: whose schema it is, the lock, the steps, the epoch, the fence as it was left.
//!
//! # Invariants
//! - A schema that is not ours is not changed.
//! - The epoch is raised durably before anything is served.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};

use super::recover::{raise_epoch, recover};
use super::schema;
use super::session::{Claim, Hold, code_of, connect, lock};
use crate::fail_points::{Point, reach};
use crate::model::Durability;
use crate::tier::address::PostgresAddress;
use crate::tier::database::{ACQUIRE_MS, Database, Opened, Session, epoch_of};
use crate::tier::error::OpenError;

/// The upper half of the lock's number: "wmcd"; the lower is the schema's.
pub(super) const LOCK_CLASS: i64 = 0x776d_6364;

/// How long a start waits for the lock: as long as a server that was killed may go on holding it.
const LOCK_MS: u64 = 3_000;

/// Connections that look up: each look-up is a way to the server and back.
const READERS: u32 = 8;

/// Longest look-up: who waits for it is better off with a miss.
const LOOK_UP_MS_MAX: u64 = 2_000;

/// The oldest server whose settings are understood.
const VERSION_MIN: i32 = 140_000;

/// Where the tables are.
pub(super) struct Place {
    /// The schema's number.
    pub oid: i64,
    /// Its name, quoted where it must be.
    pub schema: String,
}

/// A session that has the lock, above the newest schema.
pub(super) struct Taken {
    /// The session.
    pub connection: PgConnection,
    /// The lock's number.
    pub lock: i64,
    /// How others connect to the same schema, whatever else the address's search path has.
    pub options: PgConnectOptions,
}

/// Opens the database, and makes what is missing in its schema.
pub(in crate::tier) async fn open(
    address: &PostgresAddress,
    durability: Durability,
) -> Result<Opened, OpenError> {
    let told = |error: sqlx::Error| explain(address, error);
    let Taken { mut connection, lock, options } = take(address).await?;
    reach(Point::Migrated);
    let (raised, commits) = raise_epoch(&mut connection).await.map_err(told)?;
    reach(Point::EpochRaised);
    let epoch = epoch_of(raised);
    let epoch = epoch.map_err(|reason| database(address, reason))?;
    let recovered = recover(&mut connection, epoch).await.map_err(told)?;
    let reading = options.clone().options([
        ("default_transaction_read_only", "on"),
        // Plans are made while the table is small, and kept. What is avoided is priced so high that
        // a plan with it would be compiled.
        ("enable_seqscan", "off"),
        ("jit", "off"),
        ("statement_timeout", &LOOK_UP_MS_MAX.to_string()),
    ]);
    let readers = PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(Duration::from_millis(ACQUIRE_MS))
        // It would be a way to the server and back; a look-up that fails is a miss.
        .test_before_acquire(false)
        .connect_lazy_with(reading);
    let claim = Claim { options, lock, epoch: raised, durability };
    let (hold, session) = Hold::new(claim, connection, commits).await.map_err(told)?;
    let database = Database::Postgres(super::Database { readers, hold });
    Ok(Opened { database, session: Session::Postgres(Box::new(session)), recovered })
}

/// Takes the lock, and the steps of the schema that are missing.
pub(super) async fn take(address: &PostgresAddress) -> Result<Taken, OpenError> {
    let told = |error: sqlx::Error| explain(address, error);
    let mut connection = connect(&address.options).await.map_err(told)?;
    let place = place(address, &mut connection).await?;
    let number = (LOCK_CLASS << 32) | place.oid;
    if !lock(&mut connection, number, LOCK_MS).await.map_err(told)? {
        return Err(OpenError::InUse { database: address.to_string() });
    }
    schema::check_owner(address, &mut connection, place.oid).await?;
    schema::bring_up(address, &mut connection).await?;
    let options = address.options.clone().options([("search_path", &place.schema)]);
    Ok(Taken { connection, lock: number, options })
}

/// Finds out where the tables are to be, and whether the server can have them. From then on the
/// session sees that schema alone: another of its search path may have tables of the same names.
pub(super) async fn place(
    address: &PostgresAddress,
    connection: &mut PgConnection,
) -> Result<Place, OpenError> {
    let (version, encoding, found): (i32, String, Option<i64>) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), \
         (SELECT oid::bigint FROM pg_namespace WHERE nspname = current_schema())",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(|error| explain(address, error))?;
    if version < VERSION_MIN {
        let (found, least) = (version / 10_000, VERSION_MIN / 10_000);
        return Err(database(
            address,
            format!("PostgreSQL is {found}; {least} or newer is needed"),
        ));
    }
    if encoding != "UTF8" {
        return Err(database(address, format!("encoding is {encoding}; UTF8 is needed")));
    }
    let reason = "no schema of its search_path exists; CREATE SCHEMA makes one";
    let oid = found.ok_or_else(|| database(address, reason.to_owned()))?;
    let alone = "SELECT set_config('search_path', quote_ident(current_schema()), FALSE)";
    let schema = sqlx::query_scalar(alone).fetch_one(connection).await;
    Ok(Place { oid, schema: schema.map_err(|error| explain(address, error))? })
}

fn database(address: &PostgresAddress, reason: String) -> OpenError {
    OpenError::Database { database: address.to_string(), reason }
}

/// What an error of the database means for opening it (PostgreSQL, appendix A).
pub(super) fn explain(address: &PostgresAddress, error: sqlx::Error) -> OpenError {
    let (database, reason) = (address.to_string(), error.to_string());
    match code_of(&error).as_deref() {
        // insufficient_privilege, read_only_sql_transaction, disk_full
        Some("42501" | "25006" | "53100") => OpenError::Unwritable { database, reason },
        // data_corrupted, index_corrupted
        Some("XX001" | "XX002") => OpenError::Foreign { database, reason },
        _ => OpenError::Database { database, reason },
    }
}
