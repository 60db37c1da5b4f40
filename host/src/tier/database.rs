//! The databases that the tier can lie on, and what it asks of each of them.
//!
//! # Invariants
//! - A batch is one transaction: rows first, then the journal, so that a removal by key takes out
//!   what the same batch has written of it.
//! - A row that is older than the published oldest birth is not written: rows of the fence up to it
//!   may already be gone. Its key then has no row.
//!
//! # Not here
//! When anything is done and what follows from an error (`writer`); SQL: one folder for each.

use super::address::Address;
use super::codec::{self, Packed};
use super::error::{OpenError, words};
use super::ran_plugins::{Notes, RanPlugin};
use super::room::{Candidate, Usage};
use super::rows::{Events, Found};
use super::settings::Limits;
use super::trim::Trim;
use super::{postgres, sqlite};
use crate::cache::Recovered;
use crate::cache::tier::{Record, Row};
use crate::limits::VARIANTS_PER_KEY_MAX;
use crate::model::{Birth, Durability, Key, Mode, Sequence, Target};

/// Largest value that is written; SQLite takes 1 GB for a whole row.
pub(super) const ROW_BYTES_MAX: usize = 512 * 1024 * 1024;

/// What a row takes beside its value, about.
const ROW_OVERHEAD_BYTES: u64 = 300;

/// Rows that one step of culling removes, or looks at.
pub(super) const CULL_ROWS: i64 = 500;

/// Rows of the fence that go in one step.
pub(super) const FENCE_ROWS: i64 = 10_000;

/// How long a look-up waits for a connection.
pub(super) const ACQUIRE_MS: u64 = 1_000;

/// What is filled in the course of time, beside the row with the epoch.
pub(super) const TABLES: [&str; 7] =
    ["entries", "fence", "journal", "numbers", "intents", "hot", "plugins"];

/// Epochs above would not leave room for the sign in the columns of sequences.
const EPOCH_MAX: u32 = (1 << 23) - 1;

/// Why a database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    /// It said so, or can't be reached.
    #[error("{}", words(.0))]
    Sql(#[from] sqlx::Error),
    /// Another server has it.
    #[error("another server has the database")]
    InUse,
    /// Another server has had it: what this one knows of it no longer holds.
    #[error("another server has used the database since; it is this one's again after a restart")]
    Superseded,
    /// It has less than this server has committed.
    #[error("database has gone back behind what it had committed")]
    GoneBack,
    /// Another file is where it was, or none.
    #[error(
        "database file or its log has been replaced or removed; what is there is used after a \
         restart"
    )]
    Replaced,
}

/// The rows of one key as they are to be.
pub(super) struct KeyRows {
    /// The key.
    pub key: Key,
    /// What memory has of it.
    pub rows: Vec<Row>,
    /// Whether the tables have nothing of it that would have to go first. Where they have, an index
    /// refuses the transaction.
    pub is_new: bool,
}

/// What one transaction writes.
pub(super) struct Writes<'batch> {
    /// Whether the table of entries is to be emptied first.
    pub is_wiping: bool,
    /// Keys whose rows are replaced.
    pub keys: &'batch [KeyRows],
    /// Records of the journal, in order.
    pub records: &'batch [Record],
    /// How many of these, the first, were refused before and are owed.
    pub owed: usize,
    /// The published oldest birth.
    pub oldest: Sequence,
    /// Larger values are left out.
    pub value_bytes_max: Option<usize>,
    /// Values of this size and above are compressed.
    pub compress_bytes_min: Option<usize>,
}

