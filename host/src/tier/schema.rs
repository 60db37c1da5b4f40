//! The schema of a database: what of it is there, what would be added, and adding it.
//!
//! # Invariants
//! - Adding ends within [`MIGRATE_MS_MAX`], or nothing of the step under way is kept.
//! - Looking changes nothing.
//!
//! # Not here
//! The schemas themselves: `migrations/`.

use std::fmt;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};

use super::address::Address;
use super::error::OpenError;
use super::{postgres, sqlite};

/// Longest time for all steps together; the server serves nothing meanwhile.
pub(super) const MIGRATE_MS_MAX: u64 = 60_000;

/// Tables of others that are named.
const NAMED_MAX: usize = 5;

/// One step of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStep {
    /// Its number.
    pub number: i64,
    /// What it is about.
    pub title: String,
}

/// How far the schema of a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaReport {
    /// The database, without its password.
    pub database: String,
    /// Steps that have been taken.
    pub applied: Vec<SchemaStep>,
    /// Steps that a start would take.
    pub pending: Vec<SchemaStep>,
}

/// Looks how far the schema of a database is.
///
/// # Errors
/// It can't be asked, is somebody else's, or was written by a newer server.
pub async fn inspect(address: &Address) -> Result<SchemaReport, OpenError> {
    let (known, applied) = match address {
        Address::Sqlite(path) => (sqlite::migrations(), sqlite::applied(path).await?),
        Address::Postgres(address) => (postgres::migrations(), postgres::applied(address).await?),
    };
    SchemaReport::new(address.to_string(), known, &applied)
}

/// The same, and whether a start could write it, as far as that is known without writing, and would
/// take it.
///
/// # Errors
/// The same, or it could not.
pub async fn check(address: &Address) -> Result<SchemaReport, OpenError> {
    if let Address::Sqlite(path) = address {
        sqlite::check_rights(path)?;
    }
    let report = inspect(address).await?;
    if let Address::Postgres(address) = address {
        postgres::check_rights(address, &report).await?;
    }
    if report.pending.is_empty() {
        // Which asks whether an import into it was finished.
        match address {
            Address::Sqlite(path) => drop(sqlite::Reading::open(path).await?),
            Address::Postgres(address) => drop(postgres::Reading::open(address).await?),
        }
    }
    Ok(report)
}

/// Takes the steps that are missing.
///
/// # Errors
/// The same, it is in use by a server, or a step failed.
pub async fn migrate(address: &Address) -> Result<(), OpenError> {
    match address {
        Address::Sqlite(path) => sqlite::migrate(path).await,
        Address::Postgres(address) => postgres::migrate(address).await,
    }
}

impl SchemaReport {
    fn new(database: String, known: &Migrator, applied: &[i64]) -> Result<Self, OpenError> {
        let newest = known.iter().map(|step| step.version).max().unwrap_or(0);
        if let Some(found) = applied.iter().copied().max().filter(|found| *found > newest) {
            return Err(OpenError::Newer { database, found, known: newest });
        }
        let steps = known.iter().map(|step| SchemaStep {
            number: step.version,
            title: step.description.clone().into_owned(),
        });
        let (applied, pending) = steps.partition(|step| applied.contains(&step.number));
        Ok(Self { database, applied, pending })
    }
}

impl fmt::Display for SchemaReport {
    /// A line for the database, and one for each step that is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (applied, pending) = (self.applied.len(), self.pending.len());
        let newest = self.applied.iter().map(|step| step.number).max().unwrap_or(0);
        let database = &self.database;
        write!(f, "database {database}: schema {newest}, {applied} applied, {pending} to apply")?;
        for SchemaStep { number, title } in &self.pending {
            write!(f, "\n  {number} {title}")?;
        }
        Ok(())
    }
}

/// Runs the steps that are missing, within the bound.
pub(super) async fn run_in_time(
    run: impl Future<Output = Result<(), MigrateError>>,
    explain: impl FnOnce(MigrateError) -> OpenError,
    database: impl fmt::Display,
) -> Result<(), OpenError> {
    match tokio::time::timeout(Duration::from_millis(MIGRATE_MS_MAX), run).await {
        Ok(outcome) => outcome.map_err(explain),
        Err(_) => Err(OpenError::Database {
            database: database.to_string(),
            reason: format!("schema is not there after {} s", MIGRATE_MS_MAX / 1_000),
        }),
    }
}

/// Why a schema could not be brought up to date; `told` explains an error of the database itself.
pub(super) fn explain(
    known: &Migrator,
    database: impl fmt::Display,
    error: MigrateError,
    told: impl FnOnce(sqlx::Error) -> OpenError,
) -> OpenError {
    let database = database.to_string();
    let newest = known.iter().map(|migration| migration.version).max().unwrap_or(0);
    match error {
        MigrateError::VersionMissing(found) if found > newest => {
            OpenError::Newer { database, found, known: newest }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => told(error),
        error => OpenError::Foreign { database, reason: error.to_string() },
    }
}

/// The refusal of a database that has these tables of somebody else's.
pub(super) fn foreign(database: String, place: &str, tables: &[String]) -> OpenError {
    let named: Vec<&str> = tables.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = match tables.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = named.join(", ");
    let reason = format!("{place} has tables of another application: {named}{more}");
    OpenError::Foreign { database, reason }
}
