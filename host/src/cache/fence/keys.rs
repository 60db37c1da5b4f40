//! Removed keys, remembered for the fills that were running.
//!
//! A removal by key takes the entry out of memory under the key's stripe, so reads need no row.
//! Only a fill that began before the removal does. Rows live for one to two rotations; what a
//! rotation drops becomes a floor under the same lock, so that a fill never finds the row and the
//! floor gone.

use std::collections::HashMap;

use crate::sync::Mutex;
use foldhash::fast::RandomState;

use crate::limits::FENCE_KEY_ROWS_MAX;
use crate::model::{Key, Sequence};

type Rows = HashMap<Key, Sequence, RandomState>;

/// Two generations of rows.
#[derive(Default)]
pub(super) struct KeyRows(Mutex<Generations>);

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
        let mut rows = self.0.lock();
        if rows.young.len() >= FENCE_KEY_ROWS_MAX {
            rows.rotate();
        }
        let row = rows.young.entry(key.clone()).or_default();
        *row = sequence.max(*row);
    }

    /// The last removal of the key, or a later sequence where that is no longer known.
    pub(super) fn last(&self, key: &Key) -> Sequence {
        let rows = self.0.lock();
        let find = |generation: &Rows| generation.get(key).copied().unwrap_or_default();
        find(&rows.young).max(find(&rows.old)).max(rows.floor)
    }

    /// Drops the older generation.
    pub(super) fn rotate(&self) {
        self.0.lock().rotate();
    }
}

impl Generations {
    fn rotate(&mut self) {
        let dropped = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        self.floor = dropped.into_values().max().unwrap_or_default().max(self.floor);
    }
}
