//! What the memory counts.

use crate::sync::{AtomicU32, AtomicU64};

use prometheus_client::metrics::counter::Counter;

/// Counters of the memory.
#[derive(Debug, Default)]
pub struct Stats {
    /// Entries stored: items and pages.
    pub stores: Counter,
    /// Fills that were not kept because the fence had moved since they began.
    pub refused_fills: Counter,
    /// Stores refused because memory is full and eviction is off.
    pub refused_full: Counter,
    /// Entries found expired and removed.
    pub expired: Counter,
    /// Entries found invalid and removed.
    pub invalid: Counter,
    /// Of the expired ones, those that were found by who looked for them.
    pub read_expired: Counter,
    /// Of the invalid ones, those that were found by who looked for them.
    pub read_invalid: Counter,
    /// Of the expired ones, items that no memcached client had read.
    pub expired_unfetched: Counter,
    /// Sweeps begun.
    pub sweeps: Counter,
    /// Entries that sweeps have judged.
    pub swept: Counter,
    /// When the entry that is used least was last used, in seconds since 1970, as the last sweep
    /// found it; 0 where it found none.
    pub least_used_s: AtomicU32,
    /// Resident bytes that invalidations have made useless and no sweep has given back yet: an
    /// estimate, by the mean size of all entries.
    pub bytes_invalid: AtomicU64,
    /// Invalidations that could be acknowledged.
    pub invalidations: Counter,
    /// Invalidations that could not be made durable.
    pub invalidations_not_durable: Counter,
    /// Keys looked up in the tier.
    pub tier_loads: Counter,
    /// Keys found there.
    pub tier_load_hits: Counter,
    /// Look-ups and writes that the tier answered with an error.
    pub tier_errors: Counter,
}
