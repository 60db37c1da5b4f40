//! The servers' processes: started on their cores, measured through `/proc`, ended by id.
//!
//! # Invariants
//! - A dropped server gets SIGTERM and, if that is not enough, SIGKILL, and is waited for.
//! - When the harness dies, its servers get SIGTERM from the kernel.
//! - CPU time is that of the process and of every process below it, in nanoseconds as the
//!   scheduler counts it, not in ticks.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::clock::wait_for;
use crate::cpus::Cpus;

/// A server that runs.
pub(crate) struct Running {
    child: Child,
    address: SocketAddr,
    /// Its log, and whatever it writes; gone with it.
    _dir: TempDir,
}

impl Running {
    /// Starts a program on these cores and waits until `address` takes connections.
    ///
    /// # Errors
    /// The program is missing, ends at once (with what it said), or never listens.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        cpus: &Cpus,
        address: SocketAddr,
        dir: TempDir,
    ) -> anyhow::Result<Self> {
        let log = dir.path().join("bench.log");
        let name = program.display();
        let child = pinned(cpus, program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("starting setpriv (Debian package util-linux)")?;
        let mut running = Self { child, address, _dir: dir };
        wait_for(&format!("{name} listens on {address}"), || {
            if let Some(status) = running.child.try_wait()? {
                let said = fs::read_to_string(&log).unwrap_or_default();
                anyhow::bail!("{name} ended, {status}:\n{said}");
            }
            Ok(TcpStream::connect(address).ok())
        })?;
        Ok(running)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time used so far by it and the processes below it, in nanoseconds.
    ///
    /// # Errors
    /// It is gone, or the kernel keeps no scheduler statistics.
    pub(crate) fn cpu_ns(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for process in family(self.child.id())? {
            for task in tasks(process)? {
                // A task may end while we look.
                let Ok(text) = fs::read_to_string(task.join("schedstat")) else { continue };
                let nanos = text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok());
                sum += nanos.with_context(|| format!("schedstat is {text:?}"))?;
            }
        }
        Ok(sum)
    }

    /// Resident memory of it and the processes below it, in bytes.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for process in family(self.child.id())? {
            let path = format!("/proc/{process}/smaps_rollup");
            let text = fs::read_to_string(&path).context(path)?;
            let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
            let kib = line.and_then(|line| line.trim().split(' ').next()).unwrap_or_default();
            sum += kib.parse::<u64>().with_context(|| format!("Rss is {kib:?}"))? << 10;
        }
        Ok(sum)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let ended = wait_for("the server ends", || Ok(self.child.try_wait()?));
        if ended.is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A command that keeps to these cores and is told when the harness dies. Both programs become
/// the one they start, so that the child's id is its id. Compiled plugins are kept only where its
/// arguments say so.
pub(crate) fn pinned(cpus: &Cpus, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--", "taskset", "-c", &cpus.to_string()]);
    command.arg(program).env("WASMCACHED_PLUGIN_CACHE", "off");
    command
}

/// The process and all below it.
fn family(process: u32) -> anyhow::Result<Vec<u32>> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(process) = found.get(next).copied() {
        next += 1;
        for task in tasks(process)? {
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    Ok(found)
}

/// Folders of a process's threads.
fn tasks(process: u32) -> anyhow::Result<Vec<PathBuf>> {
    let folder = format!("/proc/{process}/task");
    let entries = fs::read_dir(&folder).context(folder)?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// A program's path: what `variable` of the environment names, or the one that is installed.
///
/// # Errors
/// It is not there; says which Debian package has it.
pub(crate) fn installed(program: &str, package: &str, variable: &str) -> anyhow::Result<PathBuf> {
    let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
    let paths = match std::env::var_os(variable) {
        Some(named) => vec![PathBuf::from(named)],
        None => folders.map(|folder| Path::new(folder).join(program)).to_vec(),
    };
    paths.iter().find(|path| path.is_file()).cloned().with_context(|| {
        format!(
            "no {program} at {paths:?}; Debian's package is {package}, {variable} names another"
        )
    })
}

/// The wasmcached to measure: `WASMCACHED_BIN`, or the one built beside this program.
///
/// # Errors
/// There is none.
pub(crate) fn wasmcached() -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("wasmcached");
    let path = std::env::var_os("WASMCACHED_BIN").map_or(beside, PathBuf::from);
    if !path.is_file() {
        anyhow::bail!(
            "no wasmcached at {}; `cargo build --release -p wasmcached` makes it, \
             WASMCACHED_BIN names another one",
            path.display()
        );
    }
    Ok(path)
}

/// An address of loopback that nobody listens on.
///
/// # Errors
/// There is none left.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// What a program says of its version: the first line, wherever it is written.
pub(crate) fn version(program: &Path, flag: &str) -> String {
    let output = Command::new(program).arg(flag).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.lines().next().unwrap_or("unknown version").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeping(seconds: &str) -> Running {
        // Listens for it, so that the wait for the address ends.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let cpus = "0".parse().unwrap();
        let sleep = Path::new("/bin/sh");
        let script = ["-c".to_owned(), format!("trap 'kill $!' TERM; sleep {seconds} & wait")];
        Running::start(sleep, &script, &cpus, address, dir).unwrap()
    }

    #[test]
    fn the_processes_below_a_server_are_counted_with_it() {
        let running = sleeping("30");
        let process = running.child.id();
        wait_for("a child", || Ok((family(process)?.len() == 2).then_some(()))).unwrap();
        assert!(running.resident_bytes().unwrap() > 100 << 10);
        assert!(running.cpu_ns().unwrap() > 0);
    }

    #[test]
    fn a_dropped_server_is_gone() {
        let running = sleeping("0.1");
        let process = running.child.id();
        drop(running);
        assert!(!Path::new(&format!("/proc/{process}")).exists());
    }

    #[test]
    fn a_program_that_ends_at_once_is_reported_with_what_it_said() {
        let address = free_address().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let script = ["-c".to_owned(), "echo no such port >&2; exit 3".to_owned()];
        let cpus = "0".parse().unwrap();
        let started = Running::start(Path::new("/bin/sh"), &script, &cpus, address, dir);
        let error = started.err().unwrap().to_string();
        assert!(error.contains("no such port"), "{error}");
    }
}
