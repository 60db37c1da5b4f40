//! Fills, reads and invalidations on real threads: the orderings that a single thread can't show.
//!
//! The "origin" is a version number. A writer raises it, invalidates, and after the acknowledgement
//! notes it as promised. Whoever reads notes what is promised *before* it reads, and must not get
//! anything older.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use futures_util::FutureExt;

use super::{Basis, Cache, CacheConfig, Change, Claim, Draft, Recovered, WhenFull};
use crate::clock::Clock;
use crate::model::{Cause, Invalidation, Key, Mode, Tag, Target};

/// A race ends after so many invalidations, and not before so many reads found something.
const INVALIDATIONS: u64 = 20_000;
const READS_MIN: u64 = 2_000;

/// A race in which nothing is ever read shows nothing; the bound makes that a failure, not a hang.
const INVALIDATIONS_MAX: u64 = 100 * INVALIDATIONS;

struct World {
    cache: Cache,
    key: Key,
    origin: AtomicU64,
    promised: AtomicU64,
    is_over: AtomicBool,
    reads: AtomicU64,
}

impl World {
    fn new() -> Self {
        let config = CacheConfig {
            memory_bytes: 8 << 20,
            item_bytes_max: 1 << 10,
            when_full: WhenFull::Evict,
        };
        Self {
            cache: Cache::new(config, Clock::manual(1), None, Recovered::default()),
            key: Key::new(b"p/page").unwrap(),
            origin: AtomicU64::new(0),
            promised: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            reads: AtomicU64::new(0),
        }
    }

    /// Changes the data, says so, and notes the promise when it was acknowledged.
    fn write(&self, target: &Target) {
        for round in 0..INVALIDATIONS_MAX {
            if round >= INVALIDATIONS && self.reads.load(Ordering::Relaxed) >= READS_MIN {
                break;
            }
            thread::yield_now();
            let version = self.origin.fetch_add(1, Ordering::SeqCst) + 1;
            let cause =
                Cause { source: "test".into(), event_id: None, at_ms: 0, ..Cause::default() };
            let targets = vec![(target.clone(), Mode::Hard)];
            let acknowledged = self.cache.invalidate(Invalidation { targets, cause });
            acknowledged.now_or_never().unwrap().unwrap();
            self.promised.store(version, Ordering::SeqCst);
        }
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Misses, asks the origin, stores; as slowly as the scheduler makes it.
    fn fill(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            let claim: Claim = self.cache.claim();
            let version = self.origin.load(Ordering::SeqCst);
            if version.is_multiple_of(7) {
                thread::yield_now();
            }
            let draft = Draft {
                tags: vec![Tag::new("t").unwrap()],
                basis: Basis::Claim(claim),
                ..Draft::new(Bytes::from(version.to_string()))
            };
            // Refused where the fence has moved; that is the point.
            let _ = self.cache.update(&self.key, |_| (Change::Put(draft), ())).now_or_never();
        }
    }

    fn read(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            let promised = self.promised.load(Ordering::SeqCst);
            let Some(entry) = self.cache.peek(self.key.as_bytes()) else { continue };
            let version: u64 = std::str::from_utf8(entry.body()).unwrap().parse().unwrap();
            assert!(version >= promised, "read {version} after {promised} was acknowledged");
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn race(target: &Target) {
    let world = World::new();
    thread::scope(|scope| {
        scope.spawn(|| world.fill());
        scope.spawn(|| world.fill());
        scope.spawn(|| world.read());
        scope.spawn(|| world.read());
        world.write(target);
    });
    let reads = world.reads.load(Ordering::Relaxed);
    assert!(reads >= READS_MIN, "{reads} reads found anything; {READS_MIN} make a race");
}

#[test]
fn no_read_is_older_than_an_acknowledged_invalidation_of_its_tag() {
    race(&Target::Tag(Tag::new("t").unwrap()));
}

#[test]
fn no_read_is_older_than_an_acknowledged_removal_of_its_key() {
    race(&Target::Key(Key::new(b"p/page").unwrap()));
}

#[test]
fn no_read_is_older_than_an_acknowledged_invalidation_of_its_prefix() {
    race(&Target::Prefix(Key::new(b"p/").unwrap()));
}

#[test]
fn no_read_is_older_than_an_acknowledged_invalidation_of_everything() {
    race(&Target::Everything);
}
