//! Remembered keys of a plugin whose keys depend on the request alone.
//!
//! # Invariants
//! - An answer is given for an equal request only: all of it is compared, not its hash.
//! - The memory is bounded: so many places, and only requests of a bounded size.
//! - One use in [`USES_PER_CHECK`] is asked of the guest again. An answer that differs from the one
//!   remembered ends the remembering: the plugin is not what it says.
//!
//! # Not here
//! Whether a plugin may be remembered: it says so in its manifest.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::model::{KeyDecision, RequestView};

/// Places; a request has one, and the last one there wins. A power of two.
const PLACES: usize = 4_096;

/// Largest request that is remembered, so that all of them take 4 MiB at most.
const REQUEST_BYTES_MAX: usize = 1_024;

/// Uses of a remembered key before the guest is asked again.
const USES_PER_CHECK: u32 = 1_000;

/// What is remembered in one place.
struct Remembered {
    request: RequestView,
    decision: KeyDecision,
    /// Uses until the guest is asked again; at 0 it is.
    uses_left: u32,
}

type Place = Mutex<Option<Box<Remembered>>>;

/// What a guest's answer is to the one remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreement {
    /// The same, or there is none to compare it with.
    Agrees,
    /// Another one; nothing is remembered from now on. Said once.
    Differs,
}

/// The remembered keys of one version of a plugin.
pub(super) struct Memo {
    /// Seeded, so that nobody outside can aim at one place.
    hasher: RandomState,
    places: Vec<Place>,
    is_off: AtomicBool,
}

impl Memo {
    pub(super) fn new() -> Self {
        let places = (0..PLACES).map(|_| Mutex::new(None)).collect();
        Self { hasher: RandomState::default(), places, is_off: AtomicBool::new(false) }
    }

    /// The key that this very request had before, unless it is time to ask the guest again.
    pub(super) fn get(&self, request: &RequestView) -> Option<KeyDecision> {
        if self.is_off.load(Ordering::Relaxed) {
            return None;
        }
        let mut place = self.place_of(self.hash(request))?.lock();
        let remembered = place.as_deref_mut().filter(|place| place.request == *request)?;
        remembered.uses_left = remembered.uses_left.checked_sub(1)?;
        Some(remembered.decision.clone())
    }

    /// Remembers the key of this request as the guest gave it.
    pub(super) fn put(&self, request: &RequestView, decision: &KeyDecision) -> Agreement {
        let values = request.inputs.iter().flatten().map(String::len).sum::<usize>();
        let query = request.query.as_ref().map_or(0, String::len);
        let bytes = values + query + request.host.len() + request.path.len();
        if bytes > REQUEST_BYTES_MAX || self.is_off.load(Ordering::Relaxed) {
            return Agreement::Agrees;
        }
        let hash = self.hash(request);
        let Some(place) = self.place_of(hash) else { return Agreement::Agrees };
        let mut place = place.lock();
        let known = place.as_ref().filter(|old| old.request == *request);
        let differs = known.is_some_and(|old| old.decision != *decision);
        let uses_left = match known {
            // Compared just now.
            Some(_) => USES_PER_CHECK,
            // Spread, or keys that are used a few times each would never be checked.
            None => u32::try_from(hash >> 32).unwrap_or(0) % USES_PER_CHECK,
        };
        let (request, decision) = (request.clone(), decision.clone());
        let old = place.replace(Box::new(Remembered { request, decision, uses_left }));
        drop(place);
        // Freed after the lock is gone.
        drop(old);
        match differs && !self.is_off.swap(true, Ordering::Relaxed) {
            true => self.forget_all(),
            false => Agreement::Agrees,
        }
    }

    fn forget_all(&self) -> Agreement {
        for place in &self.places {
            let _old = place.lock().take();
        }
        Agreement::Differs
    }

    fn hash(&self, request: &RequestView) -> u64 {
        self.hasher.hash_one(request)
    }

    fn place_of(&self, hash: u64) -> Option<&Place> {
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

    /// Remembered and just compared, so that the next uses are not asked of the guest.
    fn put(memo: &Memo, request: &RequestView, decision: &KeyDecision) {
        for _ in 0..2 {
            assert_eq!(memo.put(request, decision), Agreement::Agrees);
        }
    }

    #[test]
    fn an_answer_is_given_for_an_equal_request_only() {
        let memo = Memo::new();
        put(&memo, &request("/a"), &decision("a"));
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
            put(&memo, &request(path), &decision(path));
        }
        let found = paths.iter().filter_map(|path| Some((path, memo.get(&request(path))?)));
        let right = found.inspect(|(path, found)| assert_eq!(*found, decision(path)));
        assert!((1..=PLACES).contains(&right.count()));
    }

    #[test]
    fn a_large_request_is_not_remembered() {
        let memo = Memo::new();
        let large = request(&"x".repeat(REQUEST_BYTES_MAX));
        put(&memo, &large, &decision("a"));
        assert_eq!(memo.get(&large), None);
    }

    #[test]
    fn one_use_in_a_thousand_is_asked_of_the_guest_again() {
        let memo = Memo::new();
        put(&memo, &request("/a"), &decision("a"));
        for _ in 0..5 {
            for n in 0..USES_PER_CHECK {
                assert_eq!(memo.get(&request("/a")), Some(decision("a")), "use {n}");
            }
            assert_eq!(memo.get(&request("/a")), None);
            assert_eq!(memo.get(&request("/a")), None, "answered before the guest was asked");
            assert_eq!(memo.put(&request("/a"), &decision("a")), Agreement::Agrees);
        }
    }

    #[test]
    fn keys_that_are_used_once_are_asked_again_as_often() {
        let memo = Memo::new();
        let asked = (0..100 * USES_PER_CHECK).filter(|n| {
            let request = request(&format!("/{n}"));
            memo.put(&request, &decision("a"));
            memo.get(&request).is_none()
        });
        // 100 are expected; that it is so far from it by chance is less likely than a broken disk.
        let asked = asked.count();
        assert!((20..300).contains(&asked), "{asked}");
    }

    #[test]
    fn another_answer_than_the_remembered_one_ends_the_remembering_and_is_said_once() {
        let memo = Memo::new();
        put(&memo, &request("/a"), &decision("a"));
        put(&memo, &request("/b"), &decision("b"));
        assert_eq!(memo.put(&request("/a"), &decision("other")), Agreement::Differs);
        assert_eq!(memo.put(&request("/a"), &decision("a")), Agreement::Agrees);
        assert_eq!((memo.get(&request("/a")), memo.get(&request("/b"))), (None, None));
    }
}
