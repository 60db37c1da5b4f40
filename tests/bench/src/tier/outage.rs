//! Hits while the database below is well, slow and silent; another connection goes on storing, so
//! that the server has to do with the database all the time.
//!
//! # Invariants
//! - The states take their turns on one server in every round.

use std::sync::atomic::{AtomicBool, Ordering};

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

const STATES: [(&str, Option<Fault>); 3] =
    [("well", None), ("slow: 2 s per commit", Some(Fault::Slow)), ("silent", Some(Fault::Silent))];

/// A table of hits by the state of the disk.
pub(super) fn table(plan: &Plan) -> anyhow::Result<String> {
    eprintln!("hits while the disk fails");
    let disk = Disk::new();
    let server = Server::start(plan, &Database::Sqlite, &disk.environment())?;
    let items = Items::new(ITEMS, HITS.value_bytes);
    items.fill(server.memcached)?;
    let mut samples = STATES.map(|_| Vec::new());
    for _ in 0..plan.rounds {
        for ((_, fault), samples) in STATES.iter().zip(&mut samples) {
            match fault {
                Some(fault) => disk.fails(*fault),
                None => {
                    disk.works();
                    let mut connection = Memcached::connect(server.memcached)?;
                    let mut is_stored = || connection.set("written", "STORED").is_ok();
                    wait_for("the tier works", || Ok(is_stored().then_some(())))?;
                }
            }
            samples.push(hits(plan, &server, &items)?);
        }
    }
    disk.works();
    let of = |samples: &[Sample], figure: fn(&Sample) -> f64| {
        median(samples.iter().map(figure).collect())
    };
    let well = samples.first().map_or(f64::NAN, |samples| of(samples, |sample| sample.p99_us));
    let mut text = "\n| disk | hits/s | hit p50, µs | hit p99, µs | ratio of p99 |\n\
                    |---|---|---|---|---|\n"
        .to_owned();
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
