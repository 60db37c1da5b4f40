//! Why a database can't be used.
//!
//! # Invariants
//! - A database is named by its file's path, or by its address without the password.

use std::path::PathBuf;

use sqlx::postgres::PgDatabaseError;

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
    /// Ours, and not as it was written.
    #[error("database {database} is damaged: {reason}")]
    Damaged {
        /// The database.
        database: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else's.
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
    /// It has a part of an import, or all of it without what has to come along.
    #[error("an import into database {database} was not finished; import again, or delete it")]
    Importing {
        /// The database.
        database: String,
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

/// What a database says, without the line of its own source that PostgreSQL names.
pub(super) fn words(error: &sqlx::Error) -> String {
    match error {
        // The one row that is asked for, and not counted or looked for.
        sqlx::Error::RowNotFound => "its row with the epoch is missing".to_owned(),
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => format!("{} ({})", error.message(), error.code()),
            None => error.to_string(),
        },
        error => error.to_string(),
    }
}
