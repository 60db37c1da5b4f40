//! Why an operator's command did not do what it was asked.

use std::path::PathBuf;

use super::LineError;
use crate::tier::OpenError;

/// Why a tier could not be looked at, exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is none.
    #[error("database {path} does not exist")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Its schema has yet to be brought up.
    #[error(
        "database {path} has schema {found}; this binary reads schema {known}, to which a server \
         brings it when it starts"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The schema's number.
        found: i64,
        /// The one that can be read.
        known: i64,
    },
    /// A server has been there: what it invalidated is not known to what was exported before.
    #[error(
        "database {path} has been used by a server, {epoch} times; entries are imported into a new \
         one alone, because what was invalidated since the export is not known to them"
    )]
    Used {
        /// The file.
        path: PathBuf,
        /// How often.
        epoch: u32,
    },
    /// It was exported while a server could go on changing what was exported.
    #[error(
        "line 1: exported while a server had the database open; what it invalidated since is not \
         known to the export. Stop the server and export again"
    )]
    Unsealed,
    /// A line that is not as it was written.
    #[error("line {number}: {source}")]
    Line {
        /// Which, counted from 1.
        number: u64,
        /// What is wrong with it.
        #[source]
        source: LineError,
    },
    /// Reading or writing the lines.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
