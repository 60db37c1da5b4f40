//! Why a command for plugin authors did not do what it was asked.
//!
//! # Invariants
//! - A tool that is missing is named together with how to get it; what a tool says itself is shown
//!   as it is.
//!
//! # Not here
//! Why a component is refused: `plugins`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::cli::ClientFailure;
use crate::plugins::{CallError, PluginError};

/// Why a command for plugin authors ended with 1.
#[derive(Debug, thiserror::Error)]
pub enum PluginFailure {
    /// A server was asked.
    #[error(transparent)]
    Client(#[from] ClientFailure),
    /// The component would not be loaded.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A fresh instance is not to be had.
    #[error("fresh instance: {0}")]
    Instance(#[from] CallError),
    /// Standard output is gone.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Where it differs.
        reason: String,
    },
    /// `new` writes into a folder of its own.
    #[error("{} is not empty; a project gets a folder of its own", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder's name is to be the project's.
    #[error("project name {name:?}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// This binary was built without the language's template.
    #[error("this build has no template for {language}")]
    NoTemplate {
        /// The language.
        language: &'static str,
    },
    /// No manifest of a known language.
    #[error("{}: no plugin project; there is neither Cargo.toml, package.json nor pyproject.toml",
        dir.display())]
    NoProject {
        /// The folder.
        dir: PathBuf,
    },
    /// A tool is not installed.
    #[error("{tool} is missing; {how}")]
    NoTool {
        /// Which.
        tool: String,
        /// How to get it.
        how: &'static str,
    },
    /// A tool ended with an error, which it has told.
    #[error("`{command}`: {status}")]
    ToolFailed {
        /// As it was called.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The build went well and no component came of it.
    #[error("{}: the build made no component; {how}", dir.display())]
    NoComponent {
        /// The project.
        dir: PathBuf,
        /// What may be missing.
        how: &'static str,
    },
    /// What was looked for was found, and told.
    #[error("{count} {}", if *count == 1 { "finding" } else { "findings" })]
    Findings {
        /// How many.
        count: usize,
    },
}

/// For `map_err`: an error of the file system with its path.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> PluginFailure {
    let path = path.to_owned();
    move |source| PluginFailure::File { path, source }
}

/// For `map_err`: what is wrong in a file.
pub(super) fn wrong(path: &Path, reason: impl ToString) -> PluginFailure {
    PluginFailure::Content { path: path.to_owned(), reason: reason.to_string() }
}
