//! The tier's tables in a SQLite file that belongs to one server.
//!
//! # Invariants
//! - There is one write lock on the file, so that a transaction that was given up for time is
//!   rolled back or committed before any later one.
//!
//! # Not here
//! What is written when, and what follows from an error: the tier's, whatever the database.

mod batch;
mod hot;
mod journal;
mod open;
mod reading;
mod recover;
mod room;
mod schema;
mod upkeep;

use std::fs::File;

use parking_lot::Mutex;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{ConnectOptions as _, Error, Row as _};

use super::codec;
use super::rows::{Columns, Found};
use crate::limits::VARIANTS_PER_KEY_MAX;
use crate::model::{Key, Tag};

pub(super) use batch::write;
pub(super) use hot::{hottest, write_hottest};
pub(super) use journal::{newest, probe};
pub(super) use open::open;
pub(super) use reading::{Reading, fill, hold};
pub(super) use room::{remove, rows_after, rows_before, usage};
pub(super) use schema::{applied, migrate, migrations};
pub(super) use upkeep::{compact, cull, oldest_birth, sync};

/// An open file.
pub(super) struct Database {
    /// How the writer connects.
    options: SqliteConnectOptions,
    /// For looking up.
    readers: SqlitePool,
    /// Keeps other servers out; given back when the tier is closed.
    lock: Mutex<Option<File>>,
}

impl Database {
    /// A connection that writes, in place of one that was lost.
    pub(super) async fn connect(&self) -> Result<SqliteConnection, Error> {
        let mut connection = self.options.connect().await?;
        probe(&mut connection).await?;
        Ok(connection)
    }

    /// For looking up.
    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// What the table has of a key.
    pub(super) async fn rows_of(&self, key: &Key) -> Result<Found, Error> {
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
