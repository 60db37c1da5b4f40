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

use super::Slot;
use crate::cache::entry::Entry;

/// A shard that has become empty gives its table back if it is larger than this.
const KEPT_BUCKETS_MAX: usize = 64;

/// Passes of the hand that a slot outlives after it was put.
const LIVES_PUT: u8 = 1;

/// Passes of the hand that a slot outlives after it was used.
const LIVES_USED: u8 = 2;

/// A slot with its lives; 16 bytes.
#[derive(Debug)]
enum Living {
    Item { lives: u8, entry: Entry },
    Pages { lives: u8, entries: Arc<Vec<Entry>> },
}

impl Living {
    fn new(slot: Slot) -> Self {
        let lives = LIVES_PUT;
        match slot {
            Slot::Item(entry) => Self::Item { lives, entry },
            Slot::Pages(entries) => Self::Pages { lives, entries },
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

    fn lives(&mut self) -> &mut u8 {
        match self {
            Self::Item { lives, .. } | Self::Pages { lives, .. } => lives,
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
        let lives = living.lives();
        if *lives != LIVES_USED {
            *lives = LIVES_USED;
        }
        Some(living.slot())
    }

    /// Puts a slot of a key that has none.
    pub(super) fn insert(&mut self, hash: u64, slot: Slot, hasher: &RandomState) {
        self.table.insert_unique(hash, Living::new(slot), |other| hasher.hash_one(other.key()));
    }

    /// Takes the slot of a key out.
    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Slot> {
        let (removed, _) = self.table.find_entry(hash, |other| other.key() == key).ok()?.remove();
        if self.table.is_empty() && self.table.num_buckets() > KEPT_BUCKETS_MAX {
            *self = Self::default();
        }
        Some(removed.into_slot())
    }

    /// Takes out a slot that was not used while the hand came by.
    pub(super) fn evict(&mut self) -> Option<Slot> {
        let buckets = self.table.num_buckets();
        // After so many rounds nothing has a life left.
        for _ in 0..=(usize::from(LIVES_USED) + 1) * buckets {
            let here = self.hand;
            self.hand = if here + 1 < buckets { here + 1 } else { 0 };
            let Some(living) = self.table.get_bucket_mut(here) else { continue };
            if let Some(left) = living.lives().checked_sub(1) {
                *living.lives() = left;
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
