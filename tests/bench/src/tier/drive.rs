//! Clients on threads, each a connection: what they ask, and how long the answers take.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::clock::now;
use crate::histogram::Histogram;

const VALUE: [u8; 100] = [b'x'; 100];

/// What was done.
#[derive(Default)]
pub(super) struct Driven {
    pub(super) count: u64,
    pub(super) latency: Histogram,
}

impl Driven {
    fn note(&mut self, since: Instant) {
        self.count += 1;
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.latency.record(nanos);
    }
}

/// What a read has to find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Present,
    Absent,
}

/// Stores new keys over so many connections, each waiting for its answer.
///
/// # Errors
/// A connection breaks, or something is not stored.
pub(super) fn store(
    address: SocketAddr,
    connections: usize,
    seconds: u32,
    prefix: &str,
) -> anyhow::Result<Driven> {
    let end = now() + Duration::from_secs(seconds.into());
    on_threads(connections, |thread| {
        let mut connection = Memcached::connect(address)?;
        let mut driven = Driven::default();
        while now() < end {
            let begun = now();
            connection.set(&format!("{prefix}-{thread}-{}", driven.count), "STORED\r\n")?;
            driven.note(begun);
        }
        Ok(driven)
    })
}

/// Posts invalidations at a rate over so many connections.
///
/// # Errors
/// A connection breaks, or an invalidation is not acknowledged.
pub(super) fn invalidate(
    address: SocketAddr,
    connections: usize,
    per_second: u32,
    seconds: u32,
) -> anyhow::Result<Histogram> {
    let pause = Duration::from_secs(1) * u32::try_from(connections)? / per_second;
    let start = now();
    let end = start + Duration::from_secs(seconds.into());
    let driven = on_threads(connections, |thread| {
        let mut connection = Http::connect(address)?;
        let mut driven = Driven::default();
        // Spread over the first pause.
        let offset = pause * u32::try_from(thread)? / u32::try_from(connections)?;
        let mut due = start + offset;
        while due < end {
            std::thread::sleep(due.saturating_duration_since(now()));
            let number = driven.count % 1_000;
            connection.invalidate(&format!(r#"{{"tags":["tag-{thread}-{number}"]}}"#))?;
            driven.note(due);
            due += pause;
        }
        Ok(driven)
    })?;
    Ok(driven.latency)
}

/// Stores `PREFIX-…` with so many numbers.
///
/// # Errors
/// A connection breaks, or something is not stored.
pub(super) fn store_each(address: SocketAddr, prefix: &str, count: u32) -> anyhow::Result<()> {
    const WRITERS: u32 = 32;
    let stored = on_threads(WRITERS as usize, |thread| {
        let mut connection = Memcached::connect(address)?;
        for number in (u32::try_from(thread)?..count).step_by(WRITERS as usize) {
            connection.set(&key(prefix, number), "STORED\r\n")?;
        }
        Ok(Driven::default())
    });
    stored.map(drop)
}

/// Reads each of these keys once, in an order that is none of the database's.
///
/// # Errors
/// The connection breaks, or an answer is not what was expected.
pub(super) fn read_each(
    address: SocketAddr,
    prefix: &str,
    count: u32,
    expected: Expected,
) -> anyhow::Result<Histogram> {
    let mut connection = Memcached::connect(address)?;
    let mut driven = Driven::default();
    for number in 0..count {
        // Prime, and so every key comes once.
        let number = (u64::from(number) * 7_919 % u64::from(count)) as u32;
        let begun = now();
        let found = connection.get(&key(prefix, number))?;
        driven.note(begun);
        anyhow::ensure!(found == (expected == Expected::Present), "{prefix} {number}: {found}");
    }
    Ok(driven.latency)
}

fn key(prefix: &str, number: u32) -> String {
    format!("{prefix}-{number:016}")
}

fn on_threads(
    count: usize,
    work: impl Fn(usize) -> anyhow::Result<Driven> + Sync,
) -> anyhow::Result<Driven> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|thread| scope.spawn(move || work(thread))).collect();
        let mut all = Driven::default();
        for thread in threads {
            let driven = thread.join().ok().context("a client has panicked")??;
            all.count += driven.count;
            all.latency.add(&driven.latency);
        }
        Ok(all)
    })
}

/// A connection to the memcached port.
pub(super) struct Memcached(BufReader<TcpStream>);

impl Memcached {
    pub(super) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Stores a value; the answer has to begin so.
    pub(super) fn set(&mut self, key: &str, expected: &str) -> anyhow::Result<()> {
        let mut command = format!("set {key} 0 0 {}\r\n", VALUE.len()).into_bytes();
        command.extend_from_slice(&VALUE);
        command.extend_from_slice(b"\r\n");
        self.0.get_mut().write_all(&command)?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        anyhow::ensure!(line.starts_with(expected), "set is answered {line:?}");
        Ok(())
    }

    /// Whether the value is there.
    fn get(&mut self, key: &str) -> anyhow::Result<bool> {
        self.0.get_mut().write_all(format!("get {key}\r\n").as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if line == "END\r\n" {
            return Ok(false);
        }
        anyhow::ensure!(line == format!("VALUE {key} 0 {}\r\n", VALUE.len()), "get: {line:?}");
        let mut rest = [0; VALUE.len() + b"\r\nEND\r\n".len()];
        self.0.read_exact(&mut rest)?;
        Ok(true)
    }
}

/// A connection to the API.
struct Http(BufReader<TcpStream>);

impl Http {
    fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn invalidate(&mut self, body: &str) -> anyhow::Result<()> {
        let request = format!(
            "POST /v1/invalidate HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        anyhow::ensure!(line.contains(" 200 "), "invalidation is answered {line:?}");
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line)?;
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        Ok(self.0.read_exact(&mut body)?)
    }
}
