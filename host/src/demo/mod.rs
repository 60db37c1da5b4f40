//! `wasmcached demo`: a sample application and the cache in front of it, on loopback.
//!
//! The application runs in this process. The cache is a child process of the same executable with a
//! configuration file that anybody may copy: nothing here reaches into the cache, everything goes
//! over its sockets.
//!
//! # Invariants
//! - The child is ended by its own id on every way out that this process survives to see.
//! - A tour step that can't show its claim ends the tour with an error that names the step.
//!
//! # Not here
//! The cache. The rules that turn the application's events into tags: the `trekking` plugin.

mod child;
mod config;
mod site;
mod stage;
mod tour;

use std::io::{self, Write};
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use stage::Stage;

pub use child::ChildError;
pub use site::SiteError;

/// What to do once everything is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoMode {
    /// Print what to try, and run until told to stop.
    Stay,
    /// Walk through the claims, check each, and end.
    Tour,
}

/// Parameters of the command.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// What to do once everything is up.
    pub mode: DemoMode,
    /// Where the configuration and both databases are kept; `None` for a folder that is removed.
    pub dir: Option<PathBuf>,
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file, a folder or a socket of the demo itself.
    #[error("{what}")]
    Io {
        /// What it was needed for, with its path or address.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The sample application.
    #[error("sample application")]
    Site(#[from] SiteError),
    /// The cache's process.
    #[error("cache process")]
    Child(#[from] ChildError),
    /// A step of the tour did not hold.
    #[error("step {number} ({name}): {reason}")]
    Step {
        /// Its number, from 1.
        number: usize,
        /// Its claim.
        name: &'static str,
        /// What was seen instead.
        reason: String,
    },
    /// SIGINT or SIGTERM arrived before the tour's end.
    #[error("interrupted by a signal")]
    Interrupted,
}

/// Sets the stage, then stays or tours; returns when all of it has been taken down.
pub async fn run(options: DemoOptions) -> Result<(), DemoError> {
    let on = |kind| signal(kind).map_err(|source| DemoError::Io { what: "signal".into(), source });
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let stopped = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::pin!(stopped);

    let mut stage = tokio::select! {
        stage = Stage::set(options.dir) => stage?,
        () = &mut stopped => return Err(DemoError::Interrupted),
    };
    let result = tokio::select! {
        result = perform(&mut stage, options.mode) => result,
        () = &mut stopped => match options.mode {
            DemoMode::Stay => Ok(()),
            DemoMode::Tour => Err(DemoError::Interrupted),
        },
    };
    // What went wrong first is what the person needs to read.
    result.and(stage.strike().await)
}

async fn perform(stage: &mut Stage, mode: DemoMode) -> Result<(), DemoError> {
    match mode {
        DemoMode::Stay => {
            stage.invite();
            Err(stage.cache.ended().await.into())
        }
        DemoMode::Tour => tour::walk(stage).await,
    }
}

/// One line for the person at the terminal; a closed terminal is no reason to fail.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
