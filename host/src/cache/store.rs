//! Concurrent look-up and eviction within a byte budget; the only file that names moka.
//!
//! # Invariants
//! - What was put is readable until it is evicted as the least recently used: the policy is LRU,
//!   because moka's default admission refuses newcomers while memory is full.
//! - The budget charges the resident cost of an entry (`budget`), not only its value.
//! - Eviction lags behind by at most [`UNSETTLED_BYTES_MAX`] and moka's own write buffer.
//!
//! # Not here
//! Freshness and expiry: moka orders nothing between a fill and an invalidation, and its clock
//! can't be set from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::budget;
use super::entry::Handle;
use crate::model::Key;

/// So many bytes may be put before eviction is made to catch up.
const UNSETTLED_BYTES_MAX: u64 = 1024 * 1024;

/// What is stored under one key.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// An item.
    Item(Handle),
    /// The variants of a page, oldest first.
    Pages(Arc<[Handle]>),
}

impl Slot {
    /// Every entry in it.
    pub(crate) fn entries(&self) -> &[Handle] {
        match self {
            Self::Item(entry) => std::slice::from_ref(entry),
            Self::Pages(entries) => entries,
        }
    }
}

/// Entries by key, within a byte budget.
pub(crate) struct Store {
    slots: Cache<Key, Slot, RandomState>,
    unsettled_bytes: AtomicU64,
    evictions: Arc<AtomicU64>,
}

impl Store {
    /// An empty store of at most `bytes_max` resident bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evictions);
        let slots = Cache::builder()
            .max_capacity(bytes_max)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|key: &Key, slot: &Slot| {
                u32::try_from(budget::slot_bytes(key, slot)).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(RandomState::default());
        Self { slots, unsettled_bytes: AtomicU64::new(0), evictions }
    }

    /// What is stored under `key`, valid or not.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Slot> {
        self.slots.get(key)
    }

    /// Replaces what is stored under `key`.
    pub(crate) fn put(&self, key: Key, slot: Slot) {
        let bytes = budget::slot_bytes(&key, &slot);
        self.slots.insert(key, slot);
        if self.unsettled_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > UNSETTLED_BYTES_MAX {
            self.unsettled_bytes.store(0, Ordering::Relaxed);
            self.slots.run_pending_tasks();
        }
    }

    /// Removes and returns what is stored under `key`.
    pub(crate) fn remove(&self, key: &[u8]) -> Option<Slot> {
        self.slots.remove(key)
    }

    /// Everything stored; sees what was there throughout and may or may not see the rest.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Arc<Key>, Slot)> + '_ {
        self.slots.iter()
    }

    /// Lets eviction catch up, so that the counts below are exact.
    pub(crate) fn settle(&self) {
        self.slots.run_pending_tasks();
    }

    /// Number of keys, as of the last settling.
    pub(crate) fn len(&self) -> u64 {
        self.slots.entry_count()
    }

    /// Resident bytes charged, as of the last settling.
    pub(crate) fn bytes(&self) -> u64 {
        self.slots.weighted_size()
    }

    /// Slots evicted for want of room.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}
