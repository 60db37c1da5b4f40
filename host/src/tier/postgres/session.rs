//! The session that writes: how it is connected, and how it holds the schema against others.
//!
//! # Invariants
//! - A session is handed out only with the lock, with this server's epoch, and with settings under
//!   which its server notices within seconds that we are gone.
//! - What an earlier session of this server left is ended before the next one takes its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Error, Postgres, Transaction};

use crate::model::Durability;
use crate::tier::database::DatabaseError;

/// How long a session waits for the lock when it takes the place of another.
const LOCK_MS_AGAIN: u64 = 2_000;

/// How long connecting may take.
const CONNECT_MS_MAX: u64 = 3_000;

/// SQLSTATE of a lock that was not to be had in time (`lock_not_available`).
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Settings of a session that writes, milliseconds but for `tcp_keepalives_…`, which are seconds. A
/// transaction that takes longer has been given up by then, and one whose client is gone is not to
/// hold the lock: the defaults would hold it for hours. A server that is set to acknowledge what is
/// not durable is asked to wait for it. Plans are made while tables are small, and kept: they are
/// to use an index all the same; what is avoided is priced so high that it would be compiled.
const SETTINGS: &str = "SELECT set_config(v.name, v.value, FALSE) FROM (VALUES \
     ('statement_timeout', '4000'), \
     ('lock_timeout', '2000'), \
     ('idle_in_transaction_session_timeout', '5000'), \
     ('idle_session_timeout', '0'), \
     ('client_connection_check_interval', '1000'), \
     ('tcp_keepalives_idle', '5'), \
     ('tcp_keepalives_interval', '2'), \
     ('tcp_keepalives_count', '3'), \
     ('tcp_user_timeout', '10000'), \
     ('enable_seqscan', 'off'), \
     ('jit', 'off'), \
     ('synchronous_commit', CASE WHEN $1 THEN 'off' \
      WHEN current_setting('synchronous_commit') = 'off' THEN 'on' \
      ELSE current_setting('synchronous_commit') END) \
     ) v (name, value) WHERE EXISTS (SELECT FROM pg_settings s WHERE s.name = v.name)";

/// What a session needs to be this server's.
pub(super) struct Claim {
    /// How it is connected.
    pub options: PgConnectOptions,
    /// The number of the advisory lock.
    pub lock: i64,
    /// The epoch that this server has raised.
    pub epoch: i64,
    /// When its commits are durable.
    pub durability: Durability,
}

/// What makes a schema this server's.
pub(super) struct Hold {
    claim: Claim,
    /// Commits of which this server knows.
    commits: Arc<AtomicI64>,
    /// The backend of the last session.
    backend: Mutex<Backend>,
}

/// A process of the database server, told from all that had or will have its number.
#[derive(Debug, Clone)]
struct Backend {
    pid: i32,
    started: String,
}

/// The session that writes.
pub(in crate::tier) struct Session {
    connection: PgConnection,
    epoch: i64,
    commits: Arc<AtomicI64>,
}

/// Connects within a bound.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let limit = Duration::from_millis(CONNECT_MS_MAX);
    match tokio::time::timeout(limit, options.connect()).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let reason = format!("no connection in {CONNECT_MS_MAX} ms");
            Err(Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, reason)))
        }
    }
}

