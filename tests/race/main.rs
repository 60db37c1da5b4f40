//! The race: random reads and changes at once, against the promise that no read which starts after
//! an invalidation was acknowledged gets anything older than it.
//!
//! A test program of its own, because it takes both cores for a minute or two; it links the harness
//! and never the server. `RACE_TRIALS` says how many trials (10 000), `RACE_SEED` repeats the
//! choices of a run: who reads what, how, and after how long. Time itself is not repeated.
//!
//! # Invariants
//! - The same trials against Varnish have to find stale reads: a race that finds none there proves
//!   nothing here.
//! - A run in which hardly any change met a fill is a failure, too.
//! - Where the server is killed, only what it has answered counts as acknowledged.
//!
//! # Not here
//! Exact interleavings: `it/purges.rs`, `vtc/`. Chosen schedules of the cache itself: `schedules/`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test reports by panicking, and tells what it has seen"
)]

mod http;
mod memcached;
mod origin;
mod purges;
mod store;
mod trial;
mod varnish;
mod wire;
mod world;

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Database, Server, settings};

use crate::origin::Asked;
use crate::purges::Purge;
use crate::store::{Kind, Store};
use crate::varnish::Varnish;
use crate::wire::Pool;
use crate::world::{Doors, World};

/// How often a server is killed while it is raced for.
const KILLS: usize = 12;

/// Rules for the events of the race.
const RULES: &str = "\n[pages]\nlisten = \"127.0.0.1:0\"\n[plugins.rules.config.rules]\nevents = [\
    { model = \"race.row\", tags = [\"object:{pk}\"], keys = [\"g{after.group}:{pk}\"] },\
    { model = \"race.group\", tags = [\"group:{pk}\"], prefixes = [\"g{pk}:\"] }]\n";

/// A number of the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name} `{text}`: {error}")))
}

/// So many percent of all trials.
fn trials(percent: u64) -> usize {
    (number("RACE_TRIALS").unwrap_or(10_000) * percent).div_ceil(100) as usize
}

/// The objects of a run, and the application that has them.
struct Stage {
    name: &'static str,
    seed: u64,
    runtime: Runtime,
    store: Arc<Store>,
    asked: Arc<Asked>,
    origin: SocketAddr,
}

impl Stage {
    fn new(name: &'static str, trials: usize, kinds: &[Kind]) -> Self {
        let seed = number("RACE_SEED").unwrap_or_else(|| RandomState::new().hash_one("seed"));
        println!("{name}: RACE_SEED={seed}, {trials} trials");
        // Two runs at once, with a connection to the cache and one from it for each read.
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let allowed = Rlimit { current: maximum, maximum };
        setrlimit(Resource::Nofile, allowed).expect("as many descriptors as are allowed");
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("start the runtime");
        let store = Arc::new(Store::new(seed, trials, kinds));
        let asked = Arc::new(Asked::default());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("listen");
        let origin = listener.local_addr().expect("address");
        runtime.spawn(origin::serve(listener, Arc::clone(&store), Arc::clone(&asked)));
        Self { name, seed, runtime, store, asked, origin }
    }

    fn world(&self, doors: Doors) -> Arc<World> {
        Arc::new(World::new(Arc::clone(&self.store), doors, Arc::clone(&self.asked)))
    }

    /// wasmcached in front of the application, with less memory than all objects take.
    fn settings(&self) -> String {
        let settings = settings::plain().replace("\"32MiB\"", "\"8MiB\"");
        format!(
            "{settings}{RULES}[[sites]]\nname = \"race\"\norigin = \"http://{}\"\n\
             [[sources]]\nname = \"race\"\nverify = \"standard\"\nsecrets = [\"{}\"]\n\
             plugin = \"rules\"\n",
            self.origin,
            settings::SECRET
        )
    }

    /// Runs all trials. Panics if something did not work, or there was nothing to find.
    #[track_caller]
    fn run(&self, world: &Arc<World>) {
        let start = Instant::now();
        self.runtime.block_on(trial::run_all(world, self.seed));
        self.tell(world, start.elapsed().as_secs());
        let seen = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (tally, trials) = (&world.tally, self.store.objects().len() as u64);
        assert!(seen(&tally.purges_amid_fills) > trials / 10, "hardly any change met a fill");
        assert!(seen(&tally.hits) > trials, "hardly anything was served from the cache");
    }

