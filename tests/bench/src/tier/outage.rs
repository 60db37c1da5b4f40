//! Hits while the database below is well, slow and silent; another connection goes on storing, so
//! that the server has to do with the database all the time.
//!
//! # Invariants
//! - The states take their turns on one server in every round.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use wasmcached_tests::Postgres;
use wasmcached_tests::disk::{Disk, Fault};

use super::drive::Memcached;
use super::server::{Database, Server};
use crate::Plan;
use crate::clock::wait_for;
use crate::memcached::items::Items;
use crate::memcached::load::{self, Load};
use crate::memcached::replies::Look;
use crate::memcached::shape::Shape;
use crate::results::{Sample, median};

/// Few enough to be stored one after another through the database.
const ITEMS: u32 = 5_000;

const HITS: Shape = Shape {
    name: "hits",
    title: "gets, 100 B",
    sets_of_ten: 0,
    keys_per_get: 1,
    value_bytes: 100,
    pipeline: 1,
};

/// What the database does.
#[derive(Clone, Copy)]
enum State {
    Well,
    Slow,
    Silent,
}

const STATES: [(&str, State); 3] =
    [("well", State::Well), ("slow, 1 s and more", State::Slow), ("silent", State::Silent)];

/// Hits by the state of the disk below SQLite.
///
/// # Errors
/// The server can't be started, or a hit is none.
pub(super) fn of_sqlite(plan: &Plan) -> anyhow::Result<String> {
    let disk = Disk::new();
    let server = Server::start(plan, &Database::sqlite("each"), &disk.environment())?;
    let set = |state| match state {
        State::Well => disk.works(),
        State::Slow => disk.fails(Fault::Slow),
        State::Silent => disk.fails(Fault::Silent),
    };
    table(plan, "SQLite's disk", &server, &set)
}

/// Hits by the state of the network before PostgreSQL.
///
/// # Errors
/// The server can't be started, or a hit is none.
pub(super) fn of_postgres(plan: &Plan, postgres: &Postgres) -> anyhow::Result<String> {
    let database = Database::postgres_by_tcp(postgres)?;
    let proxy = database.proxy.clone().context("a proxy")?;
    let server = Server::start(plan, &database, &[])?;
    let set = |state| match state {
        State::Well => proxy.pass(),
        State::Slow => proxy.delay_ms(2_000),
        State::Silent => proxy.freeze(),
    };
    table(plan, "PostgreSQL's network", &server, &set)
}

fn table(plan: &Plan, what: &str, server: &Server, set: &dyn Fn(State)) -> anyhow::Result<String> {
    eprintln!("hits while {what} fails");
    let items = Items::new(ITEMS, HITS.value_bytes);
    items.fill(server.memcached)?;
    let mut samples = STATES.map(|_| Vec::new());
    for _ in 0..plan.rounds {
        for ((_, state), samples) in STATES.iter().zip(&mut samples) {
            set(*state);
            if let State::Well = state {
                let mut connection = Memcached::connect(server.memcached)?;
                let mut is_stored = || connection.set("written", "STORED").is_ok();
                wait_for("the tier works", || Ok(is_stored().then_some(())))?;
            }
            samples.push(hits(plan, server, &items)?);
        }
    }
    set(State::Well);
    let of = |samples: &[Sample], figure: fn(&Sample) -> f64| {
        median(samples.iter().map(figure).collect())
    };
    let well = samples.first().map_or(f64::NAN, |samples| of(samples, |sample| sample.p99_us));
    let mut text = format!(
        "\n| {what} | hits/s | hit p50, µs | hit p99, µs | ratio of p99 |\n|---|---|---|---|---|\n"
    );
    for ((state, _), samples) in STATES.iter().zip(&samples) {
        let p99 = of(samples, |sample| sample.p99_us);
        text += &format!(
            "| {state} | {:.0} | {:.0} | {p99:.0} | **{:.2}** |\n",
            of(samples, |sample| sample.rate),
            of(samples, |sample| sample.p50_us),
            p99 / well
        );
    }
    Ok(text)
}

fn hits(plan: &Plan, server: &Server, items: &Items) -> anyhow::Result<Sample> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let storing = scope.spawn(|| store_until(server, &is_over));
        let load = Load {
            address: server.memcached,
            shape: HITS,
            items,
            look: Look::Headers,
            seconds: plan.seconds,
        };
        let cores = plan.cores.server_cpus.count();
        let sample = load::run(&load, cores, || server.running().cpu_ns());
        is_over.store(true, Ordering::Relaxed);
        // Ends with the answer it waits for, within some seconds.
        storing.join().map_err(|_| anyhow::anyhow!("the one who stores has panicked"))??;
        let sample = sample?;
        anyhow::ensure!(sample.wrong == 0, "{} hits were misses", sample.wrong);
        Ok(sample)
    })
}

/// One store after another; refused or not, each is answered. It pauses between two, or the answers
/// of a server that refuses at once would be what is measured.
fn store_until(server: &Server, is_over: &AtomicBool) -> anyhow::Result<()> {
    let mut connection = Memcached::connect(server.memcached)?;
    while !is_over.load(Ordering::Relaxed) {
        connection.set("written-all-the-time", "S")?;
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    Ok(())
}
