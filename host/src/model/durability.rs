//! What an acknowledged change outlasts, as the operator chooses it for the tier.

/// When an acknowledged change outlives the machine's power. The end of the server's process alone
/// undoes none, by either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is acknowledged: SQLite's `synchronous = FULL`, PostgreSQL's `synchronous_commit` as
    /// its server has it, but on where it is off.
    #[default]
    Each,
    /// Within a second: SQLite's `synchronous = NORMAL` and a checkpoint as often, PostgreSQL's
    /// `synchronous_commit = off`, which writes out three times its `wal_writer_delay` later. What
    /// is undone then are the last changes, all after some moment: rows are never newer than the
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
