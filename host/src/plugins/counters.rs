//! How often each hook was called, and how it went.
//!
//! # Invariants
//! - Counters only grow, also over replacements of the plugin: they belong to its name.
//!
//! # Not here
//! Metrics' names: `telemetry`.

use std::sync::atomic::{AtomicU64, Ordering};

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
}

const HOOKS: [Hook; 4] = [Hook::Key, Hook::Store, Hook::Item, Hook::Event];

const OUTCOMES: [Outcome; 6] =
    [Outcome::Ok, Outcome::Error, Outcome::Trap, Outcome::Timeout, Outcome::Refused, Outcome::Busy];

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
    /// `ok`, `error`, `trap`, `timeout`, `refused` or `busy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Busy => "busy",
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
            Err(CallError::NotExported) => None,
        }
    }
}

/// The counters of one plugin name.
#[derive(Debug, Default)]
pub(super) struct Counters([[AtomicU64; OUTCOMES.len()]; HOOKS.len()]);

impl Counters {
    /// Counts a call.
    pub(super) fn count<T>(&self, hook: Hook, result: &Result<T, CallError>) {
        let Some(outcome) = Outcome::of(result) else { return };
        let row = self.0.get(hook as usize);
        if let Some(counter) = row.and_then(|row| row.get(outcome as usize)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every hook and outcome with its count.
    pub(super) fn all(&self) -> Vec<(Hook, Outcome, u64)> {
        let rows = HOOKS.into_iter().zip(&self.0);
        rows.flat_map(|(hook, row)| {
            let counts = OUTCOMES.into_iter().zip(row);
            counts.map(move |(outcome, count)| (hook, outcome, count.load(Ordering::Relaxed)))
        })
        .collect()
    }
}