    /// Tells what was seen. Panics if something did not work at all.
    #[track_caller]
    fn tell(&self, world: &World, seconds: u64) {
        let seen = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (tally, asked) = (&world.tally, &world.asked);
        println!(
            "{}: {seconds} s; {} reads, {} of them hits; {} invalidations, {} of them amid a fill; \
             origin asked {} times, {} of them answered 304; {} stores refused; \
             {} stale reads {:?}",
            self.name,
            seen(&tally.reads),
            seen(&tally.hits),
            seen(&tally.purges),
            seen(&tally.purges_amid_fills),
            seen(&asked.pages),
            seen(&asked.unchanged),
            seen(&tally.refused),
            world.stale_count(),
            world.stale_kinds(),
        );
        let broken = world.broken_told();
        assert!(broken.is_empty(), "RACE_SEED={}\n{broken}", self.seed);
    }

    #[track_caller]
    fn nothing_was_stale(&self, world: &World) {
        let stale = world.stale_told();
        assert!(stale.is_empty(), "RACE_SEED={}\n{stale}", self.seed);
    }
}

fn doors_of(server: &Server) -> Doors {
    Doors::Wasmcached {
        pages: Pool::new(server.address("pages")),
        api: Pool::new(server.address("api")),
        memcached: Pool::new(server.address("memcached")),
    }
}

#[test]
fn no_read_is_older_than_an_invalidation_that_was_acknowledged_before_it() {
    let stage = Stage::new("memory", trials(70), &Kind::ALL);
    let server = Server::start(&stage.settings());
    let world = stage.world(doors_of(&server));
    stage.run(&world);
    stage.nothing_was_stale(&world);
    let (refused, unchanged) = (&world.tally.refused, &world.asked.unchanged);
    assert!(refused.load(Ordering::Relaxed) > 0, "no store of an item was ever refused");
    assert!(unchanged.load(Ordering::Relaxed) > 0, "the origin never answered 304");
}

#[test]
fn nor_with_a_tier_nor_after_it_is_killed_and_started_again() {
    races_above(&Database::sqlite(), "tier", 30);
}

#[test]
fn nor_with_a_tier_on_postgres_nor_after_it_is_killed_and_started_again() {
    races_above(&Database::postgres(), "PostgreSQL", 10);
}

/// So many percent of all trials with a tier, then a kill, and everything is read once more.
fn races_above(database: &Database, name: &'static str, percent: u64) {
    let stage = Stage::new(name, trials(percent), &Kind::ALL);
    let mut server = Server::start(&database.below(&stage.settings()));
    let world = stage.world(doors_of(&server));
    stage.run(&world);
    server.kill();
    server.start_again();
    world.doors.close();
    let hits = world.tally.hits.load(Ordering::Relaxed);
    stage.runtime.block_on(trial::revisit_all(&world, stage.seed));
    let hits = world.tally.hits.load(Ordering::Relaxed) - hits;
    println!("{name}: {hits} hits after the restart");
    let broken = world.broken_told();
    assert!(broken.is_empty(), "RACE_SEED={}\n{broken}", stage.seed);
    stage.nothing_was_stale(&world);
}

#[test]
fn nor_when_it_is_killed_again_and_again_amid_fills_and_invalidations() {
    let stage = Stage::new("kills", trials(3).max(KILLS * 10), &Kind::ALL);
    let mut server = Server::start(&settings::with_tier(&stage.settings()));
    let world = stage.world(doors_of(&server));
    world.set_mortal(true);
    let start = Instant::now();
    let raced = Arc::clone(&world);
    let seed = stage.seed;
    let race = stage.runtime.spawn(async move { trial::run_all(&raced, seed).await });
    for kill in 1..=KILLS {
        let purges = stage.store.objects().len() * kill / KILLS;
        eventually("changes are acknowledged", || {
            world.tally.purges.load(Ordering::Relaxed) >= purges as u64
        });
        server.kill();
        server.start_again();
    }
    stage.runtime.block_on(race).expect("the race ends");
    world.set_mortal(false);
    world.doors.close();
    stage.runtime.block_on(trial::revisit_all(&world, stage.seed));
    stage.tell(&world, start.elapsed().as_secs());
    stage.nothing_was_stale(&world);
}

/// The control: the same trials find what they look for.
fn varnish_serves_stale_pages_after(purge: Purge, name: &'static str) {
    let stage = Stage::new(name, trials(3).max(100), &[Kind::Page, Kind::Streamed]);
    let varnish = Varnish::start(stage.origin);
    let world = stage.world(Doors::Varnish { pages: Pool::new(varnish.address()), purge });
    stage.run(&world);
    assert!(world.stale_count() > 0, "the race finds nothing where there is something to find");
}

#[test]
fn control_finds_stale_pages_after_an_xkey_purge_of_varnish() {
    varnish_serves_stale_pages_after(Purge::Xkey, "Varnish, xkey");
}

#[test]
fn control_finds_stale_pages_after_a_ban_of_varnish() {
    varnish_serves_stale_pages_after(Purge::Ban, "Varnish, ban");
}
