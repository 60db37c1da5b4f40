//! A change notice from an application.

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

/// One change, as the invalidating plugin sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The sender's id; equal ids of one source are one delivery.
    pub id: String,
    /// The configured source that it came from.
    pub source: String,
    /// The application's name of the model: `treks.photo`.
    pub model: String,
    /// What happened.
    pub operation: Operation,
    /// The changed object's primary key as text; `None` for the whole model.
    pub object_id: Option<String>,
    /// The names of the changed fields, where the sender knows them.
    pub changed_fields: Vec<String>,
    /// RFC 3339 time as the sender wrote it; empty where it did not.
    pub occurred_at: String,
    /// The change as JSON text, as received.
    pub payload: String,
}
