//! Order and duplicates: however late, in whatever order and how often the events of a log come,
//! what is served at the end is part of what is served when each came once and at once.
//!
//! Real deliveries through a real plugin. Changes happen and fills read in the order of the steps;
//! only the events about the changes come later, never before them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;
use serde_json::json;

use super::Events;
use super::test_source::{self, START_MS, events_of};
use crate::cache::{Basis, Cache, CacheConfig, Change, Draft, Filling, Recovered, WhenFull};
use crate::clock::Clock;
use crate::model::{Content, Expiry, Key, Kind, PageHead, Tag};
use crate::plugins::{PluginLimits, PluginOrigin, PluginSource, Plugins};

const STEPS: usize = 14;
const TAGS: [&str; 3] = ["red", "green", "blue"];
const PREFIXES: [&str; 3] = ["a/", "b/", "put/"];
const PUT_KEYS: [&str; 2] = ["put/a", "put/b"];

#[derive(Debug, Clone)]
enum Step {
    /// A fill under a key of its own, which is stored so many steps later.
    Fill { lasts: usize, tags: u8, is_page: bool },
    /// A change, about which the source sends an event.
    Change(Said),
}

/// What an event says.
#[derive(Debug, Clone)]
enum Said {
    Tag(usize),
    SoftTag(usize),
    Key(usize),
    Url(usize),
    Prefix(usize),
    Put { key: usize, tag: usize },
}

/// One delivery of the event about a change.
#[derive(Debug, Clone)]
struct Late {
    steps: usize,
    /// Orders what comes after the same step.
    rank: u16,
    /// Whether the server can know it as the same delivery.
    has_same_id: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let said = prop_oneof![
        3 => (0..TAGS.len()).prop_map(Said::Tag),
        1 => (0..TAGS.len()).prop_map(Said::SoftTag),
        1 => (0..STEPS).prop_map(Said::Key),
        1 => (0..STEPS).prop_map(Said::Url),
        1 => (0..PREFIXES.len()).prop_map(Said::Prefix),
        5 => (0..PUT_KEYS.len(), 0..TAGS.len()).prop_map(|(key, tag)| Said::Put { key, tag }),
    ];
    prop_oneof![
        2 => (0usize..4, 0u8..8, any::<bool>())
            .prop_map(|(lasts, tags, is_page)| Step::Fill { lasts, tags, is_page }),
        3 => said.prop_map(Step::Change),
    ]
}

fn deliveries() -> impl Strategy<Value = Vec<Late>> {
    let steps = prop_oneof![1 => Just(0), 1 => 0..STEPS];
    let late = (steps, any::<u16>(), any::<bool>()).prop_map(|(steps, rank, has_same_id)| Late {
        steps,
        rank,
        has_same_id,
    });
    prop::collection::vec(late, 1..4)
}

struct World {
    cache: Cache,
    events: Events,
}

impl World {
    fn new(plugins: &Plugins) -> Self {
        let clock = Clock::manual(START_MS);
        let config = CacheConfig {
            memory_bytes: 64 << 20,
            item_bytes_max: 1 << 20,
            when_full: WhenFull::Evict,
        };
        let cache = Cache::new(config, clock, None, Recovered::default());
        let events = events_of(&cache, plugins, "hostile", 0);
        Self { cache, events }
    }

    /// Runs the steps; `deliveries` says when the event about each change comes.
    async fn run(&self, steps: &[Step], deliveries: &[Vec<Late>]) -> Vec<Option<Vec<u8>>> {
        // The first event of a source is never known to be the newest.
        self.deliver("first", 0, &json!({"mode": "purge-given", "name": "nobody's"})).await;
        let mut fills = Vec::new();
        let mut waiting = Vec::new();
        for (now, step) in steps.iter().enumerate() {
            match step {
                Step::Fill { lasts, .. } => {
                    fills.push((now + lasts, now, self.cache.begin_fill(&fill_key(now))));
                }
                Step::Change(said) => {
                    let late = deliveries[now].iter();
                    waiting.extend(late.map(|late| (now + late.steps, late, now, said)));
                }
            }
            for (_, begun, filling) in fills.extract_if(.., |(end, ..)| *end == now) {
                self.store(begun, &filling, &steps[begun]).await;
            }
            let mut due: Vec<_> =
                waiting.extract_if(.., |(at, ..)| *at == now || now + 1 == STEPS).collect();
            due.sort_by_key(|(_, late, changed, _)| (late.rank, *changed));
            for (_, late, changed, said) in due {
                let id = match late.has_same_id {
                    true => format!("{changed}"),
                    false => format!("{changed} {} {}", late.rank, late.steps),
                };
                self.deliver(&id, changed + 1, &change_of(said, changed)).await;
            }
        }
        self.served().await
    }

