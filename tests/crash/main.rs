//! Crashes of the server with its tier: `kill -9` at random moments and at every fail point.
//! What was acknowledged is undone by none of them, no sequence is given out twice, and the next
//! start is quick.
//!
//! `CRASH_SEED` repeats the choices of a run, though not the machine's timing.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

mod client;
mod ledger;
mod names;
mod opening;
mod restart;
mod workload;
mod world;

use wasmcached_tests::{Database, Random, Server, server};
use workload::Mix;
use world::World;

/// Kills of a run, those at fail points included.
const KILLS_MIN: usize = 300;

/// Kills of a run that are not at fail points; each of those is followed by one more.
const RANDOM_KILLS: usize = 200;

/// The same above PostgreSQL, where what differs is the database's part alone.
const RANDOM_KILLS_POSTGRES: usize = 50;

/// Fail points that only a SQLite file has.
const OF_FILES: &str = "file-";

/// The seed in the environment's `CRASH_SEED`, or a new one.
fn seed() -> u64 {
    let seed = match std::env::var("CRASH_SEED") {
        Ok(seed) => seed.parse().unwrap_or_else(|error| panic!("CRASH_SEED `{seed}`: {error}")),
        Err(_) => Random::seed(),
    };
    eprintln!("CRASH_SEED={seed}");
    seed
}

/// The names of all fail points, as the binary that has them prints them.
fn fail_points() -> Vec<String> {
    let mut server = Server::prepare(&wasmcached_tests::settings::plain());
    let started = server.try_launch(&server::binary_with_fail_points(), &[]);
    started.expect("the server starts");
    let points = server.printed().iter().filter_map(|line| line.strip_prefix("fail point "));
    points.map(str::to_owned).collect()
}

/// The most passes of a point before the server dies there: what happens once or twice in a life
/// is to be hit the first time.
fn passes_max(point: &str) -> usize {
    let few = [
        "file-",
        "migrated",
        "epoch-",
        "fence-",
        "oldest-",
        "rows-culled",
        "writer-ending",
        "hold-",
        "event-",
        "rows-found",
    ];
    if few.iter().any(|few| point.starts_with(few)) { 1 } else { 40 }
}

fn die_at_each(world: &mut World, points: &[String], random: &mut Random, rounds: usize) {
    for round in 0..rounds {
        for point in points {
            let passes = if round == 0 { 0 } else { random.below(passes_max(point)) };
            world.die_at(point, passes);
        }
    }
}

#[test]
fn kills_at_any_moment_and_at_every_fail_point_undo_nothing_that_was_acknowledged() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut world = World::new(seed, Mix::Usual, &Database::sqlite());
    let points: Vec<String> =
        fail_points().into_iter().filter(|point| point != "event-put").collect();
    assert!(points.len() > 20, "{points:?}");
    die_at_each(&mut world, &points, &mut random, 2);
    for _ in 0..RANDOM_KILLS {
        world.live();
    }
    world.start();
    eprintln!("{}", world.summary());
    assert!(world.kills >= KILLS_MIN, "only {} kills", world.kills);
    world.assert_it_was_no_empty_cache();
    world.assert_starts_were_quick();
}

#[test]
fn kills_above_postgres_undo_nothing_that_was_acknowledged() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut world = World::new(seed, Mix::Usual, &Database::postgres());
    let points = fail_points().into_iter();
    let points: Vec<String> =
        points.filter(|point| point != "event-put" && !point.starts_with(OF_FILES)).collect();
    die_at_each(&mut world, &points, &mut random, 1);
    for _ in 0..RANDOM_KILLS_POSTGRES {
        world.live();
    }
    world.start();
    eprintln!("{}", world.summary());
    world.assert_it_was_no_empty_cache();
    world.assert_starts_were_quick();
}

#[test]
fn kills_amid_events_with_values_bring_back_no_older_value() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut world = World::new(seed, Mix::WithValues, &Database::sqlite());
    let points = fail_points();
    let of_events: Vec<String> = points
        .into_iter()
        .filter(|point| {
            ["event-", "record-", "batch-", "hold-"].iter().any(|p| point.starts_with(p))
        })
        .collect();
    assert!(of_events.iter().any(|point| point == "event-put"), "{of_events:?}");
    die_at_each(&mut world, &of_events, &mut random, 1);
    for _ in 0..40 {
        world.live();
    }
    world.start();
    eprintln!("{}", world.summary());
    world.assert_it_was_no_empty_cache();
    world.assert_starts_were_quick();
}
