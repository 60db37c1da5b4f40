//! What an operator chooses of the tier, beside where it lies.

use crate::model::{Durability, WhenDegraded};

/// The tier's settings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// When a commit outlives the machine's power.
    pub durability: Durability,
    /// What changes are answered while nothing can be made durable.
    pub when_degraded: WhenDegraded,
    /// How much is kept.
    pub limits: Limits,
    /// For how long an event is held at most, milliseconds: it is found in the journal for as long.
    pub held_ms_max: u64,
    /// Larger values, bytes, are kept in memory alone.
    pub value_bytes_max: Option<usize>,
    /// Values of so many bytes and more are compressed, by zstd.
    pub compress_bytes_min: Option<usize>,
}

/// How long a commit waits at most, by [`Durability::Interval`].
pub(super) const SYNC_MS: u64 = 1_000;

/// How much is kept; `None` is as much as there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes that are in use: of a SQLite file all of them, of PostgreSQL those of the entries.
    pub bytes_max: Option<u64>,
    /// Rows of entries.
    pub rows_max: Option<u64>,
}
