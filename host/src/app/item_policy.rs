//! Plugins as the policy of items, whether memcached's clients store them or the API's: all that
//! declared a prefix of the key decide, and what they say is united.
//!
//! # Invariants
//! - An item has the tags of every plugin that declared a prefix of its key, or is not stored: each
//!   of them may be the one that is asked about an event.
//! - An item is stored only if its data is no older than the moment at which the version that
//!   decides was first seen here. Every event about which that version was not asked is in force by
//!   then: between its taking effect and its acknowledgement, an event asks each version that has
//!   come meanwhile.
//! - The same holds for a key about which only an earlier version has decided, also one that was
//!   let go.
//!
//! # Not here
//! Pages: their version is taken before their claim.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::page_policy::tagged;
use crate::cache::{Cache, Claim, ItemError, ItemPolicy};
use crate::model::{Key, Sequence, StoreDecision};
use crate::plugins::{Plugin, Plugins, Versions};

/// The policy of all plugins, those that may come to declare prefixes too; `None` without any.
pub(super) fn of(plugins: &Plugins, cache: &Cache) -> Option<Arc<dyn ItemPolicy>> {
    let all: Vec<_> = plugins.all().iter().map(|one| Deciding::new(one, cache)).collect();
    let cache = cache.clone();
    (!all.is_empty()).then(|| Arc::new(PluginPolicy { all, cache }) as Arc<dyn ItemPolicy>)
}

struct PluginPolicy {
    all: Vec<Deciding>,
    cache: Cache,
}

/// A plugin, and since when its current version decides.
struct Deciding {
    versions: Arc<Versions>,
    since: Mutex<Since>,
}

#[derive(Clone, Copy)]
struct Since {
    /// How many versions had decided until then.
    published: u64,
    /// Every event about which the last of them was not asked is in force at it.
    applied: Sequence,
}

impl Deciding {
    fn new(versions: &Arc<Versions>, cache: &Cache) -> Self {
        let (_, published) = versions.deciding();
        let since = Mutex::new(Since { published, applied: cache.applied() });
        Self { versions: Arc::clone(versions), since }
    }

    /// The version that decides about an item, unless its data is too old for it.
    fn version(&self, claim: Claim, cache: &Cache) -> Result<Arc<Plugin>, ItemError> {
        let (current, published) = self.versions.deciding();
        let mut since = self.since.lock();
        if since.published < published {
            // Behind the look at who decides, not before it.
            *since = Since { published, applied: cache.applied() };
        }
        match claim.since < since.applied {
            true => Err(ItemError::Outdated),
            false => Ok(current),
        }
    }
}

impl ItemPolicy for PluginPolicy {
    fn concerns(&self, key: &[u8]) -> bool {
        self.all.iter().any(|one| one.versions.concerns(key))
    }

    fn on_item<'a>(
        &'a self,
        key: &'a Key,
        flags: u32,
        body_bytes: u32,
        claim: Claim,
    ) -> BoxFuture<'a, Result<StoreDecision, ItemError>> {
        async move {
            let mut united = StoreDecision { store: true, ..StoreDecision::default() };
            let concerned = self.all.iter().filter(|one| one.versions.concerns(key.as_bytes()));
            for deciding in concerned {
                let plugin = deciding.version(claim, &self.cache)?;
                if !plugin.declares(key.as_bytes()) {
                    // A version before has decided about it.
                    continue;
                }
                let decision = plugin.on_item(key, flags, body_bytes).await.map_err(|error| {
                    ItemError::NoAnswer(format!("plugin {}: {error}", plugin.name()))
                })?;
                unite(&mut united, tagged(decision, &plugin));
                if !united.store {
                    break;
                }
            }
            Ok(united)
        }
        .boxed()
    }
}

