//! Remembered keys of a plugin whose keys depend on the request alone.
//!
//! # Invariants
//! - An answer is given for an equal request only: all of it is compared, not its hash.
//! - The memory is bounded: so many places, and only requests of a bounded size.
//!
//! # Not here
//! Whether a plugin may be remembered: it says so in its manifest.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::model::{KeyDecision, RequestView};

/// Places; a request has one, and the last one there wins. A power of two.
const PLACES: usize = 4_096;

/// Largest request that is remembered, so that all of them take 4 MiB at most.
const REQUEST_BYTES_MAX: usize = 1_024;

type Place = Mutex<Option<Box<(RequestView, KeyDecision)>>>;

/// The remembered keys of one version of a plugin.
pub(super) struct Memo {
    /// Seeded, so that nobody outside can aim at one place.
    hasher: RandomState,
    places: Vec<Place>,
}

impl Memo {
    pub(super) fn new() -> Self {
        let places = (0..PLACES).map(|_| Mutex::new(None)).collect();
        Self { hasher: RandomState::default(), places }
    }

    /// The key that this very request had before.
    pub(super) fn get(&self, request: &RequestView) -> Option<KeyDecision> {
        let place = self.place_of(request)?.lock();
        let (remembered, decision) = &**place.as_ref()?;
        (remembered == request).then(|| decision.clone())
    }

    /// Remembers the key of this request.
    pub(super) fn put(&self, request: &RequestView, decision: &KeyDecision) {
        let values = request.inputs.iter().flatten().map(String::len).sum::<usize>();
        let query = request.query.as_ref().map_or(0, String::len);
        let bytes = values + query + request.host.len() + request.path.len();
        if bytes <= REQUEST_BYTES_MAX
            && let Some(place) = self.place_of(request)
        {
            let fresh = Some(Box::new((request.clone(), decision.clone())));
            // The old one is freed after the lock is gone.
            let _old = std::mem::replace(&mut *place.lock(), fresh);
        }
    }

    fn place_of(&self, request: &RequestView) -> Option<&Place> {
        let hash = self.hasher.hash_one(request);
        let place = usize::try_from(hash % PLACES as u64).ok()?;
        self.places.get(place)
    }
}
