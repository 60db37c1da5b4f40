//! Names with places to fill in, as rules write them: `trek:{both.trek}`.
//!
//! # Invariants
//! - A template that exists is well formed and has only places that its writer knows.
//! - A name is whole or not there: never one with a hole.
//! - Where a change does not say what a place needs, that is told and never taken for nothing: the
//!   object may have been anywhere, and who asks must name more.
//!
//! # Not here
//! Which rules have templates, and what is named instead: the plugins.

use std::borrow::Cow;

use serde_json::Value;

use crate::{Error, Event, Operation, Result};

/// A text with places; `P` says what may stand in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<P> {
    pieces: Vec<Piece<P>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<P> {
    Text(String),
    Place(P),
}

impl<P> Template<P> {
    /// From its text. `place` reads what stands between braces; `known` tells people what may.
    ///
    /// # Errors
    /// An empty text, a brace without the other one, and a place that `place` does not know.
    pub fn parse(text: &str, known: &str, place: impl Fn(&str) -> Option<P>) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            push_text(&mut pieces, before, text)?;
            let Some((name, after)) = after.split_once('}') else {
                return Err(Error::new(format!("{text:?}: `{{` without `}}`")));
            };
            let unknown = || Error::new(format!("unknown variable {{{name}}}; {known}"));
            pieces.push(Piece::Place(place(name).ok_or_else(unknown)?));
            rest = after;
        }
        push_text(&mut pieces, rest, text)?;
        match pieces.is_empty() {
            true => Err(Error::new("an empty name")),
            false => Ok(Self { pieces }),
        }
    }

    /// The fixed parts, for checks.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Place(_) => None,
        })
    }

    /// What stands in the places, for checks.
    pub fn places(&self) -> impl Iterator<Item = &P> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Place(place) => Some(place),
        })
    }

    /// The whole name, or why there is none: the first error of `value`.
    ///
    /// # Errors
    /// Those of `value`.
    pub fn fill<'a, E>(
        &'a self,
        mut value: impl FnMut(&'a P) -> std::result::Result<Cow<'a, str>, E>,
    ) -> std::result::Result<String, E> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Place(place) => name.push_str(&value(place)?),
            }
        }
        Ok(name)
    }
}

fn push_text<P>(pieces: &mut Vec<Piece<P>>, text: &str, whole: &str) -> Result<()> {
    if text.contains('}') {
        return Err(Error::new(format!("{whole:?}: `}}` without `{{`")));
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(())
}

const OF_EVENTS: &str = "there are {pk}, {model}, {operation}, {before.x}, {after.x} and {both.x}";

/// A name that an event fills: `{pk}`, `{model}`, `{operation}`, and of the payload `{before.x}`,
/// `{after.x}`, and `{both.x}`, which makes a name of what the object was and one of what it is.
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
            let value = |place| value(event, place, *side).map(|text| Cow::Owned(change(text)));
            match self.0.fill(value) {
                Ok(name) if !names.known.contains(&name) => names.known.push(name),
                Ok(_) | Err(NoName::Nothing) => {}
                Err(NoName::Missing(variable)) => {
                    names.missing.get_or_insert(variable);
                }
            }
        }
        names
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

fn value(event: &Event, place: &Place, side: Side) -> std::result::Result<String, NoName> {
    match place {
        Place::Model => Ok(event.model().to_owned()),
        Place::Operation => Ok(event.operation().as_str().to_owned()),
        Place::Pk => match event.object_id() {
            Some(id) => Ok(id.to_owned()),
            None => Err(NoName::Missing("{pk}".to_owned())),
        },
        Place::One(side, path) => value_of_side(event, *side, path),
        Place::Both(path) => value_of_side(event, side, path),
    }
}

/// What the payload says at a path.
enum Said {
    Text(String),
    Null,
    Nothing,
}

fn value_of_side(event: &Event, side: Side, path: &str) -> std::result::Result<String, NoName> {
    let said = match said(event, side, path) {
        // Senders may leave out what has not changed.
        Said::Nothing if !event.changed(path.split('.').next().unwrap_or(path)) => {
            said(event, side.other(), path)
        }
        said => said,
    };
    match (said, event.operation(), side) {
        (Said::Text(text), ..) if !text.is_empty() => Ok(text),
        (Said::Text(_) | Said::Null, ..)
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
            Value::Null => return Said::Null,
            Value::Array(items) => name.parse::<usize>().ok().and_then(|n| items.get(n)),
            other => other.get(name),
        };
        match found {
            Some(found) => value = found,
            None => return Said::Nothing,
        }
    }
    match value {
        Value::Null => Said::Null,
        Value::String(text) => Said::Text(text.clone()),
        Value::Number(number) => Said::Text(number.to_string()),
        Value::Bool(truth) => Said::Text(truth.to_string()),
        Value::Array(_) | Value::Object(_) => Said::Nothing,
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
