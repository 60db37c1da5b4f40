//! What the threads do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::thread;

use crate::cache::{
    Basis, Cache, CacheConfig, Change, Draft, Flights, Landing, Recovered, Revision, Role, WhenFull,
};
use crate::clock::Clock;
use crate::model::{Cause, Intent, Invalidation, Key, Mode, Tag, Target};

/// What is raced.
#[derive(Debug, Clone, Copy)]
pub enum Race {
    /// Fills against invalidations of their tag.
    Tag,
    /// Fills against removals of their key.
    Key,
    /// Fills against invalidations of a prefix of their key.
    Prefix,
    /// Fills against invalidations of everything.
    Everything,
    /// Fills against soft purges of their tag.
    Softly,
    /// The same while rows of the fence are dropped, so that a tag's cell is made anew.
    WhileRowsGo,
    /// Waiters that join fills, against invalidations.
    HandOver,
    /// Values computed from what is there, against removals.
    Revision,
    /// Values stored with a unique, against invalidations of a tag that only they carry.
    Lease,
    /// Fills and plain stores against changes of their tag that are announced before they are made.
    Announced,
    /// The same of their key.
    AnnouncedKey,
}

/// Rounds of each thread.
const ROUNDS: usize = 2;

/// Reads in a round: they take fewer steps than what they race with.
const READS: usize = 6;

struct World {
    cache: Cache,
    fills: Flights<()>,
    key: Key,
    // Read and written between the steps that are scheduled: no steps of their own.
    origin: AtomicU64,
    promised: AtomicU64,
    /// Odd from the acknowledgement of an announcement to the beginning of its end.
    announced: AtomicU64,
}

/// Runs a race once, as one schedule has it. Panics where something outdated is read.
pub fn run(race: Race) {
    let config =
        CacheConfig { memory_bytes: 1 << 20, item_bytes_max: 1 << 10, when_full: WhenFull::Evict };
    let world = Arc::new(World {
        fills: Flights::default(),
        cache: Cache::new(config, Clock::manual(1), None, Recovered::default()),
        key: Key::new(b"p/k").expect("a key"),
        origin: AtomicU64::new(0),
        promised: AtomicU64::new(0),
        announced: AtomicU64::new(0),
    });
    // So that there is something to read from the first step on.
    world.fill(race);
    let start = |work: fn(&World, Race)| {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            for _ in 0..ROUNDS {
                thread::yield_now();
                work(&world, race);
            }
        })
    };
    let second: fn(&World, Race) = match race {
        Race::WhileRowsGo => World::drop_rows,
        Race::Announced | Race::AnnouncedKey => World::set,
        _ => World::fill,
    };
    let threads = [World::write, World::fill, World::read, second].map(start);
    for thread in threads {
        thread.join().expect("no thread reads what is outdated");
    }
    world.check(world.promised.load(Ordering::SeqCst));
}

fn tag(name: &str) -> Tag {
    Tag::new(name).expect("a tag")
}

fn naming(target: Target, mode: Mode) -> Invalidation {
    let cause = Cause { source: "test".into(), event_id: None, at_ms: 0, ..Cause::default() };
    Invalidation { targets: vec![(target, mode)], cause }
}

fn version(body: &[u8]) -> u64 {
    std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).expect("a version")
}

impl World {
    /// Changes the data, says so, and notes the promise when it was acknowledged.
    fn write(&self, race: Race) {
        match race {
            Race::Announced => return self.announce_and_write(&Target::Tag(tag("t"))),
            Race::AnnouncedKey => return self.announce_and_write(&Target::Key(self.key.clone())),
            _ => {}
        }
        let version = self.origin.fetch_add(1, Ordering::SeqCst) + 1;
        let (target, mode) = match race {
            Race::Tag | Race::WhileRowsGo | Race::HandOver | Race::Announced => {
                (Target::Tag(tag("t")), Mode::Hard)
            }
            Race::Lease => (Target::Tag(tag("leased")), Mode::Hard),
            Race::Softly => (Target::Tag(tag("t")), Mode::Soft),
            Race::Key | Race::Revision | Race::AnnouncedKey => {
                (Target::Key(self.key.clone()), Mode::Hard)
            }
            Race::Prefix => (Target::Prefix(Key::new(b"p/").expect("a prefix")), Mode::Hard),
            Race::Everything => (Target::Everything, Mode::Hard),
        };
        let invalidation = naming(target, mode);
        block_on(self.cache.invalidate(invalidation)).expect("nothing hinders it");
        self.promised.fetch_max(version, Ordering::SeqCst);
    }

