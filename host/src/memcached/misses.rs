//! Which keys a connection has looked for in vain, and how old the data of a store that follows
//! may therefore be.
//!
//! # Invariants
//! - A store is never given a claim younger than a miss of its key that may have caused it: many
//!   clients share one connection among callers, so a second miss does not replace the first.
//! - A store is never given the claim of another key.
//! - Bounded: the oldest of [`MEMCACHED_MISSES_MAX`] keys gives way.
//!
//! # Not here
//! Whether the data is still good: the cache asks its fence.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::cache::Claim;
use crate::limits::MEMCACHED_MISSES_MAX;

/// Misses without a store so far of one key.
#[derive(Debug)]
struct Miss {
    hash: u64,
    key: Vec<u8>,
    oldest: Claim,
    newest: Claim,
    /// How many; as many stores may follow.
    outstanding: u32,
}

/// The recent misses of one connection, oldest first.
#[derive(Debug, Default)]
pub(super) struct Misses {
    recent: VecDeque<Miss>,
    hasher: RandomState,
}

impl Misses {
    /// Notes a miss whose claim was taken before the look-up.
    pub(super) fn note(&mut self, key: &[u8], claim: Claim) {
        let hash = self.hasher.hash_one(key);
        if let Some(miss) = self.recent.iter_mut().find(|miss| miss.is_of(hash, key)) {
            miss.newest = claim;
            miss.outstanding = miss.outstanding.saturating_add(1);
            return;
        }
        let mut bytes = match self.recent.len() {
            // The allocation of the one that gives way is used again.
            MEMCACHED_MISSES_MAX.. => self.recent.pop_front().map(|miss| miss.key),
            _ => None,
        }
        .unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(key);
        let miss = Miss { hash, key: bytes, oldest: claim, newest: claim, outstanding: 1 };
        self.recent.push_back(miss);
    }

    /// The claim of a store of this key; `None` where no miss led to it. To be followed by
    /// [`Misses::settle`].
    pub(super) fn claim(&self, key: &[u8]) -> Option<Claim> {
        if self.recent.is_empty() {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        self.recent.iter().find(|miss| miss.is_of(hash, key)).map(|miss| miss.oldest)
    }

    /// Notes that a store with a claim was carried out or refused.
    pub(super) fn settle(&mut self, key: &[u8], outcome: Outcome) {
        let hash = self.hasher.hash_one(key);
        let Some(index) = self.recent.iter().position(|miss| miss.is_of(hash, key)) else { return };
        let Some(miss) = self.recent.get_mut(index) else { return };
        miss.outstanding -= 1;
        match (miss.outstanding, outcome) {
            (0, _) => {
                self.recent.remove(index);
            }
            // The store that was refused belonged to the oldest miss; the rest are younger.
            (_, Outcome::Refused) => miss.oldest = miss.newest,
            (_, Outcome::Accepted) => {}
        }
    }
}

impl Miss {
    fn is_of(&self, hash: u64, key: &[u8]) -> bool {
        self.hash == hash && self.key == key
    }
}

/// What became of a store with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The fence had not moved.
    Accepted,
    /// The fence had moved since the claim.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sequence;

    fn claim(at: u64) -> Claim {
        Claim::at(Sequence::from_u64(at))
    }

    #[test]
    fn a_second_miss_does_not_make_the_first_ones_data_younger() {
        let mut misses = Misses::default();
        misses.note(b"k", claim(1));
        misses.note(b"k", claim(2));
        assert_eq!(misses.claim(b"k"), Some(claim(1)));
        misses.settle(b"k", Outcome::Accepted);
        assert_eq!(misses.claim(b"k"), Some(claim(1)));
        misses.settle(b"k", Outcome::Accepted);
        assert_eq!(misses.claim(b"k"), None);
    }

    #[test]
    fn a_refused_store_leaves_the_younger_miss_to_the_next() {
        let mut misses = Misses::default();
        misses.note(b"k", claim(1));
        misses.note(b"k", claim(2));
        misses.settle(b"k", Outcome::Refused);
        assert_eq!(misses.claim(b"k"), Some(claim(2)));
        misses.settle(b"k", Outcome::Refused);
        assert_eq!(misses.claim(b"k"), None);
    }

    #[test]
    fn the_oldest_key_gives_way_when_there_are_too_many() {
        let mut misses = Misses::default();
        for number in 0..=MEMCACHED_MISSES_MAX {
            misses.note(number.to_string().as_bytes(), claim(number as u64));
        }
        assert_eq!(misses.claim(b"0"), None);
        assert_eq!(misses.claim(b"1"), Some(claim(1)));
        assert_eq!(misses.recent.len(), MEMCACHED_MISSES_MAX);
    }
}
