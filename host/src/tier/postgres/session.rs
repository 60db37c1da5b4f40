//! The session that writes: how it is connected, and how it holds the schema against others.
//!
//! # Invariants
//! - A session is handed out only with the lock, with this server's epoch, and with settings under
//!   which its server notices within seconds that we are gone.
//! - What an earlier session of this server left is ended before the next one takes its place.
//! - A database from before this server's start has gone back, like one that lacks its commits.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Error, Postgres, Transaction};

use super::standing::Standing;
use crate::cache::tier::Record;
use crate::model::Durability;
use crate::tier::database::DatabaseError;
use crate::tier::ran_plugins::Notes;

/// How long a session waits for the lock when it takes the place of another.
const LOCK_MS_AGAIN: u64 = 2_000;

/// How long connecting may take.
const CONNECT_MS_MAX: u64 = 3_000;

/// How long a command waits for a lock that somebody else has on a table.
const LOOK_LOCK_MS: u64 = 3_000;

/// Longest answer to a question of a start or of a command that is answered at once.
pub(super) const ANSWER_MS_MAX: u64 = 10_000;

/// Longest reading of the whole fence, which may have a row for each of millions of tags.
pub(super) const FENCE_MS_MAX: u64 = 60_000;

/// How long taking leave may take.
const CLOSE_MS_MAX: u64 = 2_000;

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
    standing: Arc<Mutex<Standing>>,
    /// The backend of the last session.
    backend: Mutex<Backend>,
}

/// A process of the database server, told from all that had or will have its number.
#[derive(Debug, Clone)]
struct Backend {
    pid: i32,
    started: String,
}

/// Where the number of a run's commits ends in `commits`; above it is a random number of the run,
/// so that another server's run of the same epoch, above a database that was made anew, is told
/// from this one's.
pub(super) const RUN_SHIFT: u32 = 40;

/// What this server knows of the row of `state`.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownState {
    /// The epoch that it has raised.
    pub epoch: i64,
    /// Commits of which it knows, at least as many as have been told of.
    pub commits: i64,
}

impl KnownState {
    /// Asks whether the database that a connection leads to has all of it.
    pub(super) async fn check(self, connection: &mut PgConnection) -> Result<(), DatabaseError> {
        let (epoch, commits) = state_of(connection).await?;
        self.judge(epoch, commits)
    }

    /// Whether a database that has this is this server's, with all of its commits.
    ///
    /// An epoch that was never raised as far as this server's is that of a copy from before its
    /// start: to another server it would have been raised further.
    fn judge(self, epoch: i64, commits: i64) -> Result<(), DatabaseError> {
        match epoch.cmp(&self.epoch) {
            Less => Err(DatabaseError::GoneBack),
            Greater => Err(DatabaseError::Superseded),
            Equal if commits >> RUN_SHIFT != self.commits >> RUN_SHIFT => {
                Err(DatabaseError::Superseded)
            }
            Equal if commits < self.commits => Err(DatabaseError::GoneBack),
            Equal => Ok(()),
        }
    }

    /// The most commits that this run can have.
    pub(super) fn commits_max(self) -> i64 {
        self.commits | ((1 << RUN_SHIFT) - 1)
    }
}

/// The row of `state`: the epoch, and the commits.
pub(super) async fn state_of(connection: &mut PgConnection) -> Result<(i64, i64), Error> {
    sqlx::query_as("SELECT epoch, commits FROM state").fetch_one(connection).await
}

/// The session that writes.
pub(in crate::tier) struct Session {
    connection: PgConnection,
    epoch: i64,
    commits: Arc<AtomicI64>,
    standing: Arc<Mutex<Standing>>,
}

/// Connects within a bound.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    within(CONNECT_MS_MAX, "connection", options.connect()).await
}

/// The same for a command that waits for nobody's locks.
pub(super) async fn connect_to_look(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let wait_ms = LOOK_LOCK_MS.to_string();
    connect(&options.clone().options([("lock_timeout", wait_ms.as_str())])).await
}

/// Bounds a question of a start or of a command: a server whose network is lost says nothing.
pub(super) async fn answered<T>(
    limit_ms: u64,
    asking: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    within(limit_ms, "answer", asking).await
}

