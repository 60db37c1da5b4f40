//! `wasmcached plugin`: for those who write plugins, and for those who run them.
//!
//! # Invariants
//! - What these commands say about a component is what a server would do with it: both go through
//!   `plugins`.
//!
//! # Not here
//! wasmtime, and the languages' own tools.

mod bench;
mod cached;
mod check;
mod component;
mod error;
mod fixtures;
mod generated;
mod manifest;
mod project;
mod replay;
mod report;
mod template;
mod test;

use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;
use clap::Subcommand;
use http::{Method, header};

use super::client::{ClientArgs, show};
use crate::client::percent_encode;
use crate::plugins;
use component::ComponentArgs;
pub use error::PluginFailure;
use project::{Language, Project};

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Make a new plugin project
    New {
        /// Folder to make; its name is the plugin's
        dir: PathBuf,
        /// Language of the project
        #[arg(long)]
        lang: Language,
    },
    /// Build a plugin project; the last line printed is the component's path
    Build {
        /// The project's folder
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Run a plugin project's tests, then its fixtures against the built component
    Test(test::TestArgs),
    /// Check a component: imports, exports, limits, equal keys for equal requests
    Check {
        /// Which component, with which settings
        #[command(flatten)]
        component: ComponentArgs,
    },
    /// Measure a component against its budget
    Bench(bench::BenchArgs),
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
    ///
    /// # Errors
    /// What was not done, or found.
    pub async fn run(self) -> Result<(), PluginFailure> {
        match self {
            Self::New { dir, lang } => template::write_project(&dir, lang),
            Self::Build { dir } => {
                let component = Project::open(&dir)?.build()?;
                say(component.display())
            }
            Self::Test(args) => args.run(),
            Self::Check { component } => check::run(&component),
            Self::Bench(args) => args.run(),
            Self::List { server } => Ok(server.show_get("/v1/plugins").await?),
            Self::Load { name, file, server } => load(&name, file, &server).await,
            Self::Rollback { name, server } => {
                let path = format!("/v1/plugins/{}/rollback", percent_encode(&name));
                Ok(server.show_post(&path, String::new()).await?)
            }
        }
    }
}

async fn load(name: &str, file: PathBuf, server: &ClientArgs) -> Result<(), PluginFailure> {
    let component = Bytes::from(plugins::read_file(name, &file)?);
    let path = format!("/v1/plugins/{}", percent_encode(name));
    let fields = [(header::CONTENT_TYPE.as_str(), "application/wasm".to_owned())];
    let answer = server.send(Method::PUT, &path, &fields, component).await?;
    Ok(show(&answer)?)
}

/// A line on standard output.
fn say(line: impl std::fmt::Display) -> Result<(), PluginFailure> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}
