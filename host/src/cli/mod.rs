//! The command line.
//!
//! # Invariants
//! - Exit codes: 0 done, 1 not done, 64 bad usage or configuration (EX_USAGE of sysexits.h).
//!
//! # Not here
//! The server (`app`), the demo, what components answer (`plugins::workbench`), databases
//! (`tier::operator`), and other caches (`import`).

mod client;
mod import;
mod migrate;
mod plugin;
mod serve;
mod tier;

use std::error::Error;

use clap::{Parser, Subcommand};

pub use client::{ClientArgs, ClientCommand, ClientFailure};
pub use import::{ImportCommand, ImportFailure};
pub use migrate::MigrateArgs;
pub use plugin::{PluginCommand, PluginFailure};
pub use serve::{ServeArgs, ServeError};
pub use tier::{TierCommand, TierFailure};

/// Exit code for bad usage and bad configuration.
pub const EXIT_USAGE: u8 = 64;

/// A memcached server, an HTTP page cache and an invalidation service in one.
#[derive(Debug, Parser)]
#[command(name = "wasmcached", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(Box<ServeArgs>),
    /// Bring the database's schema up to date, as `serve` does at its start
    Migrate(MigrateArgs),
    /// Run a sample application behind the server, everything on loopback
    Demo(DemoArgs),
    /// Make, check and load plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Look into a database tier, copy it, move it
    #[command(subcommand)]
    Tier(TierCommand),
    /// Take over what another cache holds
    #[command(subcommand)]
    Import(ImportCommand),
    /// Commands that talk to a running server
    #[command(flatten)]
    Client(ClientCommand),
}

/// `wasmcached demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Walk through by itself, check each claim, and exit 0 when all hold
    #[arg(long)]
    pub tour: bool,
    /// Keep the demo's files in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub dir: Option<std::path::PathBuf>,
}

/// An error and its causes in one line; a cause that the error before it has told already is not
/// repeated.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut told = String::new();
    let mut last = String::new();
    for cause in std::iter::successors(Some(error), |&error| error.source()) {
        let cause = cause.to_string();
        if told.is_empty() {
            told.push_str(&cause);
        } else if !last.ends_with(&cause) {
            told.extend([": ", &cause]);
        }
        last = cause;
    }
    told
}
