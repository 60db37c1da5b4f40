//! How each memcached server is started.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::shape::Shape;
use crate::Cores;
use crate::process::{self, Running};

/// Enough for every item of every shape, so that nothing is evicted.
const MEMORY_MIB: u32 = 2048;

/// Connections that servers allow besides those that wait: those of the load.
const CONNECTIONS_SPARE: u32 = 1024;

/// What the servers are called, in the order of their results.
pub(crate) const NAMES: [&str; 3] = ["wasmcached", "memcached", "bare loop"];

/// The programs that are compared.
pub(crate) struct Programs {
    wasmcached: PathBuf,
    memcached: PathBuf,
    connections_max: u32,
}

impl Programs {
    /// Finds them. They will allow so many connections that wait, and some more.
    ///
    /// # Errors
    /// One is missing.
    pub(crate) fn find(waiting: u32) -> anyhow::Result<Self> {
        let wasmcached = process::wasmcached()?;
        let memcached = process::installed("memcached", "memcached", "MEMCACHED_BIN")?;
        Ok(Self { wasmcached, memcached, connections_max: waiting + CONNECTIONS_SPARE })
    }

    /// Who they are, for the heading of results.
    pub(crate) fn versions(&self) -> String {
        let ours = process::version(&self.wasmcached, "--version");
        format!("{ours}, {}", process::version(&self.memcached, "-V"))
    }

    /// Starts wasmcached.
    ///
    /// # Errors
    /// Those of [`Running::start`].
    pub(crate) fn start_wasmcached(&self, cores: &Cores) -> anyhow::Result<Running> {
        let address = process::free_address()?;
        let arguments = [
            "serve".to_owned(),
            format!("--memcached={address}"),
            "--api=127.0.0.1:0".to_owned(),
            format!("--memory={MEMORY_MIB}MiB"),
            format!("--max-connections={}", self.connections_max),
            format!("--threads={}", cores.threads()),
        ];
        start(&self.wasmcached, &arguments, cores, address)
    }

    /// Starts memcached, with its defaults but for size and threads.
    ///
    /// # Errors
    /// Those of [`Running::start`].
    pub(crate) fn start_memcached(&self, cores: &Cores) -> anyhow::Result<Running> {
        let address = process::free_address()?;
        let arguments = [
            format!("--listen={}", address.ip()),
            format!("--port={}", address.port()),
            "--udp-port=0".to_owned(),
            // Asked for when it is started by root, not looked at otherwise. Another user would
            // lose the signal that ends it when the harness dies.
            "--user=root".to_owned(),
            format!("--memory-limit={MEMORY_MIB}"),
            format!("--conn-limit={}", self.connections_max),
            format!("--threads={}", cores.threads()),
        ];
        start(&self.memcached, &arguments, cores, address)
    }

    /// Starts the bare loop for one shape.
    ///
    /// # Errors
    /// Those of [`Running::start`].
    pub(crate) fn start_floor(&self, shape: &Shape, cores: &Cores) -> anyhow::Result<Running> {
        let address = process::free_address()?;
        let arguments =
            ["floor".to_owned(), format!("--listen={address}"), format!("--shape={}", shape.name)];
        start(&std::env::current_exe()?, &arguments, cores, address)
    }
}

fn start(
    program: &std::path::Path,
    arguments: &[String],
    cores: &Cores,
    address: SocketAddr,
) -> anyhow::Result<Running> {
    Running::start(program, arguments, &cores.server_cpus, address, tempfile::tempdir()?)
}
