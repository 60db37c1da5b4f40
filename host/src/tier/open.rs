//! Opening: the lock, whose file it is, the schema, the epoch, the fence as it was left.
//!
//! # Invariants
//! - A file that is not ours is not changed; one that we make is its owner's alone.
//! - The epoch is raised durably before anything is served.
//! - One server per file: the lock is held on a file beside it, because closing any descriptor of
//!   the database itself would take SQLite's own locks away.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use super::statements;
use crate::cache::Recovered;
use crate::fail_points::{Point, reach};
use crate::model::Sequence;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// `PRAGMA application_id` of our files: "wmcd".
pub(super) const APPLICATION_ID: i64 = 0x776d_6364;

/// Epochs above would not leave room for the sign in the columns of sequences.
pub(super) const EPOCH_MAX: u32 = (1 << 23) - 1;

/// How long a statement waits for another process, such as a backup, to let go.
const BUSY_MS: u64 = 1_000;

/// How long a look-up waits for a connection.
const ACQUIRE_MS: u64 = 1_000;

/// Connections that look up; SQLite reads from the page cache, so few are enough.
const READERS: u32 = 4;

/// Why text is not the address of a database.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Another form.
    #[error("`{address}` is not `sqlite:///absolute/path` or `sqlite://relative/path`")]
    Form {
        /// As given.
        address: String,
    },
    /// SQLite's own addresses have them; silently leaving out `?mode=ro` would be wrong. Not shown,
    /// because other SQLites take a password there.
    #[error("address has a `?`; query parts are not understood")]
    Query,
    /// Each of the server's connections would have a database of its own.
    #[error("`:memory:` is not a file; leave the address out to keep entries in memory alone")]
    Memory,
}

/// Why a database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not an address of a SQLite file.
    #[error("database")]
    Address(#[from] AddressError),
    /// There is nowhere to put the file.
    #[error("folder {folder} of the database does not exist")]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The file or its folder can't be written.
    #[error("database {path} can't be written: {reason}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's or SQLite's words.
        reason: String,
    },
    /// Another server has it.
    #[error("database {path} is in use by another server")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Damaged, or somebody else's file.
    #[error("database {path} is not one of wasmcached: {reason}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a newer server.
    #[error("database {path} has schema {found}; this server knows schemas up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema's number.
        found: i64,
        /// The newest that this server knows.
        known: i64,
    },
    /// Anything else that the database says.
    #[error("database {path}: {reason}")]
    Database {
        /// The file.
        path: PathBuf,
        /// Its words.
        reason: String,
    },
}

/// An open database.
pub(super) struct Opened {
    /// Held for as long as the database is in use.
    pub lock: File,
    /// How the writer connects.
    pub options: SqliteConnectOptions,
    /// The writer's connection.
    pub connection: SqliteConnection,
    /// For looking up.
    pub readers: SqlitePool,
    /// What the cache is to start from.
    pub recovered: Recovered,
}

/// Opens the database at `url`, and creates it where there is none.
pub(super) async fn open(url: &str) -> Result<Opened, OpenError> {
    let path = path_of(url)?;
    check_folder(&path)?;
    let lock = lock(&path)?;
    create(&path)?;
    reach(Point::FileCreated);
    let told = |error: sqlx::Error| explain(&path, error);
    let plain = SqliteConnectOptions::new()
        .filename(&path)
        .busy_timeout(Duration::from_millis(BUSY_MS))
        .disable_statement_logging();
    check_owner(&path, &plain).await?;
    reach(Point::FileMarked);
    // Full: an acknowledged invalidation outlives the machine's power, not just the process.
    let options = plain.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await.map_err(told)?;
    MIGRATIONS.run(&mut connection).await.map_err(|error| explain_schema(&path, error))?;
    reach(Point::Migrated);
    let epoch = statements::raise_epoch(&mut connection).await.map_err(told)?;
    reach(Point::EpochRaised);
    let epoch = u32::try_from(epoch).ok().filter(|epoch| (1..=EPOCH_MAX).contains(epoch));
    let epoch = epoch.ok_or_else(|| OpenError::Database {
        path: path.clone(),
        reason: format!("epoch is not within 1 and {EPOCH_MAX}"),
    })?;
    let start = Sequence::start_of(epoch);
    let fence = statements::fence(&mut connection, start).await.map_err(told)?;
    reach(Point::FenceRead);
    let intents = statements::intents(&mut connection).await.map_err(told)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(Duration::from_millis(ACQUIRE_MS))
        .connect_lazy_with(options.clone().pragma("query_only", "ON"));
    let numbers = statements::numbers(&mut connection).await.map_err(told)?;
    let recovered = Recovered { epoch, fence, numbers, intents };
    Ok(Opened { lock, options, connection, readers, recovered })
}

