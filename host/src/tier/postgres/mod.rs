//! The tier's tables in a schema of a PostgreSQL database.
//!
//! # Invariants
//! - One server per schema: the session that writes holds an advisory lock for as long as it lives.
//!   Without that session nothing is written.
//! - **Fencing.** Every transaction first changes the one row of `state`, and fails unless that has
//!   this server's epoch and the number of the commit before. So one that was given up for time,
//!   or that a pooler carried out on another session, either comes before the next one or never;
//!   and none succeeds after another server has raised the epoch.
//! - A look-up finds nothing where the epoch is another's.
//! - What is done for every batch or look-up finds its rows by an index: a session keeps the plans
//!   that it made while the tables were nearly empty.
//! - A database that has gone back, as one that lagged does when it takes over, is noticed by its
//!   number of commits when this server connects to it again, and its entries are dropped.
//!
//! # Not here
//! What is written when, and what follows from an error: the tier's, whatever the database.

mod batch;
mod copy;
mod hot;
mod journal;
mod open;
mod reading;
mod recover;
mod room;
mod schema;
mod session;
mod upkeep;

use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};

use super::codec;
use super::rows::{Columns, Found};
use crate::cache::tier::Record;
use crate::limits::VARIANTS_PER_KEY_MAX;
use crate::model::{Key, Tag};
use crate::tier::database::DatabaseError;
use session::Hold;

pub(super) use batch::write;
pub(super) use hot::{hottest, write_hottest};
pub(super) use open::open;
pub(super) use reading::{Reading, fill, hold};
pub(super) use room::{remove, rows_after, rows_before, usage};
pub(super) use schema::{applied, migrate, migrations};
pub(super) use session::Session;
pub(super) use upkeep::{compact, cull, oldest_birth};

/// An open database.
pub(super) struct Database {
    /// For looking up.
    readers: PgPool,
    /// What makes it this server's.
    hold: Hold,
}

impl Database {
    /// A session that writes, in place of one that was lost.
    pub(super) async fn connect(&self) -> Result<Session, DatabaseError> {
        self.hold.take_again().await
    }

    /// For looking up.
    pub(super) fn readers(&self) -> &PgPool {
        &self.readers
    }

    /// What the table has of a key.
    pub(super) async fn rows_of(&self, key: &Key) -> Result<Found, DatabaseError> {
        let found = sqlx::query(
            "SELECT * FROM entries WHERE sha256(key) = sha256($1) \
             AND (SELECT epoch FROM state) = $2 ORDER BY variant LIMIT $3",
        )
        .bind(key.as_bytes())
        .bind(self.hold.epoch())
        .bind(VARIANTS_PER_KEY_MAX as i64)
        .fetch_all(&self.readers)
        .await?;
        Ok(Found::read(&found))
    }

    /// The newest records of the journal, newest first.
    pub(super) async fn journal(&self, limit: usize) -> Result<Vec<Record>, DatabaseError> {
        Ok(journal::newest(&self.readers, limit).await?)
    }

    /// Ends all connections that look up.
    pub(super) async fn close(&self) {
        self.readers.close().await;
    }
}

impl Columns for PgRow {
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
        String::from_utf8(self.bytes(column)?).ok()
    }

    fn optional_text(&self, column: &str) -> Option<Option<String>> {
        match self.try_get::<Option<Vec<u8>>, _>(column).ok()? {
            Some(bytes) => String::from_utf8(bytes).ok().map(Some),
            None => Some(None),
        }
    }

    fn tags(&self) -> Option<Vec<Tag>> {
        codec::tags_of(&self.try_get::<Vec<Vec<u8>>, _>("tags").ok()?)
    }
}
