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
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::tier::{Address, PostgresAddress};

/// For each statement, and for the connection.
const STATEMENT_MS_MAX: u64 = 30_000;

/// Keys of one round: looked for together, read together, stored together. Below what the server
/// remembers of a connection's misses.
const KEYS_AT_ONCE: usize = 100;

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

/// One row, whatever somebody has put into it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// As the application's backend computed it: prefix, version and name.
    pub key: Vec<u8>,
    /// base64; `None` for a null.
    pub value: Option<Vec<u8>>,
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
    odd_sql: String,
    keys_sql: String,
    rows_sql: String,
}

/// How a database says what is asked of the table.
struct Words<'w> {
    /// Whether a row has a key that has a place in the order of texts, behind the first.
    has_place: &'w str,
    /// The key and the value, as bytes.
    columns: [&'w str; 2],
    /// The two parameters.
    parameters: [&'w str; 2],
    /// When a row expires, seconds since 1970, and whether that is over.
    expiry: &'w str,
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
        let words = Words {
            has_place: "typeof(cache_key) = 'text' AND cache_key <> ''",
            columns: ["CAST(cache_key AS BLOB)", "CAST(value AS BLOB)"],
            parameters: ["CAST(?1 AS TEXT)", "CAST(?2 AS TEXT)"],
            expiry: &format!("{seconds}, {seconds} <= {now}"),
        };
        Ok(Self::new(connection, table, &words))
    }

    async fn open_postgres(address: &PostgresAddress, table: &str) -> Result<Self, TableError> {
        let options = address
            .options()
            .clone()
            .application_name("wasmcached import")
            .options([("default_transaction_read_only", "on")]);
        let connection = Connection::Postgres(in_time(table, options.connect()).await?);
        let words = Words {
            has_place: "cache_key <> ''",
            columns: ["convert_to(cache_key, 'UTF8')", "convert_to(value, 'UTF8')"],
            parameters: ["convert_from($1, 'UTF8')", "convert_from($2, 'UTF8')"],
            // Infinity has no seconds.
            expiry: "CASE WHEN isfinite(expires) \
                     THEN floor(extract(epoch FROM expires))::bigint END, expires <= now()",
        };
        Ok(Self::new(connection, table, &words))
    }

    fn new(connection: Connection, table: &str, words: &Words<'_>) -> Self {
        let quoted = quote(table);
        let Words { has_place, columns: [key, value], parameters: [first, second], expiry } = words;
        Self {
            connection,
            name: table.to_owned(),
            odd_sql: format!("SELECT count(*) FROM {quoted} WHERE NOT ({has_place})"),
            keys_sql: format!(
                "SELECT {key} FROM {quoted} WHERE {has_place} AND cache_key > {first} \
                 ORDER BY cache_key LIMIT {KEYS_AT_ONCE}"
            ),
            rows_sql: format!(
                "SELECT {key}, {value}, {expiry} FROM {quoted} \
                 WHERE {has_place} AND cache_key > {first} AND cache_key <= {second} \
                 ORDER BY cache_key"
            ),
        }
    }

    /// How many rows have a key that is no text, or an empty one: they are in no batch.
    pub(super) async fn odd_keys(&mut self) -> Result<u64, TableError> {
        let sql = AssertSqlSafe(self.odd_sql.clone());
        let count: i64 = match &mut self.connection {
            Connection::Sqlite(connection) => {
                in_time(&self.name, sqlx::query_scalar(sql).fetch_one(connection)).await?
            }
            Connection::Postgres(connection) => {
                in_time(&self.name, sqlx::query_scalar(sql).fetch_one(connection)).await?
            }
        };
        Ok(count.unsigned_abs())
    }

    /// The next keys in the table's own order, at most [`KEYS_AT_ONCE`]; none at its end.
    pub(super) async fn keys_after(&mut self, after: &[u8]) -> Result<Vec<Vec<u8>>, TableError> {
        // Safe: the only thing of the caller's in it is the table's name, quoted.
        let sql = AssertSqlSafe(self.keys_sql.clone());
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let query = sqlx::query_scalar(sql).bind(after);
                in_time(&self.name, query.fetch_all(connection)).await
            }
            Connection::Postgres(connection) => {
                let query = sqlx::query_scalar(sql).bind(after);
                in_time(&self.name, query.fetch_all(connection)).await
            }
        }
    }

    /// The rows behind one key up to and with another, as they are now.
    pub(super) async fn rows_between(
        &mut self,
        after: &[u8],
        last: &[u8],
    ) -> Result<Vec<Row>, TableError> {
        let sql = AssertSqlSafe(self.rows_sql.clone());
        let found: Vec<Found> = match &mut self.connection {
            Connection::Sqlite(connection) => {
                let query = sqlx::query_as(sql).bind(after).bind(last);
                in_time(&self.name, query.fetch_all(connection)).await?
            }
            Connection::Postgres(connection) => {
                let query = sqlx::query_as(sql).bind(after).bind(last);
                in_time(&self.name, query.fetch_all(connection)).await?
            }
        };
        let row = |(key, value, expires_s, is_expired): Found| Row {
            key,
            value,
            expires_s: expires_s.filter(|expires_s| *expires_s < NEVER_S),
            // Null where the text is no time: what can't be told is over.
            is_expired: is_expired.unwrap_or(true),
        };
        Ok(found.into_iter().map(row).collect())
    }
}

/// The columns of a [`Row`].
type Found = (Vec<u8>, Option<Vec<u8>>, Option<i64>, Option<bool>);

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
    async fn row_that_nobody_but_django_could_write_keeps_no_other_one_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        let rows =
            "CREATE TABLE t (cache_key varchar(255) PRIMARY KEY, value text, expires datetime);
            INSERT INTO t VALUES ('', 'YQ==', '2999-01-01'), (x'6162', 'YQ==', '2999-01-01'),
                (NULL, 'YQ==', '2999-01-01'), (CAST(x'61ff' AS TEXT), 'YQ==', '2999-01-01'),
                ('a', 'YQ==', '2999-01-01'), ('b', x'ff00', '2999-01-01'),
                ('c', NULL, '2999-01-01'), ('d', 'YQ==', x'ff'), ('e', 'YQ==', NULL)";
        sqlx::raw_sql(rows).execute(&mut connection).await.unwrap();
        let address = Address::parse(&format!("sqlite://{}", file.display())).unwrap();
        let mut table = Table::open(&address, "t", Zone::Utc).await.unwrap();
        assert_eq!(table.odd_keys().await.unwrap(), 3);
        let keys = table.keys_after(b"").await.unwrap();
        assert_eq!(keys, [&b"a"[..], b"a\xff", b"b", b"c", b"d", b"e"]);
        assert_eq!(table.keys_after(b"a\xff").await.unwrap().len(), 4);
        let rows = table.rows_between(b"a", b"e").await.unwrap();
        let told = rows.iter().map(|row| (row.value.as_deref(), row.is_expired));
        let value = Some(&b"YQ=="[..]);
        let expected = [
            (value, false),
            (Some(&b"\xff\0"[..]), false),
            (None, false),
            (value, true),
            (value, true),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn file_that_is_not_there_is_named_and_not_made() {
        let address = Address::parse("sqlite:///no/such/file").unwrap();
        let missing = Table::open(&address, "t", Zone::Utc).await.err().unwrap();
        assert_eq!(missing.to_string(), "database /no/such/file does not exist");
    }
}
