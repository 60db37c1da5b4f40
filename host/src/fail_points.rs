//! Points at which a crash test ends the process, as `kill -9` would. Only a build with the
//! feature `failpoints` has them; in the binary that people get they are nothing.
//!
//! # Invariants
//! - `Point::ALL` names every point; a build that has them prints the list at start, so that no
//!   test can overlook one.
//! - Dying is SIGKILL: nothing is flushed, dropped or unwound.
//!
//! # Not here
//! When which point is armed: the environment's `FAILPOINTS` says so.

/// Declares the points with their names, and the list of them.
macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)+) => {
        /// A place where a crash would hurt.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Point {
            $($(#[$doc])* $point,)+
        }

        #[cfg(feature = "failpoints")]
        impl Point {
            const ALL: &[Self] = &[$(Self::$point,)+];

            const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// The database's file exists, empty.
    FileCreated = "file-created",
    /// The file is marked as ours and has no tables.
    FileMarked = "file-marked",
    /// The schema is the newest.
    Migrated = "migrated",
    /// The epoch is raised; nothing of the fence is known yet.
    EpochRaised = "epoch-raised",
    /// The fence has been read; nothing is served yet.
    FenceRead = "fence-read",
    /// An invalidation has its sequence, the writer does not know of it.
    SequenceTaken = "sequence-taken",
    /// An invalidation waits for the writer.
    RecordQueued = "record-queued",
    /// A key whose rows are out of date waits for the writer.
    KeyQueued = "key-queued",
    /// The writer has taken a batch and asked memory for its rows.
    BatchTaken = "batch-taken",
    /// The batch's transaction is open.
    BatchBegun = "batch-begun",
    /// The old rows of a key are gone, the new ones not written.
    RowsDeleted = "rows-deleted",
    /// All rows of the batch are written, none of its records.
    RowsWritten = "rows-written",
    /// A record is in the journal, not in the fence.
    RecordInserted = "record-inserted",
    /// Everything is written, nothing committed.
    RecordsWritten = "records-written",
    /// The batch is durable, nobody knows.
    BatchCommitted = "batch-committed",
    /// An invalidation is applied in memory; its answer may be on its way.
    RecordApplied = "record-applied",
    /// Everybody who waited for the batch has been told.
    BatchSettled = "batch-settled",
    /// Rows of a key have been found in the database.
    RowsFound = "rows-found",
    /// Some of the rows that ended are gone.
    RowsCulled = "rows-culled",
    /// The oldest birth is published, the fence has not been compacted.
    OldestPublished = "oldest-published",
    /// The fence is compacted, the journal not.
    FenceCompacted = "fence-compacted",
    /// Everything queued is written, the database is about to be closed.
    WriterEnding = "writer-ending",
    /// It is known what an event makes wrong; nothing is done.
    EventPlanned = "event-planned",
    /// What an event makes wrong is gone; its values are not written.
    EventApplied = "event-applied",
    /// An event's values are written; its sender has no answer.
    EventPut = "event-put",
    /// A held event is due.
    HoldDue = "hold-due",
    /// A held event has been applied again.
    HoldApplied = "hold-applied",
}

/// Ends the process here if this point is armed.
#[inline]
pub(crate) fn reach(point: Point) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(point.name(), |_| die());
    #[cfg(not(feature = "failpoints"))]
    let _ = point;
}

#[cfg(feature = "failpoints")]
fn die() {
    let own = rustix::process::getpid();
    // It does not return; if it did, the next line would still end the process.
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    std::process::abort();
}

/// Arms what the environment's `FAILPOINTS` names (`batch-taken=3*off->return;…`, as the crate
/// `fail` reads it) and returns the names of all points.
///
/// # Errors
/// A name that is not one, or what is to happen there can't be read.
#[cfg(feature = "failpoints")]
pub fn arm() -> Result<Vec<&'static str>, String> {
    let names: Vec<&str> = Point::ALL.iter().map(|point| point.name()).collect();
    let asked = std::env::var("FAILPOINTS").unwrap_or_default();
    for part in asked.split(';').filter(|part| !part.is_empty()) {
        let (name, actions) =
            part.split_once('=').ok_or_else(|| format!("FAILPOINTS: `{part}` has no `=`"))?;
        if !names.contains(&name) {
            return Err(format!("FAILPOINTS: `{name}` is not a fail point"));
        }
        fail::cfg(name, actions).map_err(|why| format!("FAILPOINTS: `{part}`: {why}"))?;
    }
    Ok(names)
}
