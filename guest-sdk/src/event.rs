//! A change notice from an application.
//!
//! # Invariants
//! - The payload is parsed at most once, and only if it is asked for; again for numbers that a
//!   [`Value`] would change.
//! - A number as text has the digits that were sent: rounded, two ids would be one.
//! - Nothing is decided by a payload that can't be read, such as one with half of a surrogate pair:
//!   the server is told so in place of the answer.
//!
//! # Not here
//! Senders' formats: the server has translated them.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// What happened to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is new.
    Created,
    /// It was changed.
    Updated,
    /// It is gone.
    Deleted,
    /// Anything else, such as a bulk write of unknown rows.
    Other,
}

impl Operation {
    /// `created`, `updated`, `deleted` or `other`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Other => "other",
        }
    }
}

/// One change.
#[derive(Debug, Clone)]
pub struct Event {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) model: String,
    pub(crate) operation: Operation,
    pub(crate) object_id: Option<String>,
    pub(crate) changed_fields: Vec<String>,
    pub(crate) occurred_at: String,
    pub(crate) payload: String,
    pub(crate) parsed: OnceCell<Parsed>,
}

/// The payload as JSON, or `null` and why it can't be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parsed {
    value: Value,
    error: Option<String>,
}

impl Event {
    /// The sender's id of the delivery.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The configured source that it came from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The application's name of the model, such as `treks.photo`.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What happened.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The changed object's primary key as text; `None` for the whole model.
    pub fn object_id(&self) -> Option<&str> {
        self.object_id.as_deref()
    }

    /// Whether this field may have changed: senders that don't say which fields changed may have
    /// changed any.
    pub fn changed(&self, field: &str) -> bool {
        self.changed_fields.is_empty() || self.changed_fields.iter().any(|f| f == field)
    }

    /// The changed fields that the sender named.
    pub fn changed_fields(&self) -> &[String] {
        &self.changed_fields
    }

    /// RFC 3339 time as the sender wrote it; empty where it did not.
    pub fn occurred_at(&self) -> &str {
        &self.occurred_at
    }

    /// The change as JSON; `null` if it is none. Numbers with a fraction or an exponent, and
    /// integers beyond 64 bits, are rounded in it: [`Self::text`] has them as they were sent.
    pub fn payload(&self) -> &Value {
        let parsed = self.parsed.get_or_init(|| match serde_json::from_str(&self.payload) {
            Ok(value) => Parsed { value, error: None },
            Err(error) => Parsed { value: Value::Null, error: Some(error.to_string()) },
        });
        &parsed.value
    }

    /// Why the payload was `null` to who asked for it, though it is something.
    #[cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "asked by exports alone"))]
    pub(crate) fn unreadable(&self) -> Option<&str> {
        self.parsed.get().and_then(|parsed| parsed.error.as_deref())
    }

    /// The payload's value at a path of names or positions: `before.category_id`, `lines.0.sku`.
    /// `None` also for `null`.
    pub fn field(&self, path: &str) -> Option<&Value> {
        let mut value = self.payload();
        for name in path.split('.') {
            value = match value {
                Value::Array(items) => items.get(name.parse::<usize>().ok()?)?,
                other => other.get(name)?,
            };
        }
        (!value.is_null()).then_some(value)
    }

    /// The same as text, where it is a text, a number or a truth value: a number as it was sent.
    pub fn text(&self, path: &str) -> Option<String> {
        match self.field(path)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if number.is_f64() => Some(self.sent(path)?.get().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The JSON at a path, as it was sent.
    fn sent(&self, path: &str) -> Option<&RawValue> {
        let mut json: &RawValue = serde_json::from_str(&self.payload).ok()?;
        for name in path.split('.') {
            json = match json.get().as_bytes().first() {
                Some(b'[') => {
                    let items: Vec<&RawValue> = serde_json::from_str(json.get()).ok()?;
                    items.get(name.parse::<usize>().ok()?).copied()?
                }
                _ => {
                    let members: BTreeMap<String, &RawValue> =
                        serde_json::from_str(json.get()).ok()?;
                    members.get(name).copied()?
                }
            };
        }
        Some(json)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::event;

    #[test]
    fn numbers_as_text_have_the_digits_that_were_sent() {
        let mut event = event("shop.product").to_event();
        event.payload = r#"{"after": {"n": 18446744073709551616, "dear": 1.10, "e": 1e2,
            "lines": [{"id": -0}, {"id": 18446744073709551615}]}}"#
            .to_owned();
        for (path, text) in [
            ("after.n", "18446744073709551616"),
            ("after.dear", "1.10"),
            ("after.e", "1e2"),
            ("after.lines.0.id", "-0"),
            ("after.lines.1.id", "18446744073709551615"),
        ] {
            assert_eq!(event.text(path).as_deref(), Some(text));
        }
    }
}
