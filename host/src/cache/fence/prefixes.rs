//! Invalidated key prefixes.
//!
//! A read asks one hash table per distinct *length* of prefix, so its cost does not grow with the
//! number of prefixes; where none was invalidated since the entry was last found fresh, it is one
//! load.

use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use std::collections::{BTreeMap, HashMap};

use crate::sync::RwLock;
use foldhash::fast::RandomState;

use super::level::{Level, Levels};
use crate::limits::FENCE_PREFIXES_MAX;
use crate::model::{Mode, Sequence};

type Rows = HashMap<Box<[u8]>, Level, RandomState>;

/// The table of prefixes.
#[derive(Default)]
pub(super) struct Prefixes {
    /// By length, then by bytes.
    by_length: RwLock<BTreeMap<usize, Rows>>,
    len: AtomicUsize,
    /// The highest sequence of any prefix there ever was; raised after its row.
    last: AtomicU64,
}

impl Prefixes {
    /// Raises a prefix; `false` when there is no room for its row.
    pub(super) fn raise(&self, prefix: &[u8], mode: Mode, sequence: Sequence) -> bool {
        let mut by_length = self.by_length.write();
        let known = by_length.get(&prefix.len()).is_some_and(|rows| rows.contains_key(prefix));
        if !known && self.len.load(Ordering::Relaxed) >= FENCE_PREFIXES_MAX {
            return false;
        }
        let rows = by_length.entry(prefix.len()).or_default();
        rows.entry(prefix.into()).or_default().raise(mode, sequence);
        if !known {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        self.last.fetch_max(sequence.as_u64(), Ordering::Release);
        true
    }

    /// The highest levels of the prefixes that `key` begins with, as far as they are above `since`:
    /// what is not is of no interest to who was found fresh then.
    pub(super) fn levels_above(&self, since: Sequence, key: &[u8]) -> Levels {
        let mut levels = Levels::default();
        if self.last.load(Ordering::Acquire) <= since.as_u64() {
            return levels;
        }
        for (length, rows) in self.by_length.read().range(..=key.len()) {
            if let Some(level) = key.get(..*length).and_then(|prefix| rows.get(prefix)) {
                levels = levels.max(level.both());
            }
        }
        levels
    }

    /// Drops rows at or below `horizon`.
    pub(super) fn collect(&self, horizon: Sequence) {
        let mut by_length = self.by_length.write();
        for rows in by_length.values_mut() {
            rows.retain(|_, level| level.last() > horizon);
        }
        by_length.retain(|_, rows| !rows.is_empty());
        self.len.store(by_length.values().map(HashMap::len).sum(), Ordering::Relaxed);
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }
}
