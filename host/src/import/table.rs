//! A table of Django's `DatabaseCache` (django/core/cache/backends/db.py): `cache_key`, base64 of a
//! pickle in `value`, `expires` in whole seconds.
//!
//! # Invariants
//! - The database is read only: SQLite is opened so, PostgreSQL is told so.
//! - Neither errors nor logs show an address, which may hold a password.
//!
//! # Not here
//! What the values mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use crate::tier::{Address, PostgresAddress};

/// For each statement, and for the connection.
const STATEMENT_MS_MAX: u64 = 30_000;

/// How Django writes "never": 9999-12-31 23:59:59, in whatever zone.
const NEVER_S: i64 = 253_402_000_000;

/// What the times in a SQLite table are; PostgreSQL's know their zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// With `USE_TZ`, the default since Django 5.0.
    Utc,
    /// Without it: the zone of this process (`TZ`).
    Local,
}

/// Why the table can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// There is no such file.
    #[error("database {path} does not exist")]
    NoFile {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The database's own words.
    #[error("table {table}: {reason}")]
    Database {
        /// The table.
        table: String,
        /// What it said.
        reason: String,
    },
    /// It did not answer.
    #[error("table {table}: no answer in {STATEMENT_MS_MAX} ms")]
    Silent {
        /// The table.
        table: String,
    },
}

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// As the application's backend computed it: prefix, version and name.
    pub key: String,
    /// base64.
    pub value: String,
    /// When it expires, seconds since 1970; `None` for never.
    pub expires_s: Option<i64>,
    /// By the database's clock.
    pub is_expired: bool,
}

enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// An open table.
pub(super) struct Table {
    connection: Connection,
    name: String,
    keys_sql: String,
    rows_sql: String,
}

impl Table {
    /// Opens the database; that the table is there shows when it is read.
    pub(super) async fn open(
        address: &Address,
        table: &str,
        zone: Zone,
    ) -> Result<Self, TableError> {
        match address {
            Address::Sqlite(path) => Self::open_sqlite(path, table, zone).await,
            Address::Postgres(address) => Self::open_postgres(address, table).await,
        }
    }

    async fn open_sqlite(path: &Path, table: &str, zone: Zone) -> Result<Self, TableError> {
        if !path.is_file() {
            return Err(TableError::NoFile { path: path.to_owned() });
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(Duration::from_millis(STATEMENT_MS_MAX))
            .disable_statement_logging();
        let connection = Connection::Sqlite(in_time(table, options.connect()).await?);
        let seconds = match zone {
            Zone::Utc => "CAST(strftime('%s', expires) AS INTEGER)",
            // Never has no other zone: it would be beyond the years that SQLite knows.
            Zone::Local => {
                "CASE WHEN expires >= '9999-12-31' \
                 THEN CAST(strftime('%s', expires) AS INTEGER) \
                 ELSE CAST(strftime('%s', expires, 'utc') AS INTEGER) END"
            }
        };
        let now = "CAST(strftime('%s', 'now') AS INTEGER)";
        Ok(Self::new(connection, table, ["?1", "?2"], seconds, now))
    }

    async fn open_postgres(address: &PostgresAddress, table: &str) -> Result<Self, TableError> {
        let options = address
            .options()
            .clone()
            .application_name("wasmcached import")
            .options([("default_transaction_read_only", "on")]);
        let connection = Connection::Postgres(in_time(table, options.connect()).await?);
        let seconds = "floor(extract(epoch FROM expires))::bigint";
        let now = "floor(extract(epoch FROM now()))::bigint";
        Ok(Self::new(connection, table, ["$1", "$2"], seconds, now))
    }

    fn new(
        connection: Connection,
        table: &str,
        [first, second]: [&str; 2],
        seconds: &str,
        now: &str,
    ) -> Self {
        let quoted = quote(table);
        Self {
            connection,
            name: table.to_owned(),
            keys_sql: format!(
                "SELECT cache_key FROM {quoted} WHERE cache_key > {first} \
                 ORDER BY cache_key LIMIT {second}"
            ),
            rows_sql: format!(
                "SELECT cache_key, value, {seconds} AS expires_s, \
                 {seconds} <= {now} AS is_expired FROM {quoted} \
                 WHERE cache_key > {first} AND cache_key <= {second} ORDER BY cache_key"
            ),
        }
    }

    /// The next keys in the table's own order; none at its end.
    pub(super) async fn keys_after(
        &mut self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, TableError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // Safe: the only thing of the caller's in it is the table's name, quoted.
        let sql = AssertSqlSafe(self.keys_sql.clone());
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let query = sqlx::query_scalar(sql).bind(after).bind(limit);
                in_time(&self.name, query.fetch_all(connection)).await
            }
            Connection::Postgres(connection) => {
                let query = sqlx::query_scalar(sql).bind(after).bind(limit);
                in_time(&self.name, query.fetch_all(connection)).await
            }
        }
    }

    /// The rows behind one key up to and with another, as they are now.
    pub(super) async fn rows_between(
        &mut self,
        after: &str,
        last: &str,
    ) -> Result<Vec<Row>, TableError> {
        let sql = AssertSqlSafe(self.rows_sql.clone());
        let found = match &mut self.connection {
            Connection::Sqlite(connection) => {
                let query = sqlx::query(sql).bind(after).bind(last);
                let found = in_time(&self.name, query.fetch_all(connection)).await?;
                found.iter().map(sqlite_row).collect::<Result<_, _>>()
            }
            Connection::Postgres(connection) => {
                let query = sqlx::query(sql).bind(after).bind(last);
                let found = in_time(&self.name, query.fetch_all(connection)).await?;
                found.iter().map(postgres_row).collect::<Result<_, _>>()
            }
        };
        found.map_err(|error| told(&self.name, &error))
    }
}