impl Writes<'_> {
    /// The rows of a key that are written, each with its number among the key's.
    pub(super) fn kept<'rows>(
        &self,
        rows: &'rows KeyRows,
    ) -> impl Iterator<Item = (usize, &'rows Row)> + use<'rows> {
        let oldest = Birth::at(self.oldest);
        let bytes_max = self.value_bytes_max.unwrap_or(ROW_BYTES_MAX).min(ROW_BYTES_MAX);
        let rows = rows.rows.iter().take(VARIANTS_PER_KEY_MAX).enumerate();
        rows.filter(move |(_, row)| row.birth >= oldest && row.content.body.len() <= bytes_max)
    }

    /// The keys that records take out. Those of owed ones are not among them: they have joined the
    /// line of keys, and what has been written of them since is newer.
    pub(super) fn removed(&self) -> impl Iterator<Item = &Key> {
        let targets =
            self.records.iter().skip(self.owed).flat_map(|record| &record.invalidation.targets);
        targets.filter_map(|(target, _)| match target {
            Target::Key(key) => Some(key),
            _ => None,
        })
    }

    /// A value as it is written.
    pub(super) fn packed<'row>(&self, row: &'row Row) -> Packed<'row> {
        let is_packed = self.compress_bytes_min.is_some_and(|min| row.content.body.len() >= min);
        if is_packed { codec::pack(&row.content.body) } else { codec::plain(&row.content.body) }
    }

    /// What is written with it, about: for knowing when to look how much there is.
    pub(super) fn usage(&self) -> Usage {
        let rows = self.keys.iter().flat_map(|rows| self.kept(rows));
        let add = |usage: Usage, (_, row): (usize, &Row)| Usage {
            rows: usage.rows + 1,
            bytes: usage.bytes + row.content.body.len() as u64 + ROW_OVERHEAD_BYTES,
        };
        rows.fold(Usage::default(), add)
    }
}

/// A database that is open, this server's alone.
pub(super) enum Database {
    /// A SQLite file.
    Sqlite(Box<sqlite::Database>),
    /// A schema in PostgreSQL.
    Postgres(Box<postgres::Database>),
}

/// The connection that writes.
pub(super) enum Session {
    /// To a SQLite file.
    Sqlite(sqlite::Session),
    /// To PostgreSQL.
    Postgres(Box<postgres::Session>),
}

/// A database, its first session, and what the cache is to start from.
pub(super) struct Opened {
    /// The database.
    pub database: Database,
    /// The connection that writes.
    pub session: Session,
    /// What was left of the time before.
    pub recovered: Recovered,
    /// The plugins that may have tagged what there is.
    pub ran_plugins: Vec<RanPlugin>,
}

/// Opens the database at an address, and makes what is missing of it.
pub(super) async fn open(address: &Address, durability: Durability) -> Result<Opened, OpenError> {
    match address {
        Address::Sqlite(path) => sqlite::open(path, durability).await,
        Address::Postgres(address) => postgres::open(address, durability).await,
    }
}

/// The epoch that a database has raised; `Err` says what is wrong with it.
pub(super) fn epoch_of(raised: i64) -> Result<u32, String> {
    let epoch = u32::try_from(raised).ok().filter(|epoch| (1..=EPOCH_MAX).contains(epoch));
    epoch.ok_or_else(|| format!("epoch is not within 1 and {EPOCH_MAX}"))
}

impl Database {
    /// A session in place of one that was lost, known to work.
    pub(super) async fn connect(&self) -> Result<Session, DatabaseError> {
        match self {
            Self::Sqlite(database) => Ok(Session::Sqlite(database.connect().await?)),
            Self::Postgres(database) => Ok(Session::Postgres(Box::new(database.connect().await?))),
        }
    }

    /// Whether a session is still there, asked when nothing else is: it may be lost unnoticed.
    pub(super) async fn check(&self, session: &mut Session) -> Result<(), DatabaseError> {
        match session {
            Session::Sqlite(session) => session.check().await,
            Session::Postgres(session) => session.check().await,
        }
    }

