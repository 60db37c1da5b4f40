//! `wasmcached migrate`: the database's schema, told or brought up to date.
//!
//! # Not here
//! The steps: `migrations/`, applied by `tier::schema`; `serve` applies the same at its start.

use std::path::PathBuf;

use clap::Args;

use super::ServeError;
use crate::config::RawConfig;

/// Which database; flags win over the environment, the environment over the file.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "WASMCACHED_CONFIG")]
    config: Option<PathBuf>,
    /// Database tier: sqlite:///path or postgres://user:password@host/database
    #[arg(long, value_name = "URL", env = "WASMCACHED_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Tell what would be applied, and change nothing
    #[arg(long)]
    pub check: bool,
}

impl MigrateArgs {
    /// Reads the file and lays environment and flags over it; unchecked.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn load(self) -> Result<RawConfig, ServeError> {
        let file = self.config.as_deref().map(RawConfig::read).transpose()?.unwrap_or_default();
        Ok(file.overlaid_with(RawConfig { database: self.database, ..RawConfig::default() }))
    }
}
