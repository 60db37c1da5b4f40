//! A change notice from an application.
//!
//! # Invariants
//! - The payload is parsed at most once, and only if it is asked for.
//!
//! # Not here
//! Senders' formats: the server has translated them.

use std::cell::OnceCell;

use serde_json::Value;

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
    pub(crate) parsed: OnceCell<Value>,
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

    /// The change as JSON; `null` if it is none.
    pub fn payload(&self) -> &Value {
        self.parsed.get_or_init(|| serde_json::from_str(&self.payload).unwrap_or_default())
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

    /// The same as text, where it is a text, a number or a truth value.
    pub fn text(&self, path: &str) -> Option<String> {
        match self.field(path)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }
}
