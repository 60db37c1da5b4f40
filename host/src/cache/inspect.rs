//! Looking in from outside: listings, and why something is cached or not.

use crate::sync::Ordering;
use std::collections::BTreeMap;

use super::budget;
use super::entry::Entry;
use super::fence::{Verdict, cells_max};
use super::store::Slot;
use super::tier::{Row, Source};
use super::{Cache, EvictionObserver, Evictions, Shared, WhenFull};
use crate::model::{Cause, Expiry, Key, Sequence, Tag};

/// One key of a listing.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The key.
    pub key: Key,
    /// Bytes of the bodies under it.
    pub body_bytes: usize,
    /// When the last of them expires.
    pub expires: Expiry,
    /// The tags of all.
    pub tags: Vec<Tag>,
}

/// A page of a listing, ordered by key.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The keys.
    pub keys: Vec<Listed>,
    /// Whether there are more behind the last of them.
    pub is_cut: bool,
}

/// What ended an entry.
#[derive(Debug, Clone)]
pub struct Death {
    /// At which position.
    pub sequence: Sequence,
    /// Who caused the invalidation, as far as remembered.
    pub cause: Option<Cause>,
}

/// What is known about a key.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The entries in memory, each with what the rule says about it; not yet swept ones included.
    pub entries: Vec<(Entry, Verdict)>,
    /// What last ended an entry of this key, as far as remembered.
    pub death: Option<Death>,
    /// The watermark.
    pub applied: Sequence,
}

impl Cache {
    /// Live keys in memory after `cursor` that begin with `prefix` and carry `tag`, at most
    /// `limit`, in the order of their bytes. Scans the memory; not for an I/O thread.
    pub fn list(
        &self,
        prefix: &[u8],
        tag: Option<&Tag>,
        limit: usize,
        cursor: Option<&Key>,
    ) -> Listing {
        let mut found: BTreeMap<Key, Listed> = BTreeMap::new();
        let mut is_cut = false;
        for slot in self.shared.store.iter() {
            let is_behind = cursor.is_none_or(|cursor| slot.key() > cursor.as_bytes());
            let Ok(key) = Key::new(slot.key()) else { continue };
            if !is_behind || !slot.key().starts_with(prefix) {
                continue;
            }
            let live = slot.entries().iter();
            let live = live.filter(|entry| self.shared.is_live(key.as_bytes(), entry));
            let live: Vec<&Entry> = live.collect();
            let is_tagged = tag.is_none_or(|tag| live.iter().any(|e| e.tags().contains(tag)));
            if live.is_empty() || !is_tagged {
                continue;
            }
            let one = listed(key.clone(), &live);
            found.insert(key, one);
            if found.len() > limit {
                found.pop_last();
                is_cut = true;
            }
        }
        Listing { keys: found.into_values().collect(), is_cut }
    }

    /// Everything that is known about a key.
    pub fn explain(&self, key: &Key) -> Explanation {
        let shared = &self.shared;
        let entries: Vec<(Entry, Verdict)> = shared
            .store
            .get(key.as_bytes())
            .iter()
            .flat_map(|slot| slot.entries())
            .map(|e| (e.clone(), shared.fence.judge(key.as_bytes(), e.marks())))
            .collect();
        let killers =
            entries.iter().filter_map(|(e, _)| shared.fence.killer(key.as_bytes(), e.marks()));
        let last = killers.max().or_else(|| shared.history.death(key));
        let death = last.map(|sequence| Death { sequence, cause: shared.history.cause(sequence) });
        Explanation { entries, death, applied: shared.fence.applied() }
    }

    /// Number of keys in memory, valid or not yet swept; exact.
    pub fn len(&self) -> u64 {
        self.shared.store.len()
    }

    /// Whether memory holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Resident bytes charged to the budget.
    pub fn bytes(&self) -> u64 {
        self.shared.store.bytes()
    }

