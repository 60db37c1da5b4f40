//! Plugins as the memcached listener's policy: the first that declared a prefix of the key decides.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::page_policy::tagged;
use crate::memcached::ItemPolicy;
use crate::model::{Key, StoreDecision};
use crate::plugins::{Plugin, Plugins, Versions};

/// The policy of all plugins, those that may come to declare prefixes too; `None` without any.
pub(super) fn of(plugins: &Plugins) -> Option<Arc<dyn ItemPolicy>> {
    let all = plugins.all();
    (!all.is_empty()).then(|| Arc::new(PluginPolicy(all)) as Arc<dyn ItemPolicy>)
}

struct PluginPolicy(Arc<Vec<Arc<Versions>>>);

impl PluginPolicy {
    fn plugin(&self, key: &[u8]) -> Option<Arc<Plugin>> {
        let declared = |plugin: &Arc<Plugin>| {
            let mut prefixes = plugin.item_prefixes().iter();
            plugin.has_tagger() && prefixes.any(|prefix| key.starts_with(prefix.as_bytes()))
        };
        self.0.iter().map(|versions| versions.current()).find(declared)
    }
}

impl ItemPolicy for PluginPolicy {
    fn concerns(&self, key: &[u8]) -> bool {
        self.plugin(key).is_some()
    }

    fn on_item<'a>(
        &'a self,
        key: &'a Key,
        flags: u32,
        body_bytes: u32,
    ) -> BoxFuture<'a, Result<StoreDecision, String>> {
        async move {
            let Some(plugin) = self.plugin(key.as_bytes()) else {
                // The version that declared the prefix has just been replaced.
                return Ok(StoreDecision { store: true, ..StoreDecision::default() });
            };
            match plugin.on_item(key, flags, body_bytes).await {
                Ok(decision) => Ok(tagged(decision, &plugin)),
                Err(error) => Err(format!("plugin {}: {error}", plugin.name())),
            }
        }
        .boxed()
    }
}
