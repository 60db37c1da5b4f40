//! Which keys the table may have, so that a miss in memory of any other costs no question, and a
//! store no deletion.
//!
//! # Invariants
//! - A key that has a row is known from before the commit of that row: the writer notes it before
//!   it begins the transaction, and what was there before is read through once, from a moment
//!   between two transactions on.
//! - Until that has been done, every key may have a row.
//! - Memory is bounded: beyond [`BYTES_MAX`] more keys seem to be there, and are asked for.
//!
//! # Not here
//! The set itself: `filter`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use super::database::{Database, DatabaseError};
use super::filter::Filter;
use crate::model::Key;

/// The most that one set takes; two are there while it is made anew.
const BYTES_MAX: u64 = 64 << 20;

/// Bytes for a key.
const BYTES_PER_KEY: u64 = 2;

/// Capacity of the smallest set: 128 KiB.
const KEYS_MIN: u64 = 1 << 16;

/// Rows that are read through at once.
const STEP_ROWS: i64 = 2_000;

/// The keys that are known.
#[derive(Default)]
pub(super) struct Known {
    sets: RwLock<Sets>,
    /// Keys noted since the newest set was begun.
    noted: AtomicU64,
    /// How many it was made for.
    capacity: AtomicU64,
    is_reading: AtomicBool,
    /// Questions that were not asked.
    spared: AtomicU64,
}

#[derive(Default)]
struct Sets {
    /// The one that is asked.
    complete: Option<Filter>,
    /// The one that is being made.
    next: Option<Filter>,
}

impl Known {
    /// Whether the table may have a key, for a look-up that is not made where it has not.
    pub(super) fn may_have(&self, key: &Key) -> bool {
        let is_new = self.is_new(key);
        if is_new {
            self.spared.fetch_add(1, Ordering::Relaxed);
        }
        !is_new
    }

    /// Whether the table certainly has nothing of a key.
    pub(super) fn is_new(&self, key: &Key) -> bool {
        let sets = self.sets.read();
        sets.complete.as_ref().is_some_and(|set| !set.may_have(key.as_bytes()))
    }

    /// Notes a key of which a row is about to be written.
    pub(super) fn note(&self, key: &Key) {
        self.put(key.as_bytes());
    }

    fn put(&self, key: &[u8]) {
        let sets = self.sets.read();
        let complete = sets.complete.as_ref().is_some_and(|set| set.put(key));
        let next = sets.next.as_ref().is_some_and(|set| set.put(key));
        if complete || next {
            self.noted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Questions that were not asked, because there could be no row.
    pub(super) fn spared(&self) -> u64 {
        self.spared.load(Ordering::Relaxed)
    }

    /// Whether keys are told apart at all yet.
    pub(super) fn is_complete(&self) -> bool {
        self.sets.read().complete.is_some()
    }

    /// Whether a set is to be begun: there is none, or it has become too full of keys, gone ones
    /// among them.
    pub(super) fn is_due(&self) -> bool {
        let noted = self.noted.load(Ordering::Relaxed);
        let is_full = noted > 2 * self.capacity.load(Ordering::Relaxed);
        !self.is_reading.load(Ordering::Acquire) && (is_full || !self.is_complete())
    }

    /// Begins a set for a table of so many rows; called between two transactions. It is complete
    /// when [`Known::read_through`] has ended.
    pub(super) fn begin(&self, rows: u64) {
        let capacity = (2 * rows).clamp(KEYS_MIN, BYTES_MAX / BYTES_PER_KEY);
        self.is_reading.store(true, Ordering::Release);
        let set = Filter::for_keys(capacity);
        let mut sets = self.sets.write();
        sets.next = Some(set);
        self.capacity.store(capacity, Ordering::Relaxed);
        self.noted.store(0, Ordering::Relaxed);
    }

    /// Reads the table through, some keys at a time, and has the new set asked from then on. Where
    /// it can't be read, the one before goes on.
    pub(super) async fn read_through(&self, database: &Database) {
        let outcome = self.read_all(database).await;
        let mut sets = self.sets.write();
        match outcome {
            Ok(rows) => {
                sets.complete = sets.next.take();
                tracing::debug!(rows, "database tier knows its keys");
            }
            Err(error) => {
                sets.next = None;
                tracing::debug!(%error, "database tier could not read its keys");
            }
        }
        drop(sets);
        self.is_reading.store(false, Ordering::Release);
    }

    async fn read_all(&self, database: &Database) -> Result<usize, DatabaseError> {
        let (mut last, mut count) = (0, 0);
        loop {
            let rows = database.rows_after(last, STEP_ROWS).await?;
            for row in &rows {
                self.put(&row.key);
                last = row.id;
            }
            count += rows.len();
            if (rows.len() as i64) < STEP_ROWS {
                return Ok(count);
            }
        }
    }
}
