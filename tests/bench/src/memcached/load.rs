//! The load generator: one thread, epoll, a closed loop on every connection.
//!
//! # Invariants
//! - A connection has exactly one batch of commands in flight.
//! - The thread never sleeps while it measures: a server that had to wake it up would pay for
//!   that, which clients on other machines don't ask of it.
//! - Every reply is looked at; the values of one batch in sixteen are compared byte by byte.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::items::Items;
use super::replies::{self, Asked, Look, Reply};
use super::shape::Shape;
use crate::clock;
use crate::histogram::Histogram;
use crate::results::Sample;

/// Connections of every shape.
pub(crate) const CONNECTIONS: usize = 32;

/// Before anything counts: caches, buffers and branch predictors settle.
const WARM_UP: Duration = Duration::from_millis(300);

const VALUES_EVERY: u64 = 16;
const SEED: u64 = 0x5EED_0F6E_7C0D_E5E7;

/// Who is asked for what.
pub(crate) struct Load<'a> {
    /// The server.
    pub(crate) address: SocketAddr,
    /// The commands.
    pub(crate) shape: Shape,
    /// The shape's items, stored already.
    pub(crate) items: &'a Items,
    /// [`Look::Kind`] for the bare loop.
    pub(crate) look: Look,
    /// How long is measured, after the warm-up.
    pub(crate) seconds: u32,
}

struct Connection {
    stream: TcpStream,
    asked: Vec<Asked>,
    answered: usize,
    look: Look,
    output: Vec<u8>,
    sent_bytes: usize,
    input: Vec<u8>,
    /// Of `input`: read, and of these, understood.
    read_bytes: usize,
    parsed_bytes: usize,
    begun: Instant,
}

#[derive(Default)]
struct Counts {
    batches: u64,
    misses: u64,
    latency: Histogram,
}

struct Generator<'a> {
    load: &'a Load<'a>,
    random: u64,
    counts: Counts,
}

/// Runs the load. `server_cpu_ns` is asked at both ends of what is measured.
///
/// # Errors
/// A connection breaks, a reply is not one to what was asked, or the CPU time can't be read.
pub(crate) fn run(
    load: &Load<'_>,
    cores: usize,
    server_cpu_ns: impl Fn() -> anyhow::Result<u64>,
) -> anyhow::Result<Sample> {
    let mut poll = Poll::new()?;
    let mut connections = connect(load, &poll)?;
    let mut generator = Generator { load, random: SEED, counts: Counts::default() };
    for connection in &mut connections {
        generator.next_batch(connection)?;
    }
    generator.drive(&mut poll, &mut connections, WARM_UP)?;
    generator.counts = Counts::default();
    let (cpu_before, start) = (server_cpu_ns()?, clock::now());
    generator.drive(&mut poll, &mut connections, Duration::from_secs(load.seconds.into()))?;
    let (elapsed, cpu_ns) = (start.elapsed(), server_cpu_ns()? - cpu_before);
    let Counts { batches, misses, latency } = generator.counts;
    let operations = batches as f64 * load.shape.pipeline as f64;
    Ok(Sample {
        rate: operations / elapsed.as_secs_f64(),
        cpu_ns: cpu_ns as f64 / operations,
        busy: cpu_ns as f64 / elapsed.as_nanos() as f64 / cores as f64,
        p50_us: latency.quantile(0.5) / 1e3,
        p99_us: latency.quantile(0.99) / 1e3,
        wrong: misses,
    })
}

fn connect(load: &Load<'_>, poll: &Poll) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        let stream = std::net::TcpStream::connect(load.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(number), interest)?;
        connections.push(Connection {
            stream,
            asked: Vec::new(),
            answered: 0,
            look: load.look,
            output: Vec::new(),
            sent_bytes: 0,
            // One more, so that a whole batch never fills it: see `receive`.
            input: vec![0; load.shape.batch_reply_bytes(load.items) + 1],
            read_bytes: 0,
            parsed_bytes: 0,
            begun: clock::now(),
        });
    }
    Ok(connections)
}

