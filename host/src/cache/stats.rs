//! What the memory counts.

use prometheus_client::metrics::counter::Counter;

/// Counters of the memory; each thing that happens raises exactly one of them.
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
    /// Acknowledged invalidations.
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
