//! The schema of the configured database, for those who want to know before a server starts.

use super::parts::Checked;
use crate::config::{ConfigError, ConfigErrors, RawConfig};
use crate::tier::{self, Address, OpenError};

/// The address of the database that is configured, whatever else is wrong.
///
/// # Errors
/// There is none, or it can't be used.
pub fn database_of(raw: RawConfig) -> Result<Address, ConfigErrors> {
    let wrong =
        |message: String| ConfigErrors(vec![ConfigError { key: "database".to_owned(), message }]);
    let address = raw.database.ok_or_else(|| wrong("is missing".to_owned()))?;
    Address::parse(&address).map_err(|error| wrong(error.to_string()))
}

/// What has been applied to the schema of a database, and what a start would apply.
///
/// # Errors
/// It can't be asked, or the server would refuse it.
pub async fn tell_schema(address: &Address) -> Result<String, OpenError> {
    Ok(tier::check(address).await?.to_string())
}

/// Brings the schema of a database up to date, and tells what was done.
///
/// # Errors
/// The same, a server has it, or a step failed.
pub async fn migrate(address: &Address) -> Result<String, OpenError> {
    let before = tier::inspect(address).await?;
    if !before.pending.is_empty() {
        tier::migrate(address).await?;
    }
    let steps = before.pending.iter();
    let applied = steps.map(|step| format!("applied {} {}\n", step.number, step.title));
    let applied: String = applied.collect();
    Ok(applied + &tell_schema(address).await?)
}

impl Checked {
    /// The database, where there is one.
    pub fn database(&self) -> Option<&Address> {
        self.database.as_ref()
    }
}
