//! A disk that fails when it is told to, under the files of a server's tier (`disk.c`).
//!
//! # Invariants
//! - The faults are the kernel's own answers, given to SQLite inside of the real server.
//! - A disk that is dropped leaves its server alone with its last state.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Server;

/// How long a flush takes that is slow: as long as the server tells of, far less than it waits.
pub const SLOW_MS: u64 = 1_200;

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No room for another byte.
    Full,
    /// The kernel has made it read-only after an error.
    ReadOnly,
    /// Writes and flushes end in an error.
    Broken,
    /// Flushes end in an error, writes don't.
    Unsynced,
    /// Every flush takes [`SLOW_MS`].
    Slow,
    /// Nothing is answered at all.
    Silent,
}

impl Fault {
    /// As `disk.c` reads it.
    fn state(self) -> u8 {
        match self {
            Self::Full => b'f',
            Self::ReadOnly => b'r',
            Self::Broken => b'e',
            Self::Unsynced => b'u',
            Self::Slow => b's',
            Self::Silent => b'z',
        }
    }
}

/// Stands between a server and the kernel.
pub struct Disk {
    dir: TempDir,
    control: File,
}

impl Disk {
    /// A disk that works.
    ///
    /// # Panics
    /// There is no C compiler.
    #[track_caller]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/disk.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&library(dir.path()), &source])
            .arg("-ldl")
            .output();
        let compiled = compiled.expect("run cc; `tests/run` installs gcc");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let options = File::options().create_new(true).write(true).open(control(dir.path()));
        let disk = Self { control: options.expect("control file"), dir };
        disk.works();
        disk
    }

    /// Starts a server on it.
    #[track_caller]
    pub fn start(&self, settings: &str) -> Server {
        let [preload, control] = self.environment();
        Server::start_by(&["env", &preload, &control], settings)
    }

    /// What `env` is given before a program whose files named `cache.db` are to lie on it.
    pub fn environment(&self) -> [String; 2] {
        let dir = self.dir.path();
        [
            format!("LD_PRELOAD={}", library(dir).display()),
            format!("WASMCACHED_TEST_DISK={}", control(dir).display()),
        ]
    }

    /// From now on it fails so.
    pub fn fails(&self, fault: Fault) {
        self.set(fault.state());
    }

    /// From now on it works.
    pub fn works(&self) {
        self.set(b'-');
    }

    fn set(&self, state: u8) {
        self.control.write_all_at(&[state], 0).expect("write the control file");
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

fn library(dir: &Path) -> PathBuf {
    dir.join("disk.so")
}

fn control(dir: &Path) -> PathBuf {
    dir.join("control")
}
