//! Reading the tables beside a server that may have the file.
//!
//! # Invariants
//! - A reading changes nothing; each of its pieces is a statement of its own, so that a server's
//!   log can be folded into the file meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions as _, Error};

use super::filling::check_import;
use super::journal::{events_after, targets_of};
use super::open::{explain, lock, lock_to_read, looking, owner_only, unwritable};
use super::place::Place;
use super::ran_plugins::ran_plugins;
use super::recover::recover;
use crate::cache::Recovered;
use crate::model::{Mode, Sequence, Target};
use crate::tier::database::DatabaseError;
use crate::tier::error::OpenError;
use crate::tier::operator::{Counts, Part, Piece, ROWS, damaged_fence, damaged_journal, pieces};
use crate::tier::ran_plugins::RanPlugin;
use crate::tier::rows::Events;

/// How long a statement waits for another process to let go.
const BUSY_MS: u64 = 5_000;

pub(super) const EPOCH: &str = "SELECT value FROM meta WHERE name = 'epoch'";

/// A file that is read.
pub(in crate::tier) struct Reading {
    path: PathBuf,
    connection: SqliteConnection,
    /// The last row that was read.
    last: (Vec<u8>, i64),
}

impl Reading {
    /// Opens a file that is there and ours, and in which no import is unfinished.
    pub(in crate::tier) async fn open(path: &Path) -> Result<Self, OpenError> {
        let options = looking(path).read_only(true).busy_timeout(Duration::from_millis(BUSY_MS));
        let mut connection = options.connect().await.map_err(|error| explain(path, error))?;
        check_import(path, &mut connection).await?;
        Ok(Self { path: path.to_owned(), connection, last: (Vec::new(), i64::MIN) })
    }

    /// What an error of this file means.
    pub(in crate::tier) fn told(&self, error: Error) -> OpenError {
        explain(&self.path, error)
    }

    /// How often a server has opened it.
    pub(in crate::tier) async fn epoch(&mut self) -> Result<i64, Error> {
        sqlx::query_scalar(EPOCH).fetch_one(&mut self.connection).await
    }

    /// What a server of this epoch would start from.
    pub(in crate::tier) async fn recover(&mut self, epoch: u32) -> Result<Recovered, Error> {
        recover(&mut self.connection, epoch).await
    }

    /// The next events of the journal after a sequence, in order, without what they named.
    pub(in crate::tier) async fn events_after(
        &mut self,
        after: Sequence,
        limit: i64,
    ) -> Result<Events, Error> {
        events_after(&mut self.connection, after, limit).await
    }

    /// What a record of the journal named.
    pub(in crate::tier) async fn targets_of(
        &mut self,
        sequence: Sequence,
    ) -> Result<Vec<(Target, Mode)>, Error> {
        targets_of(&mut self.connection, sequence).await
    }

    /// The plugins that may have tagged something.
    pub(in crate::tier) async fn ran_plugins(&mut self) -> Result<Vec<RanPlugin>, Error> {
        ran_plugins(&mut self.connection).await
    }

