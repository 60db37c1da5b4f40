//! Look-ups of a real component: what it finds, and what comes with its answers.

use std::sync::Arc;

use bytes::Bytes;

use super::hostile::Guest;
use super::*;
use crate::model::{Action, Birth, Consulted, KeyDecision, Seen, Sequence, Tag, Target};
use crate::plugins::{CallError, LookUp};

/// An entry under each key that begins with `list`, born at the number behind that.
fn lists() -> LookUp {
    Arc::new(|key| {
        let text = key.to_text();
        let born = text.strip_prefix("list")?.parse().ok()?;
        Some(Seen {
            value: Bytes::from(format!("red,{text}")),
            flags: 7,
            ttl_ms: Some(60_999),
            age_ms: 0,
            birth: Birth::at(Sequence::from_u64(born)),
            targets: vec![Target::Key(key.clone()), tag_target("lists"), tag_target(&text)],
        })
    })
}

fn tag_target(name: &str) -> Target {
    Target::Tag(Tag::new(name).unwrap())
}

fn looking() -> Plugins {
    let limits = PluginLimits { event_ms_max: 20_000, ..patient() };
    let origin = PluginOrigin::File(Guest::Looking.file().into());
    load(limited(source("looking", origin, &[]), limits))
}

fn copy(from: &str) -> Event {
    let payload = format!(r#"{{"after":{{"from":"{from}","to":"copy"}}}}"#);
    event("look.copy", &payload)
}

/// What its one action puts, and what that depends on.
#[track_caller]
fn put(actions: Result<Vec<Action>, CallError>) -> (String, Consulted) {
    match actions.unwrap().as_slice() {
        [Action::Put { value, consulted, .. }] => {
            (String::from_utf8(value.clone()).unwrap(), Consulted::clone(consulted))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_an_event_has_looked_at_comes_with_its_values_and_not_with_the_next_ones() {
    let plugins = looking();
    assert_eq!(only(&plugins).on_event(&copy("list5")).await, Ok(Vec::new()), "no cache yet");
    plugins.look_in(lists());
    for born in [9, 5] {
        let (value, consulted) = put(only(&plugins).on_event(&copy(&format!("list{born}"))).await);
        assert_eq!(value, format!("flags 7, ttl true: red,list{born}"));
        assert_eq!(consulted.birth, Some(Birth::at(Sequence::from_u64(born))));
        let name = format!("list{born}");
        let expected = [tag_target(&name), tag_target("lists"), Target::Key(key(&name))];
        assert_eq!(consulted.targets, expected.into());
    }
    assert_eq!(only(&plugins).on_event(&copy("other")).await, Ok(Vec::new()));
}

#[tokio::test]
async fn tags_of_what_was_looked_at_are_among_those_of_what_is_stored() {
    let plugins = looking();
    plugins.look_in(Arc::new(|key| {
        // The list is what is cached under `tags:KEY`.
        let list = lists()(&Key::new(b"list1").unwrap())?;
        key.to_text().starts_with("tags:").then_some(list)
    }));
    let stored = only(&plugins).on_item(&key("look:1"), 0, 1).await.unwrap();
    let tags: Vec<&str> = stored.tags.iter().map(Tag::as_str).collect();
    assert_eq!(tags, ["red", "list1", "lists"]);
}

#[tokio::test]
async fn a_key_has_no_look_ups_and_the_next_call_has_all_of_them() {
    let plugins = looking();
    plugins.look_in(lists());
    let plugin = only(&plugins);
    let refused = "look-ups are for on-store, on-item and on-event".to_owned();
    for times in [32, 33, 32] {
        let any = plugin.cache_key(&request("/key-looks", None, &[]));
        assert_eq!(any, Err(CallError::Guest(refused.clone())));
        assert_eq!(plugin.cache_key(&request("/", None, &[])), Ok(KeyDecision::Default));
        let often = event("look.often", &format!(r#"{{"after":{{"times":{times}}}}}"#));
        let expected = match times {
            33 => Err(CallError::Guest("33 look-ups in one call; limit is 32".to_owned())),
            _ => Ok(Vec::new()),
        };
        assert_eq!(plugin.on_event(&often).await, expected);
    }
}
