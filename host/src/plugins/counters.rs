//! How often each hook was called, and how it went.
//!
//! # Invariants
//! - Counters only grow, also over replacements of the plugin: they belong to its name.
//!
//! # Not here
//! Metrics' names: `app::metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::code_cache::CodeFrom;
use super::error::CallError;

/// What a plugin is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// `cache-key`.
    Key,
    /// `on-store`.
    Store,
    /// `on-item`.
    Item,
    /// `on-event`.
    Event,
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An answer.
    Ok,
    /// The plugin's own error.
    Error,
    /// A trap.
    Trap,
    /// The deadline.
    Timeout,
    /// An answer outside the limits.
    Refused,
    /// No thread had time for it.
    Busy,
    /// It was not asked, because it failed too often.
    Degraded,
}

/// What else happens to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Incident {
    /// It failed too often and is not asked for a while.
    Degraded,
    /// The version before took over from one that failed too often.
    RolledBack,
    /// An instance gave way to a fresh one because of its calls or its memory.
    Recycled,
    /// Its keys were not what it had said before; they are not remembered any more.
    Impure,
}

const HOOKS: [Hook; 4] = [Hook::Key, Hook::Store, Hook::Item, Hook::Event];

const OUTCOMES: [Outcome; 7] = [
    Outcome::Ok,
    Outcome::Error,
    Outcome::Trap,
    Outcome::Timeout,
    Outcome::Refused,
    Outcome::Busy,
    Outcome::Degraded,
];

const INCIDENTS: [Incident; 4] =
    [Incident::Degraded, Incident::RolledBack, Incident::Recycled, Incident::Impure];

impl Hook {
    /// The contract's name of the hook.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "cache-key",
            Self::Store => "on-store",
            Self::Item => "on-item",
            Self::Event => "on-event",
        }
    }
}

impl Outcome {
    /// `ok`, `error`, `trap`, `timeout`, `refused`, `busy` or `degraded`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::Degraded => "degraded",
        }
    }

    /// `None` for a hook that there is not: that is no call.
    fn of<T>(result: &Result<T, CallError>) -> Option<Self> {
        match result {
            Ok(_) => Some(Self::Ok),
            Err(CallError::Guest(_)) => Some(Self::Error),
            Err(CallError::Trap(_)) => Some(Self::Trap),
            Err(CallError::Deadline { .. }) => Some(Self::Timeout),
            Err(CallError::Refused(_)) => Some(Self::Refused),
            Err(CallError::Busy) => Some(Self::Busy),
            Err(CallError::Degraded) => Some(Self::Degraded),
            Err(CallError::NotExported) => None,
        }
    }
}

/// The counters of one plugin name.
#[derive(Debug, Default)]
pub(super) struct Counters {
    calls: [[AtomicU64; OUTCOMES.len()]; HOOKS.len()],
    incidents: [AtomicU64; INCIDENTS.len()],
    compilations: AtomicU64,
    code_cache_hits: AtomicU64,
}

impl Incident {
    /// `degraded`, `rolled-back`, `recycled` or `impure`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Degraded => "degraded",
            Self::RolledBack => "rolled-back",
            Self::Recycled => "recycled",
            Self::Impure => "impure",
        }
    }
}

impl Counters {
    /// Counts a call.
    pub(super) fn count<T>(&self, hook: Hook, result: &Result<T, CallError>) {
        let Some(outcome) = Outcome::of(result) else { return };
        let row = self.calls.get(hook as usize);
        if let Some(counter) = row.and_then(|row| row.get(outcome as usize)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every hook and outcome with its count.
    pub(super) fn calls(&self) -> Vec<(Hook, Outcome, u64)> {
        let rows = HOOKS.into_iter().zip(&self.calls);
        rows.flat_map(|(hook, row)| {
            let counts = OUTCOMES.into_iter().zip(row);
            counts.map(move |(outcome, count)| (hook, outcome, count.load(Ordering::Relaxed)))
        })
        .collect()
    }

    /// Counts a component that was read.
    pub(super) fn note_code(&self, from: CodeFrom) {
        let counter = match from {
            CodeFrom::Compiler => &self.compilations,
            CodeFrom::Cache => &self.code_cache_hits,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the compiler made its code, and how often it was there already.
    pub(super) fn codes(&self) -> (u64, u64) {
        let counts = [&self.compilations, &self.code_cache_hits];
        let [compiled, found] = counts.map(|counter| counter.load(Ordering::Relaxed));
        (compiled, found)
    }

    /// Counts what happened.
    pub(super) fn note(&self, incident: Incident) {
        if let Some(counter) = self.incidents.get(incident as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every incident with its count.
    pub(super) fn incidents(&self) -> Vec<(Incident, u64)> {
        let counts = INCIDENTS.into_iter().zip(&self.incidents);
        counts.map(|(incident, count)| (incident, count.load(Ordering::Relaxed))).collect()
    }
}
