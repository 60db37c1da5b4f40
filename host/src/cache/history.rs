//! The recent past, for `explain`: who invalidated something, and which entry died of it.
//!
//! # Not here
//! What was invalidated: an invalidation may name so much that a thousand of them would take more
//! memory than the entries.

use std::collections::{HashMap, VecDeque};

use crate::sync::Mutex;
use foldhash::fast::RandomState;

use crate::limits::{REMEMBERED_DEATHS_MAX, REMEMBERED_EVENTS_MAX};
use crate::model::{Cause, Key, Sequence};

/// Bounded memory of causes and deaths.
#[derive(Default)]
pub(super) struct History(Mutex<Past>);

#[derive(Default)]
struct Past {
    causes: VecDeque<(Sequence, Cause)>,
    deaths: HashMap<Key, Sequence, RandomState>,
    /// Keys of `deaths`, oldest first.
    dead_keys: VecDeque<Key>,
}

impl History {
    /// Notes the cause of an invalidation that takes effect now.
    pub(super) fn note_cause(&self, sequence: Sequence, cause: &Cause) {
        let mut past = self.0.lock();
        if past.causes.len() >= REMEMBERED_EVENTS_MAX {
            past.causes.pop_front();
        }
        past.causes.push_back((sequence, cause.clone()));
    }

    /// Notes that the entry of a key died of the invalidation at `sequence`.
    pub(super) fn note_death(&self, key: &Key, sequence: Sequence) {
        let mut past = self.0.lock();
        if past.deaths.insert(key.clone(), sequence).is_some() {
            return;
        }
        past.dead_keys.push_back(key.clone());
        if past.dead_keys.len() > REMEMBERED_DEATHS_MAX
            && let Some(oldest) = past.dead_keys.pop_front()
        {
            past.deaths.remove(&oldest);
        }
    }

    /// What the entry of a key last died of, as far as remembered.
    pub(super) fn death(&self, key: &Key) -> Option<Sequence> {
        self.0.lock().deaths.get(key).copied()
    }

    /// The cause of the invalidation at a sequence, as far as remembered.
    pub(super) fn cause(&self, sequence: Sequence) -> Option<Cause> {
        let past = self.0.lock();
        let found = past.causes.binary_search_by_key(&sequence, |(at, _)| *at).ok()?;
        past.causes.get(found).map(|(_, cause)| cause.clone())
    }
}
