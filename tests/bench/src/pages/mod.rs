//! The page cache: speed in rounds against nginx, Varnish and a bare loop.
//!
//! # Invariants
//! - Before it is loaded, every server is seen to answer rightly, and hits to come from its cache.
//! - Within a round every shape goes over all servers before the next shape begins, in an order
//!   that alternates between rounds. Only the one in its turn has anything to do.

pub(crate) mod origin;
mod servers;
mod wrk;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

use origin::{BODY_BYTE, ETAG, LARGE_BYTES, SERIAL, SMALL_BYTES};
pub(crate) use servers::start_origin;
use servers::{NAMES, Programs};
use wrk::CONNECTIONS;
pub(crate) use wrk::{Ask, Wrk};

use crate::process::{self, Running};
use crate::results::{Results, Sample, machine, print};
use crate::{Cores, Plan, clock};

/// Positions in [`NAMES`].
const OURS: usize = 0;
const NGINX: usize = 1;
const VARNISH: usize = 2;
const FLOOR: usize = 3;

/// In front of wasmcached the plugin `rules` drops its query; to the others it is a URL.
const KEYED_PATH: &str = "/small?utm_source=a";

/// For an answer of a server that has nothing else to do.
const FETCH_LIMIT: Duration = Duration::from_secs(10);

/// One shape of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    name: &'static str,
    title: &'static str,
    ask: Ask,
    status: u16,
    body_bytes: usize,
}

const SHAPES: [Shape; 5] = [
    Shape {
        name: "page-4k",
        title: "hit, 4 KB",
        ask: Ask::Path("/small"),
        status: 200,
        body_bytes: SMALL_BYTES,
    },
    Shape {
        name: "plugin-key",
        title: "hit, 4 KB, key by a plugin",
        ask: Ask::Path(KEYED_PATH),
        status: 200,
        body_bytes: SMALL_BYTES,
    },
    Shape {
        name: "page-64k",
        title: "hit, 64 KB",
        ask: Ask::Path("/large"),
        status: 200,
        body_bytes: LARGE_BYTES,
    },
    Shape {
        name: "not-modified",
        title: "304",
        ask: Ask::Changed("/small", ETAG),
        status: 304,
        body_bytes: 0,
    },
    Shape {
        name: "miss-4k",
        title: "miss, 4 KB, stored",
        ask: Ask::NewPaths,
        status: 200,
        body_bytes: SMALL_BYTES,
    },
];

impl Shape {
    /// The shape of this name.
    ///
    /// # Errors
    /// There is none; says which there are.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let names = SHAPES.map(|shape| shape.name).join(", ");
        let found = SHAPES.into_iter().find(|shape| shape.name == name);
        found.ok_or_else(|| format!("shapes are {names}"))
    }

    /// Whether a plugin decides about the keys of wasmcached.
    fn has_plugin(&self) -> bool {
        matches!(self.ask, Ask::Path(KEYED_PATH))
    }
}

/// Measures and prints.
///
/// # Errors
/// Whatever keeps it from measuring, and answers that were wrong.
pub(crate) fn measure(plan: &Plan, only: Option<Shape>) -> anyhow::Result<()> {
    let programs = Programs::find()?;
    let cpus = plan.cores.client_cpus.clone();
    let wrk = Wrk { program: process::installed("wrk", "wrk", "WRK_BIN")?, cpus };
    let shapes = only.map_or_else(|| SHAPES.to_vec(), |shape| vec![shape]);
    let titles = shapes.iter().map(|shape| shape.title.to_owned()).collect();
    let mut results = Results::new(titles, &NAMES);
    let origin = start_origin(&plan.cores.client_cpus)?;
    let start = clock::now();
    for round in 0..plan.rounds {
        eprintln!("round {} of {}, {:.0} s", round + 1, plan.rounds, start.elapsed().as_secs_f64());
        let servers = start_all(&programs, &plan.cores, origin.address())?;
        let keyed = programs.start_keyed(&plan.cores, origin.address())?;
        for (position, shape) in shapes.iter().enumerate() {
            let mut turns: Vec<(usize, &Running)> = servers.iter().enumerate().collect();
            if let (true, Some(ours)) = (shape.has_plugin(), turns.get_mut(OURS)) {
                ours.1 = &keyed;
            }
            if round % 2 == 1 {
                turns.reverse();
            }
            for (server, running) in turns {
                let sample = turn(&wrk, running, shape, server == FLOOR, plan)
                    .with_context(|| format!("{:?}, {}", NAMES.get(server), shape.title))?;
                results.record(position, server, sample);
            }
        }
    }
    print(&heading(plan, &programs))?;
    for (ours, theirs) in [(OURS, NGINX), (OURS, VARNISH), (FLOOR, NGINX)] {
        print(&results.ratios(ours, theirs))?;
    }
    print(&results.raw())?;
    match results.wrong() {
        0 => Ok(()),
        wrong => anyhow::bail!("{wrong} requests were not answered by 2xx or 3xx"),
    }
}

