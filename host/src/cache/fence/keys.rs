//! Removed keys, remembered for the fills that were running.
//!
//! A removal by key takes the entry out of memory under the key's stripe, so reads need no row.
//! Only a fill that began before the removal does. Rows live for one to two rotations; what a
//! rotation drops becomes a floor under the same lock, so that a fill never finds the row and the
//! floor gone.
//!
//! Keys are known by their seeded hash: visitors choose URLs, and their length must not be memory
//! outside the budget. Of two that share one, fills of either are refused, more than need be.

use std::collections::HashMap;

use crate::sync::Mutex;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

use crate::limits::FENCE_KEY_ROWS_MAX;
use crate::model::{Key, Sequence};

type Rows = HashMap<u64, Sequence, RandomState>;

/// Two generations of rows.
#[derive(Default)]
pub(super) struct KeyRows {
    generations: Mutex<Generations>,
    hasher: RandomState,
}

#[derive(Default)]
struct Generations {
    young: Rows,
    old: Rows,
    /// The highest sequence dropped so far; a fill begun before it can't be judged.
    floor: Sequence,
}

impl KeyRows {
    /// Notes the removal.
    pub(super) fn raise(&self, key: &Key, sequence: Sequence) {
        let hash = self.hasher.hash_one(key);
        let mut rows = self.generations.lock();
        if rows.young.len() >= FENCE_KEY_ROWS_MAX {
            rows.rotate();
        }
        let row = rows.young.entry(hash).or_default();
        *row = sequence.max(*row);
    }

    /// The last removal of the key, or a later sequence where that is no longer known.
    pub(super) fn last(&self, key: &Key) -> Sequence {
        let hash = self.hasher.hash_one(key);
        let rows = self.generations.lock();
        let find = |generation: &Rows| generation.get(&hash).copied().unwrap_or_default();
        find(&rows.young).max(find(&rows.old)).max(rows.floor)
    }

    /// Drops the older generation.
    pub(super) fn rotate(&self) {
        self.generations.lock().rotate();
    }

    /// How many rows there are, for metrics.
    pub(super) fn len(&self) -> usize {
        let rows = self.generations.lock();
        rows.young.len() + rows.old.len()
    }
}

impl Generations {
    fn rotate(&mut self) {
        let dropped = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        self.floor = dropped.into_values().max().unwrap_or_default().max(self.floor);
    }
}