/// Waits for the lock for so long; `Ok(false)` when another session has it.
pub(super) async fn lock(
    connection: &mut PgConnection,
    number: i64,
    wait_ms: u64,
) -> Result<bool, Error> {
    sqlx::query("SELECT set_config('lock_timeout', $1, FALSE)")
        .bind(wait_ms.to_string())
        .execute(&mut *connection)
        .await?;
    let locked = sqlx::query("SELECT pg_advisory_lock($1)").bind(number);
    match locked.execute(&mut *connection).await {
        Ok(_) => Ok(true),
        Err(error) if code_of(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The SQLSTATE of an error.
pub(super) fn code_of(error: &Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(Into::into)
}

async fn settle(connection: &mut PgConnection, durability: Durability) -> Result<(), Error> {
    let is_delayed = durability == Durability::Interval;
    sqlx::query(SETTINGS).bind(is_delayed).execute(connection).await?;
    Ok(())
}

async fn backend_of(connection: &mut PgConnection) -> Result<Backend, Error> {
    let (pid, started) = sqlx::query_as(
        "SELECT pid, extract(epoch FROM backend_start)::text FROM pg_stat_activity \
         WHERE pid = pg_backend_pid()",
    )
    .fetch_one(connection)
    .await?;
    Ok(Backend { pid, started })
}

impl Hold {
    /// Holds the schema by a session that has the lock already.
    pub(super) async fn new(
        claim: Claim,
        mut connection: PgConnection,
        commits: i64,
    ) -> Result<(Self, Session), Error> {
        settle(&mut connection, claim.durability).await?;
        let backend = Mutex::new(backend_of(&mut connection).await?);
        let commits = Arc::new(AtomicI64::new(commits));
        let session = Session { connection, epoch: claim.epoch, commits: Arc::clone(&commits) };
        Ok((Self { claim, commits, backend }, session))
    }

    /// This server's epoch, as the column holds it.
    pub(super) fn epoch(&self) -> i64 {
        self.claim.epoch
    }

    /// A session in place of one that was lost.
    pub(super) async fn take_again(&self) -> Result<Session, DatabaseError> {
        let mut connection = connect(&self.claim.options).await?;
        self.end_last(&mut connection).await?;
        if !lock(&mut connection, self.claim.lock, LOCK_MS_AGAIN).await? {
            return Err(DatabaseError::InUse);
        }
        settle(&mut connection, self.claim.durability).await?;
        let (epoch, commits): (i64, i64) =
            sqlx::query_as("SELECT epoch, commits FROM state").fetch_one(&mut connection).await?;
        if epoch != self.claim.epoch {
            return Err(DatabaseError::Superseded);
        }
        let known = self.commits.load(Ordering::Acquire);
        if commits < known {
            tracing::warn!(
                lost = known - commits,
                "database has gone back behind what it had committed; its entries are dropped"
            );
            let drop = format!(
                "BEGIN; TRUNCATE entries; UPDATE state SET commits = {known}; {PROBE}; COMMIT"
            );
            sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await?;
        } else {
            // The one whose outcome was not known may have succeeded.
            self.commits.store(commits, Ordering::Release);
            let probe = format!("BEGIN; {PROBE}; COMMIT");
            sqlx::raw_sql(AssertSqlSafe(probe)).execute(&mut connection).await?;
        }
        *self.backend.lock() = backend_of(&mut connection).await?;
        Ok(Session { connection, epoch, commits: Arc::clone(&self.commits) })
    }

    /// Ends what the last session left: a server that has not noticed that we are gone keeps the
    /// lock for it.
    async fn end_last(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let last = self.backend.lock().clone();
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 \
             AND extract(epoch FROM backend_start)::text = $2 AND pid <> pg_backend_pid()",
        )
        .bind(last.pid)
        .bind(last.started)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Finds out whether the journal can be written, and leaves it as it was.
const PROBE: &str = "INSERT INTO journal (sequence, source, at_ms, targets, is_again) \
     VALUES (0, 'probe', 0, '', 0); DELETE FROM journal WHERE sequence = 0";

impl Session {
    /// Begins a transaction that fails unless nothing but this server's last commit came before.
    /// Its commit is to be noted by [`Session::note_commit`].
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_, Postgres>, Error> {
        let (epoch, last) = (self.epoch, self.commits.load(Ordering::Acquire));
        let next = last + 1;
        // In one message with its beginning; the column takes no null.
        let begin = format!(
            "BEGIN; UPDATE state SET commits = \
             CASE WHEN epoch = {epoch} AND commits = {last} THEN {next} END"
        );
        self.connection.begin_with(AssertSqlSafe(begin)).await
    }

    /// Notes that the transaction begun last has been committed.
    pub(super) fn note_commit(&self) {
        self.commits.fetch_add(1, Ordering::AcqRel);
    }

    /// The connection, outside of transactions.
    pub(in crate::tier) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Whether it is still there, and still ours.
    pub(in crate::tier) async fn check(&mut self) -> Result<(), DatabaseError> {
        let epoch: i64 =
            sqlx::query_scalar("SELECT epoch FROM state").fetch_one(&mut self.connection).await?;
        if epoch == self.epoch { Ok(()) } else { Err(DatabaseError::Superseded) }
    }

    /// Ends it, and with it the lock.
    pub(in crate::tier) async fn close(self) {
        // The server has noticed it, or will.
        let _ = self.connection.close().await;
    }
}
