//! The first line of an export: what it is of, and what a server starts from beside entries.
//!
//! # Invariants
//! - A flush to come, changes that are announced, events that are to be applied again, the numbers
//!   of events, and the plugins that may have tagged something are as binding after an import as
//!   before the export.
//!
//! # Not here
//! The other lines (`line`), and what is done with them (`transfer`).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::line::LineError;
use crate::cache::Recovered;
use crate::cache::tier::{IntentRow, Record};
use crate::model::{
    Cause, Intent, Invalidation, Mode, PLUGIN_TAG_PREFIX, Passage, Sequence, Target,
};
use crate::tier::codec;
use crate::tier::ran_plugins::RanPlugin;

/// The version that is written.
pub(super) const VERSION: u32 = 2;

/// The oldest that is read: it lacks [`Beside`].
pub(super) const VERSION_MIN: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) sealed: bool,
    pub(super) epoch: u32,
    pub(super) exported_ms: u64,
    /// `None` in version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) beside: Option<Beside>,
}

/// What a server starts from beside entries.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beside {
    pub(super) flush_due_ms: Option<u64>,
    intents: Vec<IntentField>,
    plugins: Vec<PluginField>,
    /// In their order.
    #[serde(default)]
    events: Vec<EventField>,
    /// The highest number that each source has given to an event.
    #[serde(default)]
    numbers: Vec<NumberField>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberField {
    source: String,
    number: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventField {
    source: String,
    id: String,
    at_ms: u64,
    is_again: bool,
    targets: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IntentField {
    name: String,
    until_ms: u64,
    targets: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginField {
    name: String,
    identity: String,
    mark: String,
}

impl Beside {
    /// What a start has found.
    pub(super) fn of(recovered: &Recovered, plugins: Vec<RanPlugin>) -> Self {
        let Recovered { flush_due_ms, intents, numbers, .. } = recovered;
        let plugin = |RanPlugin { name, identity, mark }| PluginField { name, identity, mark };
        let intents = intents.iter().map(|IntentRow { intent, targets }| {
            let targets: Vec<_> = targets.iter().map(|one| (one.clone(), Mode::Hard)).collect();
            let Intent { name, until_ms } = intent.clone();
            IntentField { name, until_ms, targets: encoded(&targets) }
        });
        let number = |(source, number): &(String, u64)| {
            let (source, number) = (source.clone(), *number);
            NumberField { source, number }
        };
        Self {
            flush_due_ms: *flush_due_ms,
            intents: intents.collect(),
            plugins: plugins.into_iter().map(plugin).collect(),
            events: Vec::new(),
            numbers: numbers.iter().map(number).collect(),
        }
    }

    /// Adds the events of the journal.
    pub(super) fn add_events(&mut self, events: Vec<Record>) {
        let events = events.into_iter().filter_map(|event| {
            let Invalidation { targets, cause } = &*event.invalidation;
            let Cause { source, event_id, at_ms, is_again, .. } = cause.clone();
            Some(EventField { source, id: event_id?, at_ms, is_again, targets: encoded(targets) })
        });
        self.events.extend(events);
    }

    /// Its plugins.
    pub(super) fn plugins(&self) -> Vec<RanPlugin> {
        let ran = |PluginField { name, identity, mark }| RanPlugin { name, identity, mark };
        self.plugins.iter().cloned().map(ran).collect()
    }

    /// Whether a tag is the mark of a plugin that is not among these: nobody could know what else
    /// that plugin has called the entry.
    pub(super) fn is_strange(&self, tag: &str) -> bool {
        let mark = tag.strip_prefix(PLUGIN_TAG_PREFIX);
        mark.is_some_and(|mark| self.plugins.iter().all(|plugin| plugin.mark != mark))
    }

    /// The records of its events, older than all that follows.
    pub(super) fn events(&self) -> Result<Vec<Record>, LineError> {
        let event = |(event, n): (&EventField, u64)| {
            let EventField { source, id, at_ms, is_again, targets } = event;
            let targets = decoded("events", id, targets)?;
            let (source, event_id) = (source.clone(), Some(id.clone()));
            let cause =
                Cause { source, event_id, at_ms: *at_ms, number: None, is_again: *is_again };
            let invalidation = Arc::new(Invalidation { targets, cause });
            let sequence = Sequence::from_u64(n);
            Ok(Record { sequence, invalidation, passage: Passage::Unchanged })
        };
        self.events.iter().zip(1..).map(event).collect()
    }

    /// The records that announce it again and end the import, older than all that a server
    /// invalidates.
    pub(super) fn records(&self) -> Result<Vec<Record>, LineError> {
        let mut records = Vec::new();
        let first = self.events.len() as u64 + 1;
        let mut push = |targets, passage| {
            let cause = Cause::default();
            records.push(record(first + records.len() as u64, targets, cause, passage));
        };
        if let Some(due_ms) = self.flush_due_ms {
            push(Vec::new(), Passage::FlushAt(due_ms));
        }
        for IntentField { name, until_ms, targets } in &self.intents {
            let targets = decoded("intents", name, targets)?;
            let intent = Intent { name: name.clone(), until_ms: *until_ms };
            push(targets, Passage::Shut(intent));
        }
        for NumberField { source, number } in self.numbers.clone() {
            let cause = Cause { source, number: Some(number), ..Cause::default() };
            let place = first + records.len() as u64;
            records.push(record(place, Vec::new(), cause, Passage::Unchanged));
        }
        records.push(Self::end(first + records.len() as u64));
        Ok(records)
    }

    /// The record that ends an import, the last of so many.
    pub(super) fn end(number: u64) -> Record {
        let passage = Passage::Open(codec::IMPORT_NAME.to_owned());
        record(number, Vec::new(), Cause::default(), passage)
    }
}

fn record(number: u64, targets: Vec<(Target, Mode)>, cause: Cause, passage: Passage) -> Record {
    let invalidation = Arc::new(Invalidation { targets, cause });
    Record { sequence: Sequence::from_u64(number), invalidation, passage }
}

fn encoded(targets: &[(Target, Mode)]) -> String {
    STANDARD.encode(codec::encode_targets(targets))
}

fn decoded(
    field: &'static str,
    name: &str,
    targets: &str,
) -> Result<Vec<(Target, Mode)>, LineError> {
    let bytes = STANDARD.decode(targets).ok();
    let targets = bytes.and_then(|bytes| codec::decode_targets(&bytes));
    let reason = || format!("targets of {name} can't be read");
    targets.ok_or_else(|| LineError::Field { field, reason: reason() })
}