    /// Whether what is written now is found after a restart. Asked before it is written; where that
    /// is no longer so after it, it is refused, too.
    pub(super) fn check_place(&self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(database) => database.place().check(),
            // Its transactions see to that.
            Self::Postgres(_) => Ok(()),
        }
    }

    /// What the tables have of a key.
    pub(super) async fn rows_of(&self, key: &Key) -> Result<Found, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.rows_of(key).await,
            Self::Postgres(database) => database.rows_of(key).await,
        }
    }

    /// The next events of the journal after a sequence, in order, without what they named.
    pub(super) async fn events_after(
        &self,
        after: Sequence,
        limit: i64,
    ) -> Result<Events, DatabaseError> {
        match self {
            Self::Sqlite(database) => {
                Ok(sqlite::events_after(database.readers(), after, limit).await?)
            }
            Self::Postgres(database) => {
                let mut reader = database.reader().await?;
                let found = postgres::events_after(reader.connection()?, after, limit).await?;
                reader.give_back();
                Ok(found)
            }
        }
    }

    /// What a record of the journal named.
    pub(super) async fn targets_of(
        &self,
        sequence: Sequence,
    ) -> Result<Vec<(Target, Mode)>, DatabaseError> {
        match self {
            Self::Sqlite(database) => Ok(sqlite::targets_of(database.readers(), sequence).await?),
            Self::Postgres(database) => {
                let mut reader = database.reader().await?;
                let found = postgres::targets_of(reader.connection()?, sequence).await?;
                reader.give_back();
                Ok(found)
            }
        }
    }

    /// The oldest rows after one.
    pub(super) async fn rows_after(
        &self,
        id: i64,
        limit: i64,
    ) -> Result<Vec<Candidate>, DatabaseError> {
        match self {
            Self::Sqlite(database) => {
                let mut reader = database.readers().acquire().await?;
                Ok(sqlite::rows_after(&mut reader, id, limit).await?)
            }
            Self::Postgres(database) => {
                let mut reader = database.reader().await?;
                let found = postgres::rows_after(reader.connection()?, id, limit).await?;
                reader.give_back();
                Ok(found)
            }
        }
    }

    /// The newest rows before one.
    pub(super) async fn rows_before(
        &self,
        id: i64,
        limit: i64,
    ) -> Result<Vec<Candidate>, DatabaseError> {
        match self {
            Self::Sqlite(database) => {
                let mut reader = database.readers().acquire().await?;
                Ok(sqlite::rows_before(&mut reader, id, limit).await?)
            }
            Self::Postgres(database) => {
                let mut reader = database.reader().await?;
                let found = postgres::rows_before(reader.connection()?, id, limit).await?;
                reader.give_back();
                Ok(found)
            }
        }
    }

    /// What [`Session::write_hottest`] wrote last.
    pub(super) async fn hottest(&self) -> Result<Option<Vec<u8>>, DatabaseError> {
        match self {
            Self::Sqlite(database) => Ok(sqlite::hottest(database.readers()).await?),
            Self::Postgres(database) => database.hottest().await,
        }
    }

    /// Closes it; another server may open it then.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(database) => database.close().await,
            Self::Postgres(database) => database.close().await,
        }
    }
}