/// What two plugins say: stored only if both want it, for the shorter time, with the tags of both.
/// More tags than an entry may have are refused where it is stored.
fn unite(united: &mut StoreDecision, other: StoreDecision) {
    let smaller = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
    let StoreDecision { store, ttl_s, stale_while_revalidate_s, stale_if_error_s, tags } = other;
    united.store &= store;
    united.ttl_s = smaller(united.ttl_s, ttl_s);
    united.stale_while_revalidate_s =
        smaller(united.stale_while_revalidate_s, stale_while_revalidate_s);
    united.stale_if_error_s = smaller(united.stale_if_error_s, stale_if_error_s);
    for tag in tags {
        if !united.tags.contains(&tag) {
            united.tags.push(tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{CacheConfig, Recovered, WhenFull};
    use crate::clock::Clock;
    use crate::model::{Cause, Invalidation, Mode, RequestView, Tag, Target};
    use crate::plugins::{PluginLimits, PluginOrigin, PluginSource};

    fn decision(ttl_s: Option<u32>, stale_s: Option<u32>, tags: &[&str]) -> StoreDecision {
        StoreDecision {
            store: true,
            ttl_s,
            stale_while_revalidate_s: stale_s,
            stale_if_error_s: stale_s,
            tags: tags.iter().map(|tag| Tag::new(tag).unwrap()).collect(),
        }
    }

    #[test]
    fn what_several_plugins_say_is_the_shortest_of_their_times_and_all_of_their_tags() {
        let mut united = decision(None, None, &[]);
        unite(&mut united, decision(Some(60), None, &["a", "p:1"]));
        unite(&mut united, decision(None, Some(7), &["b", "a", "q:1"]));
        assert_eq!(united, decision(Some(60), Some(7), &["a", "p:1", "b", "q:1"]));
        unite(&mut united, decision(Some(30), Some(9), &[]));
        assert_eq!(united, decision(Some(30), Some(7), &["a", "p:1", "b", "q:1"]));
        unite(&mut united, StoreDecision::default());
        assert!(!united.store, "one does not want it");
    }

    /// One of several components that are told apart by a section that means nothing.
    fn version(number: u8, prefixes: &[&str]) -> PluginSource {
        let mut component = std::fs::read(env!("WASMCACHED_GUEST_HOSTILE")).unwrap();
        component.extend([0, 3, 1, b'n', number]);
        PluginSource {
            name: "hostile".to_owned(),
            origin: PluginOrigin::Bytes(component.into()),
            sha256: None,
            config: prefixes.iter().map(|one| ("prefix".to_owned(), (*one).to_owned())).collect(),
            limits: PluginLimits { key_ms_max: 20_000, ..PluginLimits::default() },
        }
    }

    /// Has the current version fail until the one before takes over, and lets go of it.
    fn fall_back(plugins: &Plugins) {
        let mode = vec![Some("trap".to_owned())];
        let (method, host, path) = ("GET".to_owned(), "site".to_owned(), "/".to_owned());
        let request = RequestView { method, host, path, query: None, inputs: mode };
        let failing = plugins.get("hostile").unwrap();
        for _ in 0..5 {
            assert!(failing.cache_key(&request).is_err());
        }
        let versions = plugins.versions("hostile").unwrap();
        versions.surplus().iter().for_each(|gone| versions.let_go(gone));
        assert_ne!(versions.current().sha256(), failing.sha256());
        assert!(plugins.snapshot("hostile").unwrap().retired.is_empty());
    }

    #[tokio::test]
    async fn fill_from_before_an_event_is_not_stored_without_the_tags_of_a_version_that_was_let_go()
    {
        let clock = Clock::manual(1_000);
        let config = CacheConfig {
            memory_bytes: 1 << 20,
            item_bytes_max: 1 << 10,
            when_full: WhenFull::Evict,
        };
        let cache = Cache::new(config, clock.clone(), None, Recovered::default());
        let plugins = Plugins::load(vec![version(1, &[])], clock.clone()).unwrap();
        let policy = of(&plugins, &cache).unwrap();
        plugins.replace(version(2, &["x:"])).unwrap();
        let key = Key::new(b"x:5").unwrap();
        let old = cache.claim();
        let targets = vec![(Target::Tag(Tag::new("x").unwrap()), Mode::Hard)];
        cache.invalidate(Invalidation { targets, cause: Cause::default() }).await.unwrap();
        fall_back(&plugins);
        assert!(policy.concerns(b"x:5") && !policy.concerns(b"y:5"));
        let refused = policy.on_item(&key, 0, 1, old).await;
        assert!(matches!(refused, Err(ItemError::Outdated)));
        let stored = policy.on_item(&key, 0, 1, cache.claim()).await;
        assert!(stored.is_ok_and(|decision| decision.store && decision.tags.is_empty()));
        // Whose data would be older than that has waited for a day.
        clock.advance(std::time::Duration::from_secs(24 * 60 * 60));
        plugins.forget();
        assert!(!policy.concerns(b"x:5"));
    }
}
