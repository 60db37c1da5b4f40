//! A server above one of the databases.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use tempfile::TempDir;
use wasmcached_tests::Postgres;
use wasmcached_tests::chaos::Proxy;

use crate::Plan;
use crate::clock::now;
use crate::process::{self, Running};

/// What lies below the memory.
#[derive(Clone)]
pub(super) struct Database {
    /// Its address; `{dir}` is the server's folder. `None` is memory alone.
    pub(super) address: Option<String>,
    /// `each` or `interval`.
    pub(super) durability: &'static str,
    /// What its connections go through, where they do.
    pub(super) proxy: Option<Arc<Proxy>>,
}

impl Database {
    /// A SQLite file of the server's own.
    pub(super) fn sqlite(durability: &'static str) -> Self {
        Self { address: Some("sqlite://{dir}/cache.db".to_owned()), durability, proxy: None }
    }

    /// A new database in PostgreSQL, by its unix socket.
    pub(super) fn postgres(postgres: &Postgres, durability: &'static str) -> Self {
        Self { address: Some(postgres.new_database()), durability, proxy: None }
    }

    /// A new database in PostgreSQL, by TCP and through a proxy.
    ///
    /// # Errors
    /// The address of the database isn't that of a socket.
    pub(super) fn postgres_by_tcp(postgres: &Postgres) -> anyhow::Result<Self> {
        let address = postgres.new_database();
        let (user, place) = address.split_once("@/").context("an address on a socket")?;
        let (name, folder) = place.split_once("?host=").context("a socket's folder")?;
        let proxy = Arc::new(Proxy::to(&Path::new(folder).join(".s.PGSQL.5432")));
        let address = Some(format!("{user}@{}/{name}", proxy.address()));
        Ok(Self { address, durability: "each", proxy: Some(proxy) })
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
        if let Some(address) = &database.address {
            let dir = folder.path().to_str().context("temporary folder is not text")?;
            let config = folder.path().join("wasmcached.toml");
            let text = format!("[tier]\ndurability = \"{}\"\n", database.durability);
            std::fs::write(&config, text)?;
            arguments.push(format!("--database={}", address.replace("{dir}", dir)));
            arguments.push(format!("--config={dir}/wasmcached.toml"));
        }
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
    Server::start_in(plan, &Database::sqlite("each"), &[], folder)
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