    /// Resident bytes of what memory holds under a key, valid or not.
    pub fn bytes_of(&self, key: &[u8]) -> u64 {
        self.shared.store.look(key).as_ref().map_or(0, budget::slot_bytes)
    }

    /// The budget: resident bytes that entries may take.
    pub fn memory_bytes(&self) -> u64 {
        self.shared.memory_bytes()
    }

    /// Changes the budget; evicts down to it, unless eviction is off. Not for an I/O thread.
    pub fn set_memory_bytes(&self, memory_bytes: u64) {
        self.shared.memory_bytes.store(memory_bytes, Ordering::Relaxed);
        self.shared.fence.set_cells_max(cells_max(memory_bytes));
        if self.shared.config.when_full == WhenFull::Evict {
            self.shared.store.set_bytes_max(memory_bytes);
        }
    }

    /// How many parts the memory has, for [`Cache::shard_entries`].
    pub fn shards(&self) -> usize {
        self.shared.store.shards()
    }

    /// Resident bytes charged for an entry under its own key.
    pub fn charged_bytes(entry: &Entry) -> u64 {
        budget::entry_bytes(entry)
    }

    /// The live entries in one part of the memory: to go through all of it without holding it up.
    pub fn shard_entries(&self, number: usize) -> Vec<Entry> {
        let slots = self.shared.store.shard_slots(number);
        let entries = slots.iter().flat_map(Slot::entries);
        entries.filter(|entry| self.shared.is_live(entry.key(), entry)).cloned().collect()
    }

    /// Keys evicted for want of room.
    pub fn evictions(&self) -> u64 {
        self.eviction_counts().keys
    }

    /// What was evicted, in more detail.
    pub fn eviction_counts(&self) -> Evictions {
        self.shared.store.evictions()
    }

    /// Has an observer see every entry that is evicted from now on; the first one stays. It is
    /// called by the thread that needed the room and must not block.
    pub fn observe_evictions(&self, observer: EvictionObserver) {
        self.shared.store.observe_evictions(observer);
    }

    /// Bounds the fence by less than the budget does.
    #[cfg(test)]
    pub(crate) fn set_fence_cells_max(&self, cells_max: usize) {
        self.shared.fence.set_cells_max(cells_max);
    }

    /// Rows that the fence holds, but for those of keys.
    pub fn fence_rows(&self) -> usize {
        self.shared.fence.rows()
    }

    /// Removed keys that the fence remembers for fills in flight.
    pub fn fence_key_rows(&self) -> usize {
        self.shared.fence.key_rows()
    }

    /// The watermark: every invalidation up to it is visible.
    pub fn applied(&self) -> Sequence {
        self.shared.fence.applied()
    }
}

impl Shared {
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }
}

impl Source for Shared {
    fn rows(&self, key: &Key) -> Vec<Row> {
        let Some(slot) = self.store.look(key.as_bytes()) else { return Vec::new() };
        let live = slot.entries().iter();
        // Softly purged ones are left out: a purge by key makes them stale in memory alone, and the
        // tier would bring them back fresh.
        live.filter(|entry| self.is_fresh(key.as_bytes(), entry))
            .map(|entry| Row {
                content: entry.content(),
                cas: entry.cas(),
                birth: entry.birth(),
                stored_ms: entry.stored_ms(),
            })
            .collect()
    }

    fn holds(&self, key: &Key) -> bool {
        self.store.look(key.as_bytes()).is_some()
    }
}

fn listed(key: Key, entries: &[&Entry]) -> Listed {
    let mut tags: Vec<Tag> = entries.iter().flat_map(|entry| entry.tags()).cloned().collect();
    tags.sort();
    tags.dedup();
    let last = entries.iter().max_by_key(|e| e.expires().as_ms().unwrap_or(u64::MAX));
    Listed {
        key,
        body_bytes: entries.iter().map(|entry| entry.body().len()).sum(),
        expires: last.map_or(Expiry::NEVER, |entry| entry.expires()),
        tags,
    }
}
