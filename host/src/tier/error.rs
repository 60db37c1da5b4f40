//! Why a database can't be used.
//!
//! # Invariants
//! - A database is named by its file's path, or by its address without the password.

use std::path::PathBuf;

/// Why a database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is nowhere to put the file.
    #[error("folder {folder} of the database does not exist")]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The file or its folder, or the tables, can't be written.
    #[error("database {database} can't be written: {reason}")]
    Unwritable {
        /// The database.
        database: String,
        /// The system's or the database's words.
        reason: String,
    },
    /// Another server has it.
    #[error("database {database} is in use by another server")]
    InUse {
        /// The database.
        database: String,
    },
    /// Damaged, or somebody else's.
    #[error("database {database} is not one of wasmcached: {reason}")]
    Foreign {
        /// The database.
        database: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a newer server.
    #[error("database {database} has schema {found}; this server knows schemas up to {known}")]
    Newer {
        /// The database.
        database: String,
        /// The schema's number.
        found: i64,
        /// The newest that this server knows.
        known: i64,
    },
    /// Anything else that the database says.
    #[error("database {database}: {reason}")]
    Database {
        /// The database.
        database: String,
        /// Its words.
        reason: String,
    },
}
