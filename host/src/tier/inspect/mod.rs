//! What operators ask of a tier from outside: what is in it, whether it is whole, a copy of it.
//!
//! # Invariants
//! - Looking never changes a database, and works while a server has it open.
//! - Rows are judged by the rule itself, over the fence as the next start of a server would load
//!   it.
//! - Rows are read in pieces, each a statement of its own: nothing holds up a server's checkpoints.
//!
//! # Not here
//! How it is shown (`cli`).

mod error;
mod line;
mod scan;
mod transfer;
mod verify;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::open::{self, OpenError};
use super::{codec, statements};
use crate::cache::tier::Row;
use crate::cache::{Cache, CacheConfig, Recovered, Verdict, WhenFull};
use crate::clock::Clock;
use crate::model::{Key, Sequence, Tag};

pub use error::InspectError;
pub use line::LineError;
pub use transfer::{Exported, Imported, import};
pub use verify::Verification;

/// How long a statement waits for another process to let go.
const BUSY_MS: u64 = 5_000;

/// Rows read at once; each may be as large as the largest value.
const ROWS: i64 = 32;

/// A tier that is looked at.
pub struct Inspector {
    path: PathBuf,
    connection: SqliteConnection,
    epoch: u32,
    clock: Clock,
    /// Without entries: it has the fence.
    rule: Cache,
}

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

/// One row as a listing shows it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its key.
    pub key: Vec<u8>,
    /// Which of the key's rows.
    pub variant: i64,
    /// What becomes of it.
    pub state: State,
    /// Without its body; `None` if it is damaged.
    pub row: Option<Row>,
    /// Length of its body.
    pub body_bytes: i64,
}

/// Which rows a listing has.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Of keys that begin so.
    pub prefix: Vec<u8>,
    /// Of keys behind this one.
    pub after: Option<Vec<u8>>,
    /// With this tag.
    pub tag: Option<Tag>,
    /// At most so many keys.
    pub limit: usize,
}

/// What the tables hold, without looking at each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Rows of entries.
    pub rows: i64,
    /// Bytes of their bodies.
    pub body_bytes: i64,
    /// Rows of the fence.
    pub fence_rows: i64,
    /// Records of the journal.
    pub journal_records: i64,
    /// Intents that have not ended.
    pub intents: i64,
    /// How often a server has opened it.
    pub epoch: u32,
}

impl Inspector {
    /// Opens the database at `url` for reading.
    ///
    /// # Errors
    /// There is none, it is another application's, or its schema is not the one of this binary.
    pub async fn open(url: &str, clock: Clock) -> Result<Self, InspectError> {
        let path = open::path_of(url).map_err(OpenError::from)?;
        let mut connection = connect(&path).await?;
        check(&path, &mut connection).await?;
        let told = |error| open::explain(&path, error);
        let epoch = sqlx::query_scalar::<_, i64>("SELECT value FROM meta WHERE name = 'epoch'")
            .fetch_one(&mut connection)
            .await
            .map_err(told)?;
        let epoch = u32::try_from(epoch).ok().filter(|epoch| *epoch < open::EPOCH_MAX);
        let epoch = epoch.ok_or_else(|| OpenError::Database {
            path: path.clone(),
            reason: "epoch is not a number of starts".to_owned(),
        })?;
        // As the next start would: all that there is comes before it.
        let start = Sequence::start_of(epoch + 1);
        let recovered = Recovered {
            epoch: epoch + 1,
            fence: statements::fence(&mut connection, start).await.map_err(told)?,
            numbers: Vec::new(),
            intents: statements::intents(&mut connection).await.map_err(told)?,
        };
        let config = CacheConfig { memory_bytes: 0, item_bytes_max: 0, when_full: WhenFull::Evict };
        let rule = Cache::new(config, clock.clone(), None, recovered);
        Ok(Self { path, connection, epoch, clock, rule })
    }

