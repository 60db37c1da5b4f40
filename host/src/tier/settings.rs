//! What an operator chooses of the tier, beside where it lies.

/// The tier's settings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// When a commit outlives the machine's power.
    pub durability: Durability,
    /// What changes are answered while nothing can be made durable.
    pub when_degraded: WhenDegraded,
    /// How much is kept.
    pub limits: Limits,
    /// Larger values, bytes, are kept in memory alone.
    pub value_bytes_max: Option<usize>,
    /// Values of so many bytes and more are compressed, by zstd.
    pub compress_bytes_min: Option<usize>,
}

/// When a commit outlives the machine's power. The end of this process alone undoes none, by
/// either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// At once: SQLite's `synchronous = FULL`, PostgreSQL's `synchronous_commit` as its server has
    /// it, but on where it is off.
    #[default]
    Each,
    /// Within a second: SQLite's `synchronous = NORMAL` and a checkpoint as often, PostgreSQL's
    /// `synchronous_commit = off`, which writes out three times its `wal_writer_delay` later. What
    /// is undone then are the last commits, all after some moment: rows are never newer than the
    /// invalidations before them.
    Interval,
}

/// What changes are answered while the database does not work. They are in force by either, and
/// written as soon as it works again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenDegraded {
    /// Errors: who sees none may rely on the change whatever happens.
    #[default]
    Refuse,
    /// Success, with the word that a crash may undo them.
    Accept,
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
