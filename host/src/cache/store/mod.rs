//! Concurrent look-up and eviction within a byte budget.
//!
//! # Invariants
//! - What was put is readable at once, and is passed over once at least when room is made for what
//!   is put after it, unless everything else is used more.
//! - The budget charges the resident cost of an entry (`budget`), not only its value, and is kept
//!   by every put before it returns.
//! - A lock is held for one look-up or one change, never while an entry is dropped.
//!
//! # Not here
//! Freshness and expiry; and that changes of one key happen one after another (`Shared::stripe`).

mod evicted;
mod shard;
#[cfg(test)]
mod tests;
mod usage;

use crate::sync::{AtomicBool, AtomicU64, Ordering};
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::sync::Mutex;
use foldhash::fast::RandomState;

use super::budget;
use super::entry::Entry;
use crate::model::Key;
use evicted::Evicted;
use shard::Shard;
use usage::Past;

pub use evicted::{EvictionObserver, Evictions};
pub(crate) use usage::HEAT_PER_USE;

/// Most shards; a look-up locks one of them for some tens of nanoseconds.
const SHARDS_MAX: u64 = 1024;

/// Fewest shards.
const SHARDS_MIN: u64 = 16;

/// A shard holds so much at least: among few slots, the least used ones are hard to tell.
const SHARD_BYTES_MIN: u64 = 64 * 1024;

/// When the budget shrinks, each shard gives up so many slots before it is the next one's turn.
const SLOTS_PER_TURN: usize = 16;

/// What is stored under one key.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// An item.
    Item(Entry),
    /// The variants of a page, oldest first; never none.
    Pages(Arc<Vec<Entry>>),
}

impl Slot {
    /// Every entry in it.
    pub(crate) fn entries(&self) -> &[Entry] {
        match self {
            Self::Item(entry) => std::slice::from_ref(entry),
            Self::Pages(entries) => entries,
        }
    }

    /// The key it is stored under.
    pub(crate) fn key(&self) -> &[u8] {
        self.entries().first().map(Entry::key).unwrap_or_default()
    }
}

/// A key, and how much it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hot {
    /// Uses, the earlier ones counting less; see [`HEAT_PER_USE`].
    pub heat: u32,
    /// The key.
    pub key: Key,
}

/// Entries by key, within a byte budget.
pub(crate) struct Store {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    bytes_max: AtomicU64,
    bytes: AtomicU64,
    len: AtomicU64,
    /// Whether uses are counted: they cost readers a little.
    is_counting: AtomicBool,
    evicted: Evicted,
}

