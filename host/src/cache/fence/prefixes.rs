//! Invalidated key prefixes.
//!
//! A read asks one hash table per distinct *length* of prefix, so its cost does not grow with the
//! number of prefixes; with none, it is one load.

use crate::sync::{AtomicUsize, Ordering};
use std::collections::{BTreeMap, HashMap};

use crate::sync::RwLock;
use foldhash::fast::RandomState;

use super::level::Level;
use crate::limits::FENCE_PREFIXES_MAX;
use crate::model::{Mode, Sequence};

type Rows = HashMap<Box<[u8]>, Level, RandomState>;

/// The table of prefixes.
#[derive(Default)]
pub(super) struct Prefixes {
    /// By length, then by bytes.
    by_length: RwLock<BTreeMap<usize, Rows>>,
    len: AtomicUsize,
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
            self.len.fetch_add(1, Ordering::Release);
        }
        true
    }

    /// Visits the hard and soft sequence of each prefix that `key` begins with.
    pub(super) fn each_matching(&self, key: &[u8], mut visit: impl FnMut(Sequence, Sequence)) {
        if self.len.load(Ordering::Acquire) == 0 {
            return;
        }
        for (length, rows) in self.by_length.read().range(..=key.len()) {
            let level = key.get(..*length).and_then(|prefix| rows.get(prefix));
            if let Some(level) = level {
                visit(level.hard(), level.soft());
            }
        }
    }

    /// Drops rows at or below `horizon`.
    pub(super) fn collect(&self, horizon: Sequence) {
        let mut by_length = self.by_length.write();
        for rows in by_length.values_mut() {
            rows.retain(|_, level| level.last() > horizon);
        }
        by_length.retain(|_, rows| !rows.is_empty());
        self.len.store(by_length.values().map(HashMap::len).sum(), Ordering::Release);
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }
}
