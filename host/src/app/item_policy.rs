//! Plugins as the memcached listener's policy: the first that declared a prefix of the key decides.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::memcached::ItemPolicy;
use crate::model::{Key, StoreDecision};
use crate::plugins::{Plugin, Plugins};

/// The policy of all plugins that declared prefixes; `None` where none did.
pub(super) fn of(plugins: &Plugins) -> Option<Arc<dyn ItemPolicy>> {
    let mut by_prefix = Vec::new();
    for plugin in plugins.list().into_iter().filter(|plugin| plugin.has_tagger()) {
        let prefixes = plugin.item_prefixes().iter();
        by_prefix.extend(prefixes.map(|prefix| (prefix.clone(), Arc::clone(&plugin))));
    }
    (!by_prefix.is_empty()).then(|| Arc::new(PluginPolicy(by_prefix)) as Arc<dyn ItemPolicy>)
}

struct PluginPolicy(Vec<(String, Arc<Plugin>)>);

impl PluginPolicy {
    fn plugin(&self, key: &[u8]) -> Option<&Arc<Plugin>> {
        let found = self.0.iter().find(|(prefix, _)| key.starts_with(prefix.as_bytes()));
        found.map(|(_, plugin)| plugin)
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
                return Err(format!("no plugin declared a prefix of {key:?}"));
            };
            let decision = plugin.on_item(key, flags, body_bytes).await;
            decision.map_err(|error| format!("plugin {}: {error}", plugin.name()))
        }
        .boxed()
    }
}
