//! The tier's tables in a SQLite file that belongs to one server.
//!
//! # Invariants
//! - There is one write lock on the file, so that a transaction that was given up for time is
//!   rolled back or committed before any later one.
//! - A file that another has taken the place of is neither read nor written any more, until the
//!   server starts anew: a backup that is put there has what was invalidated since.
//!
//! # Not here
//! What is written when, and what follows from an error: the tier's, whatever the database.

mod batch;
mod filling;
mod hot;
mod journal;
mod open;
mod place;
mod ran_plugins;
mod reading;
mod recover;
mod room;
mod schema;
mod session;
mod upkeep;

use std::fs::File;
use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqliteRow};
use sqlx::{ConnectOptions as _, Row as _};

use super::codec;
use super::database::DatabaseError;
use super::rows::{Columns, Found};
use crate::limits::VARIANTS_PER_KEY_MAX;
use crate::model::{Key, Tag};
use place::Place;
use session::check_epoch;

pub(super) use filling::{begin_import, fill};
pub(super) use hot::{hottest, write_hottest};
pub(super) use journal::{events_after, probe, targets_of};
pub(super) use open::open;
pub(super) use ran_plugins::note_plugins;
pub(super) use reading::{Lock, Reading};
pub(super) use room::{remove, rows_after, rows_before, usage};
pub(super) use schema::{applied, check_rights, migrate, migrations};
pub(super) use session::Session;
pub(super) use upkeep::{compact_fence, cull, journal_end, oldest_birth, trim_journal};

/// An open file.
pub(super) struct Database {
    /// How the writer connects.
    options: SqliteConnectOptions,
    /// For looking up.
    readers: SqlitePool,
    /// Keeps other servers out; given back when the tier is closed.
    lock: Mutex<Option<File>>,
    /// The file that was opened.
    place: Arc<Place>,
    epoch: i64,
}

impl Database {
    /// A connection that writes, in place of one that was lost.
    pub(super) async fn connect(&self) -> Result<Session, DatabaseError> {
        self.place.check()?;
        let mut connection = self.options.connect().await?;
        // Before anything is written: it may be another file by now.
        self.place.check()?;
        check_epoch(&mut connection, self.epoch).await?;
        probe(&mut connection).await?;
        let session = Session::new(connection, Arc::clone(&self.place), self.epoch);
        self.place.check()?;
        Ok(session)
    }

    /// The file that was opened.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// For looking up.
    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// What the table has of a key.
    pub(super) async fn rows_of(&self, key: &Key) -> Result<Found, DatabaseError> {
        self.place.check()?;
        let found = sqlx::query("SELECT * FROM entries WHERE key = ? ORDER BY variant LIMIT ?")
            .bind(key.as_bytes())
            .bind(VARIANTS_PER_KEY_MAX as i64)
            .fetch_all(&self.readers)
            .await?;
        Ok(Found::read(&found))
    }

    /// Closes the file; another server may open it then.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.lock.lock().take();
    }
}

impl Columns for SqliteRow {
    fn number(&self, column: &str) -> Option<i64> {
        self.try_get(column).ok()
    }

    fn optional_number(&self, column: &str) -> Option<Option<i64>> {
        self.try_get(column).ok()
    }

    fn bytes(&self, column: &str) -> Option<Vec<u8>> {
        self.try_get(column).ok()
    }

    fn text(&self, column: &str) -> Option<String> {
        self.try_get(column).ok()
    }

    fn optional_text(&self, column: &str) -> Option<Option<String>> {
        self.try_get(column).ok()
    }

    fn tags(&self) -> Option<Vec<Tag>> {
        codec::decode_tags(&self.text("tags")?)
    }
}
