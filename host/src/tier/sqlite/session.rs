//! The connection that writes, with the file that it writes to.
//!
//! # Invariants
//! - Once `sync` has returned, all commits before it outlive the machine's power, whoever reads the
//!   file meanwhile: a checkpoint syncs nothing while readers keep it from folding anything.
//! - What `write` has acknowledged is in the file that is at the path, and no other server had used
//!   it until then.
//!
//! # Not here
//! What is written (`batch`, `journal`, `upkeep`), and when it is synced (`writer`).

use std::fs::File;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Error};

use super::batch;
use super::place::{FileId, Place};
use crate::tier::database::{DatabaseError, Writes};

/// The connection that writes.
pub(in crate::tier) struct Session {
    connection: SqliteConnection,
    place: Arc<Place>,
    /// The log as long as this connection is open; SQLite keeps it until the last one is closed.
    log: Option<FileId>,
    /// That of the server it belongs to.
    epoch: i64,
}

impl Session {
    /// A session by a connection to the file at a place, which has written to it in this epoch.
    pub(super) fn new(connection: SqliteConnection, place: Arc<Place>, epoch: i64) -> Self {
        let log = FileId::at(&place.log()).ok();
        Self { connection, place, log, epoch }
    }

    /// That of the server it belongs to.
    pub(super) fn epoch(&self) -> i64 {
        self.epoch
    }

    /// For statements.
    pub(in crate::tier) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Writes a batch; when it returns `Ok`, it is durable.
    pub(in crate::tier) async fn write(
        &mut self,
        writes: &Writes<'_>,
    ) -> Result<(), DatabaseError> {
        batch::write(&mut self.connection, writes, self.epoch).await?;
        // After the commit: what was replaced before it has not taken it.
        self.place.check_with(self.log)
    }

    /// Whether the file is still the one that was opened, and this server's.
    pub(in crate::tier) async fn check(&mut self) -> Result<(), DatabaseError> {
        self.place.check_with(self.log)?;
        check_epoch(&mut self.connection, self.epoch).await
    }

    /// Makes all commits so far outlive the machine's power. What has left the log for the file was
    /// synced before it left.
    pub(in crate::tier) async fn sync(&mut self) -> Result<(), DatabaseError> {
        let log = self.place.log();
        // Of the file, not of a descriptor: what SQLite has written by its own is in it. There are
        // no locks on the log that closing it would take away.
        let synced = tokio::task::spawn_blocking(move || File::open(log)?.sync_data()).await;
        synced.map_err(std::io::Error::other).flatten().map_err(Error::Io)?;
        Ok(())
    }

    /// Ends it in order: folds the log into the file; the log alone would do as well.
    pub(in crate::tier) async fn close(self) {
        let _ = self.connection.close().await;
    }
}

/// Whether no other server has opened the file since this epoch began.
///
/// # Errors
/// One has: it may have removed what this server would bring back. Or the epoch is missing.
pub(super) async fn check_epoch(
    connection: &mut SqliteConnection,
    epoch: i64,
) -> Result<(), DatabaseError> {
    let found = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'epoch'");
    let found: Option<i64> = found.fetch_optional(connection).await?;
    match found {
        Some(found) if found == epoch => Ok(()),
        Some(_) => Err(DatabaseError::Superseded),
        None => Err(DatabaseError::Sql(Error::RowNotFound)),
    }
}
