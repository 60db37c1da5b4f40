//! What an invalidation costs: by how many entries it names, how many go in a second, what it
//! leaves to be checked by the hits after it, and what giving the memory back takes (`sweep`).
//!
//! # Invariants
//! - Every answer is checked: the count of what was affected, and that each hit is one.
//! - A size's turn begins when the memory of the turn before has been given back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::Context;

use crate::Plan;
use crate::clock::{now, wait_for};
use crate::process::{self, Running};
use crate::results::{machine, median, print};
use crate::sweep;

/// Entries that carry the tag.
const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];

/// What names all of the largest size, beside its tag.
const WIDE: [&str; 2] = [r#"{"prefixes":["key-"]}"#, r#"{"everything":true}"#];

/// Tags on each entry of a hit.
const TAGS: [u32; 4] = [0, 1, 4, 16];

/// Entries that are hit; few enough to stay in the processor's caches alike for all.
const HIT_ENTRIES: u32 = 10_000;

/// Commands in one batch.
const BATCH: u32 = 1_000;

/// Invalidations of one turn of those that are counted by the second.
const SINGLES: u32 = 5_000;

/// A server with its two doors.
pub(crate) struct Server {
    running: Running,
    memcached: TcpStream,
    api: BufReader<TcpStream>,
    api_address: SocketAddr,
}

/// Measures wasmcached alone; prints Markdown.
///
/// # Errors
/// The server can't be started, or answers otherwise than it should.
pub(crate) fn measure(plan: &Plan) -> anyhow::Result<()> {
    plan.cores.client_cpus.keep_to_them()?;
    let mut server = Server::start(plan)?;
    let mut purges = vec![Vec::new(); SIZES.len()];
    let mut checks = vec![Vec::new(); TAGS.len()];
    let mut wide = vec![Vec::new(); WIDE.len()];
    let (mut rates, mut sweeps) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for (size, taken_us) in SIZES.iter().zip(&mut purges) {
            taken_us.push(server.purge_of(*size)?);
        }
        for (request, taken_us) in WIDE.iter().zip(&mut wide) {
            taken_us.push(server.wide_purge(request)?);
        }
        sweeps.push(server.sweep()?);
        rates.push(server.purges_per_second()?);
        for (tags, extra_ns) in TAGS.iter().zip(&mut checks) {
            extra_ns.push(server.check_ns(*tags)?);
        }
    }
    let purges: Vec<f64> = purges.into_iter().map(median).collect();
    let least = purges.first().copied().unwrap_or(f64::NAN);
    let mut text = format!(
        "# Invalidation\n\n{}. Medians of {} rounds\n\n| entries of the tag | to the answer of \
         `POST /v1/invalidate`, µs | ratio |\n|---|---|---|\n",
        machine(),
        plan.rounds
    );
    for (size, taken_us) in SIZES.iter().zip(&purges) {
        text += &format!("| {size} | {taken_us:.0} | **{:.2}** |\n", taken_us / least);
    }
    text += "\n| what names a million entries | to the answer, µs |\n|---|---|\n";
    for (request, taken_us) in WIDE.iter().zip(wide) {
        text += &format!("| `{request}` | {:.0} |\n", median(taken_us));
    }
    text += &sweep::table(&sweeps);
    text += &format!(
        "\nOne after another on one connection, in memory: {:.0} invalidations/s\n\n\
         | tags of an entry | server CPU of its first hit after an invalidation, above that of \
         the next one, ns |\n|---|---|\n",
        median(rates)
    );
    for (tags, extra_ns) in TAGS.iter().zip(checks) {
        text += &format!("| {tags} | {:.0} |\n", median(extra_ns));
    }
    print(&text)
}

impl Server {
    fn start(plan: &Plan) -> anyhow::Result<Self> {
        let (memcached, api) = (process::free_address()?, process::free_address()?);
        let arguments = [
            "serve".to_owned(),
            format!("--memcached={memcached}"),
            format!("--api={api}"),
            "--memory=1GiB".to_owned(),
            format!("--threads={}", plan.cores.threads()),
        ];
        let (program, dir) = (process::wasmcached()?, tempfile::tempdir()?);
        let cpus = &plan.cores.server_cpus;
        let running = Running::start(&program, &arguments, cpus, memcached, dir)?;
        let memcached = connect(memcached)?;
        Ok(Self { memcached, running, api: BufReader::new(connect(api)?), api_address: api })
    }

    /// Microseconds from asking to the answer, for a tag of so many entries.
    fn purge_of(&mut self, size: u32) -> anyhow::Result<f64> {
        let name = format!("of-{size}");
        self.fill("key", size, &name)?;
        let begun = now();
        let affected = self.invalidate(&name)?;
        let taken = begun.elapsed();
        anyhow::ensure!(affected == u64::from(size), "{affected} of {size} are affected");
        self.wait_until_empty()?;
        Ok(taken.as_secs_f64() * 1e6)
    }

