//! Names that an event fills.
//!
//! # Invariants
//! - Where a change does not say what a place needs, that is told and never taken for nothing: the
//!   object may have been anywhere, and who asks must name more.
//!
//! # Not here
//! What is named instead: the plugins.

use serde_json::Value;

use super::{Piece, Template};
use crate::{Event, Operation, Result};

const OF_EVENTS: &str = "there are {pk}, {model}, {operation}, {before.x}, {after.x} and {both.x}";

/// Most names that one template makes of one side of an event; more are as good as not said.
const NAMES_MAX: usize = 1_000;

/// A name that an event fills: `{pk}`, `{model}`, `{operation}`, and of the payload `{before.x}`,
/// `{after.x}`, and `{both.x}`, which makes a name of what the object was and one of what it is. Of
/// a value that is a list there is a name for each of its members.
///
/// ```
/// use wasmcached_plugin::template::EventTemplate;
/// use wasmcached_plugin::testing::event;
///
/// let moved = event("shop.product").field("before.category", 3).field("after.category", 7);
/// let names = EventTemplate::parse("category:{both.category}").unwrap().names(&moved.to_event());
/// assert_eq!(names.known, ["category:3", "category:7"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTemplate(Template<Place>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Pk,
    Model,
    Operation,
    One(Side, String),
    Both(String),
}

/// The object as it was, or as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// What a template names for an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// Each once.
    pub known: Vec<String>,
    /// The first variable of which the event does not say the value. There may be more names then.
    pub missing: Option<String>,
}

/// Why there is no name.
enum NoName {
    /// The object has no such value, or is not there.
    Nothing,
    /// The event does not say.
    Missing(String),
}

impl EventTemplate {
    /// From its text.
    ///
    /// # Errors
    /// Those of [`Template::parse`].
    pub fn parse(text: &str) -> Result<Self> {
        Template::parse(text, OF_EVENTS, place).map(Self)
    }

    /// The fixed parts, for checks.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.texts()
    }

    /// What it names for the event.
    pub fn names(&self, event: &Event) -> Names {
        self.names_with(event, |value| value)
    }

    /// The same with each value changed before it is filled in: percent-encoded, say.
    pub fn names_with(&self, event: &Event, change: impl Fn(String) -> String) -> Names {
        let is_of_both = self.0.places().any(|place| matches!(place, Place::Both(_)));
        let sides: &[Side] = if is_of_both { &[Side::Before, Side::After] } else { &[Side::After] };
        let mut names = Names::default();
        for side in sides {
            match self.names_of_side(event, *side, &change) {
                Ok(found) => {
                    for name in found {
                        if !names.known.contains(&name) {
                            names.known.push(name);
                        }
                    }
                }
                Err(NoName::Nothing) => {}
                Err(NoName::Missing(variable)) => {
                    names.missing.get_or_insert(variable);
                }
            }
        }
        names
    }

    /// A name for each combination of values.
    fn names_of_side(
        &self,
        event: &Event,
        side: Side,
        change: impl Fn(String) -> String,
    ) -> std::result::Result<Vec<String>, NoName> {
        let mut names = vec![String::new()];
        for piece in &self.0.pieces {
            match piece {
                Piece::Text(text) => names.iter_mut().for_each(|name| name.push_str(text)),
                Piece::Place(place) => {
                    let values = values(event, place, side)?;
                    if names.len() * values.len() > NAMES_MAX {
                        return Err(NoName::Missing(place.shown()));
                    }
                    let values: Vec<String> = values.into_iter().map(&change).collect();
                    let with_each = |name: String| values.iter().map(move |v| format!("{name}{v}"));
                    names = names.into_iter().flat_map(with_each).collect();
                }
            }
        }
        Ok(names)
    }
}

impl Place {
    fn shown(&self) -> String {
        match self {
            Self::Pk => "{pk}".to_owned(),
            Self::Model => "{model}".to_owned(),
            Self::Operation => "{operation}".to_owned(),
            Self::One(side, path) => format!("{{{}.{path}}}", side.name()),
            Self::Both(path) => format!("{{both.{path}}}"),
        }
    }
}

fn place(name: &str) -> Option<Place> {
    let is_path = |path: &str| !path.is_empty() && !path.split('.').any(str::is_empty);
    match (name, name.split_once('.')) {
        ("pk", _) => Some(Place::Pk),
        ("model", _) => Some(Place::Model),
        ("operation", _) => Some(Place::Operation),
        (_, Some(("before", path))) if is_path(path) => {
            Some(Place::One(Side::Before, path.to_owned()))
        }
        (_, Some(("after", path))) if is_path(path) => {
            Some(Place::One(Side::After, path.to_owned()))
        }
        (_, Some(("both", path))) if is_path(path) => Some(Place::Both(path.to_owned())),
        _ => None,
    }
}

fn values(event: &Event, place: &Place, side: Side) -> std::result::Result<Vec<String>, NoName> {
    match place {
        Place::Model => Ok(vec![event.model().to_owned()]),
        Place::Operation => Ok(vec![event.operation().as_str().to_owned()]),
        Place::Pk => match event.object_id() {
            Some(id) => Ok(vec![id.to_owned()]),
            None => Err(NoName::Missing(place.shown())),
        },
        Place::One(side, path) => values_of_side(event, *side, path),
        Place::Both(path) => values_of_side(event, side, path),
    }
}

/// What the payload says at a path.
enum Said {
    /// One, or those of a list; none where there is no such value.
    Values(Vec<String>),
    Nothing,
}

fn values_of_side(
    event: &Event,
    side: Side,
    path: &str,
) -> std::result::Result<Vec<String>, NoName> {
    let said = match said(event, side, path) {
        // Senders may leave out what has not changed.
        Said::Nothing if !event.changed(path.split('.').next().unwrap_or(path)) => {
            said(event, side.other(), path)
        }
        said => said,
    };
    match (said, event.operation(), side) {
        (Said::Values(values), ..) if !values.is_empty() => Ok(values),
        (Said::Values(_), ..)
        | (Said::Nothing, Operation::Created, Side::Before)
        | (Said::Nothing, Operation::Deleted, Side::After) => Err(NoName::Nothing),
        (Said::Nothing, ..) => Err(NoName::Missing(format!("{{{}.{path}}}", side.name()))),
    }
}

fn said(event: &Event, side: Side, path: &str) -> Said {
    // Without this object at all the sender says nothing of it, whatever is written in its place.
    let Some(mut value) = event.payload().get(side.name()).filter(|object| object.is_object())
    else {
        return Said::Nothing;
    };
    for name in path.split('.') {
        let found = match value {
            Value::Null => return Said::Values(Vec::new()),
            Value::Array(items) => name.parse::<usize>().ok().and_then(|n| items.get(n)),
            other => other.get(name),
        };
        match found {
            Some(found) => value = found,
            None => return Said::Nothing,
        }
    }
    let path = format!("{}.{path}", side.name());
    let values = match value {
        Value::Array(items) => {
            let numbered = items.iter().enumerate();
            numbered.map(|(n, item)| text_of(event, &format!("{path}.{n}"), item)).collect()
        }
        one => text_of(event, &path, one).map(|text| vec![text]),
    };
    // No text is as good as no value.
    let without_empty = |texts: Vec<String>| texts.into_iter().filter(|text| !text.is_empty());
    values.map_or(Said::Nothing, |texts| Said::Values(without_empty(texts).collect()))
}

/// The text of what stands at a path.
fn text_of(event: &Event, path: &str, value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        _ => event.text(path),
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
        }
    }
}

#[cfg(test)]
mod tests;
