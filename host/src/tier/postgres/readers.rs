//! Connections that look up, each used by one look-up at a time.
//!
//! # Invariants
//! - At most [`READERS`] are open.
//! - One whose answer did not come, or was an error, is closed, and so are those that are idle
//!   then: what one has lost the others have likely lost, too. Nothing waits for a lost connection.
//!
//! # Not here
//! What is looked up, and how long that may take.

use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Error};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::session::connect;
use crate::tier::database::ACQUIRE_MS;

/// Connections that look up: each look-up is a way to the server and back.
const READERS: usize = 8;

/// How long closing them may take; the server notices that they are gone in any case.
const CLOSE_MS_MAX: u64 = 2_000;

/// Connections that look up.
pub(super) struct Readers {
    options: PgConnectOptions,
    idle: Mutex<Vec<PgConnection>>,
    places: Semaphore,
}

impl Readers {
    /// None is connected yet.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let (idle, places) = (Mutex::default(), Semaphore::new(READERS));
        Self { options, idle, places }
    }

    /// One that nobody uses.
    ///
    /// # Errors
    /// None is to be had within [`ACQUIRE_MS`].
    pub(super) async fn take(&self) -> Result<Reader<'_>, Error> {
        let taking = async {
            let place = self.places.acquire().await.map_err(|_| Error::PoolClosed)?;
            // It would be a way to the server and back to ask whether it is still there.
            let idle = self.idle.lock().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => connect(&self.options).await?,
            };
            Ok(Reader { connection: Some(connection), readers: self, _place: place })
        };
        let limit = Duration::from_millis(ACQUIRE_MS);
        tokio::time::timeout(limit, taking).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    /// Ends those that are idle, and every other when its answer has come.
    pub(super) async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle.lock());
        let closing = async {
            for connection in idle {
                // Gone already is as good.
                let _ = connection.close().await;
            }
        };
        // Those that are left are dropped, and with that closed.
        let _ = tokio::time::timeout(Duration::from_millis(CLOSE_MS_MAX), closing).await;
    }
}

/// One of them, for a look-up. It is closed unless it is given back.
pub(in crate::tier) struct Reader<'readers> {
    /// `None` once it was given back.
    connection: Option<PgConnection>,
    readers: &'readers Readers,
    _place: SemaphorePermit<'readers>,
}

impl Reader<'_> {
    /// For one question and its answer.
    ///
    /// # Errors
    /// It has been given back.
    pub(in crate::tier) fn connection(&mut self) -> Result<&mut PgConnection, Error> {
        self.connection.as_mut().ok_or(Error::PoolClosed)
    }

    /// Every answer has come: the next look-up may use it.
    pub(in crate::tier) fn give_back(mut self) {
        let connection = self.connection.take();
        if !self.readers.places.is_closed() {
            self.readers.idle.lock().extend(connection);
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if self.connection.is_some() {
            self.readers.idle.lock().clear();
        }
    }
}
