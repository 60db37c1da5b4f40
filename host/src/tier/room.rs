//! Room: keeps the table of entries within its limits, a few rows at a time.
//!
//! # Invariants
//! - The table grows by a batch beyond its limits at most: it is measured whenever a share of them
//!   has been written since, and after each batch that finds it too large more rows go than one
//!   batch of items brings.
//! - Rows go from the oldest on, around and around. A row whose key is in memory is in use, and is
//!   spared for a round; where a whole round spares everything, the next spares nothing.
//!
//! # Not here
//! Rows that have ended: culling sees to those.

use super::Limits;
use super::database::{DatabaseError, Session};
use super::writer::Step;
use crate::cache::tier::Source;
use crate::model::Key;

/// What is written between two measurements, as a share of the limits; the table is made smaller by
/// as much.
const SHARE: u64 = 64;

/// Rows that one step looks at.
const LOOKED_AT_ROWS: i64 = 512;

/// Rows that one step removes: how large they are is not known before.
const REMOVED_ROWS_MAX: usize = 64;

/// Steps after a commit; together they remove more rows than a batch of items brings.
pub(super) const STEPS_MAX: usize = 8;

/// What the table of entries takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A row that may go.
pub(super) struct Candidate {
    /// Its number: older rows have lower ones.
    pub id: i64,
    /// Its key.
    pub key: Vec<u8>,
}

/// The watch over the limits.
pub(super) struct Room {
    limits: Limits,
    /// Written since it was measured.
    written: Usage,
    /// Whether there was room when it was measured last.
    has_room: bool,
    /// Rows up to this number have been looked at in this round.
    hand: i64,
    /// Whether this round has removed a row.
    has_removed: bool,
    /// Whether this round spares nothing.
    is_merciless: bool,
}

impl Room {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            written: Usage::default(),
            has_room: false,
            hand: 0,
            has_removed: false,
            is_merciless: false,
        }
    }

    /// Notes what has been written.
    pub(super) fn note(&mut self, written: Usage) {
        self.written.rows += written.rows;
        self.written.bytes += written.bytes;
    }

    /// Looks whether there is too much, and removes some of it. Returns how many rows went, and
    /// whether there may be more to remove.
    pub(super) async fn step(
        &mut self,
        session: &mut Session,
        source: Option<&dyn Source>,
    ) -> Result<(u64, Step), DatabaseError> {
        if !self.is_due() {
            return Ok((0, Step::Done));
        }
        let usage = session.usage(self.limits).await?;
        self.has_room = !self.is_too_much(usage);
        if self.has_room {
            self.written = Usage::default();
            return Ok((0, Step::Done));
        }
        let found = session.rows_after(self.hand, LOOKED_AT_ROWS).await?;
        let is_used = |key: &[u8]| {
            let key = Key::new(key).ok();
            source.zip(key).is_some_and(|(source, key)| source.holds(&key))
        };
        let mut doomed = Vec::new();
        let mut left = found.iter();
        while doomed.len() < REMOVED_ROWS_MAX
            && let Some(row) = left.next()
        {
            self.hand = row.id;
            if self.is_merciless || !is_used(&row.key) {
                doomed.push(row.id);
            }
        }
        self.has_removed |= !doomed.is_empty();
        if left.len() == 0 && (found.len() as i64) < LOOKED_AT_ROWS {
            self.hand = 0;
            self.is_merciless = !self.has_removed;
            self.has_removed = false;
        }
        if !doomed.is_empty() {
            session.remove(&doomed).await?;
        }
        let step = if found.is_empty() { Step::Done } else { Step::MoreToDo };
        Ok((doomed.len() as u64, step))
    }

    /// Whether the table is to be measured: once at the start, and when a share has been written.
    /// As long as it is too large, it stays due.
    pub(super) fn is_due(&self) -> bool {
        let Limits { bytes_max, rows_max, .. } = self.limits;
        let is_limited = bytes_max.is_some() || rows_max.is_some();
        let is_reached =
            |written: u64, max: Option<u64>| max.is_some_and(|max| written >= max / SHARE);
        is_limited
            && (!self.has_room
                || is_reached(self.written.bytes, bytes_max)
                || is_reached(self.written.rows, rows_max))
    }

    fn is_too_much(&self, usage: Usage) -> bool {
        let exceeds = |used: u64, max: Option<u64>| max.is_some_and(|max| used > max - max / SHARE);
        exceeds(usage.bytes, self.limits.bytes_max) || exceeds(usage.rows, self.limits.rows_max)
    }
}
