//! Random histories against a reference that is too simple to be wrong: a list of what was
//! invalidated when, and for each key what was stored last and how old its data is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;

use super::{
    Basis, Cache, CacheConfig, Change, Claim, Draft, Filling, Recovered, Revision, Sight, Verdict,
    WhenFull,
};
use crate::clock::Clock;
use crate::model::{Cause, Content, Expiry, Invalidation, Key, Kind, Mode, PageHead, Tag, Target};

const KEYS: [&str; 5] = ["p/a", "p/b", "q/a", "q/b", "q/bb"];
const TAGS: [&str; 3] = ["red", "green", "blue"];
const PREFIXES: [&str; 4] = ["p/", "q/", "q/b", "q/bb"];
/// Pages belong to the first unless their key begins with `q`, then to the second.
const SITES: [&str; 2] = ["p", "q"];
const START_MS: u64 = 1_000_000;

#[derive(Debug, Clone)]
enum Step {
    Set { key: usize, tags: u8, ttl_s: u64 },
    Append { key: usize },
    FillStart { key: usize },
    FillEnd { fill: usize, as_page: bool, tags: u8, ttl_s: u64 },
    Invalidate { target: Aim, mode: Mode },
    Get { key: usize },
    FindPage { key: usize },
    Advance { seconds: u64 },
    Evict { key: usize },
    Sweep,
}

#[derive(Debug, Clone)]
enum Aim {
    Tag(usize),
    Key(usize),
    Url(usize),
    Site(usize),
    Prefix(usize),
    Everything,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    let mode = prop_oneof![3 => Just(Mode::Hard), 1 => Just(Mode::Soft)];
    let aim = prop_oneof![
        4 => (0..TAGS.len()).prop_map(Aim::Tag),
        3 => key.clone().prop_map(Aim::Key),
        2 => key.clone().prop_map(Aim::Url),
        1 => (0..SITES.len()).prop_map(Aim::Site),
        2 => (0..PREFIXES.len()).prop_map(Aim::Prefix),
        1 => Just(Aim::Everything),
    ];
    prop_oneof![
        3 => (key.clone(), 0u8..8, 0u64..4)
            .prop_map(|(key, tags, ttl_s)| Step::Set { key, tags, ttl_s }),
        1 => key.clone().prop_map(|key| Step::Append { key }),
        4 => key.clone().prop_map(|key| Step::FillStart { key }),
        4 => (0usize..8, any::<bool>(), 0u8..8, 0u64..4).prop_map(|(fill, as_page, tags, ttl_s)| {
            Step::FillEnd { fill, as_page, tags, ttl_s }
        }),
        3 => (aim, mode).prop_map(|(target, mode)| Step::Invalidate { target, mode }),
        4 => key.clone().prop_map(|key| Step::Get { key }),
        4 => key.clone().prop_map(|key| Step::FindPage { key }),
        1 => (1u64..3).prop_map(|seconds| Step::Advance { seconds }),
        1 => key.prop_map(|key| Step::Evict { key }),
        1 => Just(Step::Sweep),
    ]
}

/// What the reference knows of a stored entry.
#[derive(Debug, Clone)]
struct Stored {
    body: Vec<u8>,
    /// Invalidations made before its data was read.
    birth: usize,
    tags: u8,
    is_page: bool,
    /// An item whose key was purged softly.
    is_outdated: bool,
    expires_ms: u64,
}

/// One invalidation of the reference.
#[derive(Debug, Clone)]
struct Made {
    target: Aim,
    mode: Mode,
}

/// A fill that is under way.
struct Begun {
    key: usize,
    filling: Filling,
    birth: usize,
    /// How often the item of its key had been changed.
    changes: usize,
}

