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
//! - The same holds for a key about which only an earlier version has decided.
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

    fn concerns(&self, key: &[u8]) -> bool {
        declares(&self.versions.current(), key) || self.versions.was(|one| declares(one, key))
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

fn declares(plugin: &Plugin, key: &[u8]) -> bool {
    let mut prefixes = plugin.item_prefixes().iter();
    plugin.has_tagger() && prefixes.any(|prefix| key.starts_with(prefix.as_bytes()))
}

impl ItemPolicy for PluginPolicy {
    fn concerns(&self, key: &[u8]) -> bool {
        self.all.iter().any(|plugin| plugin.concerns(key))
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
            for deciding in self.all.iter().filter(|one| one.concerns(key.as_bytes())) {
                let plugin = deciding.version(claim, &self.cache)?;
                if !declares(&plugin, key.as_bytes()) {
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
    use crate::model::Tag;

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
}