    /// What the tables hold.
    pub(in crate::tier) async fn counts(&mut self) -> Result<Counts, Error> {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM entries), \
             (SELECT coalesce(sum(length(body)), 0) FROM entries), \
             (SELECT count(*) FROM fence), (SELECT count(*) FROM journal), \
             (SELECT count(*) FROM intents)",
        )
        .fetch_one(&mut self.connection)
        .await
    }

    /// Begins at the first row of a key that is not below this one.
    pub(in crate::tier) async fn begin(&mut self, key: &[u8], _part: Part) -> Result<(), Error> {
        self.last = (key.to_owned(), i64::MIN);
        Ok(())
    }

    /// The next rows in the order of keys; none at the end.
    pub(in crate::tier) async fn next(&mut self, part: Part) -> Result<Vec<Piece>, Error> {
        let sql = match part {
            Part::Head => {
                "SELECT key, variant, kind, flags, cas, birth, stored_ms, expires_ms, tags, url, \
                 status, received_ms, initial_age_ms, lifetime_ms, stale_while_revalidate_ms, \
                 plugin, vary, headers, x'' AS body, NULL AS unpacked_bytes, \
                 stale_if_error_ms, staleness, site, \
                 coalesce(unpacked_bytes, length(body)) AS body_bytes FROM entries \
                 WHERE (key, variant) > (?, ?) ORDER BY key, variant LIMIT ?"
            }
            Part::Whole => {
                "SELECT *, coalesce(unpacked_bytes, length(body)) AS body_bytes FROM entries \
                 WHERE (key, variant) > (?, ?) ORDER BY key, variant LIMIT ?"
            }
        };
        let (key, variant) = &self.last;
        let query = sqlx::query(sql).bind(key.as_slice()).bind(*variant).bind(ROWS);
        let found: Vec<SqliteRow> = query.fetch_all(&mut self.connection).await?;
        let pieces = pieces(&found);
        if let Some(last) = pieces.last() {
            self.last = (last.key.clone(), last.variant);
        }
        Ok(pieces)
    }

    /// Rows of the fence, and records of the journal, that can't be read.
    pub(in crate::tier) async fn damaged(&mut self) -> Result<(u64, u64), Error> {
        let fence = sqlx::query("SELECT kind, name, hard, soft FROM fence");
        let fence = damaged_fence(&fence.fetch_all(&mut self.connection).await?);
        let journal = sqlx::query("SELECT targets FROM journal");
        Ok((fence, damaged_journal(&journal.fetch_all(&mut self.connection).await?)))
    }

    /// What SQLite says about the file (sqlite.org/pragma.html#pragma_integrity_check).
    pub(in crate::tier) async fn problems(&mut self) -> Result<Vec<String>, Error> {
        let said = sqlx::query_scalar::<_, String>("PRAGMA integrity_check(20)")
            .fetch_all(&mut self.connection)
            .await;
        match said {
            Ok(said) => Ok(said.into_iter().filter(|line| line != "ok").collect()),
            Err(error) if error.as_database_error().is_some() => Ok(vec![error.to_string()]),
            Err(error) => Err(error),
        }
    }

    /// A copy as a file that must not be there yet: what was committed when it began.
    pub(in crate::tier) async fn back_up(&mut self, file: &Path) -> Result<(), OpenError> {
        let unwritable = |error| unwritable(file, &error);
        // For its owner alone, as the database; SQLite fills a file that is empty.
        owner_only().create_new(true).open(file).map_err(unwritable)?;
        let Some(name) = file.to_str() else {
            return Err(unwritable(std::io::Error::other("path is not UTF-8")));
        };
        let copied = sqlx::query("VACUUM INTO ?").bind(name).execute(&mut self.connection).await;
        copied.map(drop).map_err(|error| {
            // A piece of a copy is none; that it can't be removed adds nothing.
            let _ = std::fs::remove_file(file);
            explain(file, error)
        })
    }
}

/// Keeps servers out for as long as it is there.
pub(in crate::tier) struct Lock {
    _file: File,
    /// The file that they are kept out of.
    place: Place,
}

impl Lock {
    /// `None` where a server is in.
    pub(in crate::tier) fn take(path: &Path) -> Result<Option<Self>, OpenError> {
        let file = match lock(path) {
            Ok((_, file)) => Some(file),
            Err(OpenError::InUse { .. }) => None,
            Err(OpenError::Unwritable { .. }) => lock_to_read(path)?,
            Err(error) => return Err(error),
        };
        let place = path.canonicalize().and_then(|real| Place::of(&real));
        let place = place.map_err(|error| unwritable(path, &error))?;
        Ok(file.map(|file| Self { _file: file, place }))
    }

    /// Whether the file is still the one that servers are kept out of.
    pub(in crate::tier) fn check(&self) -> Result<(), DatabaseError> {
        self.place.check()
    }
}
