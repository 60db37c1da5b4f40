//! `wasmcached import`: taking over what another cache holds.
//!
//! # Invariants
//! - The last lines printed are the counts; what could not be taken over is among them.
//!
//! # Not here
//! How it is read and stored (`import`).

use std::io::Write as _;

use clap::{Args, Subcommand};

use crate::import::{self, DjangoTable, ImportError, Report, Zone};
use crate::tier::{Address, AddressError};

/// Which cache is taken over.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Copy the table of Django's DatabaseCache into a running server, for its memcached backends
    DjangoTable(DjangoTableArgs),
}

/// `wasmcached import django-table`.
#[derive(Debug, Args)]
pub struct DjangoTableArgs {
    /// Database of the Django project: sqlite:///path or postgres://user:password@host/name
    #[arg(long, value_name = "URL", env = "WASMCACHED_IMPORT_DATABASE", hide_env_values = true)]
    database: String,
    /// The table, as in the `LOCATION` of Django's `CACHES`
    #[arg(long, value_name = "NAME", default_value = "django_cache")]
    table: String,
    /// The project has `USE_TZ = False`: times in a SQLite table are of this machine's zone
    #[arg(long)]
    local_time: bool,
    /// memcached address of the server
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:11211")]
    memcached: String,
}

/// Why an import did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportFailure {
    /// The address is none.
    #[error("database {0}")]
    Address(#[from] AddressError),
    /// Reading or storing.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Some values were refused.
    #[error("server refused {refused} values, the last one with {reason:?}")]
    Refused {
        /// How many.
        refused: u64,
        /// What it said to the last.
        reason: String,
    },
    /// The report could not be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl ImportCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// The import did not come to its end, or values were refused.
    pub async fn run(self) -> Result<(), ImportFailure> {
        let Self::DjangoTable(args) = self;
        let database = Address::parse(&args.database)?;
        let from = DjangoTable {
            database: &database,
            table: &args.table,
            zone: if args.local_time { Zone::Local } else { Zone::Utc },
            server: &args.memcached,
        };
        tell(&import::django_table(&from).await?)
    }
}

fn tell(report: &Report) -> Result<(), ImportFailure> {
    let Report { stored, kept, expired, bad_keys, damaged, refused, last_refusal } = report;
    let mut out = std::io::stdout().lock();
    for (count, what) in [
        (stored, "stored"),
        (kept, "left as the server has them"),
        (expired, "expired"),
        (bad_keys, "with keys that memcached does not take"),
        (damaged, "damaged"),
        (refused, "refused"),
    ] {
        writeln!(out, "{count:>10} {what}")?;
    }
    match last_refusal {
        Some(reason) => Err(ImportFailure::Refused { refused: *refused, reason: reason.clone() }),
        None => Ok(()),
    }
}