    /// Announces a change, makes it, and says so.
    fn announce_and_write(&self, target: &Target) {
        let intent = Intent { name: "i".into(), until_ms: 0 };
        let shut = self.cache.shut(naming(target.clone(), Mode::Hard), intent);
        block_on(shut).expect("nothing hinders it");
        self.announced.fetch_add(1, Ordering::SeqCst);
        thread::yield_now();
        let version = self.origin.fetch_add(1, Ordering::SeqCst) + 1;
        thread::yield_now();
        self.announced.fetch_add(1, Ordering::SeqCst);
        let open = self.cache.open(naming(target.clone(), Mode::Hard), "i".into());
        block_on(open).expect("nothing hinders it");
        self.promised.fetch_max(version, Ordering::SeqCst);
    }

    fn fill(&self, race: Race) {
        match race {
            Race::HandOver => self.fill_or_wait(),
            Race::Revision => self.revise(),
            Race::Lease => self.lease(),
            _ => self.store(),
        }
    }

    /// Misses, asks the origin, stores if the fence lets it.
    fn store(&self) {
        let claim = self.cache.claim();
        thread::yield_now();
        let data = self.origin.load(Ordering::SeqCst);
        thread::yield_now();
        self.put(data, Basis::Claim(claim), "t");
    }

    /// Stores without a miss before it, which counts as new.
    fn set(&self, _: Race) {
        self.put(u64::MAX, Basis::Now, "t");
    }

    fn put(&self, data: u64, basis: Basis, tag_name: &str) {
        let tags = vec![tag(tag_name)];
        let draft = Draft { basis, tags, ..Draft::new(Bytes::from(data.to_string())) };
        // Refused where the fence has moved; that is the point.
        let _ = block_on(self.cache.update(&self.key, |_| (Change::Put(draft), ())));
    }

    /// Leads a fill, or waits for the one under way and reads what it left.
    fn fill_or_wait(&self) {
        let promised = self.promised.load(Ordering::SeqCst);
        match self.fills.join(&self.key) {
            Role::Leader(lease) => {
                self.store();
                lease.land(Landing::Stored);
            }
            Role::Waiter(waiter) => {
                block_on(waiter.landed());
                self.check(promised);
            }
        }
    }

    /// Stores anew or changes what is there, as `append` does.
    fn revise(&self) {
        self.store();
        let _ = block_on(self.cache.update(&self.key, |current| {
            let body = current.map(|entry| Bytes::copy_from_slice(entry.body()));
            (Change::Revise(Revision { body, ..Revision::default() }), ())
        }));
    }

    /// Takes a placeholder, asks the origin, and stores by the placeholder's unique, with a tag
    /// that the placeholder did not have.
    fn lease(&self) {
        let draft = Draft { basis: Basis::Claim(self.cache.claim()), ..Draft::new("0".into()) };
        let held = block_on(self.cache.update(&self.key, |_| (Change::Put(draft), ())));
        let Ok((_, Some(held))) = held else { return };
        thread::yield_now();
        let data = self.origin.load(Ordering::SeqCst);
        thread::yield_now();
        let tags = vec![tag("leased")];
        let value = Bytes::from(data.to_string());
        let draft = Draft { basis: Basis::Present, tags, ..Draft::new(value) };
        let _ = block_on(self.cache.update(&self.key, |current| match current {
            Some(entry) if entry.cas() == held.cas() => (Change::Put(draft), ()),
            _ => (Change::Keep, ()),
        }));
    }

    fn read(&self, _: Race) {
        for _ in 0..READS {
            let promised = self.promised.load(Ordering::SeqCst);
            thread::yield_now();
            self.check(promised);
        }
    }

    fn check(&self, promised: u64) {
        let announced = self.announced.load(Ordering::SeqCst);
        let Some(entry) = self.cache.peek(self.key.as_bytes()) else { return };
        let is_still = announced == self.announced.load(Ordering::SeqCst);
        assert!(announced.is_multiple_of(2) || !is_still, "read while a change was announced");
        // A placeholder holds no data.
        if entry.tags().is_empty() {
            return;
        }
        let read = version(entry.body());
        assert!(read >= promised, "read {read} after {promised} was acknowledged");
    }

    /// As the sweep does, with a horizon of now: as if every fill that began before were over.
    fn drop_rows(&self, _: Race) {
        let horizon = self.cache.applied();
        block_on(self.cache.sweep());
        self.cache.collect_fence(horizon);
    }
}