fn heading(plan: &Plan, programs: &Programs) -> String {
    format!(
        "# Pages\n\n{}; {}. {} rounds of {} s; servers on cores {} with {} threads (Varnish has \
         its own pools), wrk and the origin on {}. {CONNECTIONS} connections, kept alive. The bare \
         loop reads and writes from memory; for misses it is the origin itself. Ratios are medians \
         of the rounds' ratios (least–greatest).\n",
        machine(),
        programs.versions(),
        plan.rounds,
        plan.seconds,
        plan.cores.server_cpus,
        plan.cores.threads(),
        plan.cores.client_cpus,
    )
}

/// In the order of [`NAMES`].
fn start_all(
    programs: &Programs,
    cores: &Cores,
    origin: SocketAddr,
) -> anyhow::Result<[Running; 4]> {
    Ok([
        programs.start_wasmcached(cores, origin)?,
        programs.start_nginx(cores, origin)?,
        programs.start_varnish(cores, origin)?,
        start_origin(&cores.server_cpus)?,
    ])
}

fn turn(
    wrk: &Wrk,
    server: &Running,
    shape: &Shape,
    is_floor: bool,
    plan: &Plan,
) -> anyhow::Result<Sample> {
    check(server.address(), shape, is_floor)?;
    let before = server.cpu_ns()?;
    let seen = wrk.run(server.address(), shape.ask, plan.seconds)?;
    let cpu_ns = (server.cpu_ns()? - before) as f64;
    Ok(Sample {
        rate: seen.requests as f64 / seen.elapsed_s,
        cpu_ns: cpu_ns / seen.requests as f64,
        busy: cpu_ns / 1e9 / seen.elapsed_s / plan.cores.server_cpus.count() as f64,
        p50_us: seen.p50_us,
        p99_us: seen.p99_us,
        wrong: seen.errors,
    })
}

/// Sees that the server answers the shape's request rightly, and that hits are hits.
fn check(address: SocketAddr, shape: &Shape, is_floor: bool) -> anyhow::Result<()> {
    let (path, condition) = match shape.ask {
        Ask::Path(path) => (path, String::new()),
        Ask::Changed(path, etag) => (path, format!("If-None-Match: {etag}\r\n")),
        Ask::NewPaths => ("/miss/first", String::new()),
    };
    if !is_floor {
        check_is_kept(address, path)?;
    }
    let answer = fetch(address, path, &condition)?;
    if (answer.status, answer.body_bytes) != (shape.status, shape.body_bytes) {
        anyhow::bail!(
            "{path} is answered {} with {} bytes; {} with {} are expected",
            answer.status,
            answer.body_bytes,
            shape.status,
            shape.body_bytes
        );
    }
    Ok(())
}

/// Sees that a page is answered from the cache when it is asked for again.
///
/// # Errors
/// It is not.
pub(crate) fn check_is_kept(address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let [first, second] = [fetch(address, path, "")?, fetch(address, path, "")?];
    if first.serial.is_none() || first.serial != second.serial {
        anyhow::bail!("{path} is not kept: serials {:?}, {:?}", first.serial, second.serial);
    }
    Ok(())
}

struct Answer {
    status: u16,
    serial: Option<String>,
    body_bytes: usize,
}

/// One request. The bare loop keeps its connections, so the answer's length says where it ends.
fn fetch(address: SocketAddr, path: &str, fields: &str) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(FETCH_LIMIT))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{fields}");
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head)? > 0 && !head.ends_with("\r\n\r\n") {}
    let head = head.to_lowercase();
    let field = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let status = head.split(' ').nth(1).context("the answer has no status")?.parse()?;
    let length = match status {
        304 => 0,
        _ => field("content-length").context("the answer has no length")?.parse()?,
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if body.iter().any(|byte| *byte != BODY_BYTE) {
        anyhow::bail!("{path} is not answered by the origin's page");
    }
    Ok(Answer { status, serial: field(SERIAL), body_bytes: length })
}
