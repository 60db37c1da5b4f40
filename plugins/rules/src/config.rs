//! The rules as JSON, checked whole before any holds.
//!
//! # Invariants
//! - An error names the rule's place and, for an unknown field, the one that was probably meant.
//!
//! # Not here
//! What the rules do: the plugin itself.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wasmcached_plugin::{Error, Operation, Result};

use crate::template::{About, Template};

/// All rules.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) keys: Keys,
    pub(crate) store: Vec<StoreRule>,
    pub(crate) items: Vec<ItemRule>,
    pub(crate) events: Vec<EventRule>,
}

/// How pages are keyed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keys {
    pub(crate) prefix: String,
    pub(crate) bypass_cookies: Vec<String>,
    pub(crate) drop_query: Vec<String>,
    pub(crate) ignore_paths: Vec<String>,
}

/// What pages carry.
#[derive(Debug)]
pub(crate) struct StoreRule {
    pub(crate) path: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) ttl_s: Option<u32>,
    pub(crate) tags: Vec<Template>,
}

/// What memcached items carry.
#[derive(Debug)]
pub(crate) struct ItemRule {
    pub(crate) prefix: String,
    pub(crate) ttl_s: Option<u32>,
    pub(crate) tags: Vec<Template>,
}

/// What an event makes wrong.
#[derive(Debug)]
pub(crate) struct EventRule {
    pub(crate) model: Option<String>,
    pub(crate) operation: Option<Happened>,
    pub(crate) fields: Vec<String>,
    pub(crate) tags: Vec<Template>,
    pub(crate) keys: Vec<Template>,
    pub(crate) urls: Vec<Template>,
    pub(crate) prefixes: Vec<Template>,
    pub(crate) mode: Mode,
}

/// An operation as rules write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Happened {
    Created,
    Updated,
    Deleted,
    Other,
}

impl Happened {
    /// Whether it is this operation. One that the sender could not name may have been any.
    pub(crate) fn is(self, operation: Operation) -> bool {
        match operation {
            Operation::Created => self == Self::Created,
            Operation::Updated => self == Self::Updated,
            Operation::Deleted => self == Self::Deleted,
            Operation::Other => true,
        }
    }
}

/// Gone or stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    #[default]
    Hard,
    Soft,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct RawRules {
    keys: Value,
    store: Vec<Value>,
    items: Vec<Value>,
    events: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStore {
    path: Option<String>,
    status: Option<u16>,
    ttl_s: Option<u32>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    prefix: String,
    ttl_s: Option<u32>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawEvent {
    model: Option<String>,
    operation: Option<Happened>,
    fields: Vec<String>,
    tags: Vec<String>,
    keys: Vec<String>,
    urls: Vec<String>,
    prefixes: Vec<String>,
    mode: Mode,
}

const RULES_FIELDS: &[&str] = &["keys", "store", "items", "events"];
const KEYS_FIELDS: &[&str] = &["prefix", "bypass_cookies", "drop_query", "ignore_paths"];
const STORE_FIELDS: &[&str] = &["path", "status", "ttl_s", "tags"];
const ITEM_FIELDS: &[&str] = &["prefix", "ttl_s", "tags"];
const EVENT_FIELDS: &[&str] =
    &["model", "operation", "fields", "tags", "keys", "urls", "prefixes", "mode"];

/// Reads and checks all rules.
pub(crate) fn parse(json: &str) -> Result<Rules> {
    let value: Value = serde_json::from_str(json)
        .map_err(|error| Error::new(format!("rules are not JSON: {error}")))?;
    let raw: RawRules = section("rules", value, RULES_FIELDS)?;
    let keys = match raw.keys {
        Value::Null => Keys::default(),
        value => section("keys", value, KEYS_FIELDS)?,
    };
    Ok(Rules {
        keys,
        store: rules("store", raw.store, store_rule)?,
        items: rules("items", raw.items, item_rule)?,
        events: rules("events", raw.events, event_rule)?,
    })
}

fn rules<T>(
    list: &str,
    values: Vec<Value>,
    rule: impl Fn(&str, Value) -> Result<T>,
) -> Result<Vec<T>> {
    values.into_iter().enumerate().map(|(n, value)| rule(&format!("{list}[{n}]"), value)).collect()
}

fn store_rule(place: &str, value: Value) -> Result<StoreRule> {
    let RawStore { path, status, ttl_s, tags } = section(place, value, STORE_FIELDS)?;
    Ok(StoreRule { path, status, ttl_s, tags: tag_templates(place, &tags, About::Page)? })
}

fn item_rule(place: &str, value: Value) -> Result<ItemRule> {
    let RawItem { prefix, ttl_s, tags } = section(place, value, ITEM_FIELDS)?;
    if prefix.is_empty() {
        return Err(Error::new(format!("{place}: `prefix` is empty")));
    }
    Ok(ItemRule { prefix, ttl_s, tags: tag_templates(place, &tags, About::Item)? })
}

fn event_rule(place: &str, value: Value) -> Result<EventRule> {
    let raw: RawEvent = section(place, value, EVENT_FIELDS)?;
    let rule = EventRule {
        tags: tag_templates(place, &raw.tags, About::Event)?,
        keys: templates(place, "keys", &raw.keys, About::Event)?,
        urls: templates(place, "urls", &raw.urls, About::Event)?,
        prefixes: templates(place, "prefixes", &raw.prefixes, About::Event)?,
        model: raw.model,
        operation: raw.operation,
        fields: raw.fields,
        mode: raw.mode,
    };
    if [&rule.tags, &rule.keys, &rule.urls, &rule.prefixes].iter().all(|names| names.is_empty()) {
        let problem = "names nothing; give it `tags`, `keys`, `urls` or `prefixes`";
        return Err(Error::new(format!("{place}: {problem}")));
    }
    Ok(rule)
}

fn tag_templates(place: &str, texts: &[String], about: About) -> Result<Vec<Template>> {
    let templates = templates(place, "tags", texts, about)?;
    for (n, template) in templates.iter().enumerate() {
        if let Some(text) = template.texts().find(|text| text.contains(char::is_control)) {
            let problem = format!("{text:?}: a tag has no control characters");
            return Err(Error::new(format!("{place}.tags[{n}]: {problem}")));
        }
    }
    Ok(templates)
}

fn templates(place: &str, field: &str, texts: &[String], about: About) -> Result<Vec<Template>> {
    let parse = |(n, text): (usize, &String)| {
        Template::parse(text, about)
            .map_err(|error| Error::new(format!("{place}.{field}[{n}]: {error}")))
    };
    texts.iter().enumerate().map(parse).collect()
}

fn section<T: DeserializeOwned>(place: &str, value: Value, fields: &[&str]) -> Result<T> {
    let Value::Object(object) = &value else {
        return Err(Error::new(format!("{place}: not an object")));
    };
    if let Some(unknown) = object.keys().find(|key| !fields.contains(&key.as_str())) {
        let near = fields.iter().map(|field| (distance(unknown, field), field));
        let hint = match near.min() {
            Some((distance, field)) if distance <= 2 => format!("did you mean `{field}`"),
            _ => format!("there are {}", fields.join(", ")),
        };
        return Err(Error::new(format!("{place}: unknown field `{unknown}`; {hint}")));
    }
    serde_json::from_value(value).map_err(|error| Error::new(format!("{place}: {error}")))
}

/// How many characters must be changed, added or dropped (Levenshtein's distance).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (b, above) in to.chars().zip(row.iter().skip(1)) {
            left = (left + 1).min(above + 1).min(diagonal + usize::from(a != b));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
