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

/// Mistakes that are told at once.
const MISTAKES_MAX: usize = 10;

/// Reads and checks all rules.
pub(crate) fn parse(json: &str) -> Result<Rules> {
    let value: Value = serde_json::from_str(json)
        .map_err(|error| Error::new(format!("rules are not JSON: {error}")))?;
    let mut fields = Fields::of("rules".to_owned(), value)?;
    let mut mistakes = Mistakes::default();
    let keys = match fields.value("keys") {
        // The one rule of most.
        Some(rule @ Value::Object(_)) => {
            let parsed = Fields::of_rule("keys".to_owned(), rule).and_then(KeyRule::parse);
            mistakes.sort_out([parsed])
        }
        rules => mistakes.list("keys", rules, KeyRule::parse),
    };
    let store = mistakes.list("store", fields.value("store"), StoreRule::parse);
    let items = mistakes.list("items", fields.value("items"), ItemRule::parse);
    let events = mistakes.list("events", fields.value("events"), EventRule::parse);
    mistakes.sort_out([fields.end()]);
    mistakes.told()?;
    Ok(Rules { keys, store, items, events })
}

/// What is wrong with rules: the first mistake of each.
#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    /// Those of a list that are right.
    fn list<T>(
        &mut self,
        field: &str,
        values: Option<Value>,
        parse: impl Fn(Fields) -> Result<T>,
    ) -> Vec<T> {
        match values {
            None => Vec::new(),
            Some(Value::Array(values)) => {
                let rules = values.into_iter().enumerate();
                self.sort_out(rules.map(|(n, value)| {
                    Fields::of_rule(format!("{field}[{n}]"), value).and_then(&parse)
                }))
            }
            Some(other) => {
                self.0.push(format!("rules.{field}: is {other}; a list of rules is wanted"));
                Vec::new()
            }
        }
    }

    /// What is right, and remembers the rest.
    fn sort_out<T>(&mut self, parsed: impl IntoIterator<Item = Result<T>>) -> Vec<T> {
        let right = parsed
            .into_iter()
            .filter_map(|parsed| parsed.map_err(|mistake| self.0.push(mistake.to_string())).ok());
        right.collect()
    }

    /// An error with all of them, or none.
    fn told(mut self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let more = self.0.len().saturating_sub(MISTAKES_MAX);
        self.0.truncate(MISTAKES_MAX);
        if more > 0 {
            self.0.push(format!("{more} more"));
        }
        Err(Error::new(self.0.join("; ")))
    }
}
