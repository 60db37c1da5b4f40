//! Events while versions of their plugin come and go. Real components through real deliveries; that
//! one thing happens while another waits is decided by the order of polls, not by time.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use serde_json::{Value, json};

use super::test_source::{self, Journal, START_MS, events_of, memory, memory_above};
use super::{Events, Receipt, Refused};
use crate::cache::{Basis, Cache, Change, Claim, Draft};
use crate::clock::Clock;
use crate::model::{Key, Tag};
use crate::plugins::{Hook, Outcome, PluginLimits, PluginOrigin, PluginSource, Plugins};

const FIRST: &str = env!("WASMCACHED_GUEST_RELOAD_FIRST");
const SECOND: &str = env!("WASMCACHED_GUEST_RELOAD_SECOND");
const HOSTILE: &str = env!("WASMCACHED_GUEST_HOSTILE");
const THIRD: &str = env!("WASMCACHED_GUEST_RELOAD_THIRD");

struct World {
    cache: Cache,
    plugins: Plugins,
    events: Events,
}

fn version(file: &str) -> PluginSource {
    PluginSource {
        name: "reload".to_owned(),
        origin: PluginOrigin::File(file.into()),
        sha256: None,
        config: Vec::new(),
        // Not reached by accident on a busy machine.
        limits: PluginLimits { event_ms_max: 20_000, ..PluginLimits::default() },
    }
}

/// A change of a page, of which it also says this.
fn change(mut said: Value) -> Value {
    said["model"] = json!("page");
    said["op"] = json!("update");
    said
}

/// A change about which the hostile plugin does this.
fn order(mode: &str) -> Value {
    json!({"events": [change(json!({ "mode": mode }))]})
}

impl World {
    /// A source whose plugin has its first version.
    fn new() -> Self {
        Self::of(version(FIRST))
    }

    fn of(plugin: PluginSource) -> Self {
        Self::holding(plugin, 0)
    }

    fn holding(plugin: PluginSource, hold_ms: u64) -> Self {
        let clock = Clock::manual(START_MS);
        Self::above(memory(&clock), clock, plugin, hold_ms)
    }

    /// The same above a journal that may have it wait.
    fn waiting(hold_ms: u64) -> (Self, Arc<Journal>) {
        let (clock, journal) = (Clock::manual(START_MS), Arc::default());
        let cache = memory_above(&journal, &clock);
        (Self::above(cache, clock, version(FIRST), hold_ms), journal)
    }

    fn above(cache: Cache, clock: Clock, plugin: PluginSource, hold_ms: u64) -> Self {
        let plugins = Plugins::load(vec![plugin], clock).unwrap();
        let events = events_of(&cache, &plugins, "reload", hold_ms);
        Self { cache, plugins, events }
    }

    /// A delivery with one change of the page `/a`.
    async fn change(&self, id: &str) -> Result<Receipt, Refused> {
        self.deliver(id, json!({"events": [change(json!({"after": {"path": "/a"}}))]})).await
    }

    async fn deliver(&self, id: &str, data: Value) -> Result<Receipt, Refused> {
        test_source::deliver(&self.events, id, data).await
    }

    /// Has this version come, and store what it tags so, while an invalidation waits.
    async fn outrun(&self, file: &str, tag: &str, before: Claim) {
        self.publish(file);
        assert!(self.store("of it", tag, before).await);
        assert!(self.has("of it").await);
    }

    fn publish(&self, file: &str) {
        self.plugins.replace(version(file)).unwrap();
    }

    /// What one of the versions has tagged as it tags the page `/a`; `false` if it is refused.
    async fn store(&self, key: &str, tag: &str, claim: Claim) -> bool {
        let tags = vec![Tag::new(tag).unwrap()];
        let basis = Basis::Claim(claim);
        let draft = Draft { tags, basis, ..Draft::new(Bytes::from("of before")) };
        let key = Key::new(key.as_bytes()).unwrap();
        self.cache.update(&key, |_| (Change::Put(draft), ())).await.is_ok()
    }

    async fn has(&self, key: &str) -> bool {
        self.cache.get(key.as_bytes()).await.is_some()
    }
}

#[tokio::test]
async fn event_also_ends_what_versions_have_tagged_that_came_while_it_was_planned() {
    let world = World::new();
    let mut attempts = 0..100;
    let (before, event) = loop {
        let id = attempts.next().expect("a delivery that waits for the plugin").to_string();
        let before = world.cache.claim();
        assert!(world.store("1", "first:/a", before).await);
        let world = &world;
        let mut event = Box::pin(async move { world.change(&id).await });
        // On a busy machine the plugin may have answered before it is waited for.
        if poll!(&mut event).is_pending() {
            break (before, event);
        }
    };
    // The event waits for the first version now; two come, and the first of them goes at once.
    world.publish(SECOND);
    assert!(world.store("2", "second:/a", before).await);
    world.publish(THIRD);
    assert!(world.store("3", "third:/a", before).await);
    let receipt = event.await.unwrap();
    for key in ["1", "2", "3"] {
        assert!(!world.has(key).await, "{key}");
    }
    assert_eq!((receipt.affected, receipt.sequence), (3, world.cache.applied()));
    assert!(!world.store("late", "second:/a", before).await, "read before the event");
    let logged = world.events.recent(1).remove(0);
    assert_eq!(logged.decisions.len(), 3, "{:?}", logged.decisions);
}

