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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Key;

    fn request(path: &str) -> RequestView {
        RequestView {
            method: "GET".to_owned(),
            host: "s".to_owned(),
            path: path.to_owned(),
            query: None,
            inputs: vec![None],
        }
    }

    fn decision(key: &str) -> KeyDecision {
        KeyDecision::Custom(Key::new(key.as_bytes()).unwrap())
    }

    #[test]
    fn an_answer_is_given_for_an_equal_request_only() {
        let memo = Memo::new();
        memo.put(&request("/a"), &decision("a"));
        assert_eq!(memo.get(&request("/a")), Some(decision("a")));
        let mut other = request("/a");
        other.inputs = vec![Some(String::new())];
        assert_eq!(memo.get(&other), None);
        assert_eq!(memo.get(&request("/b")), None);
    }

    #[test]
    fn more_requests_than_places_never_get_the_key_of_another() {
        let memo = Memo::new();
        let paths: Vec<String> = (0..3 * PLACES).map(|n| format!("/{n}")).collect();
        for path in &paths {
            memo.put(&request(path), &decision(path));
        }
        let found = paths.iter().filter_map(|path| Some((path, memo.get(&request(path))?)));
        let right = found.inspect(|(path, found)| assert_eq!(*found, decision(path)));
        assert!((1..=PLACES).contains(&right.count()));
    }

    #[test]
    fn a_large_request_is_not_remembered() {
        let memo = Memo::new();
        let large = request(&"x".repeat(REQUEST_BYTES_MAX));
        memo.put(&large, &decision("a"));
        assert_eq!(memo.get(&large), None);
    }
}
