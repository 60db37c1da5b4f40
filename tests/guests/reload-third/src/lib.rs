//! A version of another key epoch.
//!
//! # Invariants
//! - Its tags say which version wrote them; its keys are those of the other versions.
//!
//! # Not here
//! Anything that ships.

use wasmcached_plugin::prelude::*;

#[derive(Default)]
struct Third;

#[plugin(name = "reload", key_epoch = 2)]
impl Plugin for Third {
    fn item_prefixes(&self) -> Vec<String> {
        vec!["item:".to_owned()]
    }

    fn cache_key(&self, request: &Request) -> Result<Key> {
        Ok(Key::exactly(format!("page:{}", request.path())))
    }

    fn on_store(&self, _key: &str, request: &Request, _response: &Response) -> Result<Storage> {
        Ok(Storage::keep().tag(format!("third:{}", request.path())).tag("model:page"))
    }

    fn on_item(&self, _item: &Item) -> Result<Storage> {
        Ok(Storage::keep().tag("third:item"))
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        let path = event.text("after.path").unwrap_or_default();
        Ok(vec![hard_tag(format!("third:{path}"))])
    }
}
