//! The rules as JSON, checked whole before any holds.
//!
//! # Invariants
//! - Rules that are not understood whole are refused whole.
//!
//! # Not here
//! What each kind of rule has: `keys`, `store`, `events`.

use serde_json::Value;
use wasmcached_plugin::prelude::*;

use super::events::EventRule;
use super::fields::Fields;
use super::keys::KeyRule;
use super::store::{ItemRule, StoreRule};

/// All rules.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) keys: Vec<KeyRule>,
    pub(crate) store: Vec<StoreRule>,
    pub(crate) items: Vec<ItemRule>,
    pub(crate) events: Vec<EventRule>,
}

/// Reads and checks all rules.
pub(crate) fn parse(json: &str) -> Result<Rules> {
    let value: Value = serde_json::from_str(json)
        .map_err(|error| Error::new(format!("rules are not JSON: {error}")))?;
    let mut fields = Fields::of("rules".to_owned(), value)?;
    let keys = match fields.value("keys") {
        // The one rule of most.
        Some(rule @ Value::Object(_)) => {
            vec![KeyRule::parse(Fields::of_rule("keys".to_owned(), rule)?)?]
        }
        rules => list("keys", rules, KeyRule::parse)?,
    };
    let store = list("store", fields.value("store"), StoreRule::parse)?;
    let items = list("items", fields.value("items"), ItemRule::parse)?;
    let events = list("events", fields.value("events"), EventRule::parse)?;
    fields.end()?;
    Ok(Rules { keys, store, items, events })
}

fn list<T>(
    field: &str,
    values: Option<Value>,
    parse: impl Fn(Fields) -> Result<T>,
) -> Result<Vec<T>> {
    match values {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => {
            let rule = |(n, value)| parse(Fields::of_rule(format!("{field}[{n}]"), value)?);
            values.into_iter().enumerate().map(rule).collect()
        }
        Some(other) => {
            Err(Error::new(format!("rules.{field}: is {other}; a list of rules is wanted")))
        }
    }
}
