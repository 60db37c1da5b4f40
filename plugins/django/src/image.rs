//! A row as it was before a change, and as it is after it.
//!
//! # Invariants
//! - A value that the sender may have left out is unknown; it is never taken for the other side's.
//!
//! # Not here
//! What is made of the values: templates.

use wasmcached_plugin::django::to_str;
use wasmcached_plugin::prelude::*;
use wasmcached_plugin::serde_json::Value;

/// One of the two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Image<'a> {
    event: &'a Event,
    side: &'static str,
    other: &'static str,
}

/// The row before and after; where the event has one side only, both are that.
pub(crate) fn images(event: &Event) -> [Image<'_>; 2] {
    let image = |side, other| Image { event, side, other };
    [image("before", "after"), image("after", "before")]
}

impl Image<'_> {
    /// The row's key as text; `None` in an event about all rows.
    pub(crate) fn pk(&self) -> Option<&str> {
        self.event.object_id()
    }

    /// The value at a path such as `recipient.username`, as Python's `str` shows it. What one side
    /// lacks is the other's if the field did not change, or if there is no such side.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        if let Some(value) = self.value(self.side, path) {
            return self.shown(self.side, path, value);
        }
        let has_two_sides =
            !matches!(self.event.operation(), Operation::Created | Operation::Deleted);
        let field = path.split('.').next().unwrap_or(path);
        if has_two_sides && self.event.changed(field) {
            return None;
        }
        self.shown(self.other, path, self.value(self.other, path)?)
    }

    /// A number as it was sent: Python sends those that it shows.
    fn shown(&self, side: &str, path: &str, value: &Value) -> Option<String> {
        match value {
            Value::Number(_) => self.event.text(&format!("{side}.{path}")),
            _ => to_str(value),
        }
    }

    /// Unlike [`Event::field`], with `null` as a value: `None` varies fragments, too.
    fn value(&self, side: &str, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self.event.payload().get(side)?, |value, name| value.get(name))
    }
}