#[tokio::test]
async fn event_without_an_answer_ends_all_that_the_version_may_have_stored() {
    for mode in ["error", "trap", "everything", "bad-tag"] {
        let world = World::of(version(HOSTILE));
        let before = world.cache.claim();
        assert!(world.store("of the version", "plugin:reload/7", before).await);
        assert!(world.store("of nobody", "other", before).await);
        let receipt = world.deliver("e", order(mode)).await.unwrap();
        assert_eq!(receipt.affected, 1, "{mode}");
        assert!(!world.has("of the version").await, "{mode}");
        assert!(world.has("of nobody").await, "{mode}");
        let logged = world.events.recent(1).remove(0);
        assert!(logged.targets.contains(&"tag plugin:reload/7 hard".to_owned()), "{logged:?}");
        assert_eq!(logged.fallbacks, 1, "{mode}");
    }
}

#[tokio::test]
async fn event_without_an_answer_of_a_plugin_that_stores_nothing_itself_ends_everything() {
    let mut django = version(env!("WASMCACHED_GUEST_DJANGO"));
    django.config = vec![("release".to_owned(), "5.2.19".to_owned())];
    let world = World::of(django);
    let before = world.cache.claim();
    assert!(world.store("of the application", "other", before).await);
    // It makes a tag of the primary key, which is too long for one.
    let saved = json!({"model": "page", "op": "update", "pk": "5".repeat(252)});
    world.deliver("e", json!({ "events": [saved] })).await.unwrap();
    assert!(!world.has("of the application").await);
    assert_eq!(world.events.recent(1).remove(0).fallbacks, 1);
}

#[tokio::test]
async fn event_whose_payload_the_plugin_can_not_read_has_no_answer() {
    let world = World::new();
    let before = world.cache.claim();
    assert!(world.store("of the version", "plugin:reload/1", before).await);
    // Deeper than what a guest in Rust reads.
    let deep = (0..200).fold(json!("/a"), |inner, _| json!([inner]));
    let saved = change(json!({"after": {"path": "/none", "deep": deep}}));
    world.deliver("e", json!({ "events": [saved] })).await.unwrap();
    assert!(!world.has("of the version").await);
    assert_eq!(world.events.recent(1).remove(0).fallbacks, 1);
}

#[tokio::test]
async fn event_without_an_answer_of_a_version_before_ends_all_that_it_may_have_stored() {
    let world = World::new();
    world.publish(THIRD);
    let before = world.cache.claim();
    assert!(world.store("of the first", "plugin:reload/1", before).await);
    assert!(world.store("of the third", "plugin:reload/2", before).await);
    let fails = change(json!({"after": {"path": "/none", "fails": true}}));
    world.deliver("e", json!({"events": [fails]})).await.unwrap();
    assert!(!world.has("of the first").await);
    assert!(world.has("of the third").await);
}

#[tokio::test]
async fn value_of_a_version_ends_with_all_that_it_may_have_stored() {
    let world = World::of(version(HOSTILE));
    for (seq, id) in [(1, "first"), (2, "second")] {
        let given = json!({"mode": "put-given", "key": "k", "tag": "t", "value": "v"});
        let data = json!({"seq": seq, "events": [change(given)]});
        world.deliver(id, data).await.unwrap();
    }
    assert!(world.has("k").await, "the second event is known to be the newest");
    world.deliver("third", order("error")).await.unwrap();
    assert!(!world.has("k").await);
}

#[tokio::test]
async fn delivery_for_which_nobody_has_time_does_nothing_and_those_given_up_keep_out_nobody() {
    let limits = PluginLimits { event_ms_max: 2_000, ..PluginLimits::default() };
    let world = World::of(PluginSource { limits, ..version(HOSTILE) });
    assert!(world.store("1", "plugin:reload/7", world.cache.claim()).await);
    let mut waiting = Vec::new();
    let refused = loop {
        let (world, id) = (&world, waiting.len().to_string());
        let mut delivery = Box::pin(async move { world.deliver(&id, order("spin")).await });
        match poll!(&mut delivery) {
            Poll::Ready(outcome) => break outcome,
            Poll::Pending => waiting.push(delivery),
        }
    };
    assert!(matches!(refused, Err(Refused::Busy)), "{refused:?}");
    assert!(world.has("1").await);
    drop(waiting);
    while let Err(refused) = world.deliver("again", order("error")).await {
        assert!(matches!(refused, Refused::Busy), "{refused}");
        tokio::task::yield_now().await;
    }
    assert!(!world.has("1").await);
    let calls = world.plugins.get("reload").unwrap().calls();
    let spun = calls.iter().find(|call| (call.0, call.1) == (Hook::Event, Outcome::Timeout));
    // Those that were under way, of a thousand.
    assert!(spun.unwrap().2 <= 4, "{spun:?}");
}

