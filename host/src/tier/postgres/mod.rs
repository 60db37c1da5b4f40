//! The tier's tables in a schema of a PostgreSQL database.
//!
//! # Invariants
//! - One server per schema: the session that writes holds an advisory lock for as long as it lives.
//!   Without that session nothing is written.
//! - **Fencing.** Every transaction first changes the one row of `state`, and fails unless that has
//!   this server's epoch and the number of the commit before. So one that was given up for time,
//!   or that a pooler carried out on another session, either comes before the next one or never;
//!   and none succeeds after another server has raised the epoch.
//! - A look-up finds nothing where the epoch is another's, or where a commit is missing that this
//!   server knew of when it asked: a server that lagged answers as soon as it is connected to.
//! - What is done for every batch or look-up finds its rows by an index: a session keeps the plans
//!   that it made while the tables were nearly empty.
//! - A database that has gone back, as one that lagged does when it takes over, is noticed by its
//!   epoch or its number of commits when this server connects to it or asks for it. Its entries are
//!   dropped, and what holds on of what it lacks is written again, before it is used.
//!
//! # Not here
//! What is written when, and what follows from an error: the tier's, whatever the database.

mod batch;
mod entry;
mod filling;
mod hot;
mod journal;
mod open;
mod ran_plugins;
mod readers;
mod reading;
mod recover;
mod room;
mod schema;
mod session;
mod standing;
mod upkeep;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::codec;
use super::rows::{Columns, Found};
use crate::limits::VARIANTS_PER_KEY_MAX;
use crate::model::{Key, Tag};
use crate::tier::database::DatabaseError;
use readers::{Reader, Readers};
use session::Hold;

pub(super) use batch::write;
pub(super) use filling::{begin_import, fill};
pub(super) use hot::write_hottest;
pub(super) use journal::{events_after, targets_of};
pub(super) use open::open;
pub(super) use ran_plugins::note_plugins;
pub(super) use reading::{Lock, Reading};
pub(super) use room::{remove, rows_after, rows_before, usage};
pub(super) use schema::{applied, check_rights, migrate, migrations};
pub(super) use session::Session;
pub(super) use upkeep::{compact_fence, cull, journal_end, oldest_birth, trim_journal};

/// An open database.
pub(super) struct Database {
    /// For looking up.
    readers: Readers,
    /// What makes it this server's.
    hold: Hold,
}

impl Database {
    /// A session that writes, in place of one that was lost.
    pub(super) async fn connect(&self) -> Result<Session, DatabaseError> {
        self.hold.take_again().await
    }

    /// A connection that looks up, to a database that has all that this server has committed.
    pub(super) async fn reader(&self) -> Result<Reader<'_>, DatabaseError> {
        let mut reader = self.readers.take().await?;
        self.hold.known().check(reader.connection()?).await?;
        Ok(reader)
    }

    /// What the table has of a key.
    pub(super) async fn rows_of(&self, key: &Key) -> Result<Found, DatabaseError> {
        // Before the question: a commit is noted before anybody is told of it.
        let known = self.hold.known();
        let mut reader = self.readers.take().await?;
        let found = sqlx::query(
            "SELECT * FROM entries WHERE sha256(key) = sha256($1) \
             AND (SELECT epoch = $2 AND commits BETWEEN $3 AND $4 FROM state) \
             ORDER BY variant LIMIT $5",
        )
        .bind(key.as_bytes())
        .bind(known.epoch)
        .bind(known.commits)
        .bind(known.commits_max())
        .bind(VARIANTS_PER_KEY_MAX as i64)
        .fetch_all(reader.connection()?)
        .await?;
        reader.give_back();
        Ok(Found::read(&found))
    }

    /// The order of the hottest keys that was written last.
    pub(super) async fn hottest(&self) -> Result<Option<Vec<u8>>, DatabaseError> {
        let mut reader = self.readers.take().await?;
        let found = hot::hottest(reader.connection()?).await?;
        reader.give_back();
        Ok(found)
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
