//! Runs wrk, and reads what it prints.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::cpus::Cpus;

/// Kept alive throughout.
pub(crate) const CONNECTIONS: usize = 32;

/// Asks for a path that nobody asked for before.
const NEW_PATHS: &str = r#"
local count = 0
request = function()
  count = count + 1
  return wrk.format("GET", "/miss/" .. count)
end
"#;

/// What wrk saw.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) elapsed_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Statuses from 400 up, broken connections, timeouts.
    pub(crate) errors: u64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// Always this path.
    Path(&'static str),
    /// This path, unless it still has this entity tag.
    Changed(&'static str, &'static str),
    /// Another path every time.
    NewPaths,
}

/// The load generator.
pub(crate) struct Wrk {
    pub(crate) program: PathBuf,
    pub(crate) cpus: Cpus,
}

impl Wrk {
    /// Loads a server for so long.
    ///
    /// # Errors
    /// wrk fails, or says what this does not understand.
    pub(crate) fn run(&self, server: SocketAddr, ask: Ask, seconds: u32) -> anyhow::Result<Seen> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("taskset");
        command.args(["-c", &self.cpus.to_string()]).arg(&self.program);
        command.args(["--threads=1", "--latency"]);
        command.args([format!("--connections={CONNECTIONS}"), format!("--duration={seconds}s")]);
        let path = match ask {
            Ask::Path(path) => path,
            Ask::Changed(path, etag) => {
                command.arg(format!("--header=If-None-Match: {etag}"));
                path
            }
            Ask::NewPaths => {
                command.arg("--script").arg(script(dir.path())?);
                "/"
            }
        };
        let output = command.arg(format!("http://{server}{path}")).output().context("taskset")?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            anyhow::bail!("wrk: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
        parse(&said).with_context(|| format!("wrk said:\n{said}"))
    }
}

fn script(dir: &Path) -> anyhow::Result<PathBuf> {
    let path = dir.join("new-paths.lua");
    std::fs::write(&path, NEW_PATHS)?;
    Ok(path)
}

fn parse(said: &str) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    for line in said.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["50%", time] => seen.p50_us = micros(time)?,
            ["99%", time] => seen.p99_us = micros(time)?,
            [requests, "requests", "in", time, ..] => {
                seen.requests = requests.parse()?;
                seen.elapsed_s = micros(time.trim_end_matches(','))? / 1e6;
            }
            ["Socket", "errors:", kinds @ ..] => {
                let counts =
                    kinds.iter().filter_map(|k| k.trim_end_matches(',').parse::<u64>().ok());
                seen.errors += counts.sum::<u64>();
            }
            ["Non-2xx", "or", "3xx", "responses:", count] => seen.errors += count.parse::<u64>()?,
            _ => {}
        }
    }
    if seen.requests == 0 || seen.elapsed_s == 0.0 {
        anyhow::bail!("no requests were counted");
    }
    Ok(seen)
}

/// `12.3us`, `1.2ms`, `2.00s`, `1.5m` in microseconds.
fn micros(text: &str) -> anyhow::Result<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6)];
    let found = units.iter().find_map(|(unit, micros)| Some((text.strip_suffix(unit)?, micros)));
    let (number, unit) = found.with_context(|| format!("{text:?} has no unit of time"))?;
    Ok(number.parse::<f64>()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://127.0.0.1:8080/\n  \
        1 threads and 32 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
        Latency   500.00us  1.00ms  20.00ms   95.00%\n    Req/Sec    40.00k     2.00k   45.00k\n  \
        Latency Distribution\n     50%  295.00us\n     75%  400.00us\n     90%  600.00us\n     \
        99%    1.05ms\n  81234 requests in 2.01s, 330.00MB read\n  \
        Socket errors: connect 0, read 1, write 2, timeout 3\n  Non-2xx or 3xx responses: 4\n\
        Requests/sec:  40415.00\n";

    #[test]
    fn what_wrk_prints_is_read() {
        let seen = parse(SAID).unwrap();
        assert_eq!((seen.requests, seen.errors), (81234, 10));
        assert_eq!((seen.p50_us, seen.elapsed_s), (295.0, 2.01));
        assert!((seen.p99_us - 1050.0).abs() < 1e-6);
    }

    #[test]
    fn a_run_without_requests_is_an_error() {
        assert!(parse("unable to connect\n").is_err());
    }
}
