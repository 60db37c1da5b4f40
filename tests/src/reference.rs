//! memcached itself, Debian's package, as what this server is compared with.
//!
//! # Invariants
//! - A dropped process is killed by its id and waited for.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::Memcached;
use crate::wait::eventually;

/// A running memcached.
pub struct Reference {
    child: Child,
    address: String,
    /// Its folder, where it says which port it got.
    _dir: TempDir,
}

/// The program: `WASMCACHED_REFERENCE`, or the `memcached` that Debian installs.
fn program() -> PathBuf {
    std::env::var_os("WASMCACHED_REFERENCE").map_or_else(|| "memcached".into(), PathBuf::from)
}

impl Reference {
    /// Starts it on a free port of loopback with these further arguments.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("temporary folder"), arguments, &[])
    }

    /// Starts it with files of its own in `dir`, and with these variables in its environment.
    #[track_caller]
    pub fn start_in(dir: TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let port_file = dir.path().join("ports");
        let child = Command::new(program())
            // Port -1 is any free one (memcached.1), and the file is how it tells which.
            .args(["-l", "127.0.0.1", "-p", "-1", "-U", "0", "-u", "root"])
            .args(arguments)
            .envs(environment.iter().copied())
            .env("MEMCACHED_PORT_FILENAME", &port_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{}: {error}; `tests/run` installs it", program().display())
        });
        let mut reference = Self { child, address: String::new(), _dir: dir };
        eventually("memcached says its port", || {
            let ports = std::fs::read_to_string(&port_file).unwrap_or_default();
            let port = ports.lines().find_map(|line| line.strip_prefix("TCP INET: "));
            reference.address = port.map(|port| format!("127.0.0.1:{port}")).unwrap_or_default();
            port.is_some() || reference.has_ended()
        });
        assert!(!reference.has_ended(), "{} {arguments:?} ended", program().display());
        reference
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait for memcached").is_some()
    }

    /// Its address and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection to it.
    #[track_caller]
    pub fn memcached(&self) -> Memcached {
        Memcached::tcp(&self.address)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
