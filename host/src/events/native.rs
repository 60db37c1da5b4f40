//! The native body of an event: which models changed, and how.
//!
//! `{"type":"model.changed","timestamp":"…","data":{"source":"shop","seq":1842,"events":[
//! {"model":"shop.product","pk":42,"op":"update","changed":["price"],"before":{…},"after":{…}}]}}`
//!
//! With `"phase":"intent","intent":"ID"` in `data` the changes are about to be made; with
//! `"phase":"commit"` and the same id that is over, and `events` may be left out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

use crate::limits::{CHANGES_PER_EVENT_MAX, INTENT_ID_BYTES_MAX};
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
    /// Another phase than there are.
    #[error("`data.phase` is {phase:?}; it must be \"intent\" or \"commit\"")]
    Phase {
        /// As sent.
        phase: String,
    },
    /// One of the two without the other.
    #[error("`data.phase` and `data.intent` must come together")]
    HalfAnIntent,
    /// An id that names nothing, or that nobody would want to keep.
    #[error("`data.intent` is {bytes} bytes; 1 to {INTENT_ID_BYTES_MAX} are allowed")]
    IntentId {
        /// How long.
        bytes: usize,
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
    phase: Option<String>,
    intent: Option<String>,
    #[serde(borrow)]
    events: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Change<'a> {
    model: String,
    #[serde(borrow)]
    pk: Option<&'a RawValue>,
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
    /// When the changes are made.
    pub(super) phase: Phase,
}

/// When the changes of a delivery are made; the text is the intent's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// They have been made.
    Whole,
    /// They are about to be made.
    Intent(String),
    /// They have been made, or not; they were announced.
    Commit(String),
}

impl Phase {
    /// The id of the intent that it speaks of.
    pub(super) fn intent(&self) -> Option<&str> {
        match self {
            Self::Whole => None,
            Self::Intent(id) | Self::Commit(id) => Some(id),
        }
    }
}

/// Reads a body.
pub(super) fn parse(source: &str, id: &str, body: &[u8]) -> Result<Delivery, BodyError> {
    let body: Body<'_> = serde_json::from_slice(body)?;
    let phase = phase_of(body.data.phase, body.data.intent)?;
    let changes = match (body.data.events, &phase) {
        (Some(changes), _) => changes,
        (None, Phase::Commit(_)) => Vec::new(),
        (None, _) => return Err(serde_json::Error::missing_field("events").into()),
    };
    match changes.len() {
        0 if matches!(phase, Phase::Commit(_)) => {}
        0 => return Err(BodyError::Empty),
        1..=CHANGES_PER_EVENT_MAX => {}
        changes => return Err(BodyError::TooMany { changes }),
    }
    let events = changes
        .iter()
        .enumerate()
        .map(|(index, raw)| {
            let change: Change<'_> = serde_json::from_str(raw.get())?;
            if change.model.is_empty() {
                return Err(BodyError::NoModel { index });
            }
            Ok(Event {
                id: id.to_owned(),
                source: source.to_owned(),
                model: change.model,
                operation: operation(&change.op),
                object_id: change.pk.map(object_id).transpose()?,
                changed_fields: change.changed,
                occurred_at: body.timestamp.clone(),
                payload: raw.get().to_owned(),
            })
        })
        .collect::<Result<_, BodyError>>()?;
    Ok(Delivery { number: body.data.seq, events, phase })
}

fn phase_of(phase: Option<String>, intent: Option<String>) -> Result<Phase, BodyError> {
    let (phase, intent) = match (phase, intent) {
        (None, None) => return Ok(Phase::Whole),
        (Some(phase), Some(intent)) => (phase, intent),
        (Some(_), None) | (None, Some(_)) => return Err(BodyError::HalfAnIntent),
    };
    if !(1..=INTENT_ID_BYTES_MAX).contains(&intent.len()) {
        return Err(BodyError::IntentId { bytes: intent.len() });
    }
    match phase.as_str() {
        "intent" => Ok(Phase::Intent(intent)),
        "commit" => Ok(Phase::Commit(intent)),
        _ => Err(BodyError::Phase { phase }),
    }
}