impl Store {
    /// An empty store of at most `bytes_max` resident bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let shards = (bytes_max / SHARD_BYTES_MIN).clamp(SHARDS_MIN, SHARDS_MAX);
        Self {
            shards: (0..shards.next_power_of_two()).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            bytes_max: AtomicU64::new(bytes_max),
            bytes: AtomicU64::new(0),
            len: AtomicU64::new(0),
            is_counting: AtomicBool::new(false),
            evicted: Evicted::default(),
        }
    }

    /// What is stored under `key`, valid or not; counts as a use of it.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Slot> {
        let hash = self.hasher.hash_one(key);
        self.shard(hash).lock().get(hash, key)
    }

    /// Like [`Store::get`], but no use of it: for work that no client waits for.
    pub(crate) fn look(&self, key: &[u8]) -> Option<Slot> {
        let hash = self.hasher.hash_one(key);
        self.shard(hash).lock().look(hash, key)
    }

    /// Replaces what is stored under the slot's key, and evicts what there is no room for. How hot
    /// the key is stays as it was.
    pub(crate) fn put(&self, slot: Slot) {
        let hash = self.hasher.hash_one(slot.key());
        let bytes = budget::slot_bytes(&slot);
        let now_s = slot.entries().last().map(Entry::accessed_s);
        // Both are dropped when the lock is free again.
        let mut out = Vec::new();
        let (old, past);
        {
            let mut shard = self.shard(hash).lock();
            (old, past) = shard.remove(hash, slot.key()).unzip();
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            match &old {
                Some(old) => {
                    self.bytes.fetch_sub(budget::slot_bytes(old), Ordering::Relaxed);
                }
                None => {
                    self.len.fetch_add(1, Ordering::Relaxed);
                }
            }
            // Before it is put, so that it does not make room for itself.
            self.evict(&mut shard, usize::MAX, &mut out);
            // Asked under the lock, which comes before or after the first round of this shard.
            let unused = match self.is_counting.load(Ordering::Relaxed) {
                true => Past::NONE,
                false => Past::NOT_COUNTED,
            };
            shard.insert(hash, slot, past.unwrap_or(unused), &self.hasher);
        }
        if self.is_over() {
            self.evict_elsewhere(hash, &mut out);
        }
        self.evicted.note(&out, now_s);
    }

    /// Removes and returns what is stored under `key`.
    pub(crate) fn remove(&self, key: &[u8]) -> Option<Slot> {
        let hash = self.hasher.hash_one(key);
        let (removed, _) = self.shard(hash).lock().remove(hash, key)?;
        self.bytes.fetch_sub(budget::slot_bytes(&removed), Ordering::Relaxed);
        self.len.fetch_sub(1, Ordering::Relaxed);
        Some(removed)
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Everything stored in one of the shards.
    pub(crate) fn shard_slots(&self, number: usize) -> Vec<Slot> {
        self.shards.get(number).map(|shard| shard.lock().slots()).unwrap_or_default()
    }

    /// Everything stored; sees what was there throughout and may or may not see the rest.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..self.shards()).flat_map(|number| self.shard_slots(number))
    }

    /// Makes what is stored under `key` hotter; a use is [`HEAT_PER_USE`].
    pub(crate) fn add_heat(&self, key: &[u8], more: u32) {
        let hash = self.hasher.hash_one(key);
        self.shard(hash).lock().add_heat(hash, key, more);
    }

    /// Has uses counted from now on: begins the first round.
    pub(crate) fn count_uses(&self) {
        self.is_counting.store(true, Ordering::Relaxed);
        self.shards.iter().for_each(|shard| shard.lock().begin_rounds());
    }

    /// Ends a round of uses in one of the shards, which is locked for some ten nanoseconds per
    /// slot. Adds its keys whose heat is above `above` to `found`.
    pub(crate) fn end_round(&self, number: usize, above: u32, found: &mut Vec<Hot>) {
        if let Some(shard) = self.shards.get(number) {
            shard.lock().end_round(above, found);
        }
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Resident bytes charged.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The budget.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max.load(Ordering::Relaxed)
    }

    /// Changes the budget, and evicts down to it, from all shards alike. Takes its time where much
    /// is to be evicted; not for an I/O thread.
    pub(crate) fn set_bytes_max(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
        let mut is_any_left = true;
        while self.is_over() && is_any_left {
            is_any_left = false;
            for shard in &self.shards {
                let mut out = Vec::new();
                self.evict(&mut shard.lock(), SLOTS_PER_TURN, &mut out);
                is_any_left |= !out.is_empty();
                self.evicted.note(&out, None);
            }
        }
    }

    /// Slots evicted for want of room.
    pub(crate) fn evictions(&self) -> Evictions {
        self.evicted.counts()
    }

    /// Has an observer see what is evicted from now on; the first one stays.
    pub(crate) fn observe_evictions(&self, observer: EvictionObserver) {
        self.evicted.observe(observer);
    }

    #[allow(clippy::indexing_slicing, reason = "the number is below that of the shards")]
    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[self.number_of(hash)]
    }

    /// The shard of a hash: by bits that the index within a shard does not look at.
    fn number_of(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.shards.len() - 1)
    }

    fn is_over(&self) -> bool {
        self.bytes() > self.bytes_max()
    }

    /// Evicts from a shard until the budget is kept, `slots_max` slots at most.
    fn evict(&self, shard: &mut Shard, slots_max: usize, out: &mut Vec<Slot>) {
        for _ in 0..slots_max {
            if !self.is_over() {
                return;
            }
            let Some(evicted) = shard.evict() else { return };
            self.bytes.fetch_sub(budget::slot_bytes(&evicted), Ordering::Relaxed);
            self.len.fetch_sub(1, Ordering::Relaxed);
            out.push(evicted);
        }
    }

    /// Evicts from the shards behind that of a hash, once around without it.
    fn evict_elsewhere(&self, hash: u64, out: &mut Vec<Slot>) {
        let (before, behind) = self.shards.split_at(self.number_of(hash));
        for shard in behind.iter().skip(1).chain(before) {
            if !self.is_over() {
                return;
            }
            self.evict(&mut shard.lock(), usize::MAX, out);
        }
    }
}

/// What the store itself takes for a slot.
pub(super) const SLOT_BYTES: usize = shard::SLOT_BYTES;