    async fn deliver(&self, id: &str, number: usize, change: &serde_json::Value) {
        let mut change = change.clone();
        change["model"] = json!("shop.product");
        let data = json!({"seq": number, "events": [change]});
        test_source::deliver(&self.events, id, data).await.unwrap();
    }

    async fn store(&self, begun: usize, filling: &Filling, step: &Step) {
        let Step::Fill { tags, is_page, .. } = step else { unreachable!("only fills are stored") };
        let body = Bytes::from(format!("fill {begun}"));
        let tags: Vec<Tag> = (0..TAGS.len())
            .filter(|tag| tags & (1 << tag) != 0)
            .map(|tag| Tag::new(TAGS[tag]).unwrap())
            .collect();
        // Refused where an event came in between; that is what fences are for.
        if *is_page {
            let kind = Kind::Page(Arc::new(PageHead::of_test(&url(begun), START_MS)));
            let content = Content { body, kind, expires: Expiry::NEVER, tags };
            let _ = self.cache.store_page(filling, content);
        } else {
            let draft = Draft { tags, basis: Basis::Claim(filling.claim()), ..Draft::new(body) };
            let key = fill_key(begun);
            let stored = self.cache.update(&key, |_| (Change::Put(draft), ()));
            let _ = stored.now_or_never().expect("nothing to wait for without a tier");
        }
    }

    async fn served(&self) -> Vec<Option<Vec<u8>>> {
        let fills = (0..STEPS).map(fill_key);
        let puts = PUT_KEYS.iter().map(|key| Key::new(key.as_bytes()).unwrap());
        let mut served = Vec::new();
        for key in fills.chain(puts) {
            served.push(self.cache.get(key.as_bytes()).await.map(|entry| entry.body().to_vec()));
        }
        served
    }
}

fn change_of(said: &Said, changed: usize) -> serde_json::Value {
    let (kind, name) = match said {
        Said::Tag(tag) => ("tag", TAGS[*tag].to_owned()),
        Said::SoftTag(tag) => ("soft-tag", TAGS[*tag].to_owned()),
        Said::Key(begun) => ("key", fill_key(*begun).to_text()),
        Said::Url(begun) => ("url", url(*begun)),
        Said::Prefix(prefix) => ("prefix", PREFIXES[*prefix].to_owned()),
        Said::Put { key, tag } => {
            let value = format!("put {changed}");
            let (key, tag) = (PUT_KEYS[*key], TAGS[*tag]);
            return json!({"mode": "put-given", "key": key, "tag": tag, "value": value});
        }
    };
    json!({"mode": "purge-given", "kind": kind, "name": name})
}

fn fill_key(begun: usize) -> Key {
    Key::new(format!("{}{begun}", PREFIXES[begun % 2]).as_bytes()).unwrap()
}

fn url(begun: usize) -> String {
    format!("http://example.org/{begun}")
}

fn plugins() -> Plugins {
    let source = PluginSource {
        name: "hostile".to_owned(),
        origin: PluginOrigin::File(env!("WASMCACHED_GUEST_HOSTILE").into()),
        sha256: None,
        config: Vec::new(),
        // Not reached by accident on a busy machine.
        limits: PluginLimits { event_ms_max: 20_000, ..PluginLimits::default() },
    };
    Plugins::load(vec![source], Clock::manual(START_MS)).unwrap()
}

#[test]
fn any_order_with_repetitions_serves_a_part_of_what_the_order_of_changes_serves() {
    let plugins = plugins();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let at_once = vec![vec![Late { steps: 0, rank: 0, has_same_id: true }]; STEPS];
    let histories =
        (prop::collection::vec(step(), STEPS), prop::collection::vec(deliveries(), STEPS));
    let source_file = Some(file!());
    let config = ProptestConfig { cases: 400, source_file, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&histories, |(steps, deliveries)| {
        let expected = runtime.block_on(World::new(&plugins).run(&steps, &at_once));
        if let Some(Step::Change(Said::Put { key, .. })) = steps.last() {
            let written = format!("put {}", STEPS - 1).into_bytes();
            prop_assert_eq!(&expected[STEPS + key], &Some(written), "the newest value is served");
        }
        let served = runtime.block_on(World::new(&plugins).run(&steps, &deliveries));
        for (served, expected) in served.iter().zip(&expected) {
            prop_assert!(served.is_none() || served == expected, "{:?}, {:?}", served, expected);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
