//! What a plugin may use.
//!
//! # Invariants
//! - Every limit has a default, and none is above what the model's types allow.
//!
//! # Not here
//! Reading them from a configuration: `config`. Holding a guest to them: `instance`, `convert`.

use crate::limits::{KEY_BYTES_MAX, TAGS_BY_PLUGIN_MAX, TARGETS_PER_INVALIDATION_MAX};

/// What a plugin may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLimits {
    /// Memory of one instance, in bytes. An upper bound: a Rust guest takes 1 MiB of it, CPython
    /// begins with 12.
    pub memory_bytes_max: usize,
    /// Time for a key, in milliseconds; the request's thread waits for it.
    pub key_ms_max: u64,
    /// Time for storing a page or an item, in milliseconds.
    pub store_ms_max: u64,
    /// Time for an event, in milliseconds.
    pub event_ms_max: u64,
    /// Time to take its settings, and again to describe itself, in milliseconds.
    pub start_ms_max: u64,
    /// Longest key that it may give, in bytes.
    pub key_bytes_max: usize,
    /// Most tags that it may give one entry.
    pub tags_max: usize,
    /// Most actions of one event.
    pub actions_max: usize,
    /// Most lines of its log in one second; more are counted and dropped.
    pub log_lines_max: u32,
    /// Whether an event may invalidate everything.
    pub allow_everything: AllowEverything,
}

/// Whether an event may invalidate everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllowEverything {
    /// It is refused.
    #[default]
    No,
    /// It is done.
    Yes,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 * 1024 * 1024,
            key_ms_max: 2,
            store_ms_max: 50,
            event_ms_max: 2_000,
            start_ms_max: 5_000,
            // A key that is a URL may be as long as one.
            key_bytes_max: KEY_BYTES_MAX,
            tags_max: TAGS_BY_PLUGIN_MAX,
            actions_max: TARGETS_PER_INVALIDATION_MAX,
            log_lines_max: 100,
            allow_everything: AllowEverything::No,
        }
    }
}
