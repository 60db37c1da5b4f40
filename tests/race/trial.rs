//! One trial: one object, those who read it, and the changes that come amid their reads.
//!
//! # Invariants
//! - Who does what after how long is chosen before the trial begins, from its seed.
//! - It ends with reads by every door, when nothing is under way any more.
//!
//! # Not here
//! What a read proves: `world`. What a change covers: `purges`.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};
use wasmcached_tests::Random;

use crate::purges::{Purge, change};
use crate::store::Object;
use crate::world::{Doors, Reader, World};

/// Trials that are under way at once: as many objects are raced for.
const TRIALS_AT_ONCE: usize = 96;

/// Readers and changes begin within so many milliseconds.
const SPREAD_MS: usize = 250;

/// Most readers that come by themselves: 2 to this power.
const WAITERS_LOG2_MAX: usize = 6;

/// Trials after which an object is raced for once more; a tier has it then, and memory hardly.
const REVISIT_AFTER: usize = 700;

/// Runs one trial for every object of the world.
pub(crate) async fn run_all(world: &Arc<World>, seed: u64) {
    for_all(world, seed, run).await;
}

/// Reads every object by every door, when nothing changes any more.
pub(crate) async fn revisit_all(world: &Arc<World>, seed: u64) {
    for_all(world, seed, revisit).await;
}

/// Does it for every object in turn, for some of them at once.
async fn for_all<W, F>(world: &Arc<World>, seed: u64, work: W)
where
    W: Fn(Arc<World>, Arc<Object>, Random) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(TRIALS_AT_ONCE));
    let mut tasks = JoinSet::new();
    for object in world.store.objects() {
        let turn = Arc::clone(&turns).acquire_owned().await.expect("never closed");
        // Not the seed of the object itself, whose choices are its own.
        let random = Random::new(Random::new(seed ^ object.id as u64).next_u64());
        let task = work(Arc::clone(world), Arc::clone(object), random);
        tasks.spawn(async move {
            task.await;
            drop(turn);
        });
        while let Some(ended) = tasks.try_join_next() {
            ended.expect("a trial ends");
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a trial ends");
    }
}

async fn revisit(world: Arc<World>, object: Arc<Object>, mut random: Random) {
    read_by_all(&world, &object, &mut random).await;
}

async fn run(world: Arc<World>, object: Arc<Object>, mut random: Random) {
    if random.percent(50) {
        world.read(&object, Reader::Usual, &mut random).await;
    }
    // Few most often, so that the machine has time for many trials.
    let waiters_max = 1 << random.below(WAITERS_LOG2_MAX + 1);
    let (waiters, changes) = (1 + random.below(waiters_max), 1 + random.below(3));
    race(&world, &object, (waiters, changes, SPREAD_MS), &mut random).await;
    read_by_all(&world, &object, &mut random).await;
    let Some(earlier) = object.id.checked_sub(REVISIT_AFTER) else { return };
    let earlier = &world.store.objects()[earlier];
    // All at the same moment: loads from the tier take no longer.
    race(&world, earlier, (3, random.below(2), 1), &mut random).await;
    read_by_all(&world, earlier, &mut random).await;
}

/// So many readers and changes, which begin within so many milliseconds; returns when all is done.
async fn race(
    world: &Arc<World>,
    object: &Arc<Object>,
    (waiters, changes, spread_ms): (usize, usize, usize),
    random: &mut Random,
) {
    let mut parts = JoinSet::new();
    for part in 0..waiters + changes {
        let (world, object) = (Arc::clone(world), Arc::clone(object));
        let after = Duration::from_millis(random.below(spread_ms) as u64);
        let mut random = Random::new(random.next_u64());
        parts.spawn(async move {
            sleep(after).await;
            if part < waiters {
                return world.read(&object, reader(&mut random), &mut random).await;
            }
            let purge = Purge::choose(&mut random, object.kind, &world.doors);
            change(&world, &object, purge).await;
            // Those who know of the change are the first to look.
            for _ in 0..1 + random.below(3) {
                world.read(&object, reader(&mut random), &mut random).await;
            }
        });
    }
    while let Some(ended) = parts.join_next().await {
        ended.expect("a part of a trial ends");
    }
}

/// Reads an object by every door; its makers twice, so that they find what they made.
async fn read_by_all(world: &World, object: &Arc<Object>, random: &mut Random) {
    for reader in [Reader::Memcached, Reader::Api, Reader::Usual, Reader::Usual] {
        if reader == Reader::Usual || matches!(world.doors, Doors::Wasmcached { .. }) {
            world.read(object, reader, random).await;
        }
    }
}

fn reader(random: &mut Random) -> Reader {
    match random.below(10) {
        0 => Reader::Memcached,
        1 => Reader::Api,
        _ => Reader::Usual,
    }
}
