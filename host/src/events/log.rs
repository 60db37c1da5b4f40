//! Recent events and what each did, for people.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

use super::audit::AuditShown;
use super::plan::{Decision, Plan, change_shown};
use crate::limits::REMEMBERED_EVENTS_MAX;
use crate::model::{Event, Mode, Target};

/// Targets shown of one event.
const TARGETS_SHOWN_MAX: usize = 50;

/// One event as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Logged {
    /// Milliseconds since 1970.
    pub(super) at_ms: u64,
    pub(super) source: String,
    pub(super) id: String,
    /// `treks.photo 5 updated`, one for each change.
    pub(super) changes: Vec<String>,
    /// The intent that it announced or ended.
    pub(super) intent: Option<String>,
    /// What was invalidated, as `kind name mode`.
    pub(super) targets: Vec<String>,
    /// How many there were beyond those shown.
    pub(super) targets_not_shown: usize,
    /// Position in the journal; absent where nothing was invalidated.
    pub(super) sequence: Option<String>,
    pub(super) affected: u64,
    /// Who decided what about which change; the first of them.
    pub(super) decisions: Vec<Decision>,
    /// Changes for which the plugin failed.
    pub(super) fallbacks: u64,
    /// Values that the event brought.
    pub(super) puts: usize,
    /// How many of them were not written, because something newer might have been overwritten.
    pub(super) puts_refused: usize,
    /// Pages that were fetched anew.
    pub(super) refreshes: usize,
    /// After so long it is applied again; 0: it is not.
    pub(super) hold_ms: u64,
    /// What its audit has found; absent where there was none yet.
    pub(super) audit: Option<AuditShown>,
    /// From its arrival to its answer.
    pub(super) cost_us: u64,
    /// `applied`, `announced`, `nothing_to_do` or what went wrong.
    pub(super) outcome: String,
}

impl Logged {
    pub(super) fn new(at_ms: u64, source: &str, id: &str, events: &[Event]) -> Self {
        let changes = events.iter().take(TARGETS_SHOWN_MAX).map(change_shown);
        Self {
            at_ms,
            source: source.to_owned(),
            id: id.to_owned(),
            changes: changes.collect(),
            intent: None,
            targets: Vec::new(),
            targets_not_shown: 0,
            sequence: None,
            affected: 0,
            decisions: Vec::new(),
            fallbacks: 0,
            puts: 0,
            puts_refused: 0,
            refreshes: 0,
            hold_ms: 0,
            audit: None,
            cost_us: 0,
            outcome: String::new(),
        }
    }

    pub(super) fn name_plan(&mut self, plan: &Plan) {
        self.add_plan(plan);
        self.puts = plan.puts.len() + plan.puts_ended;
        self.puts_refused = self.puts;
        self.refreshes = plan.refreshes.len();
    }

    /// Adds what is made wrong for a further reason.
    pub(super) fn add_plan(&mut self, plan: &Plan) {
        let room = TARGETS_SHOWN_MAX.saturating_sub(self.targets.len());
        let shown = plan.targets.iter().take(room);
        self.targets.extend(shown.map(|(target, mode)| {
            format!("{} {} {}", target.kind(), target.name(), mode.as_str())
        }));
        self.targets_not_shown += plan.targets.len().saturating_sub(room);
        self.decisions.extend(plan.decisions.iter().cloned());
        self.fallbacks += plan.fallbacks;
    }
}

/// A target with the entries that it names.
#[derive(Debug, Serialize)]
pub(super) struct Named {
    kind: &'static str,
    name: String,
    mode: &'static str,
    affected: u64,
}

pub(super) fn target_shown((target, mode): &(Target, Mode), affected: u64) -> Named {
    Named { kind: target.kind(), name: target.name(), mode: mode.as_str(), affected }
}

/// The newest events.
#[derive(Default)]
pub(super) struct Log(Mutex<VecDeque<Logged>>);

impl Log {
    pub(super) fn push(&self, logged: Logged) {
        let mut log = self.0.lock();
        if log.len() >= REMEMBERED_EVENTS_MAX {
            log.pop_front();
        }
        log.push_back(logged);
    }

    /// Adds what the audit of an event has found.
    pub(super) fn note_audit(&self, source: &str, id: &str, found: AuditShown) {
        let mut log = self.0.lock();
        let is_audited = |logged: &&mut Logged| logged.source == source && logged.id == id;
        if let Some(logged) = log.iter_mut().rev().find(is_audited) {
            logged.audit = Some(found);
        }
    }

    /// Newest first.
    pub(super) fn newest(&self, limit: usize) -> Vec<Logged> {
        self.0.lock().iter().rev().take(limit).cloned().collect()
    }
}
