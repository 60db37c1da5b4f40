//! Keys whose answers were not to be shared lately: requests for them need not wait for each other
//! (hit-for-miss).
//!
//! # Invariants
//! - What is remembered changes who waits for whom, never what is stored or served.
//! - It is bounded, and forgotten after a time or as soon as an answer is stored.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use http::StatusCode;
use parking_lot::Mutex;

use crate::model::Key;
use crate::pages::outcome::Reason;

/// Keys that are remembered; some 200 KB.
const KEYS_MAX: usize = 8_192;

/// For how long, milliseconds: short, because an answer may become one to be shared.
const REMEMBERED_MS: u64 = 10_000;

/// The keys, by their hashes: two that share one only do not wait for each other.
#[derive(Default)]
pub(crate) struct Uncacheable {
    hasher: RandomState,
    until_ms: Mutex<HashMap<u64, u64, RandomState>>,
}

impl Uncacheable {
    /// Whether the last answer under this key was not to be shared.
    pub(crate) fn is_known(&self, key: &Key, now_ms: u64) -> bool {
        let hash = self.hasher.hash_one(key);
        self.until_ms.lock().get(&hash).is_some_and(|until_ms| now_ms < *until_ms)
    }

    /// Remembers why an answer was not stored, if the next one will hardly be.
    pub(crate) fn note(&self, key: &Key, status: StatusCode, reason: Reason, now_ms: u64) {
        if status.is_server_error() || !is_of_the_page(reason) {
            return;
        }
        let hash = self.hasher.hash_one(key);
        let mut table = self.until_ms.lock();
        if table.len() >= KEYS_MAX {
            table.retain(|_, until_ms| now_ms < *until_ms);
        }
        if table.len() >= KEYS_MAX {
            table.clear();
        }
        table.insert(hash, now_ms.saturating_add(REMEMBERED_MS));
    }

    /// An answer was stored.
    pub(crate) fn forget(&self, key: &Key) {
        let hash = self.hasher.hash_one(key);
        self.until_ms.lock().remove(&hash);
    }
}

/// Whether a reason lies in the page, not in the request or the moment.
fn is_of_the_page(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoStore
            | Reason::Private
            | Reason::NoCache
            | Reason::SetCookie
            | Reason::VaryAny
            | Reason::VaryPerClient
            | Reason::Status
            | Reason::NotFresh
            | Reason::TagInvalid
            | Reason::TooManyTags
            | Reason::PolicyNoStore
            | Reason::PolicyResponseUnclear
            | Reason::CloseDelimited
            | Reason::TooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_for_a_time_and_forgotten_when_it_is_stored() {
        let table = Uncacheable::default();
        let key = Key::new(b"k").unwrap();
        table.note(&key, StatusCode::OK, Reason::Private, 0);
        assert!(table.is_known(&key, REMEMBERED_MS - 1) && !table.is_known(&key, REMEMBERED_MS));
        table.forget(&key);
        assert!(!table.is_known(&key, 0));
    }

    #[test]
    fn what_lies_in_the_moment_is_not_remembered() {
        let table = Uncacheable::default();
        let key = Key::new(b"k").unwrap();
        table.note(&key, StatusCode::OK, Reason::Fenced, 0);
        table.note(&key, StatusCode::OK, Reason::RequestNoStore, 0);
        table.note(&key, StatusCode::BAD_GATEWAY, Reason::Status, 0);
        assert!(!table.is_known(&key, 0));
    }

    #[test]
    fn the_table_is_bounded() {
        let table = Uncacheable::default();
        for n in 0..=KEYS_MAX {
            let key = Key::new(n.to_string().as_bytes()).unwrap();
            table.note(&key, StatusCode::OK, Reason::Private, 0);
        }
        assert!(table.until_ms.lock().len() <= KEYS_MAX);
    }
}
