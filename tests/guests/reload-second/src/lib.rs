//! The version that replaces it: same key epoch, other tags, one more input.
//!
//! # Invariants
//! - Its tags say which version wrote them; its keys are those of the other versions.
//!
//! # Not here
//! Anything that ships.

use wasmcached_plugin::prelude::*;

#[derive(Default)]
struct Second;

#[plugin(name = "reload", key_epoch = 1, inputs(header = "x-lang"))]
impl Plugin for Second {
    fn item_prefixes(&self) -> Vec<String> {
        vec!["item:".to_owned()]
    }

    fn cache_key(&self, request: &Request) -> Result<Key> {
        Ok(Key::exactly(format!("page:{}", request.path())))
    }

    fn on_store(&self, _key: &str, request: &Request, _response: &Response) -> Result<Storage> {
        Ok(Storage::keep().tag(format!("second:{}", request.path())).tag("model:page"))
    }

    fn on_item(&self, _item: &Item) -> Result<Storage> {
        Ok(Storage::keep().tag("second:item"))
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        let path = event.text("after.path").unwrap_or_default();
        Ok(vec![hard_tag(format!("second:{path}"))])
    }
}