impl Generator<'_> {
    fn drive(
        &mut self,
        poll: &mut Poll,
        connections: &mut [Connection],
        duration: Duration,
    ) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(CONNECTIONS);
        let start = clock::now();
        while start.elapsed() < duration {
            poll.poll(&mut events, Some(Duration::ZERO))?;
            for event in &events {
                let Some(connection) = connections.get_mut(event.token().0) else { continue };
                connection.send()?;
                self.receive(connection)?;
            }
        }
        Ok(())
    }

    /// Reads what is there, and begins the next batch when this one is answered.
    fn receive(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        while let Some(is_drained) = connection.read()? {
            self.understand(connection)?;
            if connection.answered == connection.asked.len() {
                let now = clock::now();
                self.counts.batches += 1;
                self.counts.latency.record((now - connection.begun).as_nanos() as u64);
                connection.begun = now;
                self.next_batch(connection)?;
                return Ok(());
            }
            if is_drained {
                return Ok(());
            }
        }
        Ok(())
    }

    fn understand(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        let Load { shape, items, .. } = self.load;
        while let Some(asked) = connection.asked.get(connection.answered).copied() {
            let unread = connection.input.get(connection.parsed_bytes..connection.read_bytes);
            let unread = unread.unwrap_or_default();
            match replies::read(shape, items, asked, connection.look, unread) {
                Reply::Incomplete => return Ok(()),
                Reply::Whole { bytes, misses } => {
                    connection.parsed_bytes += bytes;
                    connection.answered += 1;
                    self.counts.misses += misses;
                }
                Reply::Wrong => {
                    let said = unread.get(..unread.len().min(100)).unwrap_or_default();
                    let said = String::from_utf8_lossy(said);
                    anyhow::bail!("{asked:?} of {} is answered {said:?}", shape.name);
                }
            }
        }
        if connection.parsed_bytes != connection.read_bytes {
            anyhow::bail!("more replies than commands of {}", shape.name);
        }
        Ok(())
    }

    fn next_batch(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        let Load { shape, items, look, .. } = self.load;
        connection.asked.clear();
        connection.output.clear();
        (connection.answered, connection.sent_bytes) = (0, 0);
        (connection.read_bytes, connection.parsed_bytes) = (0, 0);
        for _ in 0..shape.pipeline {
            let index = self.below(items.count() as u64) as usize;
            if self.below(10) < shape.sets_of_ten {
                items.write_set(index, &mut connection.output);
                connection.asked.push(Asked::Set);
            } else {
                shape.write_get(items, index, &mut connection.output);
                connection.asked.push(Asked::Get(index));
            }
        }
        let is_sample = self.below(VALUES_EVERY) == 0;
        let closely = if is_sample { Look::Values } else { Look::Headers };
        connection.look = if *look == Look::Kind { Look::Kind } else { closely };
        connection.send()
    }

    /// Uniform, by a linear congruence's upper half: seeded, and cheap for the client.
    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(SEED | 1);
        ((self.random >> 32) * limit) >> 32
    }
}

impl Connection {
    fn send(&mut self) -> anyhow::Result<()> {
        while let Some(rest) = self.output.get(self.sent_bytes..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => self.sent_bytes += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("sending commands"),
            }
        }
        Ok(())
    }

    /// Reads once. `None` if nothing was there, else whether that was all.
    fn read(&mut self) -> anyhow::Result<Option<bool>> {
        let room = self.input.get_mut(self.read_bytes..).unwrap_or_default();
        let room_bytes = room.len();
        match self.stream.read(room) {
            Ok(0) => Err(io::Error::from(ErrorKind::UnexpectedEof)).context("reading replies"),
            Ok(count) => {
                self.read_bytes += count;
                Ok(Some(count < room_bytes))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("reading replies"),
        }
    }
}
