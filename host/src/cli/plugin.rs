//! `wasmcached plugin`: the parts that work today, and a clear answer for those that don't.

use std::path::PathBuf;

use clap::Subcommand;

use super::client::{ClientArgs, ClientFailure};

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Make a new plugin project
    New {
        /// Folder to make
        dir: PathBuf,
        /// Language of the project
        #[arg(long, value_parser = ["rust", "python", "js"])]
        lang: String,
    },
    /// Build a plugin project; the last line printed is the component's path
    Build {
        /// The project's folder
        dir: Option<PathBuf>,
    },
    /// Run a plugin project's fixtures
    Test {
        /// The project's folder
        dir: Option<PathBuf>,
    },
    /// Check a component: imports, exports, limits
    Check {
        /// The component
        file: PathBuf,
    },
    /// Measure a component against its budget
    Bench {
        /// The component
        file: PathBuf,
    },
    /// List the plugins of a running server
    List {
        /// Which server
        #[command(flatten)]
        server: ClientArgs,
    },
    /// Load a new version into a running server
    Load {
        /// The plugin's name
        name: String,
        /// The component
        file: PathBuf,
        /// Which server
        #[command(flatten)]
        server: ClientArgs,
    },
    /// Go back to the version before
    Rollback {
        /// The plugin's name
        name: String,
        /// Which server
        #[command(flatten)]
        server: ClientArgs,
    },
}

impl PluginCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<(), ClientFailure> {
        let not_yet =
            |what: &str| Err(ClientFailure::NotAvailable { command: format!("plugin {what}") });
        match self {
            Self::New { .. } => not_yet("new"),
            Self::Build { .. } => not_yet("build"),
            Self::Test { .. } => not_yet("test"),
            Self::Check { .. } => not_yet("check"),
            Self::Bench { .. } => not_yet("bench"),
            Self::Load { .. } => not_yet("load"),
            Self::List { server } => server.show_get("/v1/plugins").await,
            Self::Rollback { name, server } => {
                server.show_post(&format!("/v1/plugins/{name}/rollback"), String::new()).await
            }
        }
    }
}
