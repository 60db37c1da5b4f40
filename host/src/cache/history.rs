//! The recent past, for `explain`: what was invalidated by whom, and which entry died of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::sync::Mutex;
use foldhash::fast::RandomState;

use crate::limits::{REMEMBERED_DEATHS_MAX, REMEMBERED_EVENTS_MAX};
use crate::model::{Invalidation, Key, Sequence};

/// Bounded memory of invalidations and deaths.
#[derive(Default)]
pub(super) struct History(Mutex<Past>);

#[derive(Default)]
struct Past {
    invalidations: VecDeque<(Sequence, Arc<Invalidation>)>,
    deaths: HashMap<Key, Sequence, RandomState>,
    /// Keys of `deaths`, oldest first.
    dead_keys: VecDeque<Key>,
}

impl History {
    /// Notes an invalidation that takes effect now.
    pub(super) fn note_invalidation(&self, sequence: Sequence, invalidation: &Arc<Invalidation>) {
        let mut past = self.0.lock();
        if past.invalidations.len() >= REMEMBERED_EVENTS_MAX {
            past.invalidations.pop_front();
        }
        past.invalidations.push_back((sequence, Arc::clone(invalidation)));
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

    /// The invalidation at a sequence, as far as remembered.
    pub(super) fn invalidation(&self, sequence: Sequence) -> Option<Arc<Invalidation>> {
        let past = self.0.lock();
        let found = past.invalidations.binary_search_by_key(&sequence, |(at, _)| *at).ok()?;
        past.invalidations.get(found).map(|(_, invalidation)| Arc::clone(invalidation))
    }
}