async fn within<T>(
    limit_ms: u64,
    what: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(Duration::from_millis(limit_ms), work).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let reason = format!("no {what} in {limit_ms} ms");
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
        standing: Standing,
    ) -> Result<(Self, Session), Error> {
        settle(&mut connection, claim.durability).await?;
        let backend = Mutex::new(backend_of(&mut connection).await?);
        let commits = Arc::new(AtomicI64::new(commits));
        let standing = Arc::new(Mutex::new(standing));
        let hold = Self { claim, commits, standing, backend };
        let session = hold.session(connection);
        Ok((hold, session))
    }

    fn session(&self, connection: PgConnection) -> Session {
        let (commits, standing) = (Arc::clone(&self.commits), Arc::clone(&self.standing));
        Session { connection, epoch: self.claim.epoch, commits, standing }
    }

    /// What a database has now that is this server's, and has not gone back.
    pub(super) fn known(&self) -> KnownState {
        let commits = self.commits.load(Ordering::Acquire);
        KnownState { epoch: self.claim.epoch, commits }
    }

    /// A session in place of one that was lost.
    pub(super) async fn take_again(&self) -> Result<Session, DatabaseError> {
        let mut connection = connect(&self.claim.options).await?;
        self.end_last(&mut connection).await?;
        if !lock(&mut connection, self.claim.lock, LOCK_MS_AGAIN).await? {
            return Err(DatabaseError::InUse);
        }
        settle(&mut connection, self.claim.durability).await?;
        let (epoch, commits) = state_of(&mut connection).await?;
        match self.known().judge(epoch, commits) {
            Ok(()) => {
                // The one whose outcome was not known may have succeeded.
                self.commits.store(commits, Ordering::Release);
                let probe = format!("BEGIN; {PROBE}; COMMIT");
                sqlx::raw_sql(AssertSqlSafe(probe)).execute(&mut connection).await?;
            }
            Err(DatabaseError::GoneBack) => {
                tracing::warn!(
                    epoch,
                    commits,
                    "database has gone back behind what it had committed; its entries are dropped"
                );
                self.bring_forward(&mut connection).await?;
            }
            Err(error) => return Err(error),
        }
        *self.backend.lock() = backend_of(&mut connection).await?;
        Ok(self.session(connection))
    }

    /// Takes out of a database that has gone back what may have been invalidated since, writes
    /// again what it lacks of what holds on, and raises it to this server's epoch: no number is
    /// given out again by the next one.
    async fn bring_forward(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let KnownState { epoch, commits } = self.known();
        let standing = self.standing.lock().clone();
        let mut transaction = connection.begin().await?;
        let forward = format!(
            "TRUNCATE entries; UPDATE state SET epoch = {epoch}, commits = {commits}; {PROBE}"
        );
        sqlx::raw_sql(AssertSqlSafe(forward)).execute(&mut *transaction).await?;
        standing.write(&mut transaction).await?;
        transaction.commit().await
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
        // In one message with its beginning; the column takes no null, and a table without its row
        // divides by zero.
        let begin = format!(
            "BEGIN; UPDATE state SET commits = \
             CASE WHEN epoch = {epoch} AND commits = {last} THEN {next} END; \
             SELECT 1 / count(*) FROM state"
        );
        let begun = self.connection.begin_with(AssertSqlSafe(begin)).await;
        begun.map_err(|error| match code_of(&error).as_deref() {
            // division_by_zero
            Some("22012") => Error::RowNotFound,
            _ => error,
        })
    }

    /// Notes that the transaction begun last has been committed.
    pub(super) fn note_commit(&self) {
        self.commits.fetch_add(1, Ordering::AcqRel);
    }

    /// The same for one with these records.
    pub(super) fn note_commit_of(&self, records: &[Record]) {
        self.note_commit();
        self.standing.lock().note_records(records);
    }

    /// The same for one that noted plugins.
    pub(super) fn note_commit_of_plugins(&self, notes: &Notes) {
        self.note_commit();
        self.standing.lock().note_plugins(notes);
    }

    /// The connection, outside of transactions.
    pub(in crate::tier) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Whether it is still there, still ours, and has not gone back.
    pub(in crate::tier) async fn check(&mut self) -> Result<(), DatabaseError> {
        let commits = self.commits.load(Ordering::Acquire);
        KnownState { epoch: self.epoch, commits }.check(&mut self.connection).await
    }

    /// Ends it, and with it the lock.
    pub(in crate::tier) async fn close(self) {
        let limit = Duration::from_millis(CLOSE_MS_MAX);
        // The server has noticed it, or will.
        let _ = tokio::time::timeout(limit, self.connection.close()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_from_before_the_start_has_gone_back_and_a_run_of_another_server_is_its_own() {
        let run = |run: i64, commits: i64| run << RUN_SHIFT | commits;
        let known = KnownState { epoch: 3, commits: run(7, 5) };
        let judged = |epoch, commits| match known.judge(epoch, commits) {
            Ok(()) => "ours",
            Err(DatabaseError::GoneBack) => "gone back",
            Err(DatabaseError::Superseded) => "another's",
            Err(_) => "failed",
        };
        assert_eq!([judged(3, run(7, 5)), judged(3, run(7, 6))], ["ours"; 2]);
        assert_eq!([judged(3, run(7, 4)), judged(2, run(9, 9))], ["gone back"; 2]);
        let others = [judged(3, run(8, 5)), judged(3, run(6, 9)), judged(4, run(7, 5))];
        assert_eq!(others, ["another's"; 3]);
        assert!((run(7, 5)..run(8, 0)).contains(&known.commits_max()));
    }
}
