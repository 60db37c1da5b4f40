//! Rules from the server's configuration instead of code: which cookies bypass, which query
//! parameters don't matter, which tags pages and items carry, and what an event makes wrong.
//!
//! One setting, `rules`, whose value is JSON:
//!
//! ```json
//! {"keys": {"prefix": "", "bypass_cookies": ["sessionid"], "drop_query": ["utm_*"],
//!           "ignore_paths": ["/admin*"]},
//!  "store": [{"path": "/treks/*", "status": 200, "ttl_s": 300, "tags": ["trek:{path.1}"]}],
//!  "items": [{"prefix": "frag:", "ttl_s": 60, "tags": ["fragments"]}],
//!  "events": [{"model": "treks.photo", "operation": "updated", "fields": ["title"],
//!              "tags": ["trek:{after.trek}", "home"], "keys": [], "urls": [], "prefixes": [],
//!              "mode": "hard"}]}
//! ```
//!
//! Every rule that fits counts: tags add up, and the first time to live that is named holds. A
//! condition that is left out always holds; `*` in a path or model stands for anything.
//!
//! # Invariants
//! - Rules that can't be understood whole are refused whole, by the rule's place and the reason.
//! - A rule that fits an event of a whole model but needs its `{pk}` is an error, never a smaller
//!   purge.
//!
//! # Not here
//! The operator's TOML: the server turns it into this JSON.

mod config;
mod template;

use wasmcached_plugin::pattern::matches;
use wasmcached_plugin::prelude::*;

use config::{EventRule, Mode, Rules};
use template::Template;

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
        self.rules.keys.bypass_cookies.iter().cloned().map(Input::Cookie).collect()
    }

    fn item_prefixes(&self) -> Vec<String> {
        self.rules.items.iter().map(|rule| rule.prefix.clone()).collect()
    }

    fn cache_key(&self, request: &Request) -> Result<Key> {
        let keys = &self.rules.keys;
        let ignored = keys.ignore_paths.iter().any(|path| matches(path, request.path()));
        if ignored || keys.bypass_cookies.iter().any(|name| request.cookie(name).is_some()) {
            return Ok(Key::bypass());
        }
        let key = Key::of(request).prefix(&keys.prefix);
        Ok(keys.drop_query.iter().fold(key, |key, pattern| key.drop_query(pattern)))
    }

    fn on_store(&self, _key: &str, request: &Request, response: &Response) -> Result<Storage> {
        let mut storage = Storage::keep();
        let mut ttl_s = None;
        for rule in &self.rules.store {
            let path_fits = rule.path.as_deref().is_none_or(|path| matches(path, request.path()));
            if path_fits && rule.status.is_none_or(|status| status == response.status()) {
                ttl_s = ttl_s.or(rule.ttl_s);
                storage = storage.tags(rule.tags.iter().filter_map(|t| t.of_path(request.path())));
            }
        }
        Ok(storage.maybe_ttl(ttl_s))
    }

    fn on_item(&self, item: &Item) -> Result<Storage> {
        let mut storage = Storage::keep();
        let mut ttl_s = None;
        for rule in self.rules.items.iter().filter(|rule| item.key().starts_with(&rule.prefix)) {
            ttl_s = ttl_s.or(rule.ttl_s);
            storage = storage.tags(rule.tags.iter().map(Template::as_text));
        }
        Ok(storage.maybe_ttl(ttl_s))
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        for (place, rule) in self.rules.events.iter().enumerate() {
            if fits(rule, event) {
                act(rule, event, &mut actions)
                    .map_err(|error| Error::new(format!("events[{place}]: {error}")))?;
            }
        }
        Ok(actions)
    }
}

fn fits(rule: &EventRule, event: &Event) -> bool {
    rule.model.as_deref().is_none_or(|model| matches(model, event.model()))
        && rule.operation.is_none_or(|operation| operation.is(event.operation()))
        && (rule.fields.is_empty() || rule.fields.iter().any(|field| event.changed(field)))
}

fn act(rule: &EventRule, event: &Event, actions: &mut Vec<Action>) -> Result<()> {
    let by_mode = |hard: fn(String) -> Action, soft: fn(String) -> Action| match rule.mode {
        Mode::Hard => hard,
        Mode::Soft => soft,
    };
    for (templates, action) in [
        (&rule.tags, by_mode(hard_tag, soft_tag)),
        (&rule.keys, by_mode(hard_key, soft_key)),
        (&rule.urls, by_mode(hard_url, soft_url)),
        (&rule.prefixes, by_mode(hard_prefix, soft_prefix)),
    ] {
        for template in templates {
            if let Some(name) = template.of_event(event)? {
                let action = action(name);
                if !actions.contains(&action) {
                    actions.push(action);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
