//! What operators ask of a tier from outside: what is in it, whether it is whole, a copy of it.
//!
//! # Invariants
//! - Looking never changes a database, and works while a server has it open.
//! - Rows are judged by the rule itself, over the fence as the next start of a server would load
//!   it.
//!
//! # Not here
//! How it is shown (`cli`), and SQL: `reading` in the folder of each database.

mod error;
mod header;
mod line;
mod listing;
mod lock;
mod piece;
mod transfer;
mod verify;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::address::Address;
use super::error::OpenError;
use super::rows::Events;
use super::schema::SchemaReport;
use super::{EVENTS_AT_ONCE, postgres, schema, sqlite};
use crate::cache::tier::Row;
use crate::cache::{Cache, CacheConfig, Verdict, WhenFull};
use crate::clock::Clock;
use crate::model::{Key, Mode, Sequence, Target};

use header::Beside;
use lock::Lock;

pub use error::OperatorError;
pub use line::{LineError, Text};
pub use listing::{Listed, Selection, Totals};
pub use transfer::{Exported, Imported, import};
pub use verify::Verification;

pub(super) use piece::{Counts, Part, Piece, ROWS, damaged_fence, damaged_journal, pieces};

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It would be served.
    Valid,
    /// Softly purged: it would be served stale while it is refreshed.
    Stale,
    /// Invalidated.
    Dead,
    /// Its time is over.
    Expired,
    /// It can't be read.
    Damaged,
}

impl State {
    /// The word that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Stale => "stale",
            Self::Dead => "dead",
            Self::Expired => "expired",
            Self::Damaged => "damaged",
        }
    }
}

/// The database that is read.
enum Reading {
    Sqlite(sqlite::Reading),
    Postgres(Box<postgres::Reading>),
}

/// A tier that is looked at.
pub struct Inspector {
    address: Address,
    /// Taken before anything was read.
    lock: Option<Lock>,
    reading: Reading,
    epoch: u32,
    clock: Clock,
    /// Without entries: it has the fence.
    rule: Cache,
    /// What a start would find beside entries and the fence.
    beside: Beside,
}

impl Inspector {
    /// Opens a database for reading.
    ///
    /// # Errors
    /// There is none, it is another application's, or its schema is not the one of this binary.
    pub async fn open(address: &Address, clock: Clock) -> Result<Self, OperatorError> {
        check(address).await?;
        Self::read(address, clock, None).await
    }

