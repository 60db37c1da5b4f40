//! The cache as a child process: started, read, told to end, killed.
//!
//! # Invariants
//! - A child that is dropped is killed; one that is told to end is waited for.
//! - Its output is read to the end, so that it never blocks on a full pipe.
//!
//! # Not here
//! What it is configured to do.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use super::config::Addresses;
use crate::tasks::Tasks;

/// From the start to `ready`; plugins are compiled in it.
const READY_MS_MAX: u64 = 60_000;

/// From SIGTERM to the exit; the cache drains in it.
const END_MS_MAX: u64 = 30_000;

/// Lines of its log that an error quotes.
const LOG_LINES_QUOTED: usize = 8;

/// What goes wrong with the cache's process.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It could not be started, signalled or waited for.
    #[error("{what}")]
    Process {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It ended before it printed `ready`.
    #[error("ended before it was ready, {status}:\n{log}")]
    NotReady {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// It printed `ready` and not all addresses.
    #[error("did not print where {0} listens")]
    NoAddress(&'static str),
    /// It took too long.
    #[error("not {what} within {limit_ms} ms")]
    Late {
        /// What was waited for.
        what: &'static str,
        /// The limit.
        limit_ms: u64,
    },
    /// It ended otherwise than with code 0 after SIGTERM, or without being told to.
    #[error("ended with {status}:\n{log}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
}

/// A running cache.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    addresses: Addresses,
    log: PathBuf,
}

impl Child {
    /// Starts this executable as `serve --config config` and waits until it is ready. Its log goes
    /// to the file `log`, after what is there.
    pub(super) async fn start(
        config: &Path,
        log: &Path,
        tasks: &Tasks,
    ) -> Result<Self, ChildError> {
        let failed = |source| ChildError::Process { what: "start", source };
        let executable = std::env::current_exe().map_err(failed)?;
        let append = File::options().create(true).append(true).open(log).map_err(failed)?;
        let mut process = Command::new(executable)
            .arg("serve")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(append)
            // A Ctrl-C at the terminal is for the demo, which ends the cache in its own order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let stdout = process.stdout.take();
        let mut lines = stdout
            .map(|stdout| BufReader::new(stdout).lines())
            .ok_or_else(|| failed(std::io::Error::other("standard output is not piped")))?;
        let printed = within("ready", READY_MS_MAX, printed(&mut lines)).await?;
        let Some(printed) = printed else {
            let status = process.wait().await.map_err(failed)?;
            return Err(ChildError::NotReady { status, log: tail(log) });
        };
        tasks.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let address = |door| find_address(&printed, door).ok_or(ChildError::NoAddress(door));
        let addresses = Addresses {
            memcached: address("memcached")?,
            api: address("api")?,
            pages: address("pages")?,
        };
        Ok(Self { process, addresses, log: log.to_owned() })
    }

    /// Where it listens.
    pub(super) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Waits for an end that nobody asked for.
    pub(super) async fn ended(&mut self) -> ChildError {
        match self.process.wait().await {
            Ok(status) => ChildError::Ended { status, log: tail(&self.log) },
            Err(source) => ChildError::Process { what: "wait", source },
        }
    }

    /// SIGTERM; returns when it has drained and exited with code 0. One that ended already is left.
    pub(super) async fn terminate(&mut self) -> Result<(), ChildError> {
        let Some(pid) = self.process.id() else { return Ok(()) };
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)
                .map_err(|error| ChildError::Process { what: "SIGTERM", source: error.into() })?;
        }
        let status = within("ended", END_MS_MAX, self.process.wait()).await?;
        let status = status.map_err(|source| ChildError::Process { what: "wait", source })?;
        if status.success() {
            Ok(())
        } else {
            Err(ChildError::Ended { status, log: tail(&self.log) })
        }
    }

    /// SIGKILL; returns when it is gone.
    pub(super) async fn kill(&mut self) -> Result<(), ChildError> {
        let killed = self.process.kill().await;
        killed.map_err(|source| ChildError::Process { what: "SIGKILL", source })
    }
}

async fn within<T>(
    what: &'static str,
    limit_ms: u64,
    wait: impl Future<Output = T>,
) -> Result<T, ChildError> {
    tokio::time::timeout(Duration::from_millis(limit_ms), wait)
        .await
        .map_err(|_| ChildError::Late { what, limit_ms })
}

/// The lines before `ready`; `None` where the output ended without it.
async fn printed(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<Vec<String>> {
    let mut printed = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "ready" {
            return Some(printed);
        }
        printed.push(line);
    }
    None
}

fn find_address(printed: &[String], door: &str) -> Option<SocketAddr> {
    printed.iter().find_map(|line| {
        let address = line.strip_prefix(door)?.strip_prefix(" listening on ")?;
        address.parse().ok()
    })
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(LOG_LINES_QUOTED)).fold(
        String::new(),
        |mut text, line| {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
            text
        },
    )
}

#[cfg(test)]
mod tests {
    use super::find_address;

    #[test]
    fn address_is_that_of_the_door_and_never_a_socket_path() {
        let printed = [
            "memcached listening on /tmp/x.sock".to_owned(),
            "memcached listening on 127.0.0.1:11211".to_owned(),
            "api listening on 127.0.0.1:8081".to_owned(),
        ];
        let port = |door| find_address(&printed, door).map(|address| address.port());
        assert_eq!(port("memcached"), Some(11_211));
        assert_eq!(port("api"), Some(8_081));
        assert_eq!(port("pages"), None);
    }
}