fn sqlite_row(row: &sqlx::sqlite::SqliteRow) -> Result<Row, sqlx::Error> {
    let expires_s = row.try_get("expires_s")?;
    // Null where the text is no time: what can't be told is over.
    let is_expired = row.try_get::<Option<bool>, _>("is_expired")?.unwrap_or(true);
    new_row(row.try_get("cache_key")?, row.try_get("value")?, expires_s, is_expired)
}

fn postgres_row(row: &sqlx::postgres::PgRow) -> Result<Row, sqlx::Error> {
    let (expires_s, is_expired) = (row.try_get("expires_s")?, row.try_get("is_expired")?);
    new_row(row.try_get("cache_key")?, row.try_get("value")?, expires_s, is_expired)
}

fn new_row(
    key: String,
    value: String,
    expires_s: Option<i64>,
    is_expired: bool,
) -> Result<Row, sqlx::Error> {
    let expires_s = expires_s.filter(|expires_s| *expires_s < NEVER_S);
    Ok(Row { key, value, expires_s, is_expired })
}

/// A name as SQL takes it, whatever is in it. A schema before it is quoted apart.
fn quote(table: &str) -> String {
    let parts = table.split('.').map(|part| format!("\"{}\"", part.replace('"', "\"\"")));
    parts.collect::<Vec<_>>().join(".")
}

async fn in_time<T>(
    table: &str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, TableError> {
    match tokio::time::timeout(Duration::from_millis(STATEMENT_MS_MAX), work).await {
        Ok(outcome) => outcome.map_err(|error| told(table, &error)),
        Err(_) => Err(TableError::Silent { table: table.to_owned() }),
    }
}

fn told(table: &str, error: &sqlx::Error) -> TableError {
    TableError::Database { table: table.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whatever_is_in_them() {
        assert_eq!(quote("django_cache"), "\"django_cache\"");
        assert_eq!(quote("app.cache"), "\"app\".\"cache\"");
        assert_eq!(quote("a\"; DROP TABLE b; --"), "\"a\"\"; DROP TABLE b; --\"");
    }

    #[tokio::test]
    async fn file_that_is_not_there_is_named_and_not_made() {
        let address = Address::parse("sqlite:///no/such/file").unwrap();
        let missing = Table::open(&address, "t", Zone::Utc).await.err().unwrap();
        assert_eq!(missing.to_string(), "database /no/such/file does not exist");
    }
}
