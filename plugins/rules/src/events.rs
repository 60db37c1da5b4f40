//! Rules about events: what a change makes wrong.
//!
//! # Invariants
//! - A name that the event does not say whole becomes the tag of its whole model, as the server
//!   names it: never a smaller purge.
//! - Two rules that name one thing name it once.
//!
//! # Not here
//! What carries the tag `model:<model>`: pages for which a rule says so.

use serde_json::Value;
use wasmcached_plugin::pattern::matches;
use wasmcached_plugin::percent::encode_path;
use wasmcached_plugin::prelude::*;
use wasmcached_plugin::template::EventTemplate;

use super::fields::{Fields, Place, condition_text};
use super::store::{TAG_BYTES_MAX, check_tag};

/// Longest key and URL that the server takes, bytes.
const KEY_BYTES_MAX: usize = 8 * 1024;

/// What some events make wrong.
#[derive(Debug)]
pub(crate) struct EventRule {
    place: Place,
    models: Vec<String>,
    operations: Vec<Operation>,
    fields: Vec<String>,
    names: Vec<(Kind, EventTemplate)>,
    mode: Mode,
}

/// What sort of thing a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tag,
    Key,
    Url,
    Prefix,
}

/// Gone or stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Hard,
    Soft,
}

impl EventRule {
    /// Reads and checks it.
    pub(crate) fn parse(mut fields: Fields) -> Result<Self> {
        let models = fields.condition("model", condition_text)?;
        let operations = fields.condition("operation", operation)?;
        let changed = fields.texts("fields")?;
        if let Some(n) = changed.iter().position(String::is_empty) {
            return Err(fields.place().at(&format!(".fields[{n}]")).error("is empty"));
        }
        let mut names = Vec::new();
        for (field, kind) in [
            ("tags", Kind::Tag),
            ("keys", Kind::Key),
            ("urls", Kind::Url),
            ("prefixes", Kind::Prefix),
        ] {
            for (n, text) in fields.texts(field)?.iter().enumerate() {
                let place = fields.place().at(&format!(".{field}[{n}]"));
                let template = EventTemplate::parse(text).map_err(|error| place.error(error))?;
                kind.check(text, &template).map_err(|problem| place.error(problem))?;
                names.push((kind, template));
            }
        }
        let mode = match fields.text("mode")?.as_deref() {
            None | Some("hard") => Mode::Hard,
            Some("soft") => Mode::Soft,
            Some(other) => {
                let problem = format!("is {other:?}; there are hard and soft");
                return Err(fields.place().at(".mode").error(problem));
            }
        };
        let place = fields.place().clone();
        fields.end()?;
        if names.is_empty() {
            let problem = "names nothing; give it `tags`, `keys`, `urls` or `prefixes`";
            return Err(place.error(problem));
        }
        Ok(Self { place, models, operations, fields: changed, names, mode })
    }

    fn fits(&self, event: &Event) -> bool {
        let is_model = |pattern: &String| matches(pattern, event.model());
        // What the sender could not name may have been any.
        let is_any = event.operation() == Operation::Other;
        (self.models.is_empty() || self.models.iter().any(is_model))
            && (self.operations.is_empty()
                || is_any
                || self.operations.contains(&event.operation()))
            && (self.fields.is_empty() || self.fields.iter().any(|field| event.changed(field)))
    }
}

/// What all rules that fit name. The second is why more than that is purged, if it is.
pub(crate) fn actions(rules: &[EventRule], event: &Event) -> (Vec<Action>, Option<String>) {
    let mut actions: Vec<Action> = Vec::new();
    let mut unknown = None;
    let mut add = |action: Action| {
        if !actions.contains(&action) {
            actions.push(action);
        }
    };
    for rule in rules.iter().filter(|rule| rule.fits(event)) {
        for (kind, template) in &rule.names {
            let names = template.names_with(event, |value| kind.written(value));
            let (whole, odd): (Vec<_>, Vec<_>) =
                names.known.into_iter().partition(|name| kind.can_be(name));
            whole.into_iter().for_each(|name| add(kind.action(rule.mode, name)));
            let missing = names.missing.map(|variable| format!("{variable} is not said"));
            let odd = odd.first().map(|name| format!("{name:?} is not what can be named"));
            if let Some(why) = missing.or(odd) {
                unknown.get_or_insert_with(|| rule.place.error(why).to_string());
            }
        }
    }
    if unknown.is_some() {
        add(hard_tag(format!("model:{}", event.model())));
    }
    (actions, unknown)
}

impl Kind {
    fn check(self, text: &str, template: &EventTemplate) -> std::result::Result<(), String> {
        match self {
            Self::Tag => check_tag(template.texts()),
            Self::Url if !is_url(text) && !text.starts_with('{') => {
                Err(format!("{text:?} is no URL; it begins with http:// or https://"))
            }
            Self::Url | Self::Key | Self::Prefix => match text.contains(char::is_control) {
                true => Err(format!("{text:?}: a key has no control characters")),
                false => Ok(()),
            },
        }
    }

    /// A value as it stands in such a name.
    fn written(self, value: String) -> String {
        match self {
            Self::Url if !is_url(&value) => encode_path(&value),
            Self::Url | Self::Tag | Self::Key | Self::Prefix => value,
        }
    }

    /// Whether the server would take the name; it refuses all actions for one that it can't.
    fn can_be(self, name: &str) -> bool {
        let bytes_max = match self {
            Self::Tag => TAG_BYTES_MAX,
            Self::Key | Self::Url | Self::Prefix => KEY_BYTES_MAX,
        };
        let is_odd = name.contains(char::is_control) || (self == Self::Url && !is_url(name));
        name.len() <= bytes_max && !is_odd
    }

    fn action(self, mode: Mode, name: String) -> Action {
        match (self, mode) {
            (Self::Tag, Mode::Hard) => hard_tag(name),
            (Self::Tag, Mode::Soft) => soft_tag(name),
            (Self::Key, Mode::Hard) => hard_key(name),
            (Self::Key, Mode::Soft) => soft_key(name),
            (Self::Url, Mode::Hard) => hard_url(name),
            (Self::Url, Mode::Soft) => soft_url(name),
            (Self::Prefix, Mode::Hard) => hard_prefix(name),
            (Self::Prefix, Mode::Soft) => soft_prefix(name),
        }
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

fn operation(value: Value) -> std::result::Result<Operation, String> {
    let known = [Operation::Created, Operation::Updated, Operation::Deleted, Operation::Other];
    let found = known.into_iter().find(|one| value.as_str() == Some(one.as_str()));
    found.ok_or_else(|| format!("is {value}; there are created, updated, deleted, other"))
}
