//! Plugins as the page cache's policies: the version that is current when a request comes.
//!
//! # Invariants
//! - Whatever a plugin had a part in carries the tag of its epoch, by which the app ends it.
//!
//! # Not here
//! When it is ended: `plugin_loader`.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::model::{Input, Key, KeyDecision, RequestView, ResponseView, StoreDecision};
use crate::pages::{CurrentPolicy, PagePolicy};
use crate::plugins::{Plugin, Plugins};

/// The policy of the plugin with this name.
pub(super) fn of(plugins: &Plugins, name: &str) -> Option<CurrentPolicy> {
    let versions = plugins.versions(name)?;
    Some(Arc::new(move || versions.current() as Arc<dyn PagePolicy>))
}

/// The decision, with the tag of the plugin that made it; one of a version that was given up
/// meanwhile is to store nothing.
pub(super) fn tagged(mut decision: StoreDecision, plugin: &Plugin) -> StoreDecision {
    decision.store &= !plugin.is_given_up();
    decision.tags.extend(plugin.tag().cloned());
    decision
}

impl PagePolicy for Plugin {
    fn name(&self) -> &str {
        self.name()
    }

    fn mark(&self) -> &str {
        self.mark()
    }

    fn inputs(&self) -> &[Input] {
        self.inputs()
    }

    fn cache_key(&self, request: &RequestView) -> Result<KeyDecision, String> {
        if !self.has_keyer() {
            return Ok(KeyDecision::Default);
        }
        self.cache_key(request).map_err(|error| error.to_string())
    }

    fn remembered_key(&self, request: &RequestView) -> Option<KeyDecision> {
        match self.has_keyer() {
            true => self.remembered_key(request),
            false => Some(KeyDecision::Default),
        }
    }

    fn note_remembered(&self) {
        if self.has_keyer() {
            self.note_remembered();
        }
    }

    fn sees_responses(&self) -> bool {
        self.has_tagger()
    }

    fn on_store<'a>(
        &'a self,
        key: &'a Key,
        request: &'a RequestView,
        response: &'a ResponseView,
    ) -> BoxFuture<'a, Result<Option<StoreDecision>, String>> {
        async move {
            let decision = match self.has_tagger() {
                true => self.on_store(key, request, response).await,
                false => Ok(StoreDecision { store: true, ..StoreDecision::default() }),
            };
            let decision = decision.map_err(|error| error.to_string())?;
            Ok(Some(tagged(decision, self)))
        }
        .boxed()
    }
}
