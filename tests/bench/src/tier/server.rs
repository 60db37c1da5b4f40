//! A server above one of the databases.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use tempfile::TempDir;

use crate::Plan;
use crate::clock::now;
use crate::process::{self, Running};

/// What lies below the memory.
pub(super) enum Database {
    None,
    Sqlite,
    /// At this address.
    Postgres(String),
}

impl Database {
    /// In tables.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    fn argument(&self, folder: &Path) -> Option<String> {
        match self {
            Self::None => None,
            Self::Sqlite => Some(format!("--database=sqlite://{}/cache.db", folder.display())),
            Self::Postgres(address) => Some(format!("--database={address}")),
        }
    }
}

/// A server with a folder that outlives it.
pub(super) struct Server {
    running: Running,
    pub(super) memcached: SocketAddr,
    pub(super) api: SocketAddr,
    /// From its start until it took a connection.
    pub(super) started_ms: f64,
    folder: TempDir,
}

impl Server {
    /// Starts it in a new folder, with more in its environment.
    ///
    /// # Errors
    /// Those of [`Running::start`].
    pub(super) fn start(
        plan: &Plan,
        database: &Database,
        environment: &[String],
    ) -> anyhow::Result<Self> {
        Self::start_in(plan, database, environment, tempfile::tempdir()?)
    }

    fn start_in(
        plan: &Plan,
        database: &Database,
        environment: &[String],
        folder: TempDir,
    ) -> anyhow::Result<Self> {
        let (memcached, api) = (process::free_address()?, process::free_address()?);
        let program = process::wasmcached()?;
        let mut arguments = environment.to_vec();
        arguments.extend([
            program.to_str().context("path of wasmcached is not text")?.to_owned(),
            "serve".to_owned(),
            format!("--memcached={memcached}"),
            format!("--api={api}"),
            "--memory=1GiB".to_owned(),
            format!("--threads={}", plan.cores.threads()),
        ]);
        arguments.extend(database.argument(folder.path()));
        let (env, cpus) = (Path::new("/usr/bin/env"), &plan.cores.server_cpus);
        let begun = now();
        let running = Running::start(env, &arguments, cpus, memcached, tempfile::tempdir()?)?;
        let started_ms = begun.elapsed().as_secs_f64() * 1e3;
        Ok(Self { running, memcached, api, started_ms, folder })
    }

    /// The process.
    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    /// Ends it and starts it in the same folder.
    ///
    /// # Errors
    /// Those of [`Running::start`].
    pub(super) fn restart(self, plan: &Plan, database: &Database) -> anyhow::Result<Self> {
        let folder = self.stop();
        Self::start_in(plan, database, &[], folder)
    }

    /// Ends it; its folder is left.
    pub(super) fn stop(self) -> TempDir {
        drop(self.running);
        self.folder
    }
}

/// A server above a SQLite database of so many items `row-…`, imported before it starts.
///
/// # Errors
/// The import fails, or the start.
pub(super) fn above(plan: &Plan, rows: u32) -> anyhow::Result<Server> {
    let folder = tempfile::tempdir()?;
    let lines = folder.path().join("lines.jsonl");
    write_lines(&lines, rows)?;
    let output = Command::new(process::wasmcached()?)
        .args(["tier", "import"])
        .arg(&lines)
        .arg("--database")
        .arg(database_in(folder.path()))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "import: {said}");
    std::fs::remove_file(&lines)?;
    Server::start_in(plan, &Database::Sqlite, &[], folder)
}

fn database_in(folder: &Path) -> PathBuf {
    PathBuf::from(format!("sqlite://{}/cache.db", folder.display()))
}

/// An export of items of 100 bytes each, in the order of their keys.
fn write_lines(path: &Path, rows: u32) -> anyhow::Result<()> {
    let mut lines = BufWriter::new(File::create(path)?);
    writeln!(lines, r#"{{"line":"header","version":1,"sealed":true,"epoch":1,"exported_ms":0}}"#)?;
    // 100 bytes of `x`, as base64.
    let body = format!("{}eA==", "eHh4".repeat(33));
    for row in 0..rows {
        let group = row % 1_000;
        write!(lines, r#"{{"line":"item","key":"row-{row:016}","birth":"1","stored_ms":1,"#)?;
        write!(lines, r#""expires_ms":null,"tags":["group-{group}"],"flags":0,"#)?;
        writeln!(lines, r#""body":"{body}"}}"#)?;
    }
    writeln!(lines, r#"{{"line":"end","entries":{rows}}}"#)?;
    Ok(lines.flush()?)
}
