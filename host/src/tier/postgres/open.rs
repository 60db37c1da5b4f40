//! Opening: whose schema it is, the lock, the steps, the epoch, the fence as it was left.
//!
//! # Invariants
//! - A schema that is not ours is not changed.
//! - The epoch is raised durably before anything is served.
//! - A database that says nothing ends the start: each step has a bound of ours.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::filling::check_import;
use super::ran_plugins::ran_plugins;
use super::readers::{Reader, Readers};
use super::recover::{raise_epoch, recover};
use super::schema;
use super::session::{ANSWER_MS_MAX, Claim, FENCE_MS_MAX, Hold, answered, code_of, connect, lock};
use super::standing::Standing;
use crate::fail_points::{Point, reach};
use crate::model::Durability;
use crate::tier::address::PostgresAddress;
use crate::tier::database::{Database, Opened, Session, epoch_of};
use crate::tier::error::{OpenError, words};

/// The upper half of the lock's number: "wmcd"; the lower is the schema's.
pub(super) const LOCK_CLASS: i64 = 0x776d_6364;

/// How long a start waits for the lock: as long as a server that was killed may go on holding it.
const LOCK_MS: u64 = 3_000;

/// How often a start waits for the first of them, each time as long as a look-up would.
const READER_TRIES: usize = 5;

/// Longest look-up: who waits for it is better off with a miss.
const LOOK_UP_MS_MAX: u64 = 2_000;

/// How often something passes over an idle connection, so that nothing on the way forgets it.
pub(super) const IDLE_KEEPALIVE_S: &str = "60";

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
    check_import(address, &mut connection).await?;
    let raising = answered(ANSWER_MS_MAX, raise_epoch(&mut connection));
    let (raised, commits) = raising.await.map_err(told)?;
    reach(Point::EpochRaised);
    let epoch = epoch_of(raised);
    let epoch = epoch.map_err(|reason| database(address, reason))?;
    let recovered = answered(FENCE_MS_MAX, recover(&mut connection, epoch)).await.map_err(told)?;
    let reading = options.clone().options([
        ("default_transaction_read_only", "on"),
        // Plans are made while the table is small, and kept. What is avoided is priced so high that
        // a plan with it would be compiled.
        ("enable_seqscan", "off"),
        ("jit", "off"),
        ("statement_timeout", &LOOK_UP_MS_MAX.to_string()),
        // They may be idle for as long as memory has what is asked for.
        ("idle_session_timeout", "0"),
        ("tcp_keepalives_idle", IDLE_KEEPALIVE_S),
    ]);
    let readers = Readers::new(reading);
    get_reader(&readers).await.map_err(told)?;
    let claim = Claim { options, lock, epoch: raised, durability };
    let ran_plugins = answered(ANSWER_MS_MAX, ran_plugins(&mut connection)).await.map_err(told)?;
    let standing = Standing::of(&recovered, ran_plugins.clone());
    let holding = answered(ANSWER_MS_MAX, Hold::new(claim, connection, commits, standing));
    let (hold, session) = holding.await.map_err(told)?;
    let database = Database::Postgres(Box::new(super::Database { readers, hold }));
    let session = Session::Postgres(Box::new(session));
    Ok(Opened { database, session, recovered, ran_plugins })
}

/// Has the first of them connect, which the rest of the start reads by: a busy server may take
/// longer to give one than a look-up waits.
async fn get_reader(readers: &Readers) -> Result<(), sqlx::Error> {
    for _ in 1..READER_TRIES {
        match readers.take().await {
            Err(sqlx::Error::PoolTimedOut) => tracing::warn!("no connection for look-ups yet"),
            outcome => return outcome.map(Reader::give_back),
        }
    }
    readers.take().await.map(Reader::give_back)
}

/// Takes the lock, and the steps of the schema that are missing.
pub(super) async fn take(address: &PostgresAddress) -> Result<Taken, OpenError> {
    let told = |error: sqlx::Error| explain(address, error);
    let mut connection = connect(&address.options).await.map_err(told)?;
    let taking = async {
        let place = place(address, &mut connection).await?;
        let number = (LOCK_CLASS << 32) | place.oid;
        if !lock(&mut connection, number, LOCK_MS).await.map_err(told)? {
            return Err(OpenError::InUse { database: address.to_string() });
        }
        schema::check_owner(address, &mut connection, place.oid).await?;
        Ok((place, number))
    };
    let (place, number) = in_time(address, taking).await?;
    schema::bring_up(address, &mut connection).await?;
    let options = address.options.clone().options([("search_path", &place.schema)]);
    Ok(Taken { connection, lock: number, options })
}

/// Bounds the questions of which a start or a command begins with a few.
pub(super) async fn in_time<T>(
    address: &PostgresAddress,
    asking: impl Future<Output = Result<T, OpenError>>,
) -> Result<T, OpenError> {
    let limit = Duration::from_millis(ANSWER_MS_MAX);
    let late = || database(address, format!("no answer in {ANSWER_MS_MAX} ms"));
    tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| Err(late()))
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
    let (database, reason) = (address.to_string(), words(&error));
    if matches!(error, sqlx::Error::RowNotFound) {
        return OpenError::Damaged { database, reason };
    }
    match code_of(&error).as_deref() {
        // insufficient_privilege, read_only_sql_transaction, disk_full
        Some("42501" | "25006" | "53100") => OpenError::Unwritable { database, reason },
        // data_corrupted, index_corrupted
        Some("XX001" | "XX002") => OpenError::Damaged { database, reason },
        _ => OpenError::Database { database, reason },
    }
}
