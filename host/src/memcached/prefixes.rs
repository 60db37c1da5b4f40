//! Counts by key prefix: what `stats detail` switches on, off, and dumps (memcached's option -D).
//!
//! The prefix of a key is what lies before its first `:`; keys without one are not counted.
//!
//! # Invariants
//! - Switched off, as it is at first, it costs a load.
//! - Bounded: prefixes that do not fit into [`MEMCACHED_PREFIXES_MAX`] are not counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::limits::MEMCACHED_PREFIXES_MAX;

/// Ends the prefix of a key.
pub(super) const DELIMITER: u8 = b':';

/// What was done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It was looked up and found.
    Hit,
    /// It was looked up in vain.
    Miss,
    /// A value was stored, or was to be.
    Store,
    /// It was deleted, or was to be.
    Delete,
}

/// What was done with the keys of one prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Uses {
    /// Look-ups.
    pub(super) gets: u64,
    /// Those that found something.
    pub(super) hits: u64,
    /// Stores.
    pub(super) sets: u64,
    /// Deletes.
    pub(super) deletes: u64,
}

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    is_on: AtomicBool,
    table: Mutex<BTreeMap<Box<[u8]>, Uses>>,
}

impl Prefixes {
    /// Whether keys are counted.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Begins counting; what was counted before stays.
    pub(super) fn switch_on(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// Ends counting; what was counted stays.
    pub(super) fn switch_off(&self) {
        self.is_on.store(false, Ordering::Relaxed);
    }

    /// Forgets what was counted.
    pub(super) fn clear(&self) {
        self.table.lock().clear();
    }

    /// Counts the use of a key, if it is to be counted.
    pub(super) fn note(&self, key: &[u8], what: Use) {
        if self.is_on() {
            self.count(key, what);
        }
    }

    #[cold]
    fn count(&self, key: &[u8], what: Use) {
        let Some(end) = memchr::memchr(DELIMITER, key) else { return };
        let prefix = key.get(..end).unwrap_or_default();
        let mut table = self.table.lock();
        if table.len() >= MEMCACHED_PREFIXES_MAX && !table.contains_key(prefix) {
            return;
        }
        let uses = table.entry(prefix.into()).or_default();
        match what {
            Use::Hit => {
                uses.gets += 1;
                uses.hits += 1;
            }
            Use::Miss => uses.gets += 1,
            Use::Store => uses.sets += 1,
            Use::Delete => uses.deletes += 1,
        }
    }

    /// What was counted, in the order of the prefixes.
    pub(super) fn all(&self) -> Vec<(Box<[u8]>, Uses)> {
        self.table.lock().iter().map(|(prefix, uses)| (prefix.clone(), *uses)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_counted_by_prefix_while_it_is_on() {
        let prefixes = Prefixes::default();
        prefixes.note(b"a:1", Use::Hit);
        prefixes.switch_on();
        for (key, what) in [
            ("a:1", Use::Hit),
            ("a:2:x", Use::Miss),
            ("b:", Use::Store),
            (":", Use::Delete),
            ("no delimiter", Use::Hit),
        ] {
            prefixes.note(key.as_bytes(), what);
        }
        prefixes.switch_off();
        prefixes.note(b"a:1", Use::Delete);
        let none = Uses::default();
        assert_eq!(
            prefixes.all(),
            [
                (Box::from(&b""[..]), Uses { deletes: 1, ..none }),
                (Box::from(&b"a"[..]), Uses { gets: 2, hits: 1, ..none }),
                (Box::from(&b"b"[..]), Uses { sets: 1, ..none }),
            ]
        );
        prefixes.clear();
        assert_eq!(prefixes.all(), []);
    }

    #[test]
    fn the_table_is_bounded_and_known_prefixes_are_counted_on() {
        let prefixes = Prefixes::default();
        prefixes.switch_on();
        for number in 0..=MEMCACHED_PREFIXES_MAX {
            prefixes.note(format!("{number}:").as_bytes(), Use::Store);
        }
        prefixes.note(b"0:", Use::Store);
        let all = prefixes.all();
        assert_eq!(all.len(), MEMCACHED_PREFIXES_MAX);
        assert_eq!(all.first().map(|(_, uses)| uses.sets), Some(2));
    }
}
