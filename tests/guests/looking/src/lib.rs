//! A plugin that looks things up in the cache wherever it is asked something, for the tests of what
//! comes of it.
//!
//! # Invariants
//! - It does what the request's path, the item's key or the event's payload tells it.
//!
//! # Not here
//! Anything that ships.

use wasmcached_plugin::cache;
use wasmcached_plugin::prelude::*;

#[derive(Default)]
struct Looking;

#[plugin(name = "looking", key_epoch = 1, item_prefixes("look:"))]
impl Plugin for Looking {
    fn cache_key(&self, request: &Request) -> Result<Key> {
        match request.path() {
            "/key-looks" => Ok(Key::exactly(cache::tags("any")?.join(","))),
            _ => Ok(Key::of(request)),
        }
    }

    /// The tags of a page are what is cached under `tags:PATH`.
    fn on_store(&self, _key: &str, request: &Request, _response: &Response) -> Result<Storage> {
        Ok(Storage::ttl(60).tags(named_under(&format!("tags:{}", request.path()))?))
    }

    fn on_item(&self, item: &Item) -> Result<Storage> {
        Ok(Storage::keep().tags(named_under(&format!("tags:{}", item.key()))?))
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        match event.model() {
            "look.copy" => Ok(copies(event)?.into_iter().collect()),
            "look.copy-of-ended" => {
                let ended = hard_tag(given(event, "ended"));
                Ok(copies(event)?.into_iter().chain([ended]).collect())
            }
            "look.tags" => {
                Ok(cache::tags(&given(event, "from"))?.into_iter().map(hard_tag).collect())
            }
            "look.often" => {
                for _ in 0..event.text("after.times").unwrap_or_default().parse::<u32>()? {
                    cache::get("nothing")?;
                }
                Ok(Vec::new())
            }
            // Any other is for the tests of the cache.
            model => Ok(vec![hard_tag(model)]),
        }
    }
}

/// What is cached under `from`, put under `to` with what is known of it in front, and a tag if one
/// is given.
fn copies(event: &Event) -> Result<Option<Action>> {
    let Some(entry) = cache::get(&given(event, "from"))? else { return Ok(None) };
    let known = format!("flags {}, ttl {}: ", entry.flags, entry.ttl_s.is_some());
    let value = NewValue::new(given(event, "to"), [known.into_bytes(), entry.value].concat());
    Ok(Some(put(match event.text("after.tag") {
        Some(tag) => value.tag(tag),
        None => value,
    })))
}

fn named_under(key: &str) -> Result<Vec<String>> {
    let Some(entry) = cache::get(key)? else { return Ok(Vec::new()) };
    Ok(String::from_utf8(entry.value)?.split(',').map(str::to_owned).collect())
}

fn given(event: &Event, field: &str) -> String {
    event.text(&format!("after.{field}")).unwrap_or_default()
}