#[tokio::test]
async fn commit_of_an_intent_ends_what_a_version_has_stored_that_came_since() {
    let world = World::new();
    let events = [change(json!({"after": {"path": "/a"}}))];
    let open = |id: &'static str| {
        world.deliver(id, json!({"phase": "intent", "intent": id, "events": events}))
    };
    let commit =
        |id: &'static str, intent| world.deliver(id, json!({"phase": "commit", "intent": intent}));
    for id in ["one", "two"] {
        open(id).await.unwrap();
    }
    assert!(world.store("of the first", "plugin:reload/1", world.cache.claim()).await);
    commit("commit one", "one").await.unwrap();
    assert!(world.has("of the first").await, "no version came");
    world.publish(SECOND);
    let data = json!({"phase": "intent", "intent": "two", "events": events});
    world.deliver("two again", data).await.unwrap();
    assert!(world.store("of the second", "plugin:reload/1", world.cache.claim()).await);
    commit("commit two", "two").await.unwrap();
    assert!(!world.has("of the second").await);
    // Also if it is sent again, and by then others have come.
    world.publish(THIRD);
    assert!(world.store("of the third", "plugin:reload/2", world.cache.claim()).await);
    commit("commit two again", "two").await.unwrap();
    assert!(!world.has("of the third").await);
}

#[tokio::test]
async fn second_application_of_an_event_ends_what_a_version_has_stored_that_came_since() {
    let world = World::holding(version(FIRST), 1_000);
    world.change("one").await.unwrap();
    assert!(world.store("of the first", "plugin:reload/1", world.cache.claim()).await);
    world.events.apply_held().await;
    assert!(world.has("of the first").await, "no version came");
    world.change("two").await.unwrap();
    world.publish(SECOND);
    assert!(world.store("of the second", "plugin:reload/1", world.cache.claim()).await);
    world.events.apply_held().await;
    assert!(!world.has("of the second").await);
}

#[tokio::test]
async fn commit_ends_what_a_version_has_stored_that_came_while_it_was_carried_out() {
    for part in [json!([]), json!([change(json!({"after": {"path": "/b"}}))])] {
        let (world, journal) = World::waiting(0);
        let events = [change(json!({"after": {"path": "/a"}}))];
        let intent = json!({"phase": "intent", "intent": "one", "events": events});
        world.deliver("one", intent).await.unwrap();
        // The second is of an intent that has ended.
        for (id, file, tag) in
            [("commit", SECOND, "plugin:reload/1"), ("again", THIRD, "plugin:reload/2")]
        {
            let before = world.cache.claim();
            let data = json!({"phase": "commit", "intent": "one", "events": part});
            journal.hold();
            let mut commit = Box::pin(world.deliver(id, data));
            while !journal.is_waited_for() {
                assert!(poll!(&mut commit).is_pending());
                tokio::task::yield_now().await;
            }
            world.outrun(file, tag, before).await;
            journal.release();
            commit.await.unwrap();
            assert!(!world.has("of it").await, "{id} with {part}");
        }
    }
}

#[tokio::test]
async fn end_of_an_intents_time_ends_what_a_version_has_stored_that_came_amid_it() {
    let (world, journal) = World::waiting(0);
    let events = [change(json!({"after": {"path": "/a"}}))];
    let intent = json!({"phase": "intent", "intent": "one", "events": events});
    world.deliver("one", intent).await.unwrap();
    world.cache.clock().advance(Duration::from_secs(60));
    let before = world.cache.claim();
    journal.hold();
    let mut ending = Box::pin(world.events.end_intents_forever());
    assert!(poll!(&mut ending).is_pending());
    assert!(journal.is_waited_for());
    world.outrun(SECOND, "plugin:reload/1", before).await;
    journal.release();
    assert!(poll!(&mut ending).is_pending());
    assert!(!world.has("of it").await);
}

#[tokio::test]
async fn second_application_ends_what_a_version_has_stored_that_came_while_it_was_carried_out() {
    let (world, journal) = World::waiting(1_000);
    world.change("one").await.unwrap();
    let before = world.cache.claim();
    journal.hold();
    let mut again = Box::pin(world.events.apply_held());
    assert!(poll!(&mut again).is_pending());
    assert!(journal.is_waited_for());
    world.outrun(SECOND, "plugin:reload/1", before).await;
    journal.release();
    again.await;
    assert!(!world.has("of it").await);
}