    /// What the tables hold.
    ///
    /// # Errors
    /// What the database says.
    pub async fn totals(&mut self) -> Result<Totals, InspectError> {
        let sql = "SELECT (SELECT count(*) FROM entries), \
                   (SELECT coalesce(sum(length(body)), 0) FROM entries), \
                   (SELECT count(*) FROM fence), (SELECT count(*) FROM journal), \
                   (SELECT count(*) FROM intents)";
        let found: (i64, i64, i64, i64, i64) =
            sqlx::query_as(sql).fetch_one(&mut self.connection).await.map_err(self.told())?;
        let (rows, body_bytes, fence_rows, journal_records, intents) = found;
        let epoch = self.epoch;
        Ok(Totals { rows, body_bytes, fence_rows, journal_records, intents, epoch })
    }

    /// Rows in the order of their keys, all of a key together, and whether there are more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list(&mut self, wanted: &Selection) -> Result<(Vec<Listed>, bool), InspectError> {
        let mut scan = match &wanted.after {
            Some(after) if *after >= wanted.prefix => scan::Scan::behind(after),
            _ => scan::Scan::from(&wanted.prefix),
        };
        let (mut listed, mut keys) = (Vec::<Listed>::new(), 0);
        loop {
            let found = scan.next(self, scan::Part::Head).await?;
            if found.is_empty() {
                return Ok((listed, false));
            }
            for row in found {
                if !row.key.starts_with(&wanted.prefix) {
                    return Ok((listed, false));
                }
                if !has_tag(&row, wanted.tag.as_ref()) {
                    continue;
                }
                if listed.last().is_none_or(|last| last.key != row.key) {
                    keys += 1;
                }
                if keys > wanted.limit {
                    return Ok((listed, true));
                }
                listed.push(row);
            }
        }
    }

    /// A copy of the whole database as one file, which must not be there yet, while a server goes
    /// on writing: what was committed when it began. A server that is started on the copy serves
    /// what was valid then; what was invalidated later is not in it.
    ///
    /// # Errors
    /// What the database or the file system says.
    pub async fn back_up(&mut self, file: &Path) -> Result<(), InspectError> {
        let unwritable = |reason: std::io::Error| OpenError::Unwritable {
            path: file.to_owned(),
            reason: reason.to_string(),
        };
        // For its owner alone, as the database; SQLite fills a file that is empty.
        open::owner_only().create_new(true).open(file).map_err(unwritable)?;
        let Some(name) = file.to_str() else {
            return Err(unwritable(std::io::Error::other("path is not UTF-8")).into());
        };
        let copied = sqlx::query("VACUUM INTO ?").bind(name).execute(&mut self.connection).await;
        if let Err(error) = copied {
            // A piece of a copy is none; that it can't be removed adds nothing.
            let _ = std::fs::remove_file(file);
            return Err(self.told()(error).into());
        }
        Ok(())
    }

    fn told(&self) -> impl Fn(sqlx::Error) -> OpenError + use<> {
        let path = self.path.clone();
        move |error| open::explain(&path, error)
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

    /// No row is born later, whatever a server is doing.
    fn reached(&self) -> Sequence {
        Sequence::start_of(self.epoch + 1)
    }
}

fn has_tag(listed: &Listed, tag: Option<&Tag>) -> bool {
    let Some(tag) = tag else { return true };
    listed.row.as_ref().is_some_and(|row| row.content.tags.contains(tag))
}

async fn connect(path: &Path) -> Result<SqliteConnection, InspectError> {
    if !path.is_file() {
        return Err(InspectError::Missing { path: path.to_owned() });
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(Duration::from_millis(BUSY_MS))
        .disable_statement_logging();
    Ok(options.connect().await.map_err(|error| open::explain(path, error))?)
}

/// Whose file it is, and of which schema.
async fn check(path: &Path, connection: &mut SqliteConnection) -> Result<(), InspectError> {
    let told = |error| open::explain(path, error);
    let id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await
        .map_err(told)?;
    if id != open::APPLICATION_ID {
        let reason = "it is marked as another application's".to_owned();
        return Err(OpenError::Foreign { path: path.to_owned(), reason }.into());
    }
    let sql = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
    let found: i64 = sqlx::query_scalar(sql).fetch_one(connection).await.map_err(told)?;
    let known = open::schema_known();
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => {
            Err(OpenError::Newer { path: path.to_owned(), found, known }.into())
        }
        std::cmp::Ordering::Less => {
            Err(InspectError::Older { path: path.to_owned(), found, known })
        }
    }
}
