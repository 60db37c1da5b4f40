//! How much goes into one transaction: what takes longer than it may is not tried again as it was.
//!
//! # Invariants
//! - After a transaction that took too long the next is a quarter of what is usual, and so on; each
//!   that succeeds brings back a half of that.
//! - A value that took too long by itself is left out for a time, and so are all that are as large.
//!   Its key then has no row: less being kept is always allowed.
//!
//! # Not here
//! How long a transaction may take, and taking work out of the queue (`writer`, `queue`).

use super::super::database::KeyRows;
use super::super::queue::Batch;
use super::bytes_of;

/// Keys in one transaction; few, because invalidations wait for its end.
const KEYS_MAX: usize = 256;

/// Bytes of values after which no further key joins a transaction. A key with more has one of its
/// own.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Records and their targets in one transaction: some tenths of a second on a slow disk. A record
/// with more has one of its own.
const COST_MAX: usize = 10_000;

/// Smallest value that is left out; others are not why a transaction takes long.
const LEFT_OUT_BYTES_MIN: usize = 1024 * 1024;

/// For how long values of a size are left out.
const LEFT_OUT_MS: u64 = 600_000;

/// How often a transaction becomes smaller by a half at most.
const HALVINGS_MAX: u32 = 8;

/// What one transaction may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Keys.
    pub keys: usize,
    /// Bytes of values.
    pub bytes: usize,
    /// Records and their targets.
    pub cost: usize,
}

/// What has been learnt of the database's pace.
#[derive(Debug, Default)]
pub(super) struct Budget {
    halvings: u32,
    too_large: Option<TooLarge>,
}

#[derive(Debug, Clone, Copy)]
struct TooLarge {
    bytes: usize,
    until_ms: u64,
}

impl Budget {
    /// What the next transaction may take.
    pub(super) fn bounds(&self) -> Bounds {
        let part = |whole: usize| (whole >> self.halvings).max(1);
        Bounds { keys: part(KEYS_MAX), bytes: part(BYTES_MAX), cost: part(COST_MAX) }
    }

    /// A batch has been written.
    pub(super) fn note_success(&mut self) {
        self.halvings = self.halvings.saturating_sub(1);
    }

    /// A batch took too long.
    pub(super) fn note_late(&mut self, batch: &Batch, rows: &[KeyRows], now_ms: u64) {
        self.halvings = (self.halvings + 2).min(HALVINGS_MAX);
        if let ([of_key], true) = (rows, batch.records.is_empty()) {
            let bytes = bytes_of(&of_key.rows);
            if bytes >= LEFT_OUT_BYTES_MIN {
                tracing::warn!(
                    bytes,
                    "writing a value takes too long; such large ones are kept in memory alone"
                );
                let until_ms = now_ms.saturating_add(LEFT_OUT_MS);
                self.too_large = Some(TooLarge { bytes, until_ms });
            }
        }
    }

    /// Whether values of this size are left out.
    pub(super) fn leaves_out(&self, bytes: usize, now_ms: u64) -> bool {
        self.too_large.is_some_and(|found| bytes >= found.bytes && now_ms < found.until_ms)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cache::tier::Row;
    use crate::model::{Birth, Content, Expiry, Key, Kind, Sequence};

    fn rows(bytes: usize) -> KeyRows {
        let body = Bytes::from(vec![0; bytes]);
        let (kind, expires, tags) = (Kind::Item { flags: 0 }, Expiry::NEVER, Vec::new());
        let (birth, content) =
            (Birth::at(Sequence::from_u64(0)), Content { body, kind, expires, tags });
        let key = Key::new(b"k").unwrap();
        KeyRows { key, rows: vec![Row { content, cas: 0, birth, stored_ms: 0 }], is_new: false }
    }

    #[test]
    fn transactions_become_smaller_while_they_take_too_long_and_larger_again() {
        let mut budget = Budget::default();
        let usual = budget.bounds();
        budget.note_late(&Batch::default(), &[], 0);
        let smaller = budget.bounds();
        assert_eq!((smaller.keys, smaller.cost), (usual.keys / 4, usual.cost / 4));
        for _ in 0..20 {
            budget.note_late(&Batch::default(), &[], 0);
        }
        assert_eq!(budget.bounds().keys, 1);
        for _ in 0..HALVINGS_MAX {
            budget.note_success();
        }
        assert_eq!(budget.bounds(), usual);
    }

    #[test]
    fn only_a_large_value_that_took_too_long_by_itself_is_left_out_and_for_a_time() {
        let large = LEFT_OUT_BYTES_MIN;
        let mut budget = Budget::default();
        budget.note_late(&Batch::default(), &[rows(large), rows(1)], 0);
        budget.note_late(&Batch::default(), &[rows(large - 1)], 0);
        assert!(!budget.leaves_out(usize::MAX, 1));
        budget.note_late(&Batch::default(), &[rows(large + 5)], 0);
        assert!(budget.leaves_out(large + 5, 1) && !budget.leaves_out(large + 4, 1));
        assert!(!budget.leaves_out(large + 5, LEFT_OUT_MS));
    }
}
