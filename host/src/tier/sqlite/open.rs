//! Opening: the lock, whose file it is, the schema, the epoch, the fence as it was left.
//!
//! # Invariants
//! - A file that is not ours is not changed; one that we make is its owner's alone.
//! - The epoch is raised durably before anything is served.
//! - One server per file: the lock is held on a file beside it, because closing any descriptor of
//!   the database itself would take SQLite's own locks away. A lock that somebody has removed keeps
//!   nobody out; then the epoch, which every transaction names, ends the server that came first.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Error;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{Access, access};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use super::filling::check_import;
use super::place::Place;
use super::ran_plugins::ran_plugins;
use super::recover::{raise_epoch, recover};
use super::schema;
use crate::fail_points::{Point, reach};
use crate::model::Durability;
use crate::tier::database::{ACQUIRE_MS, Database, Opened, Session, epoch_of};
use crate::tier::error::{OpenError, words};
use crate::tier::schema::foreign;

/// `PRAGMA application_id` of our files: "wmcd".
const APPLICATION_ID: i64 = 0x776d_6364;

/// How long a statement waits for another process, such as a backup, to let go.
const BUSY_MS: u64 = 1_000;

/// Connections that look up; SQLite reads from the page cache, so few are enough.
const READERS: u32 = 4;

/// Opens the file at `path`, and creates it where there is none.
pub(in crate::tier) async fn open(
    path: &Path,
    durability: Durability,
) -> Result<Opened, OpenError> {
    let told = |error: sqlx::Error| explain(path, error);
    let Taken { lock, place, options, mut connection } = take(path, durability).await?;
    reach(Point::Migrated);
    check_import(path, &mut connection).await?;
    let raised = raise_epoch(&mut connection).await.map_err(told)?;
    reach(Point::EpochRaised);
    let epoch = epoch_of(raised);
    let epoch = epoch.map_err(|reason| OpenError::Database { database: shown(path), reason })?;
    let recovered = recover(&mut connection, epoch).await.map_err(told)?;
    let ran_plugins = ran_plugins(&mut connection).await.map_err(told)?;
    let session = super::Session::new(connection, Arc::clone(&place), raised);
    let opened = Arc::clone(&place);
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(Duration::from_millis(ACQUIRE_MS))
        .after_connect(move |_, _| {
            // What is at the path by now may be another file, with what was invalidated in ours.
            let found = opened.check();
            Box::pin(async move { found.map_err(|lost| sqlx::Error::Io(Error::other(lost))) })
        })
        .connect_lazy_with(options.clone().pragma("query_only", "ON"));
    let lock = Mutex::new(Some(lock));
    let database = super::Database { options, readers, lock, place, epoch: raised };
    let (database, session) = (Database::Sqlite(Box::new(database)), Session::Sqlite(session));
    Ok(Opened { database, session, recovered, ran_plugins })
}

/// A file that is this process's alone.
pub(super) struct Taken {
    /// Keeps other servers out.
    pub lock: File,
    /// Which file it is.
    pub place: Arc<Place>,
    /// How it is connected to.
    pub options: SqliteConnectOptions,
    /// A connection above the newest schema.
    pub connection: SqliteConnection,
}

/// Takes a file, and makes it where there is none.
pub(super) async fn take(path: &Path, durability: Durability) -> Result<Taken, OpenError> {
    check_folder(path)?;
    create(path)?;
    let (path, lock) = lock(path)?;
    let path = path.as_path();
    reach(Point::FileCreated);
    let told = |error: sqlx::Error| explain(path, error);
    let place = Place::of(path).map_err(|error| unwritable(path, &error))?;
    let plain = plain(path);
    check_owner(path, &plain).await?;
    reach(Point::FileMarked);
    let synchronous = match durability {
        // An acknowledged invalidation outlives the machine's power, not just the process.
        Durability::Each => SqliteSynchronous::Full,
        Durability::Interval => SqliteSynchronous::Normal,
    };
    let options = plain.journal_mode(SqliteJournalMode::Wal).synchronous(synchronous);
    let mut connection = options.connect().await.map_err(told)?;
    schema::bring_up(path, &mut connection).await?;
    Ok(Taken { lock, place: Arc::new(place), options, connection })
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// How any connection to a file is made.
pub(super) fn plain(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_millis(BUSY_MS))
        .disable_statement_logging()
}