impl Session {
    /// Writes a batch; when it returns `Ok`, it is durable.
    pub(super) async fn write(&mut self, writes: &Writes<'_>) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(session) => session.write(writes).await,
            Self::Postgres(session) => Ok(postgres::write(session, writes).await?),
        }
    }

    /// Empties all tables for an import, marks it as begun, and writes events into the journal
    /// alone. The record that ends the intent `codec::IMPORT_NAME` ends it.
    pub(super) async fn begin_import(&mut self, events: &[Record]) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(session) => sqlite::begin_import(session, events).await,
            Self::Postgres(session) => Ok(postgres::begin_import(session, events).await?),
        }
    }

    /// One step of culling: rows that are expired or that the fence has ended. Returns how many
    /// went.
    ///
    /// Of the latter only the oldest are looked at: they hold [`Session::oldest_birth`] down, and
    /// with it the fence. Softly purged rows stay: they may still be served stale.
    pub(super) async fn cull(&mut self, now_ms: u64) -> Result<u64, DatabaseError> {
        match self {
            Self::Sqlite(session) => Ok(sqlite::cull(session.connection(), now_ms).await?),
            Self::Postgres(session) => Ok(postgres::cull(session, now_ms).await?),
        }
    }

    /// The smallest birth among all rows; `None` without rows.
    pub(super) async fn oldest_birth(&mut self) -> Result<Option<Sequence>, DatabaseError> {
        match self {
            Self::Sqlite(session) => Ok(sqlite::oldest_birth(session.connection()).await?),
            Self::Postgres(session) => Ok(postgres::oldest_birth(session).await?),
        }
    }

    /// One step of dropping what no row needs any more of the fence. Returns how many rows went.
    pub(super) async fn compact_fence(&mut self, oldest: Sequence) -> Result<u64, DatabaseError> {
        match self {
            Self::Sqlite(session) => Ok(sqlite::compact_fence(session.connection(), oldest).await?),
            Self::Postgres(session) => Ok(postgres::compact_fence(session, oldest).await?),
        }
    }

    /// The last record of the journal before those that are kept; `None` where there are no more.
    pub(super) async fn journal_end(&mut self) -> Result<Option<Sequence>, DatabaseError> {
        match self {
            Self::Sqlite(session) => Ok(sqlite::journal_end(session.connection()).await?),
            Self::Postgres(session) => Ok(postgres::journal_end(session).await?),
        }
    }

    /// One step of trimming the journal. Returns the last record that was looked at.
    pub(super) async fn trim_journal(
        &mut self,
        trim: Trim,
    ) -> Result<Option<Sequence>, DatabaseError> {
        match self {
            Self::Sqlite(session) => Ok(sqlite::trim_journal(session.connection(), trim).await?),
            Self::Postgres(session) => Ok(postgres::trim_journal(session, trim).await?),
        }
    }

    /// Writes the order of the hottest keys in place of the one before.
    pub(super) async fn write_hottest(&mut self, keys: &[u8]) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(session) => Ok(sqlite::write_hottest(session.connection(), keys).await?),
            Self::Postgres(session) => Ok(postgres::write_hottest(session, keys).await?),
        }
    }

    /// Notes which plugins run.
    pub(super) async fn note_plugins(&mut self, notes: &Notes) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(session) => Ok(sqlite::note_plugins(session.connection(), notes).await?),
            Self::Postgres(session) => Ok(postgres::note_plugins(session, notes).await?),
        }
    }

    /// What the table of entries takes.
    pub(super) async fn usage(&mut self, limits: Limits) -> Result<Usage, DatabaseError> {
        match self {
            Self::Sqlite(session) => Ok(sqlite::usage(session.connection(), limits).await?),
            Self::Postgres(session) => Ok(postgres::usage(session).await?),
        }
    }

    /// The oldest rows after one.
    pub(super) async fn rows_after(
        &mut self,
        id: i64,
        limit: i64,
    ) -> Result<Vec<Candidate>, DatabaseError> {
        match self {
            Self::Sqlite(session) => Ok(sqlite::rows_after(session.connection(), id, limit).await?),
            Self::Postgres(session) => {
                Ok(postgres::rows_after(session.connection(), id, limit).await?)
            }
        }
    }

    /// Takes rows out by their numbers.
    pub(super) async fn remove(&mut self, ids: &[i64]) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(session) => Ok(sqlite::remove(session.connection(), ids).await?),
            Self::Postgres(session) => Ok(postgres::remove(session, ids).await?),
        }
    }

    /// Makes all commits so far outlive the machine's power, where they do not by themselves.
    pub(super) async fn sync(&mut self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(session) => session.sync().await,
            // Its server does so by itself.
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Ends it in order.
    pub(super) async fn close(self) {
        match self {
            Self::Sqlite(session) => session.close().await,
            Self::Postgres(session) => session.close().await,
        }
    }
}