    /// Microseconds from asking to the answer, for what names a million entries without a tag.
    fn wide_purge(&mut self, request: &str) -> anyhow::Result<f64> {
        let size = SIZES.into_iter().max().unwrap_or_default();
        self.fill("key", size, "")?;
        let begun = now();
        let answer = self.post(request)?;
        let taken = begun.elapsed();
        let affected = number_after(&answer, r#""affected":"#)?;
        // It is an estimate.
        let is_near = affected.abs_diff(u64::from(size)) < u64::from(size) / 10;
        anyhow::ensure!(is_near, "{affected} of {size} are affected");
        self.wait_until_empty()?;
        Ok(taken.as_secs_f64() * 1e6)
    }

    fn purges_per_second(&mut self) -> anyhow::Result<f64> {
        let begun = now();
        for number in 0..SINGLES {
            self.invalidate(&format!("single-{number}"))?;
        }
        Ok(f64::from(SINGLES) / begun.elapsed().as_secs_f64())
    }

    /// Nanoseconds of server CPU that a hit costs more when something was invalidated before it.
    fn check_ns(&mut self, tags: u32) -> anyhow::Result<f64> {
        let names: Vec<String> = (0..tags).map(|tag| format!("hit-{tag}")).collect();
        self.fill("key", HIT_ENTRIES, &names.join(","))?;
        self.hit_all()?;
        let (mut first, mut next) = (0, 0);
        for _ in 0..10 {
            self.invalidate("nobody")?;
            first += self.hit_all()?;
            next += self.hit_all()?;
        }
        self.post(r#"{"everything":true}"#)?;
        self.wait_until_empty()?;
        Ok((first as f64 - next as f64) / f64::from(10 * HIT_ENTRIES))
    }

    /// Stores so many items of 100 bytes with these tags, under keys that begin so.
    pub(crate) fn fill(&mut self, name: &str, size: u32, tags: &str) -> anyhow::Result<()> {
        let value = "x".repeat(100);
        let list = if tags.is_empty() { String::new() } else { format!(" L{tags}") };
        let store = |n| format!("ms {name}-{n:016} 100{list}\r\n{value}\r\n");
        self.ask_in_batches(size, store, b"HD\r\n")?;
        // The server closes connections that say nothing for as long as that may take.
        self.api = BufReader::new(connect(self.api_address)?);
        Ok(())
    }

    /// Server CPU of hitting every entry once, in nanoseconds.
    fn hit_all(&mut self) -> anyhow::Result<u64> {
        let before = self.running.cpu_ns()?;
        self.ask_in_batches(HIT_ENTRIES, |n| format!("mg key-{n:016}\r\n"), b"HD\r\n")?;
        Ok(self.running.cpu_ns()?.saturating_sub(before))
    }

    fn ask_in_batches(
        &mut self,
        size: u32,
        command: impl Fn(u32) -> String,
        expected: &[u8],
    ) -> anyhow::Result<()> {
        for first in (0..size).step_by(BATCH as usize) {
            let numbers = first..size.min(first + BATCH);
            let replies = expected.repeat(numbers.len());
            let batch: String = numbers.map(&command).collect();
            self.ask(batch.as_bytes(), &replies)?;
        }
        Ok(())
    }

    /// Sends commands to the memcached port, which has to answer so.
    pub(crate) fn ask(&mut self, commands: &[u8], replies: &[u8]) -> anyhow::Result<()> {
        self.memcached.write_all(commands)?;
        let mut answer = vec![0; replies.len()];
        self.memcached.read_exact(&mut answer)?;
        anyhow::ensure!(answer == replies, "{:?}", answer.escape_ascii().to_string());
        Ok(())
    }

    /// Invalidates a tag; how many entries are affected.
    pub(crate) fn invalidate(&mut self, tag: &str) -> anyhow::Result<u64> {
        let answer = self.post(&format!(r#"{{"tags":["{tag}"]}}"#))?;
        number_after(&answer, r#""affected":"#)
    }

    /// Waits until no entry is left.
    pub(crate) fn wait_until_empty(&mut self) -> anyhow::Result<()> {
        wait_for("all memory is given back", || Ok((self.stat("keys")? == 0).then_some(())))
    }

    /// A number of the server's statistics.
    pub(crate) fn stat(&mut self, name: &str) -> anyhow::Result<u64> {
        let stats = self.exchange("GET /v1/stats HTTP/1.1\r\nhost: bench\r\n\r\n")?;
        number_after(&stats, &format!("\"{name}\":"))
    }

    /// Resident memory of the server.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        self.running.resident_bytes()
    }

    /// Asks for an invalidation.
    pub(crate) fn post(&mut self, body: &str) -> anyhow::Result<String> {
        let length = body.len();
        self.exchange(&format!(
            "POST /v1/invalidate HTTP/1.1\r\nhost: bench\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    fn exchange(&mut self, request: &str) -> anyhow::Result<String> {
        self.api.get_mut().write_all(request.as_bytes())?;
        let mut status = String::new();
        self.api.read_line(&mut status)?;
        anyhow::ensure!(status.contains(" 200 "), "answered {status:?}");
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.api.read_line(&mut line)?;
            if line == "\r\n" {
                break;
            }
            if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                body.resize(length.trim().parse()?, 0);
            }
        }
        self.api.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?)
    }
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = wait_for("the doors are open", || Ok(TcpStream::connect(address).ok()))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn number_after(json: &str, name: &str) -> anyhow::Result<u64> {
    let (_, rest) = json.split_once(name).with_context(|| format!("no {name} in {json}"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Ok(rest.get(..end).unwrap_or_default().parse()?)
}