/// How a file is looked at. Where what SQLite needs beside it can't be made, and a log is not
/// there, the file alone is read, as it lies there.
pub(super) fn looking(path: &Path) -> SqliteConnectOptions {
    let options = plain(path);
    let Ok(real) = path.canonicalize() else { return options };
    let folder = real.parent().unwrap_or(Path::new("/"));
    let may_write = |place: &Path| access(place, Access::WRITE_OK).is_ok();
    let has_log = beside(&real, "-wal").exists();
    match has_log || (may_write(&real) && may_write(folder)) {
        true => options,
        false => options.read_only(true).immutable(true),
    }
}

/// A file beside a database.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut beside = database.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

/// A relative path without a folder lies in the current one.
pub(super) fn check_folder(path: &Path) -> Result<(), OpenError> {
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

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::Unwritable { database: shown(path), reason: error.to_string() }
}

/// Where a file that is there lies, without symbolic links, so that each of its names has the same
/// lock; and that lock.
pub(super) fn lock(path: &Path) -> Result<(PathBuf, File), OpenError> {
    let real = path.canonicalize().map_err(|error| unwritable(path, &error))?;
    let opened = owner_only().open(beside(&real, "-lock"));
    let file = opened.map_err(|error| unwritable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok((real, file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { database: shown(path) }),
        Err(TryLockError::Error(error)) => Err(unwritable(path, &error)),
    }
}

/// The same lock for who may only read; `None` where somebody has it, or where there is none that
/// could keep a server out.
pub(super) fn lock_to_read(path: &Path) -> Result<Option<File>, OpenError> {
    let real = path.canonicalize().map_err(|error| unwritable(path, &error))?;
    let Ok(file) = File::open(beside(&real, "-lock")) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(unwritable(path, &error)),
    }
}

/// Finds out whose file it is before anything is changed in it, and marks an empty one as ours.
async fn check_owner(path: &Path, options: &SqliteConnectOptions) -> Result<(), OpenError> {
    let told = |error: sqlx::Error| explain(path, error);
    let mut connection = options.connect().await.map_err(told)?;
    if owner(path, &mut connection).await? == Owner::Nobody {
        // Looked at once more where nobody else makes tables until it is marked.
        let mut marking = connection.begin_with("BEGIN IMMEDIATE").await.map_err(told)?;
        if owner(path, &mut marking).await? == Owner::Nobody {
            let mark = sqlx::query("PRAGMA application_id = 2003657572");
            mark.execute(&mut *marking).await.map_err(told)?;
        }
        marking.commit().await.map_err(told)?;
    }
    connection.close().await.map_err(told)
}

/// Whose file it is; an error where it is somebody else's.
pub(super) async fn owner(
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<Owner, OpenError> {
    let told = |error: sqlx::Error| explain(path, error);
    // Tables first: another process may be making the file ours, and marks it before it has any.
    let tables =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')");
    let tables: Vec<String> = tables.fetch_all(&mut *connection).await.map_err(told)?;
    let id = sqlx::query_scalar("PRAGMA application_id").fetch_one(connection);
    let id: i64 = id.await.map_err(told)?;
    match tables.as_slice() {
        _ if id == APPLICATION_ID => Ok(Owner::Us),
        [] => Ok(Owner::Nobody),
        tables => Err(foreign(shown(path), "it", tables)),
    }
}

/// Whose a file is that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Ours.
    Us,
    /// It is empty.
    Nobody,
}

pub(super) fn explain(path: &Path, error: sqlx::Error) -> OpenError {
    let database = shown(path);
    let reason = words(&error);
    if matches!(error, sqlx::Error::RowNotFound) {
        return OpenError::Damaged { database, reason };
    }
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.and_then(|code| code.parse::<i64>().ok());
    // SQLITE_IOERR_SHMSIZE: what it keeps beside the file can't be made as large as it has to be.
    if code == Some(4874) {
        let reason = format!("{reason}; its disk may be full");
        return OpenError::Unwritable { database, reason };
    }
    // The low byte is the primary result code (sqlite.org/rescode.html).
    match code.map(|code| code & 0xff) {
        // SQLITE_PERM, SQLITE_READONLY, SQLITE_FULL, SQLITE_CANTOPEN
        Some(3 | 8 | 13 | 14) => OpenError::Unwritable { database, reason },
        // SQLITE_CORRUPT
        Some(11) => OpenError::Damaged { database, reason },
        // SQLITE_NOTADB
        Some(26) => OpenError::Foreign { database, reason },
        _ => OpenError::Database { database, reason },
    }
}