/// Opens the database at `url` for writing, and creates it where there is none, without being a
/// server: the epoch stays. The lock is held for as long as the file is.
pub(super) async fn open_to_fill(
    url: &str,
) -> Result<(PathBuf, File, SqliteConnection), OpenError> {
    let path = path_of(url)?;
    check_folder(&path)?;
    let lock = lock(&path)?;
    create(&path)?;
    let plain = SqliteConnectOptions::new()
        .filename(&path)
        .busy_timeout(Duration::from_millis(BUSY_MS))
        .disable_statement_logging();
    check_owner(&path, &plain).await?;
    let options = plain.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await.map_err(|error| explain(&path, error))?;
    MIGRATIONS.run(&mut connection).await.map_err(|error| explain_schema(&path, error))?;
    Ok((path, lock, connection))
}

/// The newest schema that this binary knows.
pub(super) fn schema_known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The path of the file that an address names; nothing is opened.
///
/// # Errors
/// The address can't be used, whatever is at its place.
pub fn path_of(address: &str) -> Result<PathBuf, AddressError> {
    let path = address.strip_prefix("sqlite://").filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| AddressError::Form { address: address.to_owned() })?;
    match path {
        path if path.contains('?') => Err(AddressError::Query),
        ":memory:" => Err(AddressError::Memory),
        path => Ok(PathBuf::from(path)),
    }
}

/// A relative path without a folder lies in the current one.
fn check_folder(path: &Path) -> Result<(), OpenError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.exists() => Err(OpenError::NoFolder { folder: folder.to_owned() }),
        _ => Ok(()),
    }
}

/// Makes the file where there is none, for its owner alone: it holds what pages and items hold.
/// SQLite gives its `-wal` and `-shm` the mode of the database. An existing one is not opened.
fn create(path: &Path) -> Result<(), OpenError> {
    if path.exists() {
        return Ok(());
    }
    let created = owner_only().open(path);
    created.map(drop).map_err(|error| unwritable(path, &error))
}

pub(super) fn owner_only() -> OpenOptions {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options
}

fn unwritable(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::Unwritable { path: path.to_owned(), reason: error.to_string() }
}

pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push("-lock");
    let opened = owner_only().open(PathBuf::from(beside));
    let file = opened.map_err(|error| unwritable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unwritable(path, &error)),
    }
}

/// Finds out whose file it is before anything is changed in it, and marks an empty one as ours.
async fn check_owner(path: &Path, options: &SqliteConnectOptions) -> Result<(), OpenError> {
    let told = |error: sqlx::Error| explain(path, error);
    let mut connection = options.connect().await.map_err(told)?;
    let id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut connection)
        .await
        .map_err(told)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut connection)
        .await
        .map_err(told)?;
    if id != APPLICATION_ID {
        if tables > 0 {
            return Err(OpenError::Foreign {
                path: path.to_owned(),
                reason: format!("it has {tables} tables and indexes of another application"),
            });
        }
        sqlx::query("PRAGMA application_id = 2003657572")
            .execute(&mut connection)
            .await
            .map_err(told)?;
    }
    connection.close().await.map_err(told)
}

fn explain_schema(path: &Path, error: MigrateError) -> OpenError {
    let path = path.to_owned();
    let known = schema_known();
    match error {
        MigrateError::VersionMissing(found) if found > known => {
            OpenError::Newer { path, found, known }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            explain(&path, error)
        }
        error => OpenError::Foreign { path, reason: error.to_string() },
    }
}

pub(super) fn explain(path: &Path, error: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    let reason = error.to_string();
    let code = error.as_database_error().and_then(|error| error.code());
    // The low byte is the primary result code (sqlite.org/rescode.html).
    match code.and_then(|code| code.parse::<i64>().ok()).map(|code| code & 0xff) {
        // SQLITE_PERM, SQLITE_READONLY, SQLITE_FULL, SQLITE_CANTOPEN
        Some(3 | 8 | 13 | 14) => OpenError::Unwritable { path, reason },
        // SQLITE_CORRUPT, SQLITE_NOTADB
        Some(11 | 26) => OpenError::Foreign { path, reason },
        _ => OpenError::Database { path, reason },
    }
}