    /// The same with servers kept out from before it is read until this is dropped, unless one is
    /// in: for an export.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_alone(address: &Address, clock: Clock) -> Result<Self, OperatorError> {
        check(address).await?;
        let lock = Lock::take(address).await?;
        // A server may have ended between the two.
        check(address).await?;
        Self::read(address, clock, lock).await
    }

    async fn read(
        address: &Address,
        clock: Clock,
        lock: Option<Lock>,
    ) -> Result<Self, OperatorError> {
        let mut reading = match address {
            Address::Sqlite(path) => Reading::Sqlite(sqlite::Reading::open(path).await?),
            Address::Postgres(address) => {
                Reading::Postgres(Box::new(postgres::Reading::open(address).await?))
            }
        };
        let raised = reading.epoch().await?;
        let epoch = u32::try_from(raised).ok().filter(|epoch| *epoch < u32::MAX);
        let epoch = epoch.ok_or_else(|| OpenError::Database {
            database: address.to_string(),
            reason: format!("epoch is {raised}"),
        })?;
        // As the next start would: all that there is comes before it.
        let recovered = match &mut reading {
            Reading::Sqlite(reading) => reading.recover(epoch + 1).await,
            Reading::Postgres(reading) => reading.recover(epoch + 1).await,
        };
        let recovered = recovered.map_err(|error| reading.told(error))?;
        let plugins = match &mut reading {
            Reading::Sqlite(reading) => reading.ran_plugins().await,
            Reading::Postgres(reading) => reading.ran_plugins().await,
        };
        let plugins = plugins.map_err(|error| reading.told(error))?;
        let beside = Beside::of(&recovered, plugins);
        let config = CacheConfig { memory_bytes: 0, item_bytes_max: 0, when_full: WhenFull::Evict };
        let rule = Cache::new(config, clock.clone(), None, recovered);
        Ok(Self { address: address.clone(), lock, reading, epoch, clock, rule, beside })
    }

    /// A copy of the whole database as one file, which must not be there yet, while a server goes
    /// on writing: what was committed when it began. A server that is started on the copy serves
    /// what was valid then; what was invalidated later is not in it.
    ///
    /// # Errors
    /// What the database or the file system says; PostgreSQL has a tool of its own for it.
    pub async fn back_up(&mut self, file: &Path) -> Result<(), OperatorError> {
        match &mut self.reading {
            Reading::Sqlite(reading) => Ok(reading.back_up(file).await?),
            Reading::Postgres(_) => Err(OperatorError::NoBackup),
        }
    }

    async fn begin(&mut self, key: &[u8], part: Part) -> Result<(), OperatorError> {
        let begun = match &mut self.reading {
            Reading::Sqlite(reading) => reading.begin(key, part).await,
            Reading::Postgres(reading) => reading.begin(key, part).await,
        };
        Ok(begun.map_err(|error| self.reading.told(error))?)
    }

    /// The next rows, each judged; none at the end.
    async fn next(&mut self, part: Part) -> Result<Vec<Listed>, OperatorError> {
        let found = match &mut self.reading {
            Reading::Sqlite(reading) => reading.next(part).await,
            Reading::Postgres(reading) => reading.next(part).await,
        };
        let found = found.map_err(|error| self.reading.told(error))?;
        Ok(found.into_iter().map(|piece| self.judged(piece)).collect())
    }

    fn judged(&self, piece: Piece) -> Listed {
        // No honest row is born later, whatever a server is doing.
        let reached = Sequence::start_of(self.epoch + 1);
        let row = piece.row.filter(|row| row.birth.sequence() <= reached);
        let (state, row) = match (Key::new(&piece.key), row) {
            (Ok(key), Some(row)) => (self.judge(&key, &row), Some(row)),
            _ => (State::Damaged, None),
        };
        let Piece { key, variant, body_bytes, .. } = piece;
        Listed { key, variant, state, row, body_bytes }
    }

    fn judge(&self, key: &Key, row: &Row) -> State {
        if row.content.expires.is_past(self.clock.now_ms()) {
            return State::Expired;
        }
        match self.rule.judge_row(key, row) {
            Verdict::Fresh => State::Valid,
            Verdict::Stale => State::Stale,
            Verdict::Dead => State::Dead,
        }
    }
}

/// Whether there is a database, ours, with the schema that this binary reads.
async fn check(address: &Address) -> Result<(), OperatorError> {
    if let Address::Sqlite(path) = address
        && !path.is_file()
    {
        return Err(OperatorError::Missing { database: address.to_string() });
    }
    let SchemaReport { database, pending, .. } = schema::inspect(address).await?;
    match pending.len() {
        0 => Ok(()),
        pending => Err(OperatorError::Older { database, pending }),
    }
}

impl Reading {
    async fn epoch(&mut self) -> Result<i64, OpenError> {
        let raised = match self {
            Self::Sqlite(reading) => reading.epoch().await,
            Self::Postgres(reading) => reading.epoch().await,
        };
        raised.map_err(|error| self.told(error))
    }

    async fn events_after(&mut self, after: Sequence) -> Result<Events, OpenError> {
        let found = match self {
            Self::Sqlite(reading) => reading.events_after(after, EVENTS_AT_ONCE).await,
            Self::Postgres(reading) => reading.events_after(after, EVENTS_AT_ONCE).await,
        };
        found.map_err(|error| self.told(error))
    }

    async fn targets_of(&mut self, record: Sequence) -> Result<Vec<(Target, Mode)>, OpenError> {
        let found = match self {
            Self::Sqlite(reading) => reading.targets_of(record).await,
            Self::Postgres(reading) => reading.targets_of(record).await,
        };
        found.map_err(|error| self.told(error))
    }

    fn told(&self, error: sqlx::Error) -> OpenError {
        match self {
            Self::Sqlite(reading) => reading.told(error),
            Self::Postgres(reading) => reading.told(error),
        }
    }
}
