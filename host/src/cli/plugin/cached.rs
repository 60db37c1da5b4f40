//! `cache` of fixtures: what a plugin's look-ups find while it is tested.
//!
//! # Invariants
//! - What a server would not have is refused: an impossible key or tag.
//!
//! # Not here
//! What a plugin's answers are compared with: `fixtures`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use crate::model::{Birth, Key, Seen, Sequence, Tag, Target};
use crate::plugins::LookUp;

/// An entry by its key.
pub(super) type CachedFixtures = BTreeMap<String, CachedFixture>;

/// An entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CachedFixture {
    value: String,
    #[serde(default)]
    flags: u32,
    ttl_s: Option<u32>,
    #[serde(default)]
    age_s: u32,
    #[serde(default)]
    tags: Vec<String>,
}

/// A look-up in these entries alone.
pub(super) fn look_up(fixtures: &CachedFixtures) -> Result<LookUp, String> {
    let mut entries: HashMap<Key, Seen> = HashMap::new();
    for (text, fixture) in fixtures {
        let wrong = |error: &dyn ToString| format!("cache.{text}: {}", error.to_string());
        let key = Key::new(text.as_bytes()).map_err(|error| wrong(&error))?;
        let mut targets = vec![Target::Key(key.clone())];
        for tag in &fixture.tags {
            targets.push(Target::Tag(Tag::new(tag).map_err(|error| wrong(&error))?));
        }
        let seen = Seen {
            value: Bytes::from(fixture.value.clone()),
            flags: fixture.flags,
            ttl_ms: fixture.ttl_s.map(|seconds| u64::from(seconds) * 1000),
            age_ms: u64::from(fixture.age_s) * 1000,
            birth: Birth::at(Sequence::ZERO),
            targets,
        };
        entries.insert(key, seen);
    }
    Ok(Arc::new(move |key| entries.get(key).cloned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::plugin::fixtures::Fixtures;
    use crate::plugins::{CodeFolder, PluginLimits, PluginOrigin, PluginSource, Workbench};

    #[test]
    fn look_ups_of_a_plugin_that_is_tested_find_the_fixtures() {
        let source = PluginSource {
            name: "looking".to_owned(),
            origin: PluginOrigin::File(env!("WASMCACHED_GUEST_LOOKING").into()),
            sha256: None,
            config: Vec::new(),
            limits: PluginLimits { key_ms_max: 20_000, store_ms_max: 20_000, ..Default::default() },
        };
        let bench = Workbench::open(&source, &CodeFolder::Nowhere).unwrap();
        let tags = |key: &str, actions: &[&str]| {
            let after = json!({"from": key});
            let event = json!({"model": "look.tags", "pk": 1, "op": "update", "after": after});
            json!({"event": event, "actions": actions})
        };
        let fixtures = json!({
            "cache": {"list": {"value": "a", "ttl_s": 60, "tags": ["lists", "all"]}},
            "events": [tags("list", &["hard_tag lists", "hard_tag all"]), tags("other", &[])],
            "keys": [{"request": "http://a/b", "key": "http://a/b"}],
            "items": [{"key": "look:1", "tags": []}],
        });
        let fixtures: Fixtures = serde_json::from_value(fixtures).unwrap();
        bench.look_in(look_up(&fixtures.cache).unwrap());
        let report = fixtures.run(&mut bench.subject().unwrap(), bench.inputs());
        assert_eq!((report.passed, report.failed), (4, Vec::new()));
    }

    #[test]
    fn entries_that_no_server_has_are_refused() {
        let refusal = |fixtures: serde_json::Value| {
            let fixtures: CachedFixtures = serde_json::from_value(fixtures).unwrap();
            look_up(&fixtures).err().unwrap()
        };
        assert_eq!(refusal(json!({"": {"value": "a"}})), "cache.: key is empty");
        let tag = json!({"a": {"value": "a", "tags": [""]}});
        assert_eq!(refusal(tag), "cache.a: tag is empty");
    }
}
