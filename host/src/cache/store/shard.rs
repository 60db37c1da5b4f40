//! One shard of the store: a hash table of slots, and a clock's hand over its buckets.
//!
//! Eviction is a clock with lives (GCLOCK, Smith 1978): the hand takes a life of every slot that it
//! passes and evicts the first that has none. What is put has one, what is used gets two.
//!
//! The slots lie in the table itself: a look-up touches the shard, its table and the entry, and
//! waits for memory three times at most.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::usage::{LIVES_PUT, LIVES_USED, Past, Usage};
use super::{Hot, Slot};
use crate::cache::entry::Entry;
use crate::model::Key;

/// A shard that has become empty gives its table back if it is larger than this.
const KEPT_BUCKETS_MAX: usize = 64;

/// A slot with its lives and its heat; 16 bytes.
#[derive(Debug)]
enum Living {
    Item { lives: u8, uses: u16, heat: u32, entry: Entry },
    Pages { lives: u8, uses: u16, heat: u32, entries: Arc<Vec<Entry>> },
}

impl Living {
    fn new(slot: Slot, past: Past) -> Self {
        let (lives, Past { uses, heat }) = (LIVES_PUT, past);
        match slot {
            Slot::Item(entry) => Self::Item { lives, uses, heat, entry },
            Slot::Pages(entries) => Self::Pages { lives, uses, heat, entries },
        }
    }

    fn slot(&self) -> Slot {
        match self {
            Self::Item { entry, .. } => Slot::Item(entry.clone()),
            Self::Pages { entries, .. } => Slot::Pages(Arc::clone(entries)),
        }
    }

    fn into_slot(self) -> Slot {
        match self {
            Self::Item { entry, .. } => Slot::Item(entry),
            Self::Pages { entries, .. } => Slot::Pages(entries),
        }
    }

    fn key(&self) -> &[u8] {
        match self {
            Self::Item { entry, .. } => entry.key(),
            Self::Pages { entries, .. } => entries.first().map(Entry::key).unwrap_or_default(),
        }
    }

    fn usage(&mut self) -> Usage<'_> {
        match self {
            Self::Item { lives, uses, heat, .. } | Self::Pages { lives, uses, heat, .. } => {
                Usage { lives, uses, heat }
            }
        }
    }
}

/// A shard.
#[derive(Debug, Default)]
pub(super) struct Shard {
    table: HashTable<Living>,
    /// The bucket that the hand points to.
    hand: usize,
}

impl Shard {
    /// The slot of a key, which is used thereby.
    pub(super) fn get(&mut self, hash: u64, key: &[u8]) -> Option<Slot> {
        let living = self.table.find_mut(hash, |other| other.key() == key)?;
        living.usage().note();
        Some(living.slot())
    }

    /// The slot of a key, which is no use of it.
    pub(super) fn look(&self, hash: u64, key: &[u8]) -> Option<Slot> {
        self.table.find(hash, |other| other.key() == key).map(Living::slot)
    }

    /// Puts a slot of a key that has none, with what is known of the key's use.
    pub(super) fn insert(&mut self, hash: u64, slot: Slot, past: Past, hasher: &RandomState) {
        let living = Living::new(slot, past);
        self.table.insert_unique(hash, living, |other| hasher.hash_one(other.key()));
    }

    /// Takes the slot of a key out.
    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<(Slot, Past)> {
        let found = self.table.find_entry(hash, |other| other.key() == key);
        let (mut removed, _) = found.ok()?.remove();
        if self.table.is_empty() && self.table.num_buckets() > KEPT_BUCKETS_MAX {
            *self = Self::default();
        }
        let past = removed.usage().past();
        Some((removed.into_slot(), past))
    }

    /// Makes the slot of a key hotter.
    pub(super) fn add_heat(&mut self, hash: u64, key: &[u8], more: u32) {
        if let Some(living) = self.table.find_mut(hash, |other| other.key() == key) {
            let heat = living.usage().heat;
            *heat = heat.saturating_add(more);
        }
    }

    /// Begins a first round: uses up to now were not counted.
    pub(super) fn begin_rounds(&mut self) {
        for living in &mut self.table {
            *living.usage().uses = 0;
        }
    }

    /// Ends a round. Adds the keys whose heat is above `above` to `found`; the entries of the
    /// others are not looked at.
    pub(super) fn end_round(&mut self, above: u32, found: &mut Vec<Hot>) {
        for living in &mut self.table {
            let heat = living.usage().end_round();
            if heat > above {
                found.extend(Key::new(living.key()).ok().map(|key| Hot { heat, key }));
            }
        }
    }

    /// Takes out a slot that was not used while the hand came by.
    pub(super) fn evict(&mut self) -> Option<Slot> {
        let buckets = self.table.num_buckets();
        // After so many rounds nothing has a life left.
        for _ in 0..=(usize::from(LIVES_USED) + 1) * buckets {
            let here = self.hand;
            self.hand = if here + 1 < buckets { here + 1 } else { 0 };
            let Some(living) = self.table.get_bucket_mut(here) else { continue };
            let lives = living.usage().lives;
            if let Some(left) = lives.checked_sub(1) {
                *lives = left;
                continue;
            }
            let (evicted, _) = self.table.get_bucket_entry(here).ok()?.remove();
            return Some(evicted.into_slot());
        }
        None
    }

    /// Everything in it.
    pub(super) fn slots(&self) -> Vec<Slot> {
        self.table.iter().map(Living::slot).collect()
    }
}

/// What a slot and its share of the table take, growth included.
pub(super) const SLOT_BYTES: usize = 2 * (size_of::<Living>() + 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_two_words_and_a_shard_less_than_a_cache_line() {
        assert_eq!(size_of::<Living>(), 16);
        assert!(size_of::<crate::sync::Mutex<Shard>>() <= 64);
    }
}
