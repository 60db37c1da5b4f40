//! The memcached port: speed in rounds against memcached and a bare loop, then memory.
//!
//! # Invariants
//! - Within a round every shape goes over all servers before the next shape begins, in an order
//!   that alternates between rounds. Only the one in its turn has anything to do.
//! - Servers are started afresh in every round.

pub(crate) mod floor;
pub(crate) mod items;
pub(crate) mod load;
mod memory;
pub(crate) mod replies;
pub(crate) mod servers;
pub(crate) mod shape;

use std::net::SocketAddr;

use items::Items;
use load::{CONNECTIONS, Load};
use replies::Look;
use servers::{NAMES, Programs};
use shape::{ITEMS, SHAPES, Shape};

use crate::cpus::Cpus;
use crate::process::Running;
use crate::results::{Results, machine, print};
use crate::{Plan, clock};

/// Positions in [`NAMES`].
const OURS: usize = 0;
const THEIRS: usize = 1;
const FLOOR: usize = 2;

/// Measures and prints.
///
/// # Errors
/// Whatever keeps it from measuring, and replies that were wrong.
pub(crate) fn measure(plan: &Plan, only: Option<Shape>) -> anyhow::Result<()> {
    plan.cores.client_cpus.keep_to_them()?;
    let programs = Programs::find(0)?;
    let shapes = only.map_or_else(|| SHAPES.to_vec(), |shape| vec![shape]);
    let titles = shapes.iter().map(|shape| shape.title.to_owned()).collect();
    let mut results = Results::new(titles, &NAMES);
    let start = clock::now();
    for round in 0..plan.rounds {
        eprintln!("round {} of {}, {:.0} s", round + 1, plan.rounds, start.elapsed().as_secs_f64());
        measure_round(plan, &programs, &shapes, round, &mut results)?;
    }
    print(&heading(plan, &programs))?;
    print(&results.ratios(OURS, THEIRS))?;
    print(&results.ratios(FLOOR, THEIRS))?;
    print(&results.raw())?;
    if only.is_none() {
        print(&memory::table(&programs, &plan.cores)?)?;
    }
    match results.wrong() {
        0 => Ok(()),
        wrong => anyhow::bail!("{wrong} items were missing that had been stored"),
    }
}

fn heading(plan: &Plan, programs: &Programs) -> String {
    format!(
        "# memcached port\n\n{}; {}. {} rounds of {} s; servers on cores {} with {} threads, load \
         on {}. {CONNECTIONS} connections, {ITEMS} items, keys of 20 B chosen uniformly. An \
         operation is a command; latency is that of a batch. Ratios are medians of the rounds' \
         ratios (least–greatest).\n",
        machine(),
        programs.versions(),
        plan.rounds,
        plan.seconds,
        plan.cores.server_cpus,
        plan.cores.threads(),
        plan.cores.client_cpus,
    )
}

fn measure_round(
    plan: &Plan,
    programs: &Programs,
    shapes: &[Shape],
    round: u32,
    results: &mut Results,
) -> anyhow::Result<()> {
    let cores = &plan.cores;
    let real = [programs.start_wasmcached(cores)?, programs.start_memcached(cores)?];
    let mut filled: Vec<Items> = Vec::new();
    for (position, shape) in shapes.iter().enumerate() {
        if !filled.iter().any(|items| items.is_of(shape.value_bytes)) {
            let items = shape.items();
            real.iter().try_for_each(|server| items.fill(server.address()))?;
            filled.push(items);
        }
        let Some(items) = filled.iter().find(|items| items.is_of(shape.value_bytes)) else {
            continue;
        };
        let floor = programs.start_floor(shape, cores)?;
        let mut servers: Vec<(usize, &Running)> = real.iter().chain([&floor]).enumerate().collect();
        if round % 2 == 1 {
            servers.reverse();
        }
        for (server, running) in servers {
            let look = if server == FLOOR { Look::Kind } else { Look::Headers };
            let (address, seconds) = (running.address(), plan.seconds);
            let load = Load { address, shape: *shape, items, look, seconds };
            let sample = load::run(&load, cores.server_cpus.count(), || running.cpu_ns())?;
            results.record(position, server, sample);
        }
    }
    Ok(())
}

/// Fills a server that runs already, and loads it.
///
/// # Errors
/// Those of the load.
pub(crate) fn load_only(
    address: SocketAddr,
    shape: Shape,
    seconds: u32,
    client_cpus: &Cpus,
) -> anyhow::Result<()> {
    client_cpus.keep_to_them()?;
    let items = shape.items();
    items.fill(address)?;
    let load = Load { address, shape, items: &items, look: Look::Headers, seconds };
    let sample = load::run(&load, 1, || Ok(0))?;
    print(&format!(
        "{}: {:.1} k operations/s, p50 {:.0} µs, p99 {:.0} µs, {} missing\n",
        shape.title,
        sample.rate / 1e3,
        sample.p50_us,
        sample.p99_us,
        sample.wrong
    ))
}