/// One change as a delivery has it in `data.events`, as the event that a plugin gets of it.
///
/// # Errors
/// What is wrong with it.
pub fn event_of_change(change: &RawValue) -> Result<Event, BodyError> {
    let body = format!(r#"{{"timestamp":"2030-01-01T00:00:00Z","data":{{"events":[{change}]}}}}"#);
    let delivery = parse("fixture", "fixture", body.as_bytes())?;
    delivery.events.into_iter().next().ok_or(BodyError::Empty)
}

fn operation(op: &str) -> Operation {
    match op {
        "create" | "created" | "insert" => Operation::Created,
        "update" | "updated" => Operation::Updated,
        "delete" | "deleted" => Operation::Deleted,
        _ => Operation::Other,
    }
}

/// A primary key as text: text as it is, a list or an object as JSON without spaces and with its
/// names in order. Numbers are as they were sent: read as a float, two ids would become one.
fn object_id(pk: &RawValue) -> Result<String, serde_json::Error> {
    match pk.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(pk.get()),
        Some(b'[' | b'{') => {
            // Refuses what is nested too deeply for the recursion.
            serde_json::from_str::<serde_json::Value>(pk.get())?;
            compact(pk)
        }
        _ => Ok(pk.get().to_owned()),
    }
}

fn compact(json: &RawValue) -> Result<String, serde_json::Error> {
    match json.get().as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(json.get())?;
            serde_json::to_string(&text)
        }
        Some(b'[') => {
            let members: Vec<&RawValue> = serde_json::from_str(json.get())?;
            let members: Vec<String> =
                members.into_iter().map(compact).collect::<Result<_, _>>()?;
            Ok(format!("[{}]", members.join(",")))
        }
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(json.get())?;
            let mut written = Vec::with_capacity(members.len());
            for (name, value) in members {
                written.push(format!("{}:{}", serde_json::to_string(&name)?, compact(value)?));
            }
            Ok(format!("{{{}}}", written.join(",")))
        }
        _ => Ok(json.get().to_owned()),
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
    fn primary_keys_are_the_text_that_was_sent_however_large_or_precise() {
        let object_id = |pk: &str| {
            let body = format!(r#"{{"data":{{"events":[{{"model":"m","pk":{pk}}}]}}}}"#);
            parse(&body).map(|events| events[0].object_id.clone())
        };
        for pk in ["18446744073709551616", "12345678901234567890123", "1.10", "1e2", "-0", "true"] {
            assert_eq!(object_id(pk), Ok(Some(pk.to_owned())));
        }
        assert_eq!(object_id("null"), Ok(None));
        assert_eq!(object_id(r#""1.10 \"a""#), Ok(Some("1.10 \"a".to_owned())));
        let several = r#"[ "\u0061", 1.10, {"b": 18446744073709551616, "a": []} ]"#;
        let wanted = r#"["a",1.10,{"a":[],"b":18446744073709551616}]"#;
        assert_eq!(object_id(several), Ok(Some(wanted.to_owned())));
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(object_id(&deep).unwrap_err().contains("recursion limit exceeded"));
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
    fn a_phase_comes_with_its_intent_and_only_a_commit_may_name_no_change() {
        let phase = |data: &str| {
            let body = format!(r#"{{"data":{{{data}}}}}"#);
            let delivery = super::parse("shop", "msg_1", body.as_bytes());
            delivery.map(|delivery| delivery.phase).map_err(|error| error.to_string())
        };
        let events = r#""events":[{"model":"m"}]"#;
        let intent = format!(r#"{events},"phase":"intent","intent":"tx 7""#);
        assert_eq!(phase(&intent), Ok(Phase::Intent("tx 7".into())));
        assert_eq!(phase(events), Ok(Phase::Whole));
        for commit in ["", r#""events":[],"#, &format!("{events},")] {
            let commit = format!(r#"{commit}"phase":"commit","intent":"tx 7""#);
            assert_eq!(phase(&commit), Ok(Phase::Commit("tx 7".into())));
        }
        let long = "x".repeat(INTENT_ID_BYTES_MAX + 1);
        for (data, reason) in [
            (format!(r#"{events},"phase":"intent""#), "must come together"),
            (format!(r#"{events},"intent":"tx""#), "must come together"),
            (format!(r#"{events},"phase":"abort","intent":"tx""#), "`data.phase` is \"abort\""),
            (format!(r#"{events},"phase":"intent","intent":"""#), "is 0 bytes; 1 to 200"),
            (format!(r#"{events},"phase":"commit","intent":"{long}""#), "is 201 bytes"),
            (r#""phase":"intent","intent":"tx""#.into(), "missing field `events`"),
            (r#""events":[],"phase":"intent","intent":"tx""#.into(), "`data.events` is empty"),
        ] {
            let error = phase(&data).unwrap_err();
            assert!(error.contains(reason), "{data}: {error}");
        }
    }

    #[test]
    fn too_many_changes_are_refused_whole() {
        let changes = vec![r#"{"model":"m"}"#; CHANGES_PER_EVENT_MAX + 1].join(",");
        let error = parse(&format!(r#"{{"data":{{"events":[{changes}]}}}}"#)).unwrap_err();
        assert_eq!(error, "`data.events` has 1001 changes; limit is 1000");
    }
}