struct World {
    cache: Cache,
    clock: Clock,
    made: Vec<Made>,
    stored: HashMap<usize, Stored>,
    fills: Vec<Begun>,
    /// How often each item was changed.
    changes: [usize; KEYS.len()],
    next_body: u32,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(START_MS);
        let config = CacheConfig {
            memory_bytes: 64 << 20,
            item_bytes_max: 1 << 20,
            when_full: WhenFull::Evict,
        };
        Self {
            cache: Cache::new(config, clock.clone(), None, Recovered::default()),
            clock,
            made: Vec::new(),
            stored: HashMap::new(),
            fills: Vec::new(),
            changes: [0; KEYS.len()],
            next_body: 0,
        }
    }

    /// The worst that was said about an entry after its birth.
    fn verdict(&self, key: usize, entry: &Stored) -> Verdict {
        let later = self.made.iter().skip(entry.birth);
        let hits = later.filter(|made| match made.target {
            Aim::Tag(tag) => entry.tags & (1 << tag) != 0,
            Aim::Key(_) => false,
            Aim::Url(url) => entry.is_page && url == key,
            Aim::Site(site) => entry.is_page && site == site_of(key),
            Aim::Prefix(prefix) => KEYS[key].starts_with(PREFIXES[prefix]),
            Aim::Everything => true,
        });
        hits.fold(Verdict::Fresh, |worst, made| match (worst, made.mode) {
            (Verdict::Dead, _) | (_, Mode::Hard) => Verdict::Dead,
            (_, Mode::Soft) => Verdict::Stale,
        })
    }

    fn live(&self, key: usize) -> Option<(Stored, Verdict)> {
        let entry = self.stored.get(&key)?;
        let verdict = self.verdict(key, entry);
        let is_over = verdict == Verdict::Dead || entry.expires_ms <= self.clock.now_ms();
        (!is_over).then(|| (entry.clone(), verdict))
    }

    fn was_key_removed_since(&self, key: usize, birth: usize) -> bool {
        self.made.iter().skip(birth).any(|made| matches!(made.target, Aim::Key(k) if k == key))
    }

    fn body(&mut self) -> Vec<u8> {
        self.next_body += 1;
        self.next_body.to_string().into_bytes()
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Set { key, tags, ttl_s } => self.set(key, tags, ttl_s, None),
            Step::Append { key } => self.append(key),
            Step::FillStart { key } => {
                let filling = self.cache.begin_fill(&self.key(key));
                let (birth, changes) = (self.made.len(), self.changes[key]);
                self.fills.push(Begun { key, filling, birth, changes });
            }
            Step::FillEnd { fill, as_page, tags, ttl_s } if !self.fills.is_empty() => {
                let begun = self.fills.swap_remove(fill % self.fills.len());
                if as_page {
                    self.store_page(&begun, tags, ttl_s);
                } else {
                    let claim = begun.filling.claim();
                    self.set(begun.key, tags, ttl_s, Some((claim, begun.birth)));
                }
            }
            Step::FillEnd { .. } => {}
            Step::Invalidate { target, mode } => self.invalidate(target, mode),
            Step::Get { key } => self.get(key),
            Step::FindPage { key } => self.find_page(key),
            Step::Advance { seconds } => self.clock.advance(Duration::from_secs(seconds)),
            Step::Evict { key } => {
                self.cache.shared.store.remove(KEYS[key].as_bytes());
                self.stored.remove(&key);
            }
            Step::Sweep => {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(self.cache.sweep());
                let keys: Vec<usize> = self.stored.keys().copied().collect();
                let live = keys.into_iter().filter(|key| self.live(*key).is_some()).count();
                assert_eq!(
                    self.cache.len(),
                    live as u64,
                    "a sweep leaves the living, and only them"
                );
            }
        }
    }

    fn set(&mut self, key: usize, tags: u8, ttl_s: u64, fill: Option<(Claim, usize)>) {
        let expires_ms = self.expires_ms(ttl_s);
        let body = self.body();
        let draft = Draft {
            expires: Expiry::at_ms(expires_ms),
            tags: names(tags),
            basis: fill.map_or(Basis::Now, |(claim, _)| Basis::Claim(claim)),
            ..Draft::new(Bytes::from(body.clone()))
        };
        let outcome = now(self.cache.update(&self.key(key), |_| (Change::Put(draft), ())));
        let birth = fill.map_or(self.made.len(), |(_, birth)| birth);
        let entry = Stored { body, birth, tags, is_page: false, is_outdated: false, expires_ms };
        let is_refused =
            self.verdict(key, &entry) == Verdict::Dead || self.was_key_removed_since(key, birth);
        assert_eq!(outcome.is_err(), is_refused, "{outcome:?}");
        if !is_refused {
            self.stored.insert(key, entry);
            self.changes[key] += 1;
        }
    }

    fn append(&mut self, key: usize) {
        let outcome = now(self.cache.update(&self.key(key), |current| match current {
            Some(entry) if entry.page().is_none() => {
                let body = [entry.body(), b"+"].concat();
                let body = Some(Bytes::from(body));
                (Change::Revise(Revision { body, ..Revision::default() }), true)
            }
            _ => (Change::Keep, false),
        }));
        let expected = self.live(key);
        let expected =
            expected.filter(|(e, v)| !e.is_page && !e.is_outdated && *v == Verdict::Fresh);
        assert_eq!(outcome.unwrap().0, expected.is_some());
        if expected.is_some() {
            self.stored.get_mut(&key).unwrap().body.push(b'+');
            self.changes[key] += 1;
        }
    }

    fn store_page(&mut self, begun: &Begun, tags: u8, ttl_s: u64) {
        let Begun { key, birth, .. } = *begun;
        let expires_ms = self.expires_ms(ttl_s);
        let body = self.body();
        let head = PageHead {
            site: SITES[site_of(key)].into(),
            lifetime_ms: ttl_s * 1000,
            ..PageHead::of_test(&url(key), self.clock.now_ms())
        };
        let content = Content {
            body: Bytes::from(body.clone()),
            kind: Kind::Page(Arc::new(head)),
            expires: Expiry::at_ms(expires_ms),
            tags: names(tags),
        };
        let outcome = self.cache.store_page(&begun.filling, content);
        let entry = Stored { body, birth, tags, is_page: true, is_outdated: false, expires_ms };
        let is_older = self.live(key).is_some_and(|(old, _)| old.is_page && old.birth > birth);
        let is_refused = is_older
            || self.changes[key] != begun.changes
            || self.verdict(key, &entry) == Verdict::Dead
            || self.was_key_removed_since(key, birth);
        assert_eq!(outcome.is_err(), is_refused, "{outcome:?}");
        if !is_refused {
            self.stored.insert(key, entry);
        }
    }

    fn invalidate(&mut self, target: Aim, mode: Mode) {
        let named = match &target {
            Aim::Tag(tag) => Target::Tag(Tag::new(TAGS[*tag]).unwrap()),
            Aim::Key(key) => Target::Key(self.key(*key)),
            Aim::Url(key) => Target::Url(url(*key)),
            Aim::Site(site) => Target::Site(SITES[*site].into()),
            Aim::Prefix(prefix) => Target::Prefix(Key::new(PREFIXES[*prefix].as_bytes()).unwrap()),
            Aim::Everything => Target::Everything,
        };
        let cause = Cause {
            source: "test".into(),
            event_id: None,
            at_ms: self.clock.now_ms(),
            ..Cause::default()
        };
        let invalidation = Invalidation { targets: vec![(named, mode)], cause };
        let applied = now(self.cache.invalidate(invalidation)).unwrap();
        assert_eq!(applied.sequence, self.cache.claim().since, "acknowledged is applied");
        if let Aim::Key(key) = target {
            // Softly, an item is marked for those who can be told, a page by its URL.
            let is_soft = mode == Mode::Soft;
            if is_soft && let Some(item) = self.stored.get_mut(&key).filter(|e| !e.is_page) {
                item.is_outdated = true;
                self.made.push(Made { target, mode });
                return;
            }
            if is_soft && self.stored.contains_key(&key) {
                self.made.push(Made { target: Aim::Key(key), mode });
                // The same sequence: one step of the reference stands for both.
                self.made.push(Made { target: Aim::Url(key), mode });
                self.fix_births();
                return;
            }
            self.stored.remove(&key);
        }
        self.made.push(Made { target, mode });
    }

    /// Keeps the reference's count of steps and the fence's count of sequences from drifting apart:
    /// births are positions in `made`, so an extra row is harmless for what was born before it.
    fn fix_births(&self) {
        assert!(self.stored.values().all(|entry| entry.birth <= self.made.len()));
    }

    fn get(&mut self, key: usize) {
        let found = now(self.cache.get(KEYS[key].as_bytes()));
        let seen = self.cache.peek_as_seen(KEYS[key].as_bytes(), Sight::WithStale);
        let seen = seen.map(|entry| entry.body().to_vec());
        let expected = self.live(key).filter(|(e, v)| !e.is_page || *v == Verdict::Fresh);
        assert_eq!(seen, expected.map(|(entry, _)| entry.body), "stale items can be seen");
        let expected = self.live(key).filter(|(e, v)| !e.is_outdated && *v == Verdict::Fresh);
        assert_eq!(
            found.map(|entry| entry.body().to_vec()),
            expected.map(|(entry, _)| entry.body),
            "get {}",
            KEYS[key]
        );
    }

    fn find_page(&mut self, key: usize) {
        let found = now(self.cache.find_page(&self.key(key), |_| true));
        let expected = self.live(key).filter(|(entry, _)| entry.is_page);
        assert_eq!(
            found.map(|(entry, verdict)| (entry.body().to_vec(), verdict)),
            expected.map(|(entry, verdict)| (entry.body, verdict)),
            "page {}",
            KEYS[key]
        );
    }

    fn key(&self, key: usize) -> Key {
        Key::new(KEYS[key].as_bytes()).unwrap()
    }

    fn expires_ms(&self, ttl_s: u64) -> u64 {
        self.clock.now_ms() + ttl_s * 1000
    }
}

fn url(key: usize) -> Box<str> {
    format!("http://example.org/{}", KEYS[key]).into()
}

fn site_of(key: usize) -> usize {
    usize::from(KEYS[key].starts_with('q'))
}

fn names(mask: u8) -> Vec<Tag> {
    let chosen = TAGS.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0);
    chosen.map(|(_, tag)| Tag::new(tag).unwrap()).collect()
}

/// Without a tier nothing waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing to wait for without a tier")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_served_is_exactly_what_the_reference_says(
        steps in prop::collection::vec(step(), 60)
    ) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
    }
}
