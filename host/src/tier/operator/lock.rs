//! Keeping servers out of a database while it is exported.
//!
//! # Invariants
//! - From when it is taken until it is found to be held still, no server has changed anything.

use super::OperatorError;
use crate::tier::address::Address;
use crate::tier::error::OpenError;
use crate::tier::{postgres, sqlite};

/// Keeps servers out for as long as it is there.
pub(super) enum Lock {
    Sqlite(sqlite::Lock),
    Postgres(Box<postgres::Lock>),
}

impl Lock {
    /// `None` where a server has it.
    pub(super) async fn take(address: &Address) -> Result<Option<Self>, OpenError> {
        Ok(match address {
            Address::Sqlite(path) => sqlite::Lock::take(path)?.map(Self::Sqlite),
            Address::Postgres(address) => {
                let taken = postgres::Lock::take(address).await?;
                taken.map(|lock| Self::Postgres(Box::new(lock)))
            }
        })
    }

    /// Finds out whether it has been held until now.
    ///
    /// # Errors
    /// It was lost, or that is not known.
    pub(super) async fn check(&mut self, database: String) -> Result<(), OperatorError> {
        let held = match self {
            Self::Sqlite(lock) => lock.check(),
            Self::Postgres(lock) => lock.check().await,
        };
        held.map_err(|error| OperatorError::Unlocked { database, reason: error.to_string() })
    }
}
