//! The version of a plugin that is replaced, for the tests of replacing.
//!
//! # Invariants
//! - Its tags say which version wrote them; its keys are those of the other versions.
//!
//! # Not here
//! Anything that ships.

use wasmcached_plugin::prelude::*;

#[derive(Default)]
struct First;

#[plugin(name = "reload", key_epoch = 1)]
impl Plugin for First {
    fn item_prefixes(&self) -> Vec<String> {
        vec!["item:".to_owned()]
    }

    fn cache_key(&self, request: &Request) -> Result<Key> {
        Ok(Key::exactly(format!("page:{}", request.path())))
    }

    fn on_store(&self, _key: &str, request: &Request, _response: &Response) -> Result<Storage> {
        Ok(Storage::keep().tag(format!("first:{}", request.path())).tag("model:page"))
    }

    fn on_item(&self, _item: &Item) -> Result<Storage> {
        Ok(Storage::keep().tag("first:item"))
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        if event.text("after.fails").is_some() {
            return Err(Error::new("no answer, as asked"));
        }
        let path = event.text("after.path").unwrap_or_default();
        Ok(vec![hard_tag(format!("first:{path}"))])
    }
}
