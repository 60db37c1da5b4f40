//! A plugin as the page cache's policy.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::model::{Input, Key, KeyDecision, RequestView, ResponseView, StoreDecision};
use crate::pages::PagePolicy;
use crate::plugins::{Plugin, Plugins};

/// The policy of the plugin with this name.
pub(super) fn of(plugins: &Plugins, name: &str) -> Option<Arc<dyn PagePolicy>> {
    let plugin = plugins.get(name)?;
    Some(Arc::new(PluginPolicy(plugin)))
}

struct PluginPolicy(Arc<Plugin>);

impl PagePolicy for PluginPolicy {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn inputs(&self) -> &[Input] {
        self.0.inputs()
    }

    fn cache_key(&self, request: &RequestView) -> Result<KeyDecision, String> {
        if !self.0.has_keyer() {
            return Ok(KeyDecision::Default);
        }
        self.0.cache_key(request).map_err(|error| error.to_string())
    }

    fn remembered_key(&self, request: &RequestView) -> Option<KeyDecision> {
        match self.0.has_keyer() {
            true => self.0.remembered_key(request),
            false => Some(KeyDecision::Default),
        }
    }

    fn note_remembered(&self) {
        if self.0.has_keyer() {
            self.0.note_remembered();
        }
    }

    fn on_store<'a>(
        &'a self,
        key: &'a Key,
        request: &'a RequestView,
        response: &'a ResponseView,
    ) -> BoxFuture<'a, Result<Option<StoreDecision>, String>> {
        async move {
            if !self.0.has_tagger() {
                return Ok(None);
            }
            let decision = self.0.on_store(key, request, response).await;
            decision.map(Some).map_err(|error| error.to_string())
        }
        .boxed()
    }
}
