//! Why an operator's command did not do what it was asked.

use super::LineError;
use crate::tier::OpenError;

/// Why a tier could not be looked at, exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is none.
    #[error("database {database} does not exist")]
    Missing {
        /// Where it was looked for.
        database: String,
    },
    /// Its schema has yet to be brought up.
    #[error(
        "schema of database {database} lacks {pending} steps that this binary reads; \
         `wasmcached migrate` or the start of a server takes them"
    )]
    Older {
        /// The database.
        database: String,
        /// How many.
        pending: usize,
    },
    /// A server has been there: what it invalidated is not known to what was exported before.
    #[error(
        "database {database} has been used by a server, {epoch} times; entries are imported into \
         a new one alone, because what was invalidated since the export is not known to them"
    )]
    Used {
        /// The database.
        database: String,
        /// How often.
        epoch: i64,
    },
    /// It was exported while a server could go on changing what was exported.
    #[error(
        "line 1: exported while a server had the database open; what it invalidated since is not \
         known to the export. Stop the server and export again"
    )]
    Unsealed,
    /// A server may have used it while it was exported.
    #[error(
        "database {database} could not be kept from servers to the end of the export, which \
         therefore has none: {reason}. Export again"
    )]
    Unlocked {
        /// The database.
        database: String,
        /// What ended it.
        reason: String,
    },
    /// A line that is not as it was written.
    #[error("line {number}: {source}")]
    Line {
        /// Which, counted from 1.
        number: u64,
        /// What is wrong with it.
        #[source]
        source: LineError,
    },
    /// PostgreSQL.
    #[error("pg_dump is the tool that makes a copy of a PostgreSQL database")]
    NoBackup,
    /// Reading or writing the lines.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
