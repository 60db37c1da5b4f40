//! What had to leave for want of room: counted, and shown to one observer.
//!
//! # Invariants
//! - Nothing here runs while a shard is locked.

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::sync::OnceLock;

use super::Slot;
use crate::cache::bits::Bits;
use crate::cache::entry::Entry;
use crate::model::Expiry;

/// Sees every entry that is evicted; called by the thread that needed the room.
pub type EvictionObserver = Box<dyn Fn(&Entry) + Send + Sync>;

/// Counts of evictions; each is of keys, but for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evictions {
    /// All of them.
    pub keys: u64,
    /// Items that no memcached client had read since they were stored.
    pub unfetched: u64,
    /// Those that would have expired some time.
    pub expiring: u64,
    /// For how long the last of them had not been used, in seconds.
    pub idle_s: u32,
}

/// The counters, and the observer.
#[derive(Default)]
pub(super) struct Evicted {
    keys: AtomicU64,
    unfetched: AtomicU64,
    expiring: AtomicU64,
    idle_s: AtomicU32,
    observer: OnceLock<EvictionObserver>,
}

impl Evicted {
    /// Has an observer see what is evicted from now on; the first one stays.
    pub(super) fn observe(&self, observer: EvictionObserver) {
        let _ = self.observer.set(observer);
    }

    /// Takes note of what was evicted. `now_s` is when the slot that took its place was last
    /// used, which is now for all that is new; it saves reading the clock.
    pub(super) fn note(&self, evicted: &[Slot], now_s: Option<u32>) {
        for slot in evicted {
            self.keys.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = slot.entries().last() else { continue };
            // Reading a page leaves no mark.
            if matches!(slot, Slot::Item(_)) && !entry.bits().has(Bits::FETCHED) {
                self.unfetched.fetch_add(1, Ordering::Relaxed);
            }
            if entry.expires() != Expiry::NEVER {
                self.expiring.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(now_s) = now_s {
                self.idle_s.store(now_s.saturating_sub(entry.accessed_s()), Ordering::Relaxed);
            }
            if let Some(observer) = self.observer.get() {
                slot.entries().iter().for_each(observer);
            }
        }
    }

    pub(super) fn counts(&self) -> Evictions {
        Evictions {
            keys: self.keys.load(Ordering::Relaxed),
            unfetched: self.unfetched.load(Ordering::Relaxed),
            expiring: self.expiring.load(Ordering::Relaxed),
            idle_s: self.idle_s.load(Ordering::Relaxed),
        }
    }
}
