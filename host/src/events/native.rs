//! The native body of an event: which models changed, and how.
//!
//! `{"type":"model.changed","timestamp":"…","data":{"source":"shop","seq":1842,"events":[
//! {"model":"shop.product","pk":42,"op":"update","changed":["price"],"before":{…},"after":{…}}]}}`

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::limits::CHANGES_PER_EVENT_MAX;
use crate::model::{Event, Operation};

/// Why a body is not a native event. The message is told to the sender.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Not JSON, or not of this shape; says where.
    #[error("body is not a native event: {0}")]
    Json(#[from] serde_json::Error),
    /// The sender went away.
    #[error("body ended before it was whole")]
    Interrupted,
    /// Nothing in it.
    #[error("`data.events` is empty; an event names at least one change")]
    Empty,
    /// Too much in it; nothing was done.
    #[error("`data.events` has {changes} changes; limit is {CHANGES_PER_EVENT_MAX}")]
    TooMany {
        /// How many.
        changes: usize,
    },
    /// A change without its model.
    #[error("`data.events[{index}].model` is empty")]
    NoModel {
        /// Which.
        index: usize,
    },
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    timestamp: String,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(default)]
    seq: Option<u64>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Change {
    model: String,
    #[serde(default)]
    pk: serde_json::Value,
    #[serde(default)]
    op: String,
    #[serde(default)]
    changed: Vec<String>,
}

/// What a delivery says.
#[derive(Debug)]
pub(super) struct Delivery {
    /// The sender's own number of it, where it counts: rises with every event.
    pub(super) number: Option<u64>,
    /// One for each change, with the delivery's id and source.
    pub(super) events: Vec<Event>,
}

/// Reads a body.
pub(super) fn parse(source: &str, id: &str, body: &[u8]) -> Result<Delivery, BodyError> {
    let body: Body<'_> = serde_json::from_slice(body)?;
    match body.data.events.len() {
        0 => return Err(BodyError::Empty),
        1..=CHANGES_PER_EVENT_MAX => {}
        changes => return Err(BodyError::TooMany { changes }),
    }
    let changes = body.data.events.iter().enumerate();
    let events = changes
        .map(|(index, raw)| {
            let change: Change = serde_json::from_str(raw.get())?;
            if change.model.is_empty() {
                return Err(BodyError::NoModel { index });
            }
            Ok(Event {
                id: id.to_owned(),
                source: source.to_owned(),
                model: change.model,
                operation: operation(&change.op),
                object_id: object_id(&change.pk),
                changed_fields: change.changed,
                occurred_at: body.timestamp.clone(),
                payload: raw.get().to_owned(),
            })
        })
        .collect::<Result<_, BodyError>>()?;
    Ok(Delivery { number: body.data.seq, events })
}

fn operation(op: &str) -> Operation {
    match op {
        "create" | "created" | "insert" => Operation::Created,
        "update" | "updated" => Operation::Updated,
        "delete" | "deleted" => Operation::Deleted,
        _ => Operation::Other,
    }
}

/// A primary key as text: text as it is, everything else as JSON writes it.
fn object_id(pk: &serde_json::Value) -> Option<String> {
    match pk {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Vec<Event>, String> {
        let delivery = super::parse("shop", "msg_1", body.as_bytes());
        delivery.map(|delivery| delivery.events).map_err(|error| error.to_string())
    }

    #[test]
    fn every_change_becomes_an_event_with_its_payload() {
        let body = r#"{"type":"model.changed","timestamp":"2026-01-02T03:04:05Z",
            "data":{"seq":7,"events":[
            {"model":"shop.product","pk":42,"op":"update","changed":["price"],
             "after":{"price":3}},
            {"model":"shop.tag","pk":"a-b","op":"bulk"}]}}"#;
        let events = parse(body).unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].model, "shop.product");
        assert_eq!(events[0].object_id.as_deref(), Some("42"));
        assert_eq!(events[0].operation, Operation::Updated);
        assert_eq!(events[0].changed_fields, ["price"]);
        assert_eq!(events[0].occurred_at, "2026-01-02T03:04:05Z");
        assert!(events[0].payload.contains(r#""after":{"price":3}"#));
        assert_eq!(events[1].operation, Operation::Other);
        assert_eq!(events[1].object_id.as_deref(), Some("a-b"));
        assert_eq!((events[1].id.as_str(), events[1].source.as_str()), ("msg_1", "shop"));
    }

    #[test]
    fn a_body_that_says_nothing_is_refused_with_the_reason() {
        for (body, reason) in [
            ("", "EOF"),
            ("[1]", "invalid"),
            (r#"{"data":{}}"#, "missing field `events`"),
            (r#"{"data":{"events":[]}}"#, "`data.events` is empty"),
            (r#"{"data":{"events":[{"pk":1}]}}"#, "missing field `model`"),
            (r#"{"data":{"events":[{"model":""}]}}"#, "`data.events[0].model` is empty"),
        ] {
            let error = parse(body).unwrap_err();
            assert!(error.contains(reason), "{body}: {error}");
        }
    }

    #[test]
    fn too_many_changes_are_refused_whole() {
        let changes = vec![r#"{"model":"m"}"#; CHANGES_PER_EVENT_MAX + 1].join(",");
        let error = parse(&format!(r#"{{"data":{{"events":[{changes}]}}}}"#)).unwrap_err();
        assert_eq!(error, "`data.events` has 1001 changes; limit is 1000");
    }
}
