//! The fields of one rule, taken one by one: what nobody takes is unknown.
//!
//! # Invariants
//! - An error names the rule by its place, and by its name where it has one, and the field.
//! - Nothing is read in two ways: a number is no text, and an empty condition is a mistake.
//!
//! # Not here
//! Which fields there are: the rules themselves.

use serde_json::{Map, Value};
use wasmcached_plugin::prelude::*;

/// A server refuses what is to live longer: ten years.
const SECONDS_MAX: u32 = 316_224_000;

/// Where something stands: `events[2]`, and the rule's own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    path: String,
    name: Option<String>,
}

impl Place {
    /// The same rule, further in: `.tags[0]`.
    pub(crate) fn at(&self, within: &str) -> Self {
        Self { path: format!("{}{within}", self.path), name: self.name.clone() }
    }

    /// What is wrong there.
    pub(crate) fn error(&self, problem: impl std::fmt::Display) -> Error {
        let path = &self.path;
        match &self.name {
            Some(name) => Error::new(format!("{path} (rule {name:?}): {problem}")),
            None => Error::new(format!("{path}: {problem}")),
        }
    }
}

/// The fields that were not taken yet.
pub(crate) struct Fields {
    place: Place,
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Those of a rule, which may have a `name`.
    pub(crate) fn of_rule(path: String, value: Value) -> Result<Self> {
        let mut fields = Self::of(path, value)?;
        // Errors of the name itself have only the place.
        let name = fields.text("name")?;
        if name.as_deref() == Some("") {
            return Err(fields.place.at(".name").error("is empty"));
        }
        fields.place.name = name;
        Ok(fields)
    }

    /// Those of an object.
    pub(crate) fn of(path: String, value: Value) -> Result<Self> {
        let place = Place { path, name: None };
        match value {
            Value::Object(left) => Ok(Self { place, left, known: Vec::new() }),
            _ => Err(place.error("not an object")),
        }
    }

    /// Where they stand.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether a field is there, and was not taken yet.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.left.get(field).is_some_and(|value| !value.is_null())
    }

    /// A field as it stands; `null` is as good as none.
    pub(crate) fn value(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.left.remove(field).filter(|value| !value.is_null())
    }

    /// A text, empty or not.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<Option<String>> {
        let place = self.place.at(&format!(".{field}"));
        self.value(field).map(|value| text(&place, value)).transpose()
    }

    /// A list of texts; none at all is an empty one.
    pub(crate) fn texts(&mut self, field: &'static str) -> Result<Vec<String>> {
        match self.value(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                let place = self.place.at(&format!(".{field}"));
                let numbered = values.into_iter().enumerate();
                numbered.map(|(n, value)| text(&place.at(&format!("[{n}]")), value)).collect()
            }
            Some(other) => Err(self.wrong(field, &other, "a list of texts is wanted")),
        }
    }

    /// What must hold for the rule to fit, one or a list of which one must hold. `check` says why
    /// none ever would. Without the field it always holds, as an empty list.
    pub(crate) fn condition<T>(
        &mut self,
        field: &'static str,
        check: impl Fn(Value) -> std::result::Result<T, String>,
    ) -> Result<Vec<T>> {
        let place = self.place.at(&format!(".{field}"));
        let checked = |place: Place, value| check(value).map_err(|problem| place.error(problem));
        match self.value(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) if values.is_empty() => {
                Err(place.error("is an empty list, so the rule can never match"))
            }
            Some(Value::Array(values)) => {
                let numbered = values.into_iter().enumerate();
                numbered.map(|(n, value)| checked(place.at(&format!("[{n}]")), value)).collect()
            }
            Some(value) => Ok(vec![checked(place, value)?]),
        }
    }

    /// A number of seconds.
    pub(crate) fn seconds(&mut self, field: &'static str) -> Result<Option<u32>> {
        let Some(value) = self.value(field) else { return Ok(None) };
        match value.as_u64() {
            Some(seconds) => match u32::try_from(seconds).ok().filter(|s| *s <= SECONDS_MAX) {
                Some(seconds) => Ok(Some(seconds)),
                None => Err(self.wrong(field, &value, &format!("limit is {SECONDS_MAX}"))),
            },
            None => Err(self.wrong(field, &value, "a whole number of seconds is wanted")),
        }
    }

    /// `true` or `false`.
    pub(crate) fn truth(&mut self, field: &'static str) -> Result<Option<bool>> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(truth)),
            Some(other) => Err(self.wrong(field, &other, "true or false is wanted")),
        }
    }

    /// Refuses what nobody has taken, with the field that was probably meant.
    pub(crate) fn end(self) -> Result<()> {
        let Some(unknown) = self.left.keys().next() else { return Ok(()) };
        let near = self.known.iter().map(|field| (distance(unknown, field), field));
        let hint = match near.min() {
            Some((distance, field)) if distance <= 2 => format!("did you mean `{field}`"),
            _ => format!("there are {}", self.known.join(", ")),
        };
        Err(self.place.error(format!("unknown field `{unknown}`; {hint}")))
    }

    fn wrong(&self, field: &str, value: &Value, wanted: &str) -> Error {
        self.place.at(&format!(".{field}")).error(format!("is {value}; {wanted}"))
    }
}

fn text(place: &Place, value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(place.error(format!("is {other}; a text is wanted"))),
    }
}

/// The text of a condition: an empty one would never hold.
pub(crate) fn condition_text(value: Value) -> std::result::Result<String, String> {
    match value {
        Value::String(text) if text.is_empty() => Err(never("is empty")),
        Value::String(text) => Ok(text),
        other => Err(format!("is {other}; a text is wanted")),
    }
}

/// Why a condition never holds.
pub(crate) fn never(reason: impl std::fmt::Display) -> String {
    format!("{reason}, so the rule can never match")
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
