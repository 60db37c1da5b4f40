//! Rules from the server's configuration instead of code: what tells pages apart, which tags and
//! times pages and items get, and what an event makes wrong.
//!
//! One setting, `rules`, whose value is JSON. Everything in it:
//!
//! ```json
//! {"keys": [{"name": "shop", "host": "shop.example", "path": "/list/*", "prefix": "v2:",
//!            "keep_query": ["page", "sort"], "drop_query": ["utm_*"], "sort_query": true,
//!            "cookies": ["currency"], "bypass_cookies": ["sessionid"],
//!            "ignore_paths": ["/list/mine*"], "bypass": false}],
//!  "store": [{"name": "treks", "host": "*", "path": "/treks/*", "status": [200, "4xx"],
//!             "content_type": "text/*", "ttl_s": 300, "stale_while_revalidate_s": 30,
//!             "stale_if_error_s": 600, "tags": ["trek:{path.1}", "host:{host}"]},
//!            {"name": "never", "path": "/cart*", "store": false}],
//!  "items": [{"name": "fragments", "prefix": "frag:", "ttl_s": 60, "tags": ["part:{rest}"]}],
//!  "events": [{"name": "photos", "model": ["treks.photo", "treks.video"],
//!              "operation": ["updated", "deleted"], "fields": ["title", "trek"],
//!              "tags": ["trek:{both.trek}", "home"], "keys": ["photo:{pk}"],
//!              "urls": ["http://shop.example/photos/{after.slug}/"],
//!              "prefixes": ["list:{model}:"], "mode": "hard"}]}
//! ```
//!
//! Every rule that fits counts: tags, dropped parameters and cookies add up; of prefixes and of
//! times the first that is named holds; one bypass, and one `store: false`, is enough. A condition
//! that is left out always holds, and one with a list holds where one of them does; `*` stands for
//! anything. `keys` may be one rule instead of a list. A `host` without a port is any port's.
//!
//! `{both.x}` of an event names what the object was and what it is, so that an object that moves
//! from category 3 to 7 is missed in neither; of a list each member is named. A name that the event
//! does not say, such as `{pk}` of a whole model or `{before.x}` of a sender that keeps it to
//! itself, becomes the tag `model:<model>`, which pages have if a rule gives it to them.
//!
//! # Invariants
//! - Rules that can't be understood whole, or of which one could never match, are refused whole, by
//!   the rule's place and name, the field and the reason.
//! - What an event leaves open makes the purge larger, never smaller.
//!
//! # Not here
//! The operator's TOML: the server turns it into this JSON.

mod config;
mod events;
mod fields;
mod keys;
mod requests;
mod store;

use wasmcached_plugin::prelude::*;

use config::Rules;

/// Does what its rules say.
#[derive(Debug, Default)]
pub struct RulesPlugin {
    rules: Rules,
}

#[plugin(name = "rules", key_epoch = 1)]
impl Plugin for RulesPlugin {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<()> {
        for (name, value) in settings {
            if name != "rules" {
                return Err(Error::new(format!("unknown setting `{name}`; there is `rules`")));
            }
            self.rules = config::parse(value)?;
        }
        Ok(())
    }

    fn inputs(&self) -> Vec<Input> {
        let mut inputs = Vec::new();
        for name in self.rules.keys.iter().flat_map(|rule| rule.seen_cookies()) {
            let input = Input::Cookie(name.clone());
            if !inputs.contains(&input) {
                inputs.push(input);
            }
        }
        inputs
    }

    fn item_prefixes(&self) -> Vec<String> {
        self.rules.items.iter().map(|rule| rule.prefix().to_owned()).collect()
    }

    fn cache_key(&self, request: &Request) -> Result<Key> {
        Ok(keys::key(&self.rules.keys, request))
    }

    fn on_store(&self, _key: &str, request: &Request, response: &Response) -> Result<Storage> {
        Ok(store::of_response(&self.rules.store, request, response))
    }

    fn on_item(&self, item: &Item) -> Result<Storage> {
        Ok(store::of_item(&self.rules.items, item))
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        let (actions, unknown) = events::actions(&self.rules.events, event);
        if let Some(why) = unknown {
            wasmcached_plugin::warn(format!("{why}; purging model:{} as a whole", event.model()));
        }
        Ok(actions)
    }
}

#[cfg(test)]
mod tests;
